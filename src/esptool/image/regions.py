# SPDX-License-Identifier: Apache-2.0
"""Regions: data with a place in flash, and the rules for several that stand side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from esptool.errors import FatalError, ImageError
from esptool.image.content import Data
from esptool.records import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes that belong at a flash offset (or, in a file for another purpose, at an address).

    Attributes:
        address: offset from the start of flash, any alignment.
        data: the content as the user gave it; that of a large file is read when it is sliced.
        name: file name for messages, None where the data came from memory.
        encrypted: the chip is to encrypt it while writing.
    """

    address: int
    data: Data
    name: str | None = None
    encrypted: bool = False

    @property
    def end(self) -> int:
        """The first address after the region."""
        return self.address + len(self.data)

    @property
    def title(self) -> str:
        """How a sentence about it begins: "'file'", or "Input image"."""
        return f"'{self.name}'" if self.name else "Input image"

    @property
    def label(self) -> str:
        """How messages call it: the quoted file name, or 'data at 0x…'."""
        return f"'{self.name}'" if self.name else f"data at {self.address:#010x}"

    def __str__(self) -> str:
        name = "data" if self.name is None else f"'{self.name}'"
        return f"{name} ({self.address:#x}-{max(self.address, self.end - 1):#x})"


def in_order(regions: Iterable[Region]) -> list[Region]:
    """Sorted by address; those that start together keep their order."""
    return sorted(regions, key=lambda r: r.address)


def refuse_overlap(
    regions: Sequence[Region],
    unit: int = 1,
    *,
    together: bool = True,
    error: type[FatalError] = ImageError,
) -> None:
    """Make sure that no two regions share a unit of `unit` bytes.

    Args:
        together: regions of one file are written together, so that they may share a unit, though
            not a byte. Where each is written by itself, the second erases what the first wrote.
        error: what is raised; it names both regions.
    """
    ordered = [r for r in in_order(regions) if r.data]
    for before, after in pairwise(ordered):
        if after.address < before.end:
            raise error(
                f"Detected overlap at address: {after.address:#x} for file: "
                f"{after} overlaps with {before}."
            )
        same_file = together and before.name is not None and before.name == after.name
        last_unit = (before.end - 1) // unit
        if not same_file and after.address // unit == last_unit:
            raise error(
                f"Detected overlap at address: {after.address:#x} for file: "
                f"{after} overlaps with {before} in the {unit // 1024} KB flash sector at "
                f"{last_unit * unit:#x}."
            )


def join_adjacent(regions: Iterable[Region]) -> list[Region]:
    """Sorted, with regions that touch made one (under the first one's name)."""
    joined: list[Region] = []
    run: list[Region] = []

    def flush() -> None:
        if len(run) == 1:
            joined.append(run[0])
        elif run:
            data = b"".join(bytes(r.data) for r in run)
            joined.append(Region(run[0].address, data, run[0].name))
        run.clear()

    for region in in_order(regions):
        if run and region.address != run[-1].end:
            flush()
        run.append(region)
    flush()
    return joined
