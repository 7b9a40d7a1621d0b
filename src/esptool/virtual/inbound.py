# SPDX-License-Identifier: Apache-2.0
"""Bytes on their way to the chip: each has a moment at which it has arrived. Decides nothing."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

_FRAME_MARK = b"\xc0"
#: Of a byte: so much more, so that its moment counts as arrived.
_HAIR = 1e-6


@dataclass(slots=True)
class _Chunk:
    """Up to one frame. `start` is when its first bit reaches the chip."""

    start: float
    byte_s: float
    data: bytes
    baud: int
    taken: int = 0

    def moment(self, count: int) -> float:
        """When so many of its bytes have arrived."""
        return self.start + count * self.byte_s

    def there(self, now: float) -> int:
        """How many would have arrived by then if it had no end."""
        return int((now - self.start) / self.byte_s + _HAIR)


class Inbound:
    """The host's end puts bytes in; the chip takes them whole frames at a time, or as they come."""

    #: A program that sleeps is woken when its FIFO holds so much, or at the end of a frame.
    WAKE = 64

    def __init__(self) -> None:
        self._chunks: deque[_Chunk] = deque()

    def put(self, start: float, byte_s: float, data: bytes, baud: int) -> float:
        """Send bytes, the first from `start` on; when the last has left."""
        done = 0
        while done < len(data):
            end = data.find(_FRAME_MARK, done + 1) + 1 or len(data)
            self._chunks.append(_Chunk(start + done * byte_s, byte_s, data[done:end], baud))
            done = end
        return start + len(data) * byte_s

    def next_frame(self) -> float:
        """When the next chunk is complete; infinity when none is on its way."""
        first = self._chunks[0] if self._chunks else None
        return math.inf if first is None else first.moment(len(first.data))

    def next_bytes(self) -> float:
        """When there is something to wake a sleeping program for."""
        if not self._chunks:
            return math.inf
        first = self._chunks[0]
        return first.moment(min(len(first.data), first.taken + self.WAKE))

    def next_byte(self) -> float:
        """When one more byte has arrived; infinity when none is on its way."""
        first = self._chunks[0] if self._chunks else None
        return math.inf if first is None else first.start + (first.taken + 1 - _HAIR) * first.byte_s

    def take_frame(self) -> tuple[bytes, int]:
        """The next chunk, and the rate it was sent at."""
        first = self._chunks.popleft()
        return first.data[first.taken :], first.baud

    def take_bytes(self, now: float) -> list[tuple[bytes, int]]:
        """All that has arrived by `now`, with the rate of each chunk."""
        out: list[tuple[bytes, int]] = []
        while self._chunks:
            first = self._chunks[0]
            count = first.there(now)
            if count <= first.taken:
                break
            out.append((first.data[first.taken : count], first.baud))
            if count < len(first.data):
                first.taken = count
                break
            self._chunks.popleft()
        return out
