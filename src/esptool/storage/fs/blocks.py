# SPDX-License-Identifier: Apache-2.0
"""The bytes below a file system: read where they are asked for, changed in memory, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, overload

from esptool.records import dataclass
from esptool.storage.changes import SECTOR, Program

#: Reads `size` bytes at `offset`: (offset, size) -> bytes.
Reader = Callable[[int, int], bytes]


#: More bytes than this are written faster by erasing the sector than by clearing bits in it.
_MOST_PROGRAMMED = 1024
_BLANK = b"\xff" * SECTOR


class Bytes(Protocol):
    """Bytes that are read in slices, such as `bytes` or a part of a device's flash."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: slice, /) -> bytes: ...


class MutableBytes(Bytes, Protocol):
    """The same, and slices can be replaced."""

    def __setitem__(self, place: slice, value: bytes, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Whole sectors get new content; what was in them need not survive an interruption."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Patch:
    """Bits of one sector are cleared, as the chip itself would do it, without erasing it.

    The offsets of `programs` count from the sector's, `former` is what it held.
    """

    offset: int
    former: bytes
    programs: tuple[Program, ...]


Step = Rewrite | Patch


def steps_to(
    order: Iterable[int], former: Mapping[int, bytes], new: Callable[[int], bytes]
) -> list[Step]:
    """The steps that bring sectors from what they held to what they are to hold.

    Args:
        order: numbers of the sectors.
        former: what they held, as far as that is known.
        new: what a sector is to hold.
    """
    steps: list[Step] = []
    for number in order:
        offset, data, old = number * SECTOR, new(number), former.get(number)
        if old == data:
            continue
        programs = None if old in (None, _BLANK) else _programs(old or b"", data)
        last = steps[-1] if steps else None
        if programs is not None:
            steps.append(Patch(offset, old or b"", programs))
        elif isinstance(last, Rewrite) and last.offset + len(last.data) == offset:
            steps[-1] = Rewrite(last.offset, last.data + data)
        else:
            steps.append(Rewrite(offset, data))
    return steps


def _programs(old: bytes, new: bytes) -> tuple[Program, ...] | None:
    """What must be cleared to come from `old` to `new`; None if that is too much or impossible."""
    if int.from_bytes(old, "little") & int.from_bytes(new, "little") != int.from_bytes(
        new, "little"
    ):
        return None
    found: list[Program] = []
    changed = [n for n, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    if len(changed) > _MOST_PROGRAMMED:
        return None
    start = 0
    for place, n in enumerate(changed):
        if place == 0 or n > changed[place - 1] + 8:
            start = n
            found.append(Program(n, new[n : n + 1]))
        else:
            found[-1] = Program(start, new[start : n + 1])
    return tuple(found)


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
        self._former: dict[int, bytes] = {}

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
            if number not in self._changed and (number in self._known or count < SECTOR):
                self._former[number] = bytes(self._sector(number))
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

    def steps(self) -> list[Step]:
        """What was changed, in the order of the last change of each sector."""
        return steps_to(self._changed, self._former, lambda number: bytes(self._known[number]))

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
