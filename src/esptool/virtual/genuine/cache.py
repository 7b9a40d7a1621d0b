# SPDX-License-Identifier: Apache-2.0
"""Flash in the address space: the MMU of the cache, without the cache.

Nothing is kept, so that a program always sees what is in the flash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.virtual.bus import Registers

if TYPE_CHECKING:
    from esptool.virtual.silicon.shape import Mmu

#: Offsets of the registers where the table is reached entry by entry.
_CONTENT, _INDEX = 0x7C, 0x80


class Table(Registers):
    """The table, in registers of its own."""

    def __init__(self, entries: int) -> None:
        super().__init__()
        self.entries = [0] * entries

    def read(self, offset: int) -> int:
        """An entry."""
        return self.entries[offset // 4 % len(self.entries)]

    def write(self, offset: int, value: int) -> None:
        """Set an entry."""
        self.entries[offset // 4 % len(self.entries)] = value


class Items(Table):
    """The table behind a register for the number of an entry and one for what is in it."""

    def read(self, offset: int) -> int:
        """A register."""
        if offset == _CONTENT:
            return self.entries[self.words.get(_INDEX, 0) % len(self.entries)]
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Set a register, or the entry that is chosen."""
        if offset == _CONTENT:
            self.entries[self.words.get(_INDEX, 0) % len(self.entries)] = value
        else:
            self.words[offset] = value


class Window:
    """Loads from where the flash can be seen.

    Attributes:
        table: to be attached to the bus at `mmu.at`.
    """

    def __init__(
        self,
        mmu: Mmu,
        ranges: list[tuple[int, int]],
        register: Callable[[int], int],
        flash: Callable[[int, int], bytes],
    ) -> None:
        self._mmu, self._ranges, self._register, self._flash = mmu, ranges, register, flash
        self.table = Items(mmu.entries) if mmu.items else Table(mmu.entries)

    def load(self, address: int, size: int) -> int | None:
        """What is seen there: zeros where no page of flash is mapped, None outside of the window.

        Reads of `size` bytes do not cross a page.
        """
        mmu = self._mmu
        code = self._register(mmu.page_size) >> mmu.shift & 3 if mmu.page_size else 0
        page = mmu.pages[min(code, len(mmu.pages) - 1)]
        number = self._number(address, page)
        if number is None:
            return None
        entry = self.table.entries[number % mmu.entries]
        if bool(entry & mmu.flag) != mmu.valid:
            return 0
        place = (entry & mmu.number) * page + address % page
        return int.from_bytes(self._flash(place, size), "little")

    def _number(self, address: int, page: int) -> int | None:
        """The entry for an address, None outside of the window."""
        for start, end, first in self._mmu.windows:
            if start <= address < end:
                return first + (address - start) // page
        if not self._mmu.windows and any(low <= address < high for low, high in self._ranges):
            return address // page
        return None
