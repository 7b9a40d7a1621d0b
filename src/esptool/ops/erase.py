# SPDX-License-Identifier: Apache-2.0
"""Erasing flash: all of it, or whole sectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from esptool.device import ext
from esptool.errors import (
    FatalError,
    SecureModeError,
    UnsupportedCommandError,
    UsageError,
    VerifyError,
)
from esptool.events import Listener
from esptool.ops.checks import can_verify
from esptool.ops.flash_info import (
    flash_info,
    require_known_size,
    set_flash_size,
    size_in_bytes,
    size_word,
)
from esptool.ops.hashes import flash_md5, md5_of_blank
from esptool.ops.healing import persist
from esptool.ops.model import SECTOR
from esptool.ops.pace import SCAN_RATE
from esptool.ops.report import Report, Stopwatch
from esptool.ops.security import SecurityState, security_state
from esptool.protocol.ext import Capability

if TYPE_CHECKING:
    from esptool.device import Session

ALL = -1
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
    _prepare(session, report, lambda: refuse_when_secure(session, force, security))
    report.line("Erasing flash memory (this may take a while)...")
    watch = Stopwatch(session)
    if not session.is_stub:
        report.note(
            "You can use the erase-region command in ROM bootloader mode "
            "to erase a specific region."
        )
        raise UnsupportedCommandError(
            f"{session.spec.name} ROM does not support function erase_flash.",
            remedy="Leave out --no-stub, or use erase-region.",
        )
    size = _prepare(session, report, lambda: _whole_size(session))

    def erase() -> None:
        if size is not None and session.can(Capability.ERASE):
            _erase_used(session, 0, size, report)
        else:
            session.erase_flash()
        if size is not None:
            _refuse_leftovers(session, 0, size)

    _persist(session, report, "The flash", erase)
    seconds = watch.seconds
    report.line(f"Flash memory erased successfully in {seconds:.1f} seconds.")
    return seconds


def erase_region(
    session: Session,
    address: int,
    size: int,
    *,
    force: bool = False,
    security: SecurityState | None = None,
    listener: Listener | None = None,
) -> float:
    """Erase `size` bytes of flash from `address`, both whole sectors; -1 is all of the flash.

    Returns the seconds it took.

    Raises:
        UsageError: not aligned to sectors, or past the end of the flash.
        SecureModeError: refused without `force`.
        UnsupportedCommandError: the ROM of ESP8266 cannot erase a region.
    """
    report = Report(session, listener)
    if address < 0 or address % SECTOR:
        raise UsageError(f"Offset to erase from must be a multiple of {SECTOR}.")
    if size == ALL:
        total = require_known_size(session, "Erasing")
        report.line(f"Detected flash size: {size_word(total)}")
        size = total - address
    if size % SECTOR:
        raise UsageError(f"Size of data to erase must be a multiple of {SECTOR}.")
    if size < 0:
        raise UsageError(f"Cannot erase {size} bytes at {address:#010x}: there is no flash.")
    _prepare(session, report, lambda: refuse_when_secure(session, force, security))
    report.line("Erasing flash memory region (this may take a while depending on size)...")
    watch = Stopwatch(session)

    def erase() -> None:
        if session.is_stub:
            _refuse_past_end(session, address, size)
            if session.can(Capability.ERASE) and size:
                _erase_used(session, address, size, report)
            else:
                session.erase_region(address, size)
        else:
            _erase_by_rom(session, address, size, report)
        _refuse_leftovers(session, address, size)

    _persist(session, report, f"Flash from {address:#010x} to {address + size:#010x}", erase)
    seconds = watch.seconds
    report.line(f"Flash memory region erased successfully in {seconds:.1f} seconds.")
    return seconds


def _prepare(session: Session, report: Report, ask: Callable[[], T]) -> T:
    """Find something out before anything is erased."""
    session.remember_port()
    return persist(session, report, "preparing", ask)


def _persist(session: Session, report: Report, what: str, erase: Callable[[], None]) -> None:
    """Erase, again where contact was lost: nothing is lost by that.

    Raises:
        FatalError: says that `what` may be erased in part only.
    """
    try:
        persist(session, report, "erasing", erase)
    except (UsageError, UnsupportedCommandError):
        raise
    except FatalError as e:
        raise FatalError(
            f"Erasing stopped: {e.message} {what} is not erased, or only in part.",
            remedy=e.remedy,
        ) from e


def _refuse_leftovers(session: Session, address: int, size: int) -> None:
    """See that all is blank: flash that is worn out or protected stays as it
    was without a word.

    Raises:
        VerifyError: names the first sector that is not blank.
    """
    where: int | None = None
    if session.can(Capability.BLANK):
        blank = ext.blank_map(session, address, size)
        where = None if all(blank) else address + blank.index(False) * SECTOR
    elif can_verify(session) and size:
        wanted = md5_of_blank(size)
        where = None if flash_md5(session, address, size, wanted) == wanted else address
    if where is not None:
        raise VerifyError(
            f"Flash at or after {where:#010x} is not blank after erasing.",
            remedy="Is part of the flash write protected, or worn out?",
        )


def _whole_size(session: Session) -> int | None:
    """Bytes of the flash, None where its id is not known."""
    word = flash_info(session).size
    return None if word is None else size_in_bytes(word)


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


def _refuse_past_end(session: Session, address: int, size: int) -> None:
    """The stub would wrap around at the end of the flash."""
    known = session.flash_size
    if known is not None and address + size > known:
        raise UsageError(
            f"Region {address:#010x} to {address + size:#010x} goes past the end of the flash "
            f"({known} bytes)."
        )


def _erase_by_rom(session: Session, address: int, size: int, report: Report) -> None:
    """A ROM erases when a write begins; no data need follow."""
    if not session.spec.rom.flash_ops:
        raise UnsupportedCommandError(
            f"{session.spec.name} ROM does not support function erase_region.",
            remedy="Leave out --no-stub.",
        )
    size_word = set_flash_size(
        session, "keep" if session.secure_download else "detect", listener=report.listener
    )
    if size_word is not None and address + size > size_in_bytes(size_word):
        raise UsageError(
            f"Region {address:#010x} to {address + size:#010x} goes past the end of the flash "
            f"({size_word})."
        )
    session.flash_begin(size, address)
