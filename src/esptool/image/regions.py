# SPDX-License-Identifier: Apache-2.0
"""Pieces of data with a place in flash, and the rules for putting several side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from esptool.errors import ImageError
from esptool.records import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """`data` from `address` on. `source` names the file for messages, None for plain bytes."""

    address: int
    data: bytes
    source: str | None = None

    @property
    def end(self) -> int:
        """The first address after the region."""
        return self.address + len(self.data)

    def __str__(self) -> str:
        name = "data" if self.source is None else f"'{self.source}'"
        return f"{name} ({self.address:#x}-{max(self.address, self.end - 1):#x})"


def in_order(regions: Iterable[Region]) -> list[Region]:
    """Sorted by address; those that start together keep their order."""
    return sorted(regions, key=lambda r: r.address)


def refuse_overlap(regions: Sequence[Region], granularity: int = 1) -> None:
    """Make sure that no two regions share a unit of `granularity` bytes.

    Regions of one source may share a unit, though not a byte: they are written together.

    Raises:
        ImageError: naming both regions.
    """
    ordered = [r for r in in_order(regions) if r.data]
    for before, after in pairwise(ordered):
        if after.address < before.end:
            raise ImageError(
                f"Detected overlap at address: {after.address:#x} for file: "
                f"{after} overlaps with {before}."
            )
        same_file = before.source is not None and before.source == after.source
        last_unit = (before.end - 1) // granularity
        if not same_file and after.address // granularity == last_unit:
            raise ImageError(
                f"Detected overlap at address: {after.address:#x} for file: "
                f"{after} overlaps with {before} in the {granularity // 1024} KB flash sector at "
                f"{last_unit * granularity:#x}."
            )


def join_adjacent(regions: Iterable[Region]) -> list[Region]:
    """Sorted, with regions that touch made one (of the first one's source)."""
    joined: list[Region] = []
    run: list[Region] = []

    def flush() -> None:
        if len(run) == 1:
            joined.append(run[0])
        elif run:
            data = b"".join(r.data for r in run)
            joined.append(Region(run[0].address, data, run[0].source))
        run.clear()

    for region in in_order(regions):
        if run and region.address != run[-1].end:
            flush()
        run.append(region)
    flush()
    return joined
