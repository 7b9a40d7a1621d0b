# SPDX-License-Identifier: Apache-2.0
"""Packs a stub for the first stage: the form that docs/serial-protocol.md specifies.

It looks for the shortest form by dynamic programming, as it has time and the decoder has no room.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Places with the same two bytes that are looked at, the nearest first.
_CANDIDATES = 100
#: Literals in one run. A longer one costs hardly less than two; but where nothing repeats, there is
#: no other way on.
_RUNS = (64, 256, 1 << 16)


@dataclass(frozen=True, slots=True)
class _Step:
    """How a position was reached: `length` bytes from `start`, literals where `offset` is 0."""

    start: int
    length: int
    offset: int
    repeats: bool
    before: _Step | None


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
    for step in next(filter(None, (_steps(data, run) for run in _RUNS))):
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


def _steps(data: bytes, run: int) -> list[_Step]:
    """The cheapest way through `data`, runs of literals and matches; empty where there is none."""
    size = len(data)
    never = 1 << 40
    price = [0, *(2 * n.bit_length() - 1 for n in range(1, size + 1))]
    # The best ways to each position that end with a match, and with literals.
    matched, literal = [never] * (size + 1), [never] * (size + 1)
    by_match: list[_Step | None] = [None] * (size + 1)
    by_literal: list[_Step | None] = [None] * (size + 1)
    last_m, last_l = [0] * (size + 1), [0] * (size + 1)
    matched[0] = -1  # no bit says that the stream begins with literals
    seen: dict[bytes, list[int]] = {}
    for at in range(size):
        cost = matched[at] + 1
        if cost < never:
            for n in range(1, min(run, size - at) + 1):
                there = cost + price[n] + 8 * n
                if there < literal[at + n]:
                    literal[at + n] = there
                    by_literal[at + n] = _Step(at, n, 0, False, by_match[at])
                    last_l[at + n] = last_m[at]
        offset = last_l[at]
        if literal[at] < never and offset:
            n, cost = 0, literal[at] + 1
            while at + n < size and data[at + n] == data[at + n - offset]:
                n += 1
                there = cost + price[n]
                if there < matched[at + n]:
                    matched[at + n] = there
                    by_match[at + n] = _Step(at, n, offset, True, by_literal[at])
                    last_m[at + n] = offset
        if at:
            _matches(data, at, seen, price, matched, literal, by_match, by_literal, last_m)
        seen.setdefault(data[at : at + 2], []).append(at)
    step = by_match[size] if matched[size] < literal[size] else by_literal[size]
    way: list[_Step] = []
    while step is not None:
        way.append(step)
        step = step.before
    return way[::-1]


def _matches(
    data: bytes,
    at: int,
    seen: dict[bytes, list[int]],
    price: list[int],
    matched: list[int],
    literal: list[int],
    by_match: list[_Step | None],
    by_literal: list[_Step | None],
    last: list[int],
) -> None:
    """Matches from `at` with a new offset: for each length the nearest place that has it."""
    size, longest = len(data), 1
    before = by_match[at] if matched[at] < literal[at] else by_literal[at]
    best = min(matched[at], literal[at])
    for place in reversed(seen.get(data[at : at + 2], [])[-_CANDIDATES:]):
        n = 2
        while at + n < size and data[at + n] == data[place + n]:
            n += 1
        if n <= longest:
            continue
        offset = at - place
        cost = best + 1 + price[((offset - 1) >> 8) + 1] + 8
        for length in range(longest + 1, n + 1):
            there = cost + price[length - 1]
            if there < matched[at + length]:
                matched[at + length] = there
                by_match[at + length] = _Step(at, length, offset, False, before)
                last[at + length] = offset
        longest = n
