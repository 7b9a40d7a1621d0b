# SPDX-License-Identifier: Apache-2.0
"""What a write will do, before it does it: contents, sectors to erase, what is left out and why.

Nothing here sends data. A plan can be shown, tested, and executed (`esptool.ops.write`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import overload

from esptool.image.content import PIECE, Data, cut, joined, pieces
from esptool.ops import packing
from esptool.ops.model import SECTOR, Region
from esptool.protocol.packets import BITS_A_BYTE

#: Data-sheet class values of a NOR flash (typical), for estimates.
PAGE = 256
PAGE_PROGRAM_S = 0.0004
SECTOR_ERASE_S = 0.045
BLOCK = 0x10000
BLOCK_ERASE_S = 0.15
_BLANK_PAGE = b"\xff" * PAGE


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes written in one go.

    Attributes:
        address: flash offset of the first byte.
        data: what is written, padded as the loader needs it.
        encrypted: the chip encrypts it.
        pack: deflate it where that makes it smaller.
    """

    address: int
    data: bytes
    encrypted: bool = False
    pack: bool = False

    @property
    def packed(self) -> bytes | None:
        """`data` deflated, where that is what goes over the line."""
        return packing.packed(self.data) if self.pack else None

    def packed_from(self, start: int) -> bytes | None:
        """The same for `data[start:]`."""
        if not start:
            return self.packed
        return packing.deflate(self.data[start:]) if self.pack else None

    @property
    def end(self) -> int:
        """The first offset after the data."""
        return self.address + len(self.data)

    @property
    def sectors(self) -> tuple[int, int]:
        """First offset and end of the sectors that it touches."""
        return sector_range(self.address, len(self.data))

    @property
    def line_bytes(self) -> int:
        """Payload that goes over the line."""
        return len(self.data) if self.packed is None else len(self.packed)

    @property
    def deflated(self) -> bool:
        """They go over the line deflated."""
        return self.packed is not None


@dataclass(frozen=True, slots=True)
class LargeStretch:
    """More bytes than one wants in memory, written piece by piece, in the terms of `Stretch`."""

    address: int
    data: Data
    encrypted: bool = False
    pack: bool = False
    _sizes: list[int] = field(default_factory=list, compare=False, repr=False)

    @property
    def end(self) -> int:
        """The first offset after the data."""
        return self.address + len(self.data)

    @property
    def sectors(self) -> tuple[int, int]:
        """First offset and end of the sectors that it touches."""
        return sector_range(self.address, len(self.data))

    @property
    def line_bytes(self) -> int:
        """Payload that goes over the line. Finding out takes deflating all of it, once."""
        if not self.pack:
            return len(self.data)
        if not self._sizes:
            for piece in self.pieces():
                self._sizes.append(piece.line_bytes)
                packing.forget(piece.data)
        return sum(self._sizes)

    @property
    def deflated(self) -> bool:
        """At least one piece goes over the line deflated."""
        return self.line_bytes < len(self.data)

    def packed_from(self, _start: int) -> None:
        """All of it is never deflated in one go."""
        assert not self.pack, "a large stretch is deflated in pieces"

    def pieces(self) -> Iterator[Stretch]:
        """What is written in one go each, in memory: up to the borders of `PIECE` in flash."""
        at = self.address
        while at < self.end:
            last = min(self.end, at - at % PIECE + PIECE)
            data = self.data[at - self.address : last - self.address]
            yield Stretch(at, data, self.encrypted, self.pack)
            at = last

    def part(self, address: int, size: int) -> AnyStretch:
        """A range of it."""
        start = address - self.address
        return stretch_of(address, cut(self.data, start, start + size), self.encrypted, self.pack)

    def aligned(self) -> LargeStretch:
        """The same in whole sectors: what a write leaves erased around it is 0xFF."""
        head = self.address % SECTOR
        data = padded(joined(b"\xff" * head, self.data), SECTOR)
        return LargeStretch(self.address - head, data, self.encrypted, self.pack)


AnyStretch = Stretch | LargeStretch


def stretch_of(address: int, data: Data, encrypted: bool = False, pack: bool = False) -> AnyStretch:
    """A stretch of the kind that suits the size."""
    if len(data) > PIECE:
        return LargeStretch(address, data, encrypted, pack)
    return Stretch(address, bytes(data), encrypted, pack)


class Action(Enum):
    """What is done with sectors."""

    SKIP = "skip"
    PROGRAM = "program"
    ERASE = "erase and program"


@dataclass(frozen=True, slots=True)
class Step:
    """Neighbouring sectors that are treated alike: flash offset, bytes, and the reason in words."""

    address: int
    size: int
    action: Action
    why: str

    def describe(self) -> str:
        """One line for a person."""
        count = self.size // SECTOR
        return (
            f"  {self.address:#010x} to {self.address + self.size - 1:#010x}: {count} "
            f"sector{'s' if count > 1 else ''}, {self.action.value}: {self.why}."
        )

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "address": self.address,
            "size": self.size,
            "action": self.action.value,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """What happens to one region.

    Attributes:
        region: as the caller gave it.
        content: what must stand at `address` in the end: flash parameters set, padded.
        stretch: the whole region as it is sent when all of it is sent.
        former: the content that the caller says is in flash now, or None.
        parts: what is sent, where the flash was looked at (`esptool.ops.survey`), else None.
        steps: what is done with each sector, likewise.
    """

    region: Region
    address: int
    content: Data
    stretch: AnyStretch
    former: bytes | None = None
    encrypted: bool = False
    parts: tuple[AnyStretch, ...] | None = None
    steps: tuple[Step, ...] | None = None

    @property
    def sent(self) -> tuple[AnyStretch, ...]:
        """What goes over the line, as far as is known."""
        return (self.stretch,) if self.parts is None else self.parts

    @property
    def line_bytes(self) -> int:
        """Payload that goes over the line."""
        return sum(part.line_bytes for part in self.sent)

    @property
    def flash_seconds(self) -> float:
        """Typical time that the flash needs."""
        if self.steps is None:
            return flash_seconds(self.stretch)
        erasing = [step for step in self.steps if step.action is Action.ERASE]
        return sum(map(program_seconds, self.sent)) + sum(
            erase_seconds(step.address, step.size) for step in erasing
        )

    def describe(self) -> list[str]:
        """The plan in lines for a person."""
        packed = any(part.deflated for part in self.sent)
        how = f"deflated to {self.line_bytes} bytes" if packed else f"{self.line_bytes} are sent"
        first = (
            f"{self.region.label} at {self.address:#010x}: {len(self.content)} bytes, {how}; "
            f"about {self.flash_seconds:.1f} s of flash."
        )
        if self.steps is not None:
            return [first, *(step.describe() for step in self.steps)]
        start, end = self.stretch.sectors
        return [
            first,
            f"  {start:#010x} to {end - 1:#010x}: {(end - start) // SECTOR} sectors are erased.",
        ]


@dataclass(frozen=True, slots=True)
class WritePlan:
    """All regions in order, and what is expected of line and flash."""

    regions: tuple[RegionPlan, ...]
    flash_size: int | None
    baud: int
    erase_all: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def line_bytes(self) -> int:
        """Payload of all regions."""
        return sum(r.line_bytes for r in self.regions)

    @property
    def seconds(self) -> float:
        """The longer of what the line and what the flash need."""
        line = self.line_bytes * BITS_A_BYTE / self.baud if self.baud else 0.0
        return max(line, sum(r.flash_seconds for r in self.regions))

    def describe(self) -> list[str]:
        """The plan in lines for a person."""
        lines = [*self.notes]
        if self.erase_all:
            lines.append("The whole flash is erased first.")
        for plan in self.regions:
            lines += plan.describe()
        lines.append(
            f"Together {self.line_bytes} bytes over the line, about {self.seconds:.1f} s at "
            f"{self.baud} baud. Nothing was written."
        )
        return lines

    def to_json(self) -> dict[str, object]:
        """The plan as plain values."""
        return {
            "flash_size": self.flash_size,
            "baud": self.baud,
            "erase_all": self.erase_all,
            "line_bytes": self.line_bytes,
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
            "regions": [
                {
                    "name": plan.region.name,
                    "address": plan.address,
                    "size": len(plan.content),
                    "erase_start": plan.stretch.sectors[0],
                    "erase_end": plan.stretch.sectors[1],
                    "compressed": plan.stretch.deflated,
                    "line_bytes": plan.line_bytes,
                    "encrypted": plan.encrypted,
                    "flash_seconds": round(plan.flash_seconds, 3),
                    "steps": None if plan.steps is None else [s.to_json() for s in plan.steps],
                }
                for plan in self.regions
            ],
        }


def sector_range(address: int, size: int) -> tuple[int, int]:
    """First offset and end of the sectors that hold [address, address + size)."""
    start = address - address % SECTOR
    end = address + size
    return start, end + -end % SECTOR


def flash_seconds(stretch: AnyStretch) -> float:
    """Typical time to erase and program a stretch, blank pages left out."""
    start, end = stretch.sectors
    return erase_seconds(start, end - start) + program_seconds(stretch)


def erase_seconds(address: int, size: int) -> float:
    """Typical time to erase whole sectors: blocks of 64 KiB where they lie on their borders."""
    first = address + -address % BLOCK
    blocks = max(0, (address + size - first) // BLOCK)
    return blocks * BLOCK_ERASE_S + (size - blocks * BLOCK) // SECTOR * SECTOR_ERASE_S


def program_seconds(stretch: AnyStretch) -> float:
    """Typical time to program a stretch, blank pages left out."""
    blank = sum(map(blank_pages, pieces(stretch.data)))
    return (-(-len(stretch.data) // PAGE) - blank) * PAGE_PROGRAM_S


def blank_pages(data: bytes) -> int:
    """How many pages of `data`, the last one perhaps cut short, are all 0xFF."""
    tail = data[len(data) - len(data) % PAGE :]
    if _BLANK_PAGE not in data and (not tail or tail.strip(b"\xff")):
        return 0
    return sum(1 for at in range(0, len(data), PAGE) if not data[at : at + PAGE].strip(b"\xff"))


@overload
def padded(data: bytes, multiple: int) -> bytes: ...
@overload
def padded(data: Data, multiple: int) -> Data: ...
def padded(data: Data, multiple: int) -> Data:
    """`data` filled up with 0xFF, which leaves erased flash as it is."""
    return joined(data, b"\xff" * (-len(data) % multiple))


def changed_runs(address: int, old: bytes, new: bytes) -> list[tuple[int, bytes]]:
    """Whole sectors of `new` that differ from `old`, neighbours joined, as (offset, bytes).

    Both are taken to start at `address`; what the file does not cover of a sector counts as
    erased, since writing the file erased it.
    """
    start = address - address % SECTOR
    head = b"\xff" * (address - start)
    wanted, former = padded(head + new, SECTOR), padded(head + old, SECTOR)
    runs: list[tuple[int, bytes]] = []
    run_start: int | None = None
    for at in range(0, len(wanted) + SECTOR, SECTOR):
        differs = at < len(wanted) and wanted[at : at + SECTOR] != former[at : at + SECTOR]
        if differs and run_start is None:
            run_start = at
        elif not differs and run_start is not None:
            runs.append((start + run_start, wanted[run_start:at]))
            run_start = None
    return runs


def total_sectors(runs: Sequence[tuple[int, bytes]]) -> int:
    """How many sectors the runs hold."""
    return sum(len(data) // SECTOR for _, data in runs)
