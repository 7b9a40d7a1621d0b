# SPDX-License-Identifier: Apache-2.0
"""Changes as NOR flash takes them: bits are cleared, or a sector is erased."""

from __future__ import annotations

from esptool.records import dataclass

SECTOR = 4096


@dataclass(frozen=True, slots=True)
class Program:
    """Clear bits: flash from `offset` on becomes what it was, AND `data`."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Erase:
    """Set the sector at `offset` to all ones."""

    offset: int


Change = Program | Erase


def apply(image: bytearray, change: Change) -> None:
    """Make a change to the bytes in memory, from whose start its offset counts."""
    if isinstance(change, Erase):
        image[change.offset : change.offset + SECTOR] = b"\xff" * SECTOR
        return
    end = change.offset + len(change.data)
    old = int.from_bytes(image[change.offset : end], "little")
    new = old & int.from_bytes(change.data, "little")
    image[change.offset : end] = new.to_bytes(len(change.data), "little")
