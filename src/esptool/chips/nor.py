# SPDX-License-Identifier: Apache-2.0
"""The geometry that all SPI NOR flash parts of these chips share, in bytes."""

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
