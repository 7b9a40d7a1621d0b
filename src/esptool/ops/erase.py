# SPDX-License-Identifier: Apache-2.0
"""Erasing flash: all of it, or whole sectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from esptool.chips.nor import SECTOR
from esptool.device import ext
from esptool.errors import (
    FatalError,
    SecureModeError,
    UnsupportedCommandError,
    UsageError,
    VerifyError,
)
from esptool.events import Listener
from esptool.ops import bounds
from esptool.ops.checks import can_verify
from esptool.ops.flash_info import require_known_size, set_flash_size, size_word
from esptool.ops.model import LARGE_FLASH
from esptool.ops.proof import hash_is_wrong
from esptool.ops.security import SecurityState, security_state
from esptool.protocol.ext import Capability
from esptool.transfer.pace import SCAN_RATE
from esptool.transfer.receive import flash_md5, md5_of_blank
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report, Stopwatch

if TYPE_CHECKING:
    from esptool.device import Session

ALL = -1
#: How often a loader without our extensions is asked to erase until all is blank.
ATTEMPTS = 2
T = TypeVar("T")


def erase_flash(
    session: Session,
    *,
    force: bool = False,
    security: SecurityState | None = None,
    listener: Listener | None = None,
) -> float:
    """Erase the whole flash chip; returns the seconds it took.

    Args:
        force: also where secure boot or flash encryption is active.

    Raises:
        SecureModeError: refused without `force`.
        UnsupportedCommandError: the ROM has no such command; `erase_region` works with it.
    """
    report = Report(session, listener)
    recovery = Recovery(session, report)
    if not session.is_stub:
        by_region = session.spec.rom.flash_ops
        raise UnsupportedCommandError(
            f"{session.spec.name} ROM does not support function erase_flash.",
            remedy="Leave out --no-stub" + (", or use erase-region." if by_region else "."),
        )
    _prepare(session, recovery, "Erasing", lambda: refuse_when_secure(session, force, security))
    recovery.complete_stub("Erasing")
    report.began("erasing")
    report.line("Erasing flash memory (this may take a while)...")
    watch = Stopwatch(session)
    limit = _prepare(session, recovery, "Erasing", lambda: _told_limit(session))

    def erase() -> str | None:
        if limit.size is not None and session.can(Capability.ERASE):
            _erase_used(session, 0, limit.size, report)
        else:
            session.flash.erase_all()
        if limit.size is None:
            return "the size of the flash is unknown"
        return _refuse_leftovers(session, 0, limit.size, recovery)

    unchecked = _persist(recovery, "The flash", erase)
    report.result(**_outcome(0, limit.size, watch, unchecked))
    report.line(f"Flash memory erased successfully in {watch.seconds:.1f} seconds.")
    _remark_unchecked(report, unchecked)
    return watch.seconds


def erase_region(
    session: Session,
    address: int,
    size: int,
    *,
    force: bool = False,
    security: SecurityState | None = None,
    listener: Listener | None = None,
) -> float:
    """Erase `size` bytes of flash from `address`, both whole sectors; -1 is all that follows.

    Returns the seconds it took.

    Raises:
        UsageError: not aligned to sectors, or not within the flash.
        SecureModeError: refused without `force`.
        UnsupportedCommandError: the ROM of ESP8266 cannot erase a region.
        VerifyError: the flash is not blank afterwards.
    """
    report = Report(session, listener)
    recovery = Recovery(session, report)
    what = f"Erasing at {address:#010x}"
    if address < 0 or address % SECTOR:
        raise UsageError(f"Offset to erase from must be a multiple of {SECTOR}.")
    if size != ALL:
        if size % SECTOR:
            raise UsageError(f"Size of data to erase must be a multiple of {SECTOR}.")
        bounds.require_32_bits(address, size)
    if not session.is_stub and not session.spec.rom.flash_ops:
        raise UnsupportedCommandError(
            f"{session.spec.name} ROM does not support function erase_region.",
            remedy="Leave out --no-stub.",
        )
    if size == ALL:
        total = _prepare(session, recovery, what, lambda: require_known_size(session, "Erasing"))
        report.line(f"Detected flash size: {size_word(total)}")
    limit = _prepare(session, recovery, what, lambda: bounds.flash_limit(session))
    if size == ALL:
        size = bounds.to_the_end(address, limit)
    bounds.require_inside(session, address, size, limit)
    _prepare(session, recovery, what, lambda: refuse_when_secure(session, force, security))
    if not size:
        report.result(address=address, size=0, seconds=0.0, verified=True)
        report.warning(f"The size is 0: nothing is erased at {address:#010x}.")
        return 0.0
    recovery.complete_stub(what)
    report.began("erasing", address=address, size=size)
    report.line("Erasing flash memory region (this may take a while depending on size)...")
    bounds.remark_unknown(report, limit, session)
    watch = Stopwatch(session)

    def erase_once() -> None:
        if not session.is_stub:
            _tell_rom_size(session, report)
            session.flash.begin(size, address)
        else:
            _told_limit(session)
            if session.can(Capability.ERASE):
                _erase_used(session, address, size, report)
            else:
                session.flash.erase_region(address, size)

    def erase() -> str | None:
        for left in reversed(range(1 if session.can(Capability.ERASE) else ATTEMPTS)):
            erase_once()
            try:
                return _refuse_leftovers(session, address, size, recovery)
            except VerifyError:
                # Their requests have no checksum: the line may have changed what is erased.
                if not left:
                    raise
        raise AssertionError("unreachable")

    unchecked = None
    if size:
        whole = f"Flash from {address:#010x} to {address + size:#010x}"
        unchecked = _persist(recovery, whole, erase)
    report.result(**_outcome(address, size, watch, unchecked))
    report.line(f"Flash memory region erased successfully in {watch.seconds:.1f} seconds.")
    _remark_unchecked(report, unchecked)
    return watch.seconds


def _outcome(
    address: int, size: int | None, watch: Stopwatch, unchecked: str | None
) -> dict[str, Any]:
    return {
        "address": address,
        "size": size,
        "seconds": round(watch.seconds, 3),
        "verified": unchecked is None,
    }


def _prepare(session: Session, recovery: Recovery, what: str, ask: Callable[[], T]) -> T:
    """Find something out before anything is erased."""

    def work() -> T:
        session.remember()
        return ask()

    found = recovery.prepare(what, work)
    recovery.advanced()
    return found


def _persist(recovery: Recovery, what: str, erase: Callable[[], T]) -> T:
    """Erase, again where contact was lost: nothing is lost by that.

    Raises:
        FatalError: says that `what` may be erased in part only.
    """
    try:
        return recovery.persist("erasing", erase)
    except (UsageError, UnsupportedCommandError):
        raise
    except FatalError as e:
        raise FatalError(
            f"Erasing stopped: {e.message} {what} is not erased, or only in part.",
            remedy=e.remedy,
            code=e.error_code,
            operands=e.operands,
        ) from e


def _remark_unchecked(report: Report, why: str | None) -> None:
    if why is not None:
        report.note(f"Whether the flash is blank now was not checked: {why}.")


def _refuse_leftovers(session: Session, address: int, size: int, recovery: Recovery) -> str | None:
    """See that all is blank: flash that is worn out or protected stays as it
    was without a word.

    Returns why that could not be checked, None where it was.

    Raises:
        VerifyError: names the first sector that is not blank.
    """
    where: int | None = None
    if session.can(Capability.BLANK):
        blank = ext.blank_map(session, address, size)
        where = None if all(blank) else address + blank.index(False) * SECTOR
    elif can_verify(session):
        wanted = md5_of_blank(size)
        found = flash_md5(session, address, size, recovery, wanted)
        where = None if found == wanted else address
        if where is not None and not session.is_stub:
            # Some ROMs hash something else than what stands in flash.
            blank_at = hash_is_wrong(session, address, b"\xff" * size, recovery)
            if blank_at is not None:
                return (
                    f"the hash of the {session.spec.name} ROM is wrong, it calls {blank_at:#010x} "
                    "not blank, where the flash reads as blank"
                )
    elif session.secure_download:
        return "flash cannot be read in secure download mode"
    else:
        return f"the ROM of {session.spec.name} cannot hash flash"
    if where is not None:
        raise VerifyError(
            f"Flash at or after {where:#010x} is not blank after erasing.",
            remedy="Is part of the flash write protected, or worn out?",
        )
    return None


def _told_limit(session: Session) -> bounds.Limit:
    """The end of flash, which the running stub is told too: an earlier job may have set another."""
    limit = bounds.flash_limit(session)
    if limit.size is not None and session.flash.size != limit.size:
        session.flash.set_size(limit.size)
    return limit


def _erase_used(session: Session, address: int, size: int, report: Report) -> None:
    """Erase what is not blank, with progress: our stub can tell."""

    def advance(done: int, total: int) -> None:
        report.progress("Erasing", address + done, done, total)

    report.begin("Erasing", size, after_s=size / SCAN_RATE)
    ext.erase(session, address, size, advance)


def refuse_when_secure(session: Session, force: bool, security: SecurityState | None) -> None:
    """Stop before anything is erased that secure boot or flash encryption may need.

    Raises:
        SecureModeError: one of them is active and `force` is not given.
    """
    if force or session.secure_download:
        return
    state = security if security is not None else security_state(session)
    if state.active:
        raise SecureModeError(
            "Active security features detected, erasing flash is disabled as a safety measure: "
            "what is erased may be impossible to put back.",
            remedy="Use --force to erase anyway; the chip may never boot again.",
        )


def _tell_rom_size(session: Session, report: Report) -> None:
    """Have a ROM, which believes in 2 MB of flash, reach the end of what is there.

    In secure download mode nothing can be read, so it is told the most that it can address.
    """
    stated = size_word(LARGE_FLASH) if session.secure_download else "detect"
    set_flash_size(session, stated, listener=report.listener)
