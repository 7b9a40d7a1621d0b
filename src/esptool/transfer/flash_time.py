# SPDX-License-Identifier: Apache-2.0
"""How long a NOR flash takes for what is asked of it, by typical values of data sheets."""

from __future__ import annotations

from esptool.chips.nor import BLOCK, PAGE, SECTOR
from esptool.image.content import pieces
from esptool.transfer.segments import AnySegment

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
    blank = sum(map(blank_pages, pieces(segment.data)))
    return (-(-len(segment.data) // PAGE) - blank) * PAGE_PROGRAM_S


def blank_pages(data: bytes) -> int:
    """How many pages of `data`, the last one perhaps cut short, are all 0xFF."""
    tail = data[len(data) - len(data) % PAGE :]
    if _BLANK_PAGE not in data and (not tail or tail.strip(b"\xff")):
        return 0
    return sum(1 for at in range(0, len(data), PAGE) if not data[at : at + PAGE].strip(b"\xff"))
