# SPDX-License-Identifier: Apache-2.0
"""A SPI NOR flash as its data sheet has it: cells, status registers, commands and their times.

Program only clears bits and wraps inside a page, erase works on aligned blocks, both need the
write enable latch, protected blocks ignore them, and a busy chip answers to its status only.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from esptool.virtual.clock import Clock
from esptool.virtual.faults import FaultPlan
from esptool.virtual.parts import FlashPart
from esptool.virtual.sfdp import sfdp

PAGE = 256
SECTOR = 0x1000
#: Clock of the bus, as loaders set it up for flash of any speed.
BUS_HZ = 40e6
#: Looks at the status in a row, no further apart, that make a loop which does nothing but look.
_POLLS, _POLL_GAP_S = 2, 12e-6
_CHUNK = 0x10000
_BLANK = b"\xff" * _CHUNK

WIP = 1
WEL = 2

_ERASERS = {0x20: 0x1000, 0x21: 0x1000, 0x52: 0x8000, 0x5C: 0x8000, 0xD8: 0x10000, 0xDC: 0x10000}
_READS = frozenset({0x03, 0x0B, 0x3B, 0x6B, 0xBB, 0xEB, 0x13, 0x0C, 0x3C, 0x6C, 0xBC, 0xEC})
_FOUR_BYTE = frozenset({0x13, 0x0C, 0x3C, 0x6C, 0xBC, 0xEC, 0x12, 0x34, 0x3E, 0x21, 0x5C, 0xDC})
#: Commands whose data pass on more than one line.
LANES = {0x3B: 2, 0x3C: 2, 0x6B: 4, 0x6C: 4, 0x32: 4, 0x34: 4}
_STATUS_READS = {0x05: 0, 0x35: 1, 0x15: 2}
#: Status register and bit of quad mode, by JESD216's code for how it is switched on.
_QUAD_ENABLE = {1: (1, 1), 2: (0, 6), 3: (1, 7), 4: (1, 1), 5: (1, 1), 6: (1, 1)}
_STATUS_WRITES = {0x31: 1, 0x11: 2}


def _share_of_page(count: int) -> float:
    """Part of a page's time that so many bytes take: data sheets give 30 us for the first and
    2.5 us for each further one where a page takes 400 us."""
    return min(1.0, 0.075 + 0.00625 * count)


def _never() -> float:
    return math.inf


class BrownoutError(Exception):
    """The supply gave way while a page was being programmed: the chip resets."""


class Cells:
    """The array, kept in 64 KiB chunks of which blank ones do not exist."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._chunks: dict[int, bytearray] = {}

    def read(self, address: int, length: int) -> bytes:
        """`length` bytes; reading goes round at the end, as the chip's counter does."""
        out = bytearray()
        address %= self.size
        while length > 0:
            index, at = divmod(address, _CHUNK)
            take = min(length, _CHUNK - at, self.size - address)
            chunk = self._chunks.get(index)
            out += chunk[at : at + take] if chunk is not None else _BLANK[:take]
            length -= take
            address = (address + take) % self.size
        return bytes(out)

    def program(self, address: int, data: bytes) -> None:
        """Clear the bits that are 0 in `data`; it must not cross the end."""
        done = 0
        while done < len(data):
            index, at = divmod(address + done, _CHUNK)
            take = min(len(data) - done, _CHUNK - at)
            piece = data[done : done + take]
            chunk = self._chunks.get(index)
            if chunk is None:
                if piece.count(0xFF) != take:
                    chunk = self._chunks[index] = bytearray(_BLANK)
                    chunk[at : at + take] = piece
            else:
                old = chunk[at : at + take]
                if old.count(0xFF) != take:
                    both = int.from_bytes(old, "little") & int.from_bytes(piece, "little")
                    piece = both.to_bytes(take, "little")
                chunk[at : at + take] = piece
            done += take

    def erase(self, address: int, length: int) -> None:
        """Set all bits of a range."""
        end = address + length
        while address < end:
            index, at = divmod(address, _CHUNK)
            take = min(end - address, _CHUNK - at)
            if take == _CHUNK:
                self._chunks.pop(index, None)
            elif (chunk := self._chunks.get(index)) is not None:
                chunk[at : at + take] = _BLANK[:take]
            address += take

    def used(self) -> int:
        """End of the last chunk that is not blank."""
        return max(((i + 1) * _CHUNK for i, c in self._chunks.items() if c != _BLANK), default=0)

    def load(self, image: bytes) -> None:
        """Put an image at the start; the rest becomes blank."""
        self._chunks.clear()
        image = image[: self.size]
        for at in range(0, len(image), _CHUNK):
            piece = image[at : at + _CHUNK]
            if piece.count(0xFF) != len(piece):
                self._chunks[at // _CHUNK] = bytearray(piece.ljust(_CHUNK, b"\xff"))


class Nor:
    """One flash chip on the bus.

    Attributes:
        cells: its contents.
        status: its status registers, WIP and WEL excepted.
        log: totals of operations, for tests and reports.
    """

    def __init__(
        self,
        part: FlashPart,
        clock: Clock,
        faults: FaultPlan,
        *,
        max_times: bool = False,
    ) -> None:
        self.part = part
        self._programs = part.programs
        self.cells = Cells(part.size)
        self.status = bytearray(3)
        if part.quad_from_factory:
            index, bit = _QUAD_ENABLE[part.quad_enable]
            self.status[index] |= 1 << bit
        self.log: dict[str, int] = {"program": 0, "erase": 0, "read": 0}
        self._clock = clock
        self._faults = faults
        self._dead = "dead-flash" in faults.board
        self._times = 1 if max_times else 0
        self._brownouts = set(faults.brownout_at)
        self._powercuts = set(faults.powercut_at)
        self._sfdp = sfdp(part)
        self._busy_until = self._bus_until = 0.0
        #: A controller works the bus beside the processor, which then waits for it.
        self.beside = False
        self._polls = 0
        self._polled_at = -1.0
        self._wel = False
        self._volatile_wel = False
        self._asleep = False
        self._reset_armed = False
        self.four_byte_mode = False
        #: Until when code that polls WIP may be left alone; it has other things to look at.
        self.attention: Callable[[], float] = _never
        if faults.protect:
            self.status[0] |= self._bp_mask

    # --- the pins ----------------------------------------------------------------------------

    def watched(self) -> None:
        """Nobody has other things to look at while the flash is busy."""
        self.attention = _never

    def power_cycle(self) -> None:
        """Back to the state after power-on; contents and non-volatile bits stay."""
        self._busy_until = 0.0
        self._wel = self._volatile_wel = self._asleep = self._reset_armed = False
        self.four_byte_mode = False

    def clocks(self, count: int) -> None:
        """So many clocks pass on the bus; whoever started them may do something else meanwhile."""
        if self._clock.charged:
            self._bus_until = max(self._clock.now, self._bus_until) + count / BUS_HZ
            if not self.beside:
                self.wait_bus()

    def wait_bus(self) -> None:
        """Until the transaction on the bus is over."""
        self._clock.advance_to(self._bus_until)

    def transfer(
        self,
        command: int,
        address: int | None,
        address_bytes: int,
        data: bytes,
        length: int,
        *,
        dummy: int = 0,
        lanes: int = 1,
        clocked: bool = False,
    ) -> bytes:
        """One transaction: command, address, dummy clocks, `data` in or `length` bytes out.

        Dummy clocks are the controller's affair: the model takes it that there were enough. The
        data may take several lanes. `clocked`: the time on the bus has been charged.
        """
        if not clocked:
            self.clocks(8 + 8 * address_bytes + dummy + 8 * (len(data) + length) // lanes)
        if self._dead:
            # No bit of a status register is set, so that nobody waits for ever.
            return (b"\0" if command in _STATUS_READS else b"\xff") * length
        index = _STATUS_READS.get(command)
        if self._asleep and command not in (0xAB, 0xFF, 0x66, 0x99):
            return b"\xff" * length
        if index is not None:
            return self._read_status(index, length)
        if self.busy:
            return b"\xff" * length
        armed, self._reset_armed = self._reset_armed, False
        if command in _READS:
            return self.read(address or 0, length)
        if command == 0x9F:
            return self._repeat(self.part.jedec, length)
        if command == 0x5A:
            start = address or 0
            return self._sfdp[start : start + length].ljust(length, b"\xff")
        if command in self._programs:
            if self._wel and address is not None:
                self._program_page(address, data)
            self._wel = False
        elif command in _ERASERS or command in (0xC7, 0x60):
            self._erase_command(command, address)
        elif command == 0x99:
            if armed:
                self.power_cycle()
        else:
            return self._small(command, data, length)
        return b"\xff" * length

    def _small(self, command: int, data: bytes, length: int) -> bytes:
        match command:
            case 0x06:
                self._wel = True
            case 0x04:
                self._wel = self._volatile_wel = False
            case 0x50:
                self._volatile_wel = True
            case 0x01:
                self._write_status(0, data[:2])
            case 0x31 | 0x11:
                self._write_status(_STATUS_WRITES[command], data[:1])
            case 0x66:
                self._reset_armed = True
            case 0xB9:
                self._asleep = True
            case 0xAB:
                self._asleep = False
                return self._repeat(bytes((self.part.jedec[2] - 1,)), length)
            case 0x90:
                return self._repeat(bytes((self.part.jedec[0], self.part.jedec[2] - 1)), length)
            case 0xB7:
                self.four_byte_mode = self.part.four_byte
            case 0xE9:
                self.four_byte_mode = False
            case 0x4B:
                return self._repeat(b"\xde\xad\xbe\xef\x01\x23\x45\x67", length)
            case _:
                pass
        return b"\xff" * length

    @staticmethod
    def _repeat(answer: bytes, length: int) -> bytes:
        return (answer * (length // len(answer) + 1))[:length]

    # --- status ------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """A program or erase is going on."""
        return self._clock.charged and self._clock.now < self._busy_until

    def wait_ready(self) -> None:
        """What a loop that polls WIP comes to: the device's time moves on to the end."""
        self._clock.advance_to(self._busy_until)

    def _read_status(self, index: int, length: int) -> bytes:
        if index >= self.part.status_bytes:
            return b"\xff" * length
        value = self.status[index]
        if index == 0:
            value |= (WIP if self.busy else 0) | (WEL if self._wel else 0)
            self._polled()
        return bytes((value,)) * length

    def _polled(self) -> None:
        """Somebody has looked whether the flash is busy. One who does nothing else is spared the
        waiting: the next look comes when the operation is over."""
        now = self._clock.now
        self._polls = self._polls + 1 if now - self._polled_at < _POLL_GAP_S else 0
        if self._polls >= _POLLS:
            self._clock.advance_to(min(self._busy_until, self.attention()))
        self._polled_at = self._clock.now

    def _write_status(self, first: int, values: bytes) -> None:
        if not (self._wel or self._volatile_wel):
            return
        if self._faults.protect:
            self._wel = self._volatile_wel = False
            return
        for index, value in enumerate(values, first):
            if index < self.part.status_bytes:
                self.status[index] = value & ~(WIP | WEL) if index == 0 else value
        if not self._volatile_wel:
            self._occupy(self.part.times.status[self._times])
        self._wel = self._volatile_wel = False

    @property
    def _bp_mask(self) -> int:
        return ((1 << self.part.bp_bits) - 1) << 2

    def protected(self, address: int, length: int = 1) -> bool:
        """Whether block-protect bits cover part of a range.

        Levels are those of the data sheets' tables with TB clear: the top 1/64 for level 1,
        twice as much for each further one, all of it for the highest.
        """
        bits = min(self.part.bp_bits, 3)
        level = (self.status[0] >> 2) & ((1 << bits) - 1)
        if not level:
            return False
        if level == (1 << bits) - 1:
            return True
        covered = self.part.size >> max(0, 7 - level)
        if self.part.bp_bits != 4 and self.status[0] & 0x20:
            return address < covered
        return address + length > self.part.size - covered

    # --- array -------------------------------------------------------------------------------

    def read(self, address: int, length: int) -> bytes:
        """Contents from `address`, going round at the end."""
        self.log["read"] += length
        if self._dead:
            return b"\xff" * length
        return self.cells.read(address, length)

    @property
    def four_lines(self) -> bool:
        """Quad mode is on: WP and HOLD carry data."""
        index, bit = _QUAD_ENABLE.get(self.part.quad_enable, (0, 0))
        return bool(self.status[index] >> bit & 1)

    def program(self, address: int, data: bytes) -> None:
        """What a loader does: page after page, each with write enable and a wait."""
        if not (
            self._clock.charged
            or self._faults.program_at
            or self._brownouts
            or self.status[0] & self._bp_mask
            or address + len(data) > self.part.size
        ):
            self.cells.program(address, data)
            self.log["program"] += (len(data) + PAGE - 1) // PAGE
            return
        done = 0
        while done < len(data):
            take = min(PAGE - (address + done) % PAGE, len(data) - done)
            # Write enable, the command with its data, and a look at the status behind each.
            self.clocks(8 + 16 + 32 + 8 * take // (4 if self.four_lines else 1) + 16)
            self._program_page(address + done, data[done : done + take])
            self.wait_ready()
            done += take

    def _program_page(self, address: int, data: bytes) -> None:
        address %= self.part.size
        base = address - address % PAGE
        if self.protected(base, PAGE) or not data:
            return
        data = data[-PAGE:] if len(data) > PAGE else data
        self._occupy(self.part.times.page[self._times] * _share_of_page(len(data)))
        self.log["program"] += 1
        if any(base <= at < base + PAGE for at in self._faults.program_at):
            return
        for at in [a for a in self._brownouts if base <= a < base + PAGE]:
            self._brownouts.discard(at)
            self.cells.program(address, data[: max(0, at - address)])
            raise BrownoutError
        room = base + PAGE - address
        self.cells.program(address, data[:room])
        if len(data) > room:
            self.cells.program(base, data[room:])

    def erase(self, address: int, length: int) -> None:
        """What a loader does: erase one aligned block of 4, 32 or 64 KiB and wait."""
        self._erase_block(address, length)
        self.wait_ready()

    def erase_chip(self) -> None:
        """Erase all of it and wait."""
        self._erase_command(0xC7, None, enabled=True)
        self.wait_ready()

    def _erase_command(self, command: int, address: int | None, *, enabled: bool = False) -> None:
        if not (self._wel or enabled):
            return
        self._wel = False
        if command in (0xC7, 0x60):
            if self.status[0] & self._bp_mask:
                return
            self._occupy(self.part.times.chip[self._times])
            self.log["erase"] += 1
            self._erase_cells(0, self.part.size)
        elif address is not None:
            self._erase_block(address, _ERASERS[command])

    def _erase_block(self, address: int, length: int) -> None:
        address %= self.part.size
        address -= address % length
        if self.protected(address, length):
            return
        t = self.part.times
        kind = {0x1000: t.sector, 0x8000: t.block32}.get(length, t.block64)
        self._occupy(kind[self._times])
        self.log["erase"] += 1
        self._erase_cells(address, length)

    def _erase_cells(self, address: int, length: int) -> None:
        for at in [a for a in self._powercuts if address <= a < address + length]:
            self._powercuts.discard(at)
            # The cells on their way to 1 when the supply went are neither this nor that.
            done = at - address
            undecided = min(PAGE, length - done)
            old = self.cells.read(at, undecided)
            self.cells.erase(address, done + undecided)
            torn = random.Random(at).randbytes(undecided)
            self.cells.program(at, bytes(o | t for o, t in zip(old, torn, strict=True)))
            raise BrownoutError
        bad = sorted(
            at - at % SECTOR for at in self._faults.erase_at if address <= at < address + length
        )
        for sector in bad:
            self.cells.erase(address, sector - address)
            length -= sector + SECTOR - address
            address = sector + SECTOR
        self.cells.erase(address, length)

    def _occupy(self, seconds: float) -> None:
        if self._clock.charged:
            start = max(self._clock.now, self._bus_until, self._busy_until)
            self._busy_until = start + seconds
