# SPDX-License-Identifier: Apache-2.0
"""RAM and ROM of a chip, in pages that translated code indexes directly."""

from __future__ import annotations

from collections.abc import Iterator

PAGE = 0x1000
SHIFT = 12


class Memory:
    """What the processor reaches without a peripheral.

    Attributes:
        words, halves, octets: page number to the page as elements of 4, 2 and 1 bytes.
        store_words, store_halves, store_octets: the same for the pages that may be written.
    """

    def __init__(self) -> None:
        self.words: dict[int, memoryview] = {}
        self.halves: dict[int, memoryview] = {}
        self.octets: dict[int, memoryview] = {}
        self.store_words: dict[int, memoryview] = {}
        self.store_halves: dict[int, memoryview] = {}
        self.store_octets: dict[int, memoryview] = {}
        self._writable: list[memoryview] = []

    def add(self, start: int, backing: memoryview, *, writable: bool) -> None:
        """Put `backing` (whole pages) at `start`; the same may be put at several places."""
        for at in range(0, len(backing), PAGE):
            number = (start + at) >> SHIFT
            piece = backing[at : at + PAGE]
            words, halves = piece.cast("I"), piece.cast("H")
            self.words[number], self.halves[number], self.octets[number] = words, halves, piece
            if writable:
                self.store_words[number] = words
                self.store_halves[number] = halves
                self.store_octets[number] = piece
        if writable:
            self._writable.append(backing)

    def clear(self) -> None:
        """RAM reads as zero."""
        for backing in self._writable:
            backing[:] = bytes(len(backing))

    def is_ram(self, address: int) -> bool:
        """It may be written."""
        return address >> SHIFT in self.store_octets

    def holds(self, address: int) -> bool:
        """There is RAM or ROM."""
        return address >> SHIFT in self.octets

    def read(self, address: int, length: int) -> bytes:
        """Contents; zeros where nothing is."""
        return b"".join(
            bytes(page[at:end]) if page is not None else bytes(end - at)
            for page, at, end in self._pieces(address, length)
        )

    def write(self, address: int, data: bytes) -> None:
        """Set contents of RAM, ROM too: a loader's way, not the processor's."""
        done = 0
        for page, at, end in self._pieces(address, len(data)):
            if page is not None:
                page[at:end] = data[done : done + end - at]
            done += end - at

    def _pieces(self, address: int, length: int) -> Iterator[tuple[memoryview | None, int, int]]:
        while length > 0:
            number, at = address >> SHIFT, address % PAGE
            take = min(length, PAGE - at)
            yield self.octets.get(number), at, at + take
            address += take
            length -= take
