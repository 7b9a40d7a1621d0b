# SPDX-License-Identifier: Apache-2.0
"""An SPI NAND flash as its data sheet has it: pages with spare areas, a cache, blocks that fail.

What was never programmed takes no memory. The check bits of the error correction are not kept:
how many bits of a page are wrong is known, as they were made wrong on purpose.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from esptool.errors import UsageError
from esptool.virtual.clock import Clock
from esptool.virtual.nand_parts import NandPart, find

BUSY, WEL, ERASE_FAIL, PROGRAM_FAIL = 1, 2, 4, 8
_ECC, _BUFFER = 1 << 4, 1 << 3
_PROTECTED = 0x78
_PROTECTION, _CONFIG, _STATUS = 0xA0, 0xB0, 0xC0
_MARK = b"\0"
#: Bits that are wrong on purpose lie in the part of a page that is corrected as one.
_SECTOR = 512
_RESET_S = 500e-6
#: Looks at the status in a row that make a loop which does nothing else.
_POLLS = 2


@dataclass(slots=True)
class NandOptions:
    """The NAND flash of a board, as asked for.

    Attributes:
        part: name of the part; None for none.
        bad: blocks that the factory has marked.
        worn: blocks of which an erase ("erase") or a program ("program") fails.
        flips: page to bits of it that are wrong once it is programmed.
        pins: CLK, Q, D, HD and CS that it is wired to; None: those that the chip is told.
    """

    part: str | None = None
    bad: list[int] = field(default_factory=list)
    worn: dict[int, str] = field(default_factory=dict)
    flips: dict[int, int] = field(default_factory=dict)
    pins: tuple[int, ...] | None = None


def _never() -> float:
    return math.inf


class Nand:
    """One NAND flash on a bus of its own.

    Attributes:
        part: what it is.
        pages: data and spare area of each page that is not blank.
        attention: until when code that polls the status may be left alone.
        log: totals of operations.
    """

    def __init__(self, options: NandOptions, clock: Clock, *, max_times: bool = False) -> None:
        assert options.part is not None
        self.part: NandPart = find(options.part)
        self.pages: dict[int, bytes] = {}
        self.factory_bad: set[int] = set()
        self.worn: Mapping[int, str] = options.worn
        self.flips: Mapping[int, int] = options.flips
        self.log = {"read": 0, "program": 0, "erase": 0}
        self.attention: Callable[[], float] = _never
        self._clock = clock
        self._times = 1 if max_times else 0
        self._check(options)
        self.mark_factory(options.bad)
        self._busy_until = 0.0
        self.power_cycle()

    def _check(self, options: NandOptions) -> None:
        part = self.part
        for what, numbers, end in (
            ("block", [*options.bad, *options.worn], part.blocks),
            ("page", [*options.flips], part.blocks * part.pages),
        ):
            for number in numbers:
                if not 0 <= number < end:
                    raise UsageError(
                        f"{part.name} has no {what} {number}: they go from 0 to {end - 1}."
                    )

    def mark_factory(self, blocks: Iterable[int]) -> None:
        """Mark blocks as the factory does, in the first byte of the first page's spare area."""
        for block in blocks:
            self.factory_bad.add(block)
            blank = b"\xff" * self.part.page
            self.pages[block * self.part.pages] = blank + _MARK * self.part.spare

    def power_cycle(self) -> None:
        """Back to the state after power-on; contents stay."""
        part = self.part
        self._registers = {_PROTECTION: part.protection, _CONFIG: part.config}
        self._reset()
        self._busy_until = 0.0
        self.attention = _never

    def _reset(self) -> None:
        self._status = 0
        self._polls = 0
        self._caches = [bytearray(b"\xff" * self._raw) for _ in range(self.part.planes)]

    @property
    def _raw(self) -> int:
        return self.part.page + self.part.spare

    # --- the bus -----------------------------------------------------------------------------

    def transfer(
        self, command: int, address: int, address_bits: int, data: bytes, want: int
    ) -> bytes:
        """One transaction: command, address, `data` in, or `want` bytes out."""
        if command == 0x0F:
            return bytes((self._feature(address & 0xFF),)) * want
        if command == 0xFF:
            self._reset()
            self._occupy(_RESET_S)
            return b"\xff" * want
        self._polls = 0
        if self.busy:
            return b"\xff" * want
        match command:
            case 0x9F:
                return (self.part.id * want)[:want]
            case 0x03 | 0x0B:
                return self._cache_read(address >> (address_bits - 16), want)
            case 0x1F:
                self._set_feature(address, address_bits, data)
            case 0x06:
                self._status |= WEL
            case 0x04:
                self._status &= ~WEL
            case 0x02 | 0x84:
                self._load(address, data, fresh=command == 0x02)
            case 0x13:
                self._page_read(address)
            case 0x10:
                self._program(address)
            case 0xD8:
                self._erase(address)
            case _:
                pass
        return b"\xff" * want

    @property
    def busy(self) -> bool:
        """An operation is going on."""
        return self._clock.charged and self._clock.now < self._busy_until

    def _occupy(self, seconds: float) -> None:
        if self._clock.charged:
            self._busy_until = self._clock.now + seconds

    def wait_ready(self) -> None:
        """What a loop that polls comes to: time moves on to the end of the operation."""
        self._clock.advance_to(self._busy_until)

    def _feature(self, which: int) -> int:
        if which != _STATUS:
            return self._registers.get(which, 0)
        self._polls += 1
        if self._polls > _POLLS:
            self._clock.advance_to(min(self._busy_until, self.attention()))
        return self._status | (BUSY if self.busy else 0)

    def _set_feature(self, address: int, bits: int, data: bytes) -> None:
        body = address.to_bytes((bits + 7) // 8, "big") + data
        if len(body) >= 2 and body[0] in self._registers:
            self._registers[body[0]] = body[1]

    # --- the cache ---------------------------------------------------------------------------

    def _cache(self, column: int) -> tuple[bytearray, int]:
        """The cache that a column names, and the place in it."""
        width = 2 * self.part.page
        plane = column // width % 2 if self.part.planes == 2 else 0
        return self._caches[plane], column % width

    def _cache_of(self, row: int) -> bytearray:
        return self._caches[row // self.part.pages % self.part.planes]

    def _cache_read(self, column: int, want: int) -> bytes:
        cache, at = self._cache(column)
        if self.part.buffered and not self._registers[_CONFIG] & _BUFFER:
            at = 0  # it reads on from page to page, whatever the column says
        return bytes(cache[at : at + want]).ljust(want, b"\xff")

    def _load(self, column: int, data: bytes, *, fresh: bool) -> None:
        cache, at = self._cache(column)
        if fresh:
            cache[:] = b"\xff" * self._raw
        data = data[: max(0, self._raw - at)]
        cache[at : at + len(data)] = data

    # --- the array ---------------------------------------------------------------------------

    def _row(self, row: int) -> int:
        return row % (self.part.pages * self.part.blocks)

    def wrong_bits(self, page: int) -> int:
        """How many bits of a page are wrong."""
        return self.flips.get(page, 0) if page in self.pages else 0

    def raw(self, page: int) -> bytes:
        """A page as it lies in the array, wrong bits and all."""
        data = self.pages.get(page)
        if data is None:
            return b"\xff" * self._raw
        wrong = self.wrong_bits(page)
        if not wrong:
            return data
        places = random.Random(page).sample(range(8 * min(_SECTOR, self.part.page)), wrong)
        out = bytearray(data)
        for place in places:
            out[place // 8] ^= 1 << place % 8
        return bytes(out)

    def corrected(self, page: int) -> tuple[bytes, int]:
        """A page behind the error correction, and its verdict for status bits 4 to 6."""
        wrong = self.wrong_bits(page)
        if wrong <= self.part.strength:
            data = self.pages.get(page) or b"\xff" * self._raw
        else:
            data = self.raw(page)
        return data, self.part.verdict(wrong, self.part.strength)

    def _page_read(self, row: int) -> None:
        page = self._row(row)
        self.log["read"] += 1
        self._status &= ~0x70
        if self._registers[_CONFIG] & _ECC:
            data, verdict = self.corrected(page)
            self._status |= verdict << 4
        else:
            data = self.raw(page)
        self._cache_of(page)[:] = data
        self._occupy(self.part.read_s)

    def _may_write(self, fail: int) -> bool:
        """Whether a program or an erase may begin; one that may not fails where there is a latch
        for it."""
        latched = bool(self._status & WEL)
        self._status &= ~(WEL | ERASE_FAIL | PROGRAM_FAIL)
        if latched and self._registers[_PROTECTION] & _PROTECTED:
            self._status |= fail
            return False
        return latched

    def _program(self, row: int) -> None:
        if not self._may_write(PROGRAM_FAIL):
            return
        page = self._row(row)
        block = page // self.part.pages
        self.log["program"] += 1
        self._occupy(self.part.program_s[self._times])
        data = bytes(self._cache_of(page))
        if block in self.factory_bad or self.worn.get(block) == "program":
            self._status |= PROGRAM_FAIL
            # Not all of it comes through; a mark, which is all zeros, does.
            data = (
                data[: self.part.page // 2].ljust(self.part.page, b"\xff") + data[self.part.page :]
            )
        old = self.pages.get(page)
        if old is not None:
            both = int.from_bytes(old, "little") & int.from_bytes(data, "little")
            data = both.to_bytes(self._raw, "little")
        if data.count(0xFF) != self._raw:
            self.pages[page] = data

    def _erase(self, row: int) -> None:
        if not self._may_write(ERASE_FAIL):
            return
        block = self._row(row) // self.part.pages
        self.log["erase"] += 1
        self._occupy(self.part.erase_s[self._times])
        if self.worn.get(block) == "erase":
            self._status |= ERASE_FAIL
            return
        for page in range(block * self.part.pages, (block + 1) * self.part.pages):
            self.pages.pop(page, None)

    # --- for reports and tests ---------------------------------------------------------------

    def contents(self, block: int) -> bytes:
        """Data of a block without spare areas and wrong bits."""
        part = self.part
        blank = b"\xff" * part.page
        first = block * part.pages
        pages = (self.pages.get(p, blank)[: part.page] for p in range(first, first + part.pages))
        return b"".join(pages)

    def marked(self) -> list[int]:
        """Blocks that carry a bad-block mark."""
        part = self.part
        return [
            block
            for block in range(part.blocks)
            if (data := self.pages.get(block * part.pages)) is not None and data[part.page] != 0xFF
        ]
