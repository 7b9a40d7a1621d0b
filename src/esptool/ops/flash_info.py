# SPDX-License-Identifier: Apache-2.0
"""What the flash chip is, how large, and telling the loader about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.chips.nor import size_of
from esptool.errors import FatalError, SecureModeError
from esptool.events import Listener
from esptool.ops.model import LARGE_FLASH, FlashInfo
from esptool.sizes import flash_size
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session

#: Assumed where detection was asked for and fails.
FALLBACK_SIZE = "4MB"

size_in_bytes = flash_size


def size_word(num_bytes: int) -> str:
    """4194304 → '4MB'."""
    if num_bytes >= 1024 * 1024:
        return f"{num_bytes // (1024 * 1024)}MB"
    return f"{num_bytes // 1024}KB"


def decode_flash_id(raw: int) -> FlashInfo:
    """Split a JEDEC id (manufacturer in the lowest byte) and look its size up."""
    device = (raw & 0xFF00) | (raw >> 16 & 0xFF)
    return FlashInfo(raw, raw & 0xFF, device, size_of(raw))


def flash_info(session: Session) -> FlashInfo:
    """Read the JEDEC id of the flash and decode it."""
    return decode_flash_id(session.flash.id())


def detect_flash_size(session: Session) -> str | None:
    """The size word of the flash, or None when its id is not known.

    Raises:
        SecureModeError: the flash id cannot be read in secure download mode.
    """
    if session.secure_download:
        raise SecureModeError(
            "Detecting flash size is not supported in secure download mode. "
            "Need to manually specify flash size: add --flash-size with its size."
        )
    return flash_info(session).size


def show_flash_info(session: Session, *, listener: Listener | None = None) -> FlashInfo:
    """The lines of `flash-id`: manufacturer, device, size, and what eFuses say of the flash."""
    report = Report(session, listener)
    info = flash_info(session)
    report.heading("Flash Memory Information:")
    _show_id(report, info)
    octal = session.facts.octal_flash
    report.result(flash_lines=None if octal is None else 8 if octal else 4)
    if octal is not None:
        report.line(
            "Flash type set in eFuse: "
            + ("octal (8 data lines)" if octal else "quad (4 data lines)")
        )
    voltage = session.facts.flash_voltage
    if voltage is not None:
        report.line(voltage)
    return info


def show_flash_id(session: Session, *, listener: Listener | None = None) -> FlashInfo:
    """Manufacturer, device and size alone, as other commands show them."""
    info = flash_info(session)
    _show_id(Report(session, listener), info)
    return info


def _show_id(report: Report, info: FlashInfo) -> None:
    report.result(
        jedec_id=info.raw.to_bytes(4, "little")[:3].hex(),
        manufacturer_id=info.manufacturer,
        device_id=info.device,
        flash_size=None if info.size is None else flash_size(info.size),
    )
    report.line(f"Manufacturer: {info.manufacturer:02x}")
    report.line(f"Device: {info.device >> 8:02x}{info.device & 0xFF:02x}")
    report.line(f"Detected flash size: {info.size or 'Unknown'}")


def set_flash_size(
    session: Session, size: str = "keep", *, listener: Listener | None = None
) -> str | None:
    """Tell the loader how large the flash is, so that it accepts all of its addresses.

    Takes and returns size words as `choose_flash_size` does.

    Raises:
        SecureModeError: "detect" in secure download mode.
    """
    word, told = choose_flash_size(session, size, Report(session, listener))
    if told is not None:
        session.flash.set_size(told)
    return word


def choose_flash_size(session: Session, size: str, report: Report) -> tuple[str | None, int | None]:
    """Find out how large the flash is, and what the loader should be told of it.

    `size` is "keep" (what can be found out silently, where that is safe), "detect", or a size
    word. Returns the size word for an image's header, None where nothing is known, and the bytes
    to tell the loader, None where it is told nothing; how far an operation may reach is for
    `esptool.ops.bounds` to say.

    Raises:
        SecureModeError: "detect" in secure download mode.
    """
    report.line("Configuring flash size...")
    detected = None if session.secure_download else flash_info(session).size
    known: str | None
    if size == "detect":
        if session.secure_download:
            detect_flash_size(session)
        known = detected
        if known is None:
            report.warning(f"Could not auto-detect flash size, defaulting to {FALLBACK_SIZE}.")
            known = FALLBACK_SIZE
        else:
            report.line(f"Auto-detected flash size: {known}")
    elif size == "keep":
        known = detected
        if not session.is_stub:
            report.note("In case of failure, please set a specific flash size.")
    else:
        known = size
        if detected is not None and size_in_bytes(size) > size_in_bytes(detected):
            report.warning(
                f"Set flash_size {size} is larger than the available flash size of {detected}."
            )
    if known is None:
        return None, None
    num_bytes = size_in_bytes(known)
    if detected is not None:
        # Beyond its real end the flash begins anew, so no loader is told of more than there is.
        num_bytes = min(num_bytes, size_in_bytes(detected))
    # A ROM knows its boot flash; it is told what the user said, or that this no longer holds.
    can_be_told = session.is_stub or session.spec.rom.flash_ops
    told = can_be_told and (session.is_stub or size != "keep" or session.flash.size is not None)
    if num_bytes > LARGE_FLASH and not (session.is_stub and session.spec.flash.addr32):
        report.note(
            "Flash sizes larger than 16MB are not fully supported. "
            "Change the flash size argument in case of a failure."
        )
    return known, num_bytes if told else None


def require_known_size(session: Session, purpose: str) -> int:
    """The size of the flash in bytes, for an operation on ALL of it.

    Raises:
        FatalError: the size cannot be found out.
    """
    size = detect_flash_size(session)
    if size is None:
        raise FatalError(
            f"{purpose} ALL needs the size of the flash, but its id {session.flash.id():#08x} "
            "is not known. Give the size as a number."
        )
    return size_in_bytes(size)
