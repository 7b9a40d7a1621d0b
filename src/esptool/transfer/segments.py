# SPDX-License-Identifier: Apache-2.0
"""Segments: bytes that are written to flash in one go, held in memory or read as they are sent.

They are deflated for the line ahead of their use, and once for all devices that get the same.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import overload

from esptool.chips.nor import SECTOR, sector_range
from esptool.image.content import CHUNK, Data, cut, joined

#: The best level: a byte less on the line is worth more than the work.
LEVEL = 9
#: Contents whose result is kept, and the size from which a thread is worth starting.
KEPT = 32
THREAD_FROM = 0x4000

_results_lock = threading.Lock()
_results: OrderedDict[bytes, Future[bytes | None]] = OrderedDict()
_pool: ThreadPoolExecutor | None = None


def deflate(data: bytes) -> bytes | None:
    """`data` as a zlib stream, or None where that is not shorter."""
    packed = zlib.compress(data, LEVEL)
    return packed if len(packed) < len(data) else None


def begin_deflating(data: bytes) -> None:
    """Begin to deflate `data` beside other work; `deflated_ahead` gives the result."""
    if len(data) >= THREAD_FROM:
        _future(data)


def deflated_ahead(data: bytes) -> bytes | None:
    """The result of `deflate`, from a running or finished preparation where there is one."""
    if len(data) < THREAD_FROM:
        return deflate(data)
    return _future(data).result()


def forget_deflated(data: bytes) -> None:
    """`data` have been sent, and are too large to be kept for others."""
    with _results_lock:
        _results.pop(data, None)


def _future(data: bytes) -> Future[bytes | None]:
    global _pool
    with _results_lock:
        found = _results.get(data)
        if found is not None:
            _results.move_to_end(data)
            return found
        if _pool is None:
            _pool = ThreadPoolExecutor(2, "deflate")
        try:
            future = _pool.submit(deflate, data)
        except RuntimeError:
            # Threads cannot be started everywhere: a web page has none.
            future = Future()
            future.set_result(deflate(data))
        _results[data] = future
        while len(_results) > KEPT:
            _results.popitem(last=False)
        return future


WORD = 4


@dataclass(frozen=True, slots=True)
class _Place:
    """What all segments have.

    Attributes:
        address: flash offset of the first byte.
        data: what is written, padded as the loader needs it.
        encrypted: the chip encrypts it.
        pack: deflate it where that makes it smaller.
    """

    address: int
    data: Data
    encrypted: bool = False
    pack: bool = False

    @property
    def end(self) -> int:
        """The first offset after the data."""
        return self.address + len(self.data)

    @property
    def sectors(self) -> tuple[int, int]:
        """First offset and end of the sectors that it touches."""
        return sector_range(self.address, len(self.data))


@dataclass(frozen=True, slots=True)
class Segment(_Place):
    """Bytes written in one go."""

    data: bytes

    @property
    def packed(self) -> bytes | None:
        """`data` deflated, where that is what goes over the line."""
        return deflated_ahead(self.data) if self.pack else None

    def packed_from(self, start: int) -> bytes | None:
        """The same for `data[start:]`."""
        if not start:
            return self.packed
        return deflate(self.data[start:]) if self.pack else None

    @property
    def line_bytes(self) -> int:
        """Payload that goes over the line."""
        return len(self.data) if self.packed is None else len(self.packed)

    @property
    def deflated(self) -> bool:
        """They go over the line deflated."""
        return self.packed is not None

    def chunks(self) -> Iterator[Segment]:
        """What is held in memory at once: all of it."""
        yield self

    def aligned(self) -> Segment:
        """The same in whole sectors: what a write leaves erased around it is 0xFF."""
        return self._from_sector(SECTOR)

    def for_stub(self) -> Segment:
        """The same as our stub takes it: from a sector's start, in whole words."""
        if not self.address % SECTOR and len(self.data) % WORD == 0:
            return self
        return self._from_sector(WORD)

    def _from_sector(self, multiple: int) -> Segment:
        head = self.address % SECTOR
        data = padded(b"\xff" * head + self.data, multiple)
        return Segment(self.address - head, data, self.encrypted, self.pack)


@dataclass(frozen=True, slots=True)
class LargeSegment(_Place):
    """More bytes than one wants in memory, written in chunks, in the terms of `Segment`."""

    _sizes: list[int] = field(default_factory=list, compare=False, repr=False)

    @property
    def line_bytes(self) -> int:
        """Payload that goes over the line. Finding out takes deflating all of it, once."""
        if not self.pack:
            return len(self.data)
        if not self._sizes:
            for chunk in self.chunks():
                self._sizes.append(chunk.line_bytes)
                forget_deflated(chunk.data)
        return sum(self._sizes)

    @property
    def deflated(self) -> bool:
        """At least one chunk goes over the line deflated."""
        return self.line_bytes < len(self.data)

    def packed_from(self, _start: int) -> None:
        """All of it is never deflated in one go."""
        assert not self.pack, "a large segment is deflated in chunks"

    def chunks(self) -> Iterator[Segment]:
        """What is written in one go each, in memory: up to the borders of `CHUNK` in flash."""
        at = self.address
        while at < self.end:
            last = min(self.end, at - at % CHUNK + CHUNK)
            data = self.data[at - self.address : last - self.address]
            yield Segment(at, data, self.encrypted, self.pack)
            at = last

    def part(self, address: int, size: int) -> AnySegment:
        """A range of it."""
        start = address - self.address
        return segment_of(address, cut(self.data, start, start + size), self.encrypted, self.pack)

    def aligned(self) -> LargeSegment:
        """The same in whole sectors: what a write leaves erased around it is 0xFF."""
        head = self.address % SECTOR
        data = padded(joined(b"\xff" * head, self.data), SECTOR)
        return LargeSegment(self.address - head, data, self.encrypted, self.pack)

    def for_stub(self) -> LargeSegment:
        """The same as our stub takes it: from a sector's start."""
        head = self.address % SECTOR
        if not head:
            return self
        data = joined(b"\xff" * head, self.data)
        return LargeSegment(self.address - head, data, self.encrypted, self.pack)


AnySegment = Segment | LargeSegment


def segment_of(address: int, data: Data, encrypted: bool = False, pack: bool = False) -> AnySegment:
    """A segment of the kind that suits the size."""
    if len(data) > CHUNK:
        return LargeSegment(address, data, encrypted, pack)
    return Segment(address, bytes(data), encrypted, pack)


@overload
def padded(data: bytes, multiple: int) -> bytes: ...
@overload
def padded(data: Data, multiple: int) -> Data: ...
def padded(data: Data, multiple: int) -> Data:
    """`data` filled up with 0xFF, which leaves erased flash as it is."""
    return joined(data, b"\xff" * (-len(data) % multiple))
