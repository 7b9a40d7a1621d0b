# SPDX-License-Identifier: Apache-2.0
"""The second half of an examination: crystal, flash, stub, line, and what is in the flash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from esptool.errors import FatalError, LineLossError, StorageError, UsageError
from esptool.events import Event, Level, Message, ignore
from esptool.ops.attach import attach_flash
from esptool.ops.doctor.words import Finding
from esptool.ops.flash_info import decode_flash_id
from esptool.ops.identity import format_mac
from esptool.protocol.rates import AUTO

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.image.info import ImageInfo
    from esptool.ops.places import DeviceFlash

Tell = Callable[[Finding], None]
_NO_FLASH = (0x000000, 0xFFFFFF)
#: Bits of the first status register that protect blocks.
_BLOCK_PROTECT = 0x1C
#: Boot loaders end before the table; no more than this is read of one.
_LONGEST_BOOT_LOADER = 0x10000
#: A rate that boards are usually written at: one that bears less is worth a word.
USUAL_RATE = 460800


def examine_chip(session: Session, wanted: int | None, tell: Tell, *, quick: bool = False) -> None:
    """Look at all that a chip tells, and tell what was found.

    Args:
        session: the chip, on its ROM loader.
        wanted: the rate that the user wants to work at; None is one that is usual.
        tell: told what was found.
        quick: do not read the application whole.
    """
    if session.secure_download:
        operands = {"description": session.spec.name, "mac": "not told"}
        tell(Finding("connected", operands))
        tell(Finding("secure_download"))
        return
    known = session.facts
    mac = format_mac(known.macs.base)
    tell(Finding("connected", {"description": known.description, "mac": mac}))
    _crystal(session, tell)
    if not _flash(session, tell):
        return
    if not _stub(session, wanted, tell):
        return
    if known.flash_encryption_enabled:
        tell(Finding("encrypted"))
        return
    try:
        _contents(session, tell, quick)
    except FatalError as e:
        tell(Finding("contents_unread", {"reason": e.message}))


@contextmanager
def _hearing(session: Session) -> Iterator[list[Message]]:
    """Warnings of what is done meanwhile."""
    heard: list[Message] = []

    def listen(event: Event) -> None:
        if isinstance(event, Message) and event.level is Level.WARNING:
            heard.append(event)

    kept, session.listener = session.listener, listen
    try:
        yield heard
    finally:
        session.listener = kept


def _crystal(session: Session, tell: Tell) -> None:
    with _hearing(session) as heard:
        expected = session.facts.crystal_mhz
    if heard:
        measured = f"{session.facts.measured_crystal_mhz:.1f}"
        tell(Finding("crystal", {"measured": measured, "expected": f"{expected} MHz"}))


def _voltage(session: Session) -> str:
    found = session.facts.flash_voltage
    return "3.3 V on most modules" if found is None else found


def _flash(session: Session, tell: Tell) -> bool:
    """The flash answers, and the same each time."""
    try:
        attach_flash(session, listener=ignore)
        first = session.flash.id()
        session.flash.known_id = None
        second = session.flash.id()
    except LineLossError:
        raise
    except FatalError as e:
        operands = {"jedec_id": f"not told: {e.message}", "voltage": _voltage(session)}
        tell(Finding("flash_silent", operands))
        return False
    shown = [raw.to_bytes(4, "little")[:3].hex(" ") for raw in (first, second)]
    if first in _NO_FLASH and second in _NO_FLASH:
        tell(Finding("flash_silent", {"jedec_id": shown[0], "voltage": _voltage(session)}))
        return False
    if first != second:
        operands = {"first": shown[0], "second": shown[1], "voltage": _voltage(session)}
        tell(Finding("flash_unsteady", operands))
        return False
    size = decode_flash_id(first).size
    tell(Finding("flash_ok", {"jedec_id": shown[0], "size": size or "of unknown size"}))
    status = session.bus.read_status(1)
    if status & _BLOCK_PROTECT:
        tell(Finding("flash_protected", {"status": f"{status:#04x}"}))
    return True


def _stub(session: Session, wanted: int | None, tell: Tell) -> bool:
    """Start the stub at the best rate that the line bears, and tell of both."""
    # What was learned of this line may be of another cable, or of a bad day.
    session.wanted_baud, session.rate_afresh = AUTO, True
    try:
        with _hearing(session) as heard:
            session.run_stub(baud=AUTO)
    except FatalError as e:
        tell(Finding("stub_fails", {"reason": e.message}))
        return False
    if not session.is_stub:
        tell(Finding("stub_off", {"reason": " ".join(m.text for m in heard)}))
        return session.spec.rom.flash_ops
    tell(Finding("stub_ok"))
    if not session.rate_matters:
        tell(Finding("line_usb"))
        return True
    best = session.link.baud
    if best < (wanted or USUAL_RATE):
        tell(Finding("line_loses", {"wanted": wanted or USUAL_RATE, "best": best}))
    else:
        tell(Finding("line_ok", {"best": best}))
    attach_flash(session, listener=ignore)
    return True


# --- what is in the flash ------------------------------------------------------------------------


def _contents(session: Session, tell: Tell, quick: bool) -> None:
    from esptool.ops.places import DeviceFlash, TableSource

    flash = DeviceFlash(session, TableSource(), listener=ignore)
    sound = _boot_loader(session, flash, tell)
    if not session.spec.image.extended_header or not sound:
        return
    try:
        table = flash.table
    except (StorageError, UsageError) as e:
        tell(Finding("table_bad", {"reason": e.message}))
        return
    operands = {"offset": f"{flash.table_offset:#x}", "count": len(table)}
    tell(Finding("table_ok", operands))
    _application(session, flash, tell, quick)


def _boot_loader(session: Session, flash: DeviceFlash, tell: Tell) -> bool:
    at = session.spec.flash.bootloader_offset
    where = {"offset": f"{at:#x}"}
    if not flash.read(at, 16).strip(b"\xff"):
        tell(Finding("boot_loader_missing", where))
        return False
    info, reason = _examined(session, flash, at, _LONGEST_BOOT_LOADER)
    if info is None:
        tell(Finding("boot_loader_damaged", {**where, "reason": reason}))
        return False
    if info.chip is not session.spec and info.image.extended is not None:
        tell(Finding("boot_loader_other_chip", {**where, "other": info.chip.name}))
        return False
    version = info.bootloader.idf_version if info.bootloader is not None else ""
    shown = f" (ESP-IDF {version})" if version else ""
    tell(Finding("boot_loader_ok", {**where, "version": shown}))
    return True


def _application(session: Session, flash: DeviceFlash, tell: Tell, quick: bool) -> None:
    from esptool.ops.ota import ota_status

    try:
        status = ota_status(flash)
    except FatalError as e:
        tell(Finding("app_missing", {"reason": e.message}))
        return
    slot = status.boots
    if slot is None:
        tell(Finding("app_missing", {"reason": status.why}))
        return
    part = slot.partition
    if slot.content.kind != "image":
        reason = f"'{part.name}' is selected, and holds {slot.content.kind}."
        tell(Finding("app_missing", {"reason": reason}))
        return
    name = slot.content.title
    if not quick:
        info, reason = _examined(session, flash, part.offset, part.size)
        if info is None:
            tell(Finding("app_damaged", {"partition": part.name, "reason": reason}))
            return
    tell(Finding("app_ok", {"partition": part.name, "name": name}))


def _examined(
    session: Session, flash: DeviceFlash, at: int, most: int
) -> tuple[ImageInfo | None, str]:
    """An image in flash; None and the reason where it is damaged."""
    from esptool.image.info import examine

    try:
        size = _length(session, flash, at, most)
        info = examine(flash.read(at, size), None if _tells_chip(session) else session.spec)
    except FatalError as e:
        return None, e.message
    if info.image.fault:
        return None, info.image.fault
    if not info.checksum_valid:
        return None, "its checksum is wrong."
    if info.digest_valid is False:
        return None, "its SHA-256 is wrong."
    return info, ""


def _tells_chip(session: Session) -> bool:
    return session.spec.image.extended_header


def _length(session: Session, flash: DeviceFlash, at: int, most: int) -> int:
    """Bytes of the image at `at` with checksum and hash, by the headers of its segments."""
    extended = session.spec.image.extended_header
    head = flash.read(at, 24)
    size = 24 if extended else 8
    for _ in range(head[1]):
        if size + 8 > most:
            return most
        size += 8 + int.from_bytes(flash.read(at + size + 4, 4), "little")
    whole = (size | 15) + 1
    if extended and head[23] == 1:
        whole += 32
    limit = flash.limit.size
    return min(whole, most, limit - at if limit is not None else most)
