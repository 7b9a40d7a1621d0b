# SPDX-License-Identifier: Apache-2.0
"""The bytes below a file system: read where they are asked for, changed in memory, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from esptool.storage.fs.wear import SECTOR, Wear

#: Reads `size` bytes at `offset`: (offset, size) -> bytes.
Reader = Callable[[int, int], bytes]


class Image:
    """An image of which sectors are read when they are needed, so that a change of one file on a
    device need not read all of it. Behaves like a `bytearray` that keeps its size.

    Errors are those of `read`.
    """

    def __init__(self, size: int, read: Reader) -> None:
        self._size = size
        self._read = read
        self._known: dict[int, bytearray] = {}
        self._peeked: dict[int, tuple[int, bytes]] = {}
        #: Numbers of the sectors that were changed; the one that was changed last comes last.
        self._changed: dict[int, None] = {}

    @classmethod
    def of(cls, data: bytes) -> Image:
        """An image that is all there."""
        held = bytes(data)
        return cls(len(held), lambda offset, size: held[offset : offset + size])

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> bytes: ...
    def __getitem__(self, place: int | slice) -> int | bytes:
        if isinstance(place, int):
            return self._sector(place // SECTOR)[place % SECTOR]
        start, stop, _ = place.indices(self._size)
        if stop <= start:
            return b""
        self._load(start // SECTOR, (stop - 1) // SECTOR)
        if start // SECTOR == (stop - 1) // SECTOR:
            base = start - start % SECTOR
            return bytes(self._known[start // SECTOR][start - base : stop - base])
        found = b"".join(self._known[n] for n in range(start // SECTOR, (stop - 1) // SECTOR + 1))
        return found[start % SECTOR : start % SECTOR + stop - start]

    @overload
    def __setitem__(self, place: int, value: int) -> None: ...
    @overload
    def __setitem__(self, place: slice, value: bytes) -> None: ...
    def __setitem__(self, place: int | slice, value: int | bytes) -> None:
        if isinstance(place, int):
            assert isinstance(value, int)
            place, value = slice(place, place + 1), bytes([value])
        assert not isinstance(value, int)
        start, stop, _ = place.indices(self._size)
        if stop - start != len(value):
            raise ValueError("an image keeps its size")
        done = 0
        while done < len(value):
            number, at = divmod(start + done, SECTOR)
            count = min(SECTOR - at, len(value) - done)
            if count == SECTOR:
                self._known[number] = bytearray(value[done : done + count])
            else:
                self._sector(number)[at : at + count] = value[done : done + count]
            self._changed.pop(number, None)
            self._changed[number] = None
            done += count

    def peek(self, offset: int, size: int) -> bytes:
        """The same as a slice; but the first time, no more is read than is asked for."""
        number = offset // SECTOR
        if number in self._known or (offset + size - 1) // SECTOR != number:
            return self[offset : offset + size]
        at, seen = self._peeked.get(number, (offset, b""))
        if at <= offset and offset + size <= at + len(seen):
            return seen[offset - at : offset - at + size]
        if number in self._peeked:
            return self[offset : offset + size]
        self._peeked[number] = offset, self._read(offset, size)
        return self._peeked[number][1]

    def changes(self) -> list[tuple[int, bytes]]:
        """Offset and content of the sectors that were changed, in the order of their last change.

        Neighbours that follow each other are joined.
        """
        found: list[tuple[int, bytes]] = []
        for number in self._changed:
            offset, data = number * SECTOR, bytes(self._known[number])
            if found and found[-1][0] + len(found[-1][1]) == offset:
                found[-1] = found[-1][0], found[-1][1] + data
            else:
                found.append((offset, data))
        return found

    def _sector(self, number: int) -> bytearray:
        if number not in self._known:
            self._load(number, number)
        return self._known[number]

    def _load(self, first: int, last: int) -> None:
        number = first
        while number <= last:
            if number in self._known:
                number += 1
                continue
            end = number
            while end <= last and end not in self._known:
                end += 1
            start, stop = number * SECTOR, min(end * SECTOR, self._size)
            data = self._read(start, stop - start)
            for n in range(number, end):
                self._known[n] = bytearray(data[n * SECTOR - start : (n + 1) * SECTOR - start])
            number = end


class Disk:
    """What wear levelling shows of an image: the same bytes in another order.

    As an `Image`: slices, changes of slices, a length.
    """

    def __init__(self, image: Image, wear: Wear) -> None:
        self._image = image
        self._wear = wear

    def __len__(self) -> int:
        return self._wear.sectors * SECTOR

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> bytes: ...
    def __getitem__(self, place: int | slice) -> int | bytes:
        if isinstance(place, int):
            return self[place : place + 1][0]
        start, stop, _ = place.indices(len(self))
        found = []
        while start < stop:
            number, at = divmod(start, SECTOR)
            count = min(SECTOR - at, stop - start)
            base = self._wear.flash_sector(number) * SECTOR + at
            found.append(self._image[base : base + count])
            start += count
        return b"".join(found)

    def __setitem__(self, place: slice, value: bytes) -> None:
        start, stop, _ = place.indices(len(self))
        if stop - start != len(value):
            raise ValueError("a disk keeps its size")
        done = 0
        while done < len(value):
            number, at = divmod(start + done, SECTOR)
            count = min(SECTOR - at, len(value) - done)
            base = self._wear.flash_sector(number) * SECTOR + at
            self._image[base : base + count] = value[done : done + count]
            done += count
