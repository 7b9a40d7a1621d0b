# SPDX-License-Identifier: Apache-2.0
"""How long work takes: of the flash by typical values, and of what is left by the pace measured.

Estimates begin when something was measured, and move smoothly. In a write, line and flash each have
a pace, and the slower one counts.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from esptool.chips.nor import BLOCK, PAGE, SECTOR
from esptool.image.content import Data, chunks
from esptool.transfer.segments import AnySegment

if TYPE_CHECKING:
    from esptool.device import Session

Clock = Callable[[], float]

#: What must be done, and how long it must have gone on, before anything is promised.
FIRST_SHARE, FIRST_S = 0.02, 0.1
#: A new estimate replaces the one before in this share of what is left, and at least this time.
SMOOTHING_SHARE, SMOOTHING_S = 0.05, 0.2
#: Reading and hashing flash on the chip, in bytes a second: a check after the work.
CHECK_RATE = 4e6
#: Looking on the chip whether flash is blank.
SCAN_RATE = 9e6


class SmoothEnd:
    """When work will end, as one moving estimate."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._end: float | None = None
        self._at = 0.0

    def left(self, seconds: float) -> float:
        """Seconds left after a new estimate has been taken in."""
        now = self._now()
        if self._end is None:
            self._end = now + seconds
        else:
            span = max(SMOOTHING_S, SMOOTHING_SHARE * max(seconds, self._end - now))
            self._end += min(1.0, (now - self._at) / span) * (now + seconds - self._end)
        self._at = now
        return max(0.0, self._end - now)


class EvenPace:
    """For work of which nothing is known but how much it is: it goes on as it went so far."""

    def __init__(self, now: Clock, total: int, after_s: float = 0.0, begun: int = 0) -> None:
        self._now = now
        self._total = total
        self._after_s = after_s
        self._begun = begun
        self._start = now()
        self._smooth = SmoothEnd(now)

    def left(self, done: int) -> float | None:
        """Seconds until all is done and checked, None while nothing has been measured."""
        took, moved = self._now() - self._start, done - self._begun
        if done >= self._total:
            return self._after_s
        if took < FIRST_S or moved <= 0 or moved < FIRST_SHARE * (self._total - self._begun):
            return None
        return self._smooth.left(took / moved * (self._total - done) + self._after_s)


PAGE_PROGRAM_S = 0.0004
SECTOR_ERASE_S = 0.045
BLOCK_ERASE_S = 0.15
_BLANK_PAGE = b"\xff" * PAGE


def flash_seconds(segment: AnySegment) -> float:
    """Typical time to erase and program a segment, blank pages left out."""
    start, end = segment.sectors
    return erase_seconds(start, end - start) + program_seconds(segment)


def erase_seconds(address: int, size: int) -> float:
    """Typical time to erase whole sectors: blocks of 64 KiB where they lie on their borders."""
    first = address + -address % BLOCK
    blocks = max(0, (address + size - first) // BLOCK)
    return blocks * BLOCK_ERASE_S + (size - blocks * BLOCK) // SECTOR * SECTOR_ERASE_S


def program_seconds(segment: AnySegment) -> float:
    """Typical time to program a segment, blank pages left out."""
    blank = sum(map(blank_pages, chunks(segment.data)))
    return (-(-len(segment.data) // PAGE) - blank) * PAGE_PROGRAM_S


def blank_pages(data: bytes) -> int:
    """How many pages of `data`, the last one perhaps cut short, are all 0xFF."""
    tail = data[len(data) - len(data) % PAGE :]
    if _BLANK_PAGE not in data and (not tail or tail.strip(b"\xff")):
        return 0
    return sum(1 for at in range(0, len(data), PAGE) if not data[at : at + PAGE].strip(b"\xff"))


#: The line counts as what holds a write up while it takes no longer than so much of its time.
FULL_LINE = 1.05
#: Programming this much slower than typical is put down to the part, more of it to erasing.
SLOW_PART = 1.5
#: Seconds of work at the typical pace that count as seen, so that a slow start says little.
TRUST_S = 0.3


class Pacing(Protocol):
    """What a sender tells of its progress; see `WritePace`."""

    def begin_at(self, done: int, line_left_s: float) -> None:
        """Sending begins, or goes on."""

    def left(self, done: int, line_left_s: float) -> float | None:
        """Seconds until all is done."""

    def stop(self) -> None:
        """The chip is lost for a while."""


class WritePace:
    """For writes: line and flash work side by side, and the slower of them holds the work up.

    How much of either is left is known: bytes of the stream, pages that are not blank, sectors to
    erase. How fast the flash is, and whether what it holds needs erasing, shows while it works.
    """

    def __init__(
        self,
        now: Clock,
        address: int,
        data: Data,
        *,
        after_s: float = 0.0,
        side_by_side: bool = True,
        erases: bool = True,
    ) -> None:
        """Of `data` that go to `address`; `after_s` is what comes behind them.

        With `side_by_side` off, the line stands still while the flash works; with `erases` off,
        the flash was erased before.
        """
        self._now = now
        self._size = len(data)
        self._after_s = after_s
        self._side_by_side = side_by_side
        self._erases = erases
        head = min(self._size, -address % BLOCK)
        #: Bytes before the first block that is erased as a whole, and bytes in such blocks.
        self._edges = (head, (self._size - head) // BLOCK * BLOCK)
        self.used = list(accumulate(used_pages(data), initial=0))
        self._smooth = SmoothEnd(now)
        self._running = False
        self._start = 0.0
        self._begun = 0
        self._line_s = 0.0

    @classmethod
    def of(cls, session: Session, segment: AnySegment, after_s: float) -> WritePace:
        """The pace of writing a segment with what answers in a session."""
        return cls(
            session.link.now,
            segment.address,
            segment.data,
            after_s=after_s,
            side_by_side=session.is_stub,
            # A ROM has erased before the first byte is sent.
            erases=session.is_stub,
        )

    def revise(self, more_s: float) -> None:
        """The line has so much more to do than was thought when sending began."""
        self._line_s += more_s

    def stop(self) -> None:
        """The chip is lost: what passes until it is taken up again says nothing of its pace."""
        self._running = False

    def begin_at(self, done: int, line_left_s: float) -> None:
        """Sending begins, or goes on, with `done` bytes in flash; see `left`."""
        if not self._running:
            self._running = True
            self._start = self._now()
            self._begun = done
            self._line_s = line_left_s

    def left(self, done: int, line_left_s: float) -> float | None:
        """Seconds until all is in flash and checked, None while nothing has been measured.

        Args:
            done: plain bytes that are in flash.
            line_left_s: what the line needs at its rate for what is still to be sent.
        """
        took = self._now() - self._start
        if done >= self._size:
            return self._after_s
        enough = FIRST_SHARE * (self._size - self._begun)
        if took < FIRST_S or done - self._begun < max(1.0, enough):
            return None
        line = (max(0.0, self._line_s - line_left_s), line_left_s)
        below = [(self._program_s(at), self._erase_s(at)) for at in (self._begun, done, self._size)]
        program, erase = ((b - a, c - b) for a, b, c in zip(*below, strict=True))
        if self._side_by_side:
            seconds = _overlapping(took, line, program, erase)
        else:
            seconds = _in_turn(took, line, program, erase)
        return self._smooth.left(seconds + self._after_s)

    def _program_s(self, at: int) -> float:
        """Typical time to program the pages below an offset."""
        sector, rest = divmod(at, SECTOR)
        if not rest:
            return self.used[sector] * PAGE_PROGRAM_S
        low, high = self.used[sector : sector + 2]
        return (low + (high - low) * min(1.0, rest / SECTOR)) * PAGE_PROGRAM_S

    def _erase_s(self, at: int) -> float:
        """Typical time to erase below an offset.

        Blocks of 64 KiB are erased as a whole before the first byte is written to them.
        """
        if not self._erases:
            return 0.0
        head, blocks = self._edges
        inside = min(blocks, -(-max(0, at - head) // BLOCK) * BLOCK)
        sectors_s = max(0, at - inside) / SECTOR * SECTOR_ERASE_S
        return sectors_s + inside / BLOCK * BLOCK_ERASE_S


#: Seconds at the typical pace: of what is done, and of what is left.
_Parts = tuple[float, float]


def _overlapping(took: float, line: _Parts, program: _Parts, erase: _Parts) -> float:
    """What is left where line and flash work at the same time."""
    if took <= FULL_LINE * line[0]:
        # The line was the slower one (or faster than its rate says, as on USB).
        flash = program[1] * min(1.0, took / program[0]) if program[0] else 0.0
        return max(line[1] * min(1.0, took / line[0]), flash)
    erased, pace = _flash_pace(took, program[0], erase[0])
    return max(line[1], pace * (program[1] + erased * erase[1]))


def _in_turn(took: float, line: _Parts, program: _Parts, erase: _Parts) -> float:
    """What is left where the line waits for the flash."""
    flash = took - line[0]
    if flash <= 0:
        # A link that is faster than its rate says, as over USB.
        return line[1] * took / line[0]
    erased, pace = _flash_pace(flash, program[0], erase[0])
    return line[1] + pace * (program[1] + erased * erase[1])


def _flash_pace(took: float, program_s: float, erase_s: float) -> _Parts:
    """The share of sectors that had to be erased, and the flash's time against the typical."""
    erased = (took - SLOW_PART * program_s) / erase_s if erase_s else 0.0
    erased = min(1.0, max(0.0, erased))
    expected = program_s + erased * erase_s
    return erased, (took + TRUST_S) / (expected + TRUST_S)


def used_pages(data: Data) -> list[int]:
    """For each 4 KiB of `data` how many of its pages are not blank."""
    counts = []
    for chunk in chunks(data, BLOCK):
        for sector in chunks(chunk, SECTOR):
            counts.append(-(-len(sector) // PAGE) - blank_pages(sector))
    return counts
