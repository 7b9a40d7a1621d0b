# SPDX-License-Identifier: Apache-2.0
"""What a write will do, before it does it: contents, sectors to erase, what is left out and why.

Values alone. A plan is made in `esptool.ops.planning`, settled in `esptool.ops.decide` and executed
in `esptool.ops.write`; a dry run shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from esptool.chips.nor import SECTOR
from esptool.events import Level, Message
from esptool.image.content import Data
from esptool.ops.model import Region
from esptool.protocol.packets import BITS_A_BYTE
from esptool.sizes import counted
from esptool.transfer.pace import erase_seconds, flash_seconds, program_seconds
from esptool.transfer.segments import AnySegment, Segment, padded


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
            f"  {self.address:#010x} to {self.address + self.size - 1:#010x}: "
            f"{counted(count, 'sector')}, {self.action.value}: {self.why}."
        )

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "address": self.address,
            "size": self.size,
            "action": self.action.value,
            "why": self.why,
        }


class Way(Enum):
    """How a region gets into flash."""

    EMPTY = "there is nothing to write"
    SKIP = "in flash already"
    TRUST = "unchanged, and taken to be in flash"
    #: Only sectors that differ from the former content that the user gave.
    FORMER = "sectors that differ from the former content"
    #: Only sectors whose hashes, made on the chip, differ.
    CHANGED = "sectors that are not in flash yet"
    WHOLE = "all of it"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done with a region, as `esptool.ops.decide.decide` settled it.

    Attributes:
        segments: what is sent, in this order.
        steps: what that means for each sector; None where the flash was not looked at.
    """

    way: Way
    segments: tuple[AnySegment, ...] = ()
    steps: tuple[Step, ...] | None = None


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """What a region must look like in flash, and what may be asked to send less of it.

    Attributes:
        region: as the caller gave it.
        address: where `content` begins: that of the region, or of its first sector.
        content: what must stand at `address` in the end: flash parameters set, padded.
        segment: all of it, as it is sent when all of it is sent.
        former: the content that the caller says is in flash now, or None.
        encrypted: the chip encrypts it.
        keep: the neighbours' bytes in the first and last sector are still to be put around it.
        compare: its hash decides first whether anything is sent.
        by_hashes: hashes of its sectors may decide which of them are sent.
        trust: where `former` is the same, flash is not looked at.
        decision: what is done, where that is settled.
    """

    region: Region
    address: int
    content: Data
    segment: AnySegment
    former: bytes | None = None
    encrypted: bool = False
    keep: bool = False
    compare: bool = False
    by_hashes: bool = False
    trust: bool = False
    decision: Decision | None = None

    @property
    def differences(self) -> tuple[Segment, ...] | None:
        """The sectors that differ from the former content; None where none was given."""
        if self.former is None:
            return None
        start = self.region.address
        # Old and new are compared in memory.
        runs = changed_runs(start, self.former, self.content[start - self.address :])
        return tuple(Segment(at, data, pack=self.segment.pack) for at, data in runs)

    @property
    def steps(self) -> tuple[Step, ...] | None:
        """What is done with each sector, where that is known."""
        return None if self.decision is None else self.decision.steps

    @property
    def sent(self) -> tuple[AnySegment, ...]:
        """What goes over the line, as far as is known."""
        return (self.segment,) if self.decision is None else self.decision.segments

    @property
    def line_bytes(self) -> int:
        """Payload that goes over the line."""
        return sum(part.line_bytes for part in self.sent)

    @property
    def flash_seconds(self) -> float:
        """Typical time that the flash needs."""
        if self.steps is None:
            return sum(map(flash_seconds, self.sent))
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
        lines = [first]
        if not self.sent and self.decision is not None:
            lines.append(f"  Nothing is sent: {self.decision.way.value}.")
        for part in self.sent:
            start, end = part.sectors
            count = (end - start) // SECTOR
            told = counted(count, "sector is", "sectors are")
            lines.append(f"  {start:#010x} to {end - 1:#010x}: {told} erased.")
        return lines


@dataclass(frozen=True, slots=True)
class WritePlan:
    """All regions in order, and what is expected of line and flash.

    Attributes:
        flash_size: bytes, None where it is not known.
        told_size: what the loader is to be told of it before anything is sent, or None.
        remarks: what is worth knowing beforehand, in order.
    """

    regions: tuple[RegionPlan, ...]
    flash_size: int | None
    baud: int
    erase_all: bool = False
    told_size: int | None = None
    remarks: tuple[Message, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The remarks that are more than a step on the way."""
        return tuple(r.text for r in self.remarks if r.level in (Level.NOTE, Level.WARNING))

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
        lines = []
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
                    "file": plan.region.name,
                    "address": plan.address,
                    "size": len(plan.content),
                    "erase_start": plan.segment.sectors[0],
                    "erase_end": plan.segment.sectors[1],
                    "compressed": plan.segment.deflated,
                    "line_bytes": plan.line_bytes,
                    "encrypted": plan.encrypted,
                    "flash_seconds": round(plan.flash_seconds, 3),
                    "steps": None if plan.steps is None else [s.to_json() for s in plan.steps],
                }
                for plan in self.regions
            ],
        }


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
