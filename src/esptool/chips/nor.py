# SPDX-License-Identifier: Apache-2.0
"""What SPI NOR flash parts have in common: their geometry in bytes, and sizes by JEDEC id."""

from __future__ import annotations

#: What is programmed in one go.
PAGE = 0x100
#: The smallest unit that can be erased.
SECTOR = 0x1000
#: The largest unit that is erased in one go, where it lies on such a border.
BLOCK = 0x10000


def sector_range(address: int, size: int) -> tuple[int, int]:
    """First offset and end of the sectors that hold [address, address + size)."""
    start = address - address % SECTOR
    end = address + size
    return start, end + -end % SECTOR


#: JEDEC ids of a bus on which nothing answers.
BAD_IDS = frozenset({0xFFFFFF, 0x000000, 0xFFFF3F})
ADESTO = 0x1F

#: Capacity byte of the JEDEC id to size. Most codes are log2 of the bytes; 0x2x and 0x3x are the
#: vendors' continuations (data sheets of Macronix and Winbond 1.8 V and large parts).
SIZES = {
    0x12: "256KB",
    0x13: "512KB",
    0x14: "1MB",
    0x15: "2MB",
    0x16: "4MB",
    0x17: "8MB",
    0x18: "16MB",
    0x19: "32MB",
    0x1A: "64MB",
    0x1B: "128MB",
    0x1C: "256MB",
    0x20: "64MB",
    0x21: "128MB",
    0x22: "256MB",
    0x32: "256KB",
    0x33: "512KB",
    0x34: "1MB",
    0x35: "2MB",
    0x36: "4MB",
    0x37: "8MB",
    0x38: "16MB",
    0x39: "32MB",
    0x3A: "64MB",
}
#: Adesto counts capacity in the low five bits of the second byte.
ADESTO_SIZES = {
    0x04: "512KB",
    0x05: "1MB",
    0x06: "2MB",
    0x07: "4MB",
    0x08: "8MB",
    0x09: "16MB",
}
_UNITS = {"KB": 1024, "MB": 1024 * 1024}


def size_of(flash_id: int) -> str | None:
    """The size word of a JEDEC id (manufacturer in the lowest byte), None where it is unknown."""
    if flash_id in BAD_IDS:
        return None
    if flash_id & 0xFF == ADESTO:
        return ADESTO_SIZES.get(flash_id >> 8 & 0x1F)
    return SIZES.get(flash_id >> 16 & 0xFF)


def bytes_of(flash_id: int) -> int | None:
    """The same in bytes."""
    word = size_of(flash_id)
    return None if word is None else int(word[:-2]) * _UNITS[word[-2:]]
