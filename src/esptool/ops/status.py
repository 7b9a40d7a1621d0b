# SPDX-License-Identifier: Apache-2.0
"""The flash chip's own registers: status registers and SFDP parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.errors import UsageError
from esptool.events import Listener
from esptool.ops.flash_info import show_flash_id
from esptool.sizes import counted
from esptool.transfer.recovery import Recovery, saying
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session


def _check_width(num_bytes: int) -> None:
    if num_bytes not in (1, 2, 3):
        raise UsageError(f"A flash status has 1, 2 or 3 bytes, not {num_bytes}.")


def _surely(session: Session, report: Report, doing: str, work: Callable[[], int]) -> int:
    """Result of `work`, begun again where the line was lost: it does the same each time."""
    with saying(f"{doing} the flash's registers stopped"):
        return Recovery(session, report).persist(f"{doing.lower()} registers", work)


def read_status(session: Session, num_bytes: int = 2, *, listener: Listener | None = None) -> int:
    """Status registers 1 to `num_bytes` of the flash, the first in the lowest byte."""
    _check_width(num_bytes)
    report = Report(session, listener)
    value = _surely(session, report, "Reading", lambda: session.bus.read_status(num_bytes))
    report.result(status=value, status_bytes=num_bytes)
    # As the public tool: at least four digits, however many bytes.
    report.line(f"Flash memory status: {value:#06x}")
    return value


def write_status(
    session: Session,
    value: int,
    num_bytes: int = 2,
    non_volatile: bool = False,
    *,
    listener: Listener | None = None,
) -> int:
    """Write the status registers and return what they hold afterwards.

    `non_volatile` keeps the bits over a power cycle; some of them cannot be taken back.

    Raises:
        UsageError: `value` does not fit into `num_bytes`.
    """
    _check_width(num_bytes)
    if not 0 <= value < 1 << 8 * num_bytes:
        raise UsageError(f"Status {value:#x} does not fit into {counted(num_bytes, 'byte')}.")
    report = Report(session, listener)
    width = num_bytes * 2 + 2
    before = _surely(session, report, "Writing", lambda: session.bus.read_status(num_bytes))
    report.line(f"Initial flash memory status: {before:#0{width}x}")
    report.line(f"Setting flash memory status: {value:#0{width}x}")

    def write() -> int:
        session.bus.write_status(value, num_bytes, non_volatile)
        return session.bus.read_status(num_bytes)

    after = _surely(session, report, "Writing", write)
    report.result(status=after, status_bytes=num_bytes, status_before=before)
    report.line(f"After flash memory status:   {after:#0{width}x}")
    return after


def read_sfdp(
    session: Session, address: int, size: int = 1, *, listener: Listener | None = None
) -> bytes:
    """1 to 4 bytes of the Serial Flash Discoverable Parameters (JEDEC JESD216).

    Raises:
        UsageError: another number of bytes, or an address beyond 24 bits.
    """
    if not 1 <= size <= 4:
        raise UsageError("Invalid number of bytes to read from SFDP (1-4).")
    if not 0 <= address < 1 << 24:
        raise UsageError(f"SFDP address {address:#x} is not in the range 0 to 0xffffff.")
    report = Report(session, listener)
    show_flash_id(session, listener=report.listener)
    word = _surely(session, report, "Reading", lambda: session.bus.read_sfdp(address, size * 8))
    data = word.to_bytes(size, "little")
    report.result(address=address, size=size, data=data.hex())
    shown = " ".join(f"{byte:#04x}" for byte in data)
    report.line(f"Flash memory SFDP[{address}..{address + size - 1}]: {shown} ")
    return data
