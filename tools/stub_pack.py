# SPDX-License-Identifier: Apache-2.0
"""Packs a stub for the first stage: the form that docs/serial-protocol.md specifies.

It looks for the shortest form by dynamic programming, as it has time and the decoder has no room.
"""

from __future__ import annotations

from typing import NamedTuple

#: Places with the same two bytes that are looked at, the nearest first.
_CANDIDATES = 100
#: Literals in one run. A longer one costs hardly less than two; but where nothing repeats, there is
#: no other way on.
_RUNS = (64, 256, 1 << 16)
_NEVER = 1 << 40


class _Step(NamedTuple):
    """A step of the way: `length` bytes from `start`, literals where `offset` is 0."""

    start: int
    length: int
    offset: int
    repeats: bool


class _Bits:
    """Bits and whole bytes in one stream: a byte of bits stands where its first bit was needed."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._at = -1
        self._free = 0

    def bit(self, value: int) -> None:
        if not self._free:
            self._at, self._free = len(self.out), 8
            self.out.append(0)
        self._free -= 1
        self.out[self._at] |= value << self._free

    def number(self, value: int) -> None:
        for at in range(value.bit_length() - 2, -1, -1):
            self.bit(0)
            self.bit(value >> at & 1)
        self.bit(1)


def pack(data: bytes) -> bytes:
    """`data` packed, at least one byte of it."""
    bits = _Bits()
    at = 0
    for step in next(filter(None, (_Ways(data, run).find() for run in _RUNS))):
        if step.offset == 0:
            if at:
                bits.bit(0)
            bits.number(step.length)
            bits.out += data[step.start : step.start + step.length]
        elif step.repeats:
            bits.bit(0)
            bits.number(step.length)
        else:
            bits.bit(1)
            bits.number(((step.offset - 1) >> 8) + 1)
            bits.out.append((step.offset - 1) & 0xFF)
            bits.number(step.length - 1)
        at += step.length
    return bytes(bits.out)


class _Ways:
    """The cheapest ways to each position, those that end with a match and those with literals.

    Ways are kept as what their last step is: where it starts, and its offset. What comes before
    that is the best way to its start when the step is looked for, and stays so.
    """

    def __init__(self, data: bytes, run: int) -> None:
        size = len(data)
        self._data, self._run = data, run
        #: Bits of a number in the stream.
        self._price = [0, *(2 * n.bit_length() - 1 for n in range(1, size + 1))]
        self._matched, self._literal = [_NEVER] * (size + 1), [_NEVER] * (size + 1)
        self._match_start, self._literal_start = [0] * (size + 1), [0] * (size + 1)
        #: The offset of the last match, which another one may repeat.
        self._match_offset, self._literal_offset = [0] * (size + 1), [0] * (size + 1)
        self._repeats = bytearray(size + 1)
        self._matched[0] = -1  # no bit says that the stream begins with literals

    def find(self) -> list[_Step]:
        """The steps through all data; empty where there is no way."""
        data, size = self._data, len(self._data)
        seen: dict[bytes, list[int]] = {}
        for at in range(size):
            if self._matched[at] < _NEVER:
                self._literals(at)
            if self._literal[at] < _NEVER and self._literal_offset[at]:
                self._repeat(at)
            pair = data[at : at + 2]
            if at:
                self._matches(at, seen.get(pair, [])[-_CANDIDATES:])
            seen.setdefault(pair, []).append(at)
        return self._back()

    def _literals(self, at: int) -> None:
        """A run of literals behind a match."""
        literal, price = self._literal, self._price
        cost, offset = self._matched[at] + 1, self._match_offset[at]
        for n in range(1, min(self._run, len(self._data) - at) + 1):
            there = cost + price[n] + 8 * n
            if there < literal[at + n]:
                literal[at + n] = there
                self._literal_start[at + n] = at
                self._literal_offset[at + n] = offset

    def _repeat(self, at: int) -> None:
        """A match behind literals, with the offset of the last one."""
        data, offset = self._data, self._literal_offset[at]
        n, cost = 0, self._literal[at] + 1
        while at + n < len(data) and data[at + n] == data[at + n - offset]:
            n += 1
            self._take(at, n, cost + self._price[n], offset, True)

    def _matches(self, at: int, places: list[int]) -> None:
        """Matches with a new offset: for each length the nearest place that has it."""
        data, price, matched = self._data, self._price, self._matched
        size, longest = len(data), 1
        best = min(matched[at], self._literal[at])
        for place in reversed(places):
            if at + longest >= size:
                return
            if data[place + longest] != data[at + longest]:
                continue  # it is no longer than what there is
            n = 2
            while at + n < size and data[at + n] == data[place + n]:
                n += 1
            if n <= longest:
                continue
            offset = at - place
            cost = best + 1 + price[((offset - 1) >> 8) + 1] + 8
            for length in range(longest + 1, n + 1):
                if cost + price[length - 1] < matched[at + length]:
                    self._take(at, length, cost + price[length - 1], offset, False)
            longest = n

    def _take(self, at: int, length: int, cost: int, offset: int, repeats: bool) -> None:
        end = at + length
        if cost < self._matched[end]:
            self._matched[end] = cost
            self._match_start[end], self._match_offset[end] = at, offset
            self._repeats[end] = repeats

    def _back(self) -> list[_Step]:
        at = len(self._data)
        if min(self._matched[at], self._literal[at]) >= _NEVER:
            return []
        way: list[_Step] = []
        by_match = self._matched[at] < self._literal[at]
        while at:
            start = (self._match_start if by_match else self._literal_start)[at]
            repeats = bool(by_match and self._repeats[at])
            offset = self._match_offset[at] if by_match else 0
            way.append(_Step(start, at - start, offset, repeats))
            # Literals follow a match, a repeated offset follows literals, a new one either.
            new = by_match and not repeats
            by_match = self._matched[start] < self._literal[start] if new else not by_match
            at = start
        return way[::-1]
