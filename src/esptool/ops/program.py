# SPDX-License-Identifier: Apache-2.0
"""Changing flash in place: clearing bits and erasing single sectors by commands on the flash bus.

Loaders erase what they write. Storage that must survive an interruption at any point needs more:
bytes that are added beside others without erasing these, in an order of its own. The commands work
with every loader that lets the bus be driven, and doing one of them twice does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR
from esptool.device import ext
from esptool.errors import FatalError, LineLossError, VerifyError
from esptool.events import Listener
from esptool.ops import bounds
from esptool.storage.changes import Change, Erase, apply
from esptool.transfer.receive import receive_bytes
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session

_WRITE_ENABLE, _READ_STATUS = 0x06, 0x05
#: Command and address bits below 16 MB, and beyond.
_PROGRAM = {24: 0x02, 32: 0x12}
_ERASE_SECTOR = {24: 0x20, 32: 0x21}
_SHORT = 1 << 24
_BUSY = 1
#: Bytes of one command; pages of flash are multiples of it.
_AT_ONCE = 64
#: Data sheets allow a sector 400 ms at most; worn and cold parts have been seen to need more.
_LONGEST_S = 5.0
#: What 64 bytes usually take; waited for on the chip it costs no round trip.
_USUAL_US = 300


def change_flash(
    session: Session,
    base: int,
    former: bytes,
    changes: Sequence[Change],
    *,
    listener: Listener | None = None,
) -> int:
    """Make changes to flash one after the other, and read back what they touched.

    Args:
        base: the flash offset that those of the changes count from.
        former: what is in flash from there on.
        changes: in the order in which they are to be made. Flash holds all of those before the
            one at which an interruption comes, and none behind it.

    Returns:
        How many sectors changed.

    Raises:
        UsageError: not within the flash; nothing was changed.
        VerifyError: flash does not hold afterwards what it should.
        FatalError: the chip was lost, and could not be brought back.
    """
    report = Report(session, listener)
    recovery = Recovery(session, report)
    limit = recovery.prepare(f"Changing flash at {base:#010x}", lambda: bounds.flash_limit(session))
    bounds.require_inside(session, base, len(former), limit)
    wanted = bytearray(former)
    touched: set[int] = set()
    for number, change in enumerate(changes, 1):
        apply(wanted, change)
        size = SECTOR if isinstance(change, Erase) else len(change.data)
        touched.update(range(change.offset // SECTOR, (change.offset + size - 1) // SECTOR + 1))
        try:
            recovery.persist("changing flash", partial(_make, session, base, change))
        except LineLossError as e:
            raise type(e)(
                f"Changing flash stopped at step {number} of {len(changes)}: {e.message} "
                "What is stored there is as it was before or as it was to be.",
                remedy=e.remedy or "Run the command again.",
            ) from e
        recovery.advanced()
    short = report.without_progress()
    for sector in sorted(touched):
        at = sector * SECTOR
        expected = bytes(wanted[at : at + SECTOR])
        found = receive_bytes(session, base + at, len(expected), short, recovery)
        if found != expected:
            raise VerifyError(
                f"The flash at {base + at:#010x} does not hold what was written.",
                remedy="Is it write protected (read-flash-status), or its supply weak?",
            )
    return len(touched)


def _make(session: Session, base: int, change: Change) -> None:
    if isinstance(change, Erase):
        address = base + change.offset
        bits = 24 if address < _SHORT else 32
        _command(session, _ERASE_SECTOR[bits], address, bits, b"")
        return
    at, data = base + change.offset, change.data
    while data:
        take = _AT_ONCE - at % _AT_ONCE
        bits = 24 if at < _SHORT else 32
        part, data = data[:take], data[take:]
        if part.strip(b"\xff"):
            _command(session, _PROGRAM[bits], at, bits, part)
        at += len(part)


def _command(session: Session, opcode: int, address: int, bits: int, data: bytes) -> None:
    """One command that the flash is busy with afterwards."""
    if session.may_batch:
        batch = ext.Batch()
        batch.spi(_WRITE_ENABLE)
        batch.spi(opcode, data, 0, address, bits)
        if data:
            batch.wait(_USUAL_US)
        batch.spi(_READ_STATUS, read_bytes=1)
        status = ext.batch(session, batch)[0][0]
    else:
        session.bus.command(_WRITE_ENABLE)
        session.bus.command(opcode, data, 0, address, bits)
        status = session.bus.command(_READ_STATUS, read_bits=8)
    end = session.link.now() + _LONGEST_S
    while status & _BUSY:
        if session.link.now() > end:
            raise FatalError(
                f"The flash is still busy with {address:#010x} after {_LONGEST_S:.0f} seconds.",
                remedy="Is it worn out, or its supply weak?",
            )
        status = session.bus.command(_READ_STATUS, read_bits=8)
