# SPDX-License-Identifier: Apache-2.0
"""The chip's address space: sparse memory everywhere, and peripherals over parts of it."""

from __future__ import annotations

from typing import Protocol

_PAGE = 0x1000
_WINDOW = 8  # peripherals are looked up by 256-byte windows


class Peripheral(Protocol):
    """Registers of 32 bits at word offsets from the peripheral's base."""

    def read(self, offset: int) -> int:
        """What the register shows."""

    def write(self, offset: int, value: int) -> None:
        """Store, with whatever that sets off."""


class Bus:
    """Reads and writes by absolute address. Memory that was never written reads as zero."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._windows: dict[int, tuple[int, Peripheral]] = {}

    def attach(self, base: int, size: int, device: Peripheral) -> None:
        """Put `device` over `size` bytes from `base` (both multiples of 256)."""
        for window in range(base >> _WINDOW, (base + size) >> _WINDOW):
            self._windows[window] = (base, device)

    def peripheral_at(self, address: int) -> tuple[int, Peripheral] | None:
        """(base, device) of the peripheral that covers `address`, if any."""
        return self._windows.get(address >> _WINDOW)

    def read_word(self, address: int) -> int:
        """A 32-bit read; the low two address bits are ignored."""
        address &= 0xFFFFFFFC
        found = self._windows.get(address >> _WINDOW)
        if found is not None:
            return found[1].read(address - found[0]) & 0xFFFFFFFF
        return int.from_bytes(self.read(address, 4), "little")

    def write_word(self, address: int, value: int) -> None:
        """A 32-bit write; the low two address bits are ignored."""
        address &= 0xFFFFFFFC
        value &= 0xFFFFFFFF
        found = self._windows.get(address >> _WINDOW)
        if found is not None:
            found[1].write(address - found[0], value)
        else:
            self.write(address, value.to_bytes(4, "little"))

    def read(self, address: int, length: int) -> bytes:
        """Memory contents; peripherals are not asked."""
        out = bytearray()
        while length > 0:
            page, at = divmod(address, _PAGE)
            take = min(length, _PAGE - at)
            data = self._pages.get(page)
            out += data[at : at + take] if data is not None else bytes(take)
            address += take
            length -= take
        return bytes(out)

    def write(self, address: int, data: bytes) -> None:
        """Set memory contents; peripherals are not told."""
        done = 0
        while done < len(data):
            page, at = divmod(address + done, _PAGE)
            take = min(len(data) - done, _PAGE - at)
            memory = self._pages.get(page)
            if memory is None:
                memory = self._pages[page] = bytearray(_PAGE)
            memory[at : at + take] = data[done : done + take]
            done += take

    def clear(self) -> None:
        """Forget all memory, as at power-on."""
        self._pages.clear()


class Registers:
    """A peripheral of which only the storage is modelled; subclasses give some words a life."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}

    def read(self, offset: int) -> int:
        """The word last written, or its reset value."""
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Keep the word."""
        self.words[offset] = value
