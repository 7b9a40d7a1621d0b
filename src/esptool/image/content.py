# SPDX-License-Identifier: Apache-2.0
"""Data that may be larger than one wants in memory: bytes, or files read chunk by chunk.

What is here looks like bytes where it is measured and sliced; slices are bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import weakref
from collections.abc import Iterator
from typing import overload

from esptool.errors import ImageError
from esptool.files import BINARY

#: Data up to this size are kept in memory, larger ones are worked on in chunks of it.
CHUNK = 0x400000
HASHED_AT_ONCE = 0x40000


class Content:
    """Bytes that are read when they are asked for."""

    def __len__(self) -> int:
        raise NotImplementedError

    def read(self, start: int, size: int) -> bytes:
        """`size` bytes from `start` on, all of which are there.

        Raises:
            ImageError: they cannot be read any more.
        """
        raise NotImplementedError

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> bytes: ...
    def __getitem__(self, at: int | slice) -> int | bytes:
        if isinstance(at, slice):
            start, end, step = at.indices(len(self))
            if step != 1:
                raise ValueError("Only whole ranges can be read.")
            return self.read(start, max(0, end - start))
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError("index out of range")
        return self.read(place, 1)[0]

    def __bytes__(self) -> bytes:
        return self.read(0, len(self))


Data = bytes | Content


class FileContent(Content):
    """A regular file from `start` on, held open, so that it may be replaced meanwhile.

    It must not change: what was planned for it would not be true any more.
    """

    def __init__(self, descriptor: int, name: str | None, start: int = 0) -> None:
        """Takes the file descriptor over."""
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)
        self._what = f"'{name}'" if name else "The given file"
        self._start = start
        self._lock = threading.Lock()
        self._state = self._look()
        self._size = max(0, self._state[0] - start)

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, size: int) -> bytes:
        found: list[bytes] = []
        left = size
        try:
            with self._lock:
                os.lseek(self._descriptor, self._start + start, os.SEEK_SET)
                while left and (chunk := os.read(self._descriptor, left)):
                    found.append(chunk)
                    left -= len(chunk)
        except OSError as e:
            raise ImageError(f"Cannot read {self._what}: {e.strerror or e}.") from e
        if left or self._look() != self._state:
            raise ImageError(
                f"{self._what} changed while it was in use, so what was done with it is not whole.",
                remedy="Start again once nothing changes it any more.",
            )
        return b"".join(found)

    def _look(self) -> tuple[int, int]:
        found = os.fstat(self._descriptor)
        return found.st_size, found.st_mtime_ns


class JoinedContent(Content):
    """Ranges of data, one behind the other."""

    def __init__(self, parts: list[tuple[Data, int, int]]) -> None:
        """Of each part the data, and where in them the range starts and ends."""
        self._parts = [part for part in parts if part[2] > part[1]]
        self._size = sum(end - start for _, start, end in self._parts)

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, size: int) -> bytes:
        return b"".join(bytes(data[a:b]) for data, a, b in self.ranges(start, start + size))

    def ranges(self, start: int, end: int) -> Iterator[tuple[Data, int, int]]:
        """The parts that make up a range of the whole."""
        at = 0
        for data, first, last in self._parts:
            low, high = max(start, at), min(end, at + last - first)
            if low < high:
                yield data, first + low - at, first + high - at
            at += last - first


def joined(*parts: Data) -> Data:
    """One behind the other: bytes where all of them are."""
    some = [part for part in parts if len(part)]
    if len(some) == 1:
        return some[0]
    if all(isinstance(part, bytes) for part in some):
        return b"".join(part for part in some if isinstance(part, bytes))
    return JoinedContent([(part, 0, len(part)) for part in some])


def cut(data: Data, start: int, end: int | None = None) -> Data:
    """`data[start:end]`, which is not read yet where `data` is not."""
    end = len(data) if end is None else min(end, len(data))
    if isinstance(data, bytes):
        return data[start:end]
    if start == 0 and end == len(data):
        return data
    return JoinedContent([(data, start, end)])


def chunks(data: Data, size: int = CHUNK) -> Iterator[bytes]:
    """All of `data`, in chunks of `size` bytes; the last one may be shorter."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


def md5(data: Data) -> str:
    """MD5 in hex digits."""
    digest = hashlib.md5()
    for chunk in chunks(data, HASHED_AT_ONCE):
        digest.update(chunk)
    return digest.hexdigest()


def open_large(path: str) -> FileContent | None:
    """A regular file larger than a chunk; None for others, and where it cannot be opened."""
    with contextlib.suppress(OSError, ValueError):
        # A pipe must not be opened twice, so it is not opened here.
        if _large(os.stat(path), 0):
            return FileContent(os.open(path, os.O_RDONLY | BINARY), path)
    return None


def large_rest(descriptor: int, position: int, name: str | None) -> FileContent | None:
    """What follows `position` in an open file, likewise, whatever its owner does with it then."""
    # Two descriptors of one opening share their position, so only the system's own will do.
    path = f"/proc/self/fd/{descriptor}"
    with contextlib.suppress(OSError):
        if _large(os.fstat(descriptor), position) and os.path.exists(path):
            return FileContent(os.open(path, os.O_RDONLY), name, position)
    return None


def _large(found: os.stat_result, position: int) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_size - position > CHUNK
