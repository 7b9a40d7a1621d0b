# SPDX-License-Identifier: Apache-2.0
"""Reading files of any size a chunk at a time, hashing them, and writing files with keys.

Knows nothing about signatures or encryption.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

from esptool import files
from esptool.errors import FatalError, UsageError
from esptool.files import BINARY, write_atomic

CHUNK = 1 << 20
"""Bytes read at a time; a multiple of every unit used here (16, 32, 128 and 4096)."""

LARGEST_SMALL = 1 << 20
"""More than any key, signature or certificate has."""


def name_of(stream: object) -> str:
    """The path a stream was opened from, or "<stream>" where it has none (memory, a pipe)."""
    name = files.name_of(stream)
    return "<stream>" if name is None or name.startswith("<") else name


def seekable(stream: IO[bytes]) -> IO[bytes]:
    """The stream itself, or a temporary copy on disk of one that cannot be rewound (a pipe)."""
    try:
        if stream.seekable():
            return stream
    except AttributeError:
        pass
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the last reference
    _copy(stream, copy)
    copy.seek(0)
    return copy


def small(stream: IO[bytes], most: int = LARGEST_SMALL) -> bytes:
    """All that is left of a stream that should be a key, a signature or the like.

    Raises:
        FatalError: it is longer than `most` bytes, or perhaps without end.
    """
    data = stream.read(most + 1)
    if len(data) > most:
        raise FatalError(
            f"'{name_of(stream)}' is longer than {most >> 10} KB: it is not what is needed here."
        )
    return data


def read_small(path: str | os.PathLike[str]) -> bytes:
    """The content of a small file.

    Raises:
        FatalError: it cannot be read, or is not small.
    """
    try:
        with open(path, "rb") as stream:
            return small(stream)
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else e
        raise FatalError(f"Cannot read '{os.fspath(path)}': {reason}.") from e


def remaining(stream: IO[bytes]) -> int:
    """Bytes from the current position to the end of a seekable stream."""
    here = stream.tell()
    end = stream.seek(0, io.SEEK_END)
    stream.seek(here)
    return max(0, end - here)


def chunks(stream: IO[bytes], length: int, size: int = CHUNK) -> Iterator[bytes]:
    """The next `length` bytes in chunks of `size`; only the last one may be shorter.

    Raises:
        FatalError: the stream ends early.
    """
    while length:
        chunk = read_exactly(stream, min(size, length))
        yield chunk
        length -= len(chunk)


def read_exactly(stream: IO[bytes], length: int) -> bytes:
    """`length` bytes, however small the chunks are that the stream gives.

    Raises:
        FatalError: the stream ends early.
    """
    data = stream.read(length)
    if len(data) == length:
        return data
    parts = [data]
    missing = length - len(data)
    while missing:
        data = stream.read(missing)
        if not data:
            raise FatalError(
                f"'{name_of(stream)}' ended {missing} bytes early: was it changed meanwhile?"
            )
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def digests(chunks: Iterable[bytes], algorithms: Iterable[str]) -> dict[str, bytes]:
    """The digests of all chunks in turn, by the names that hashlib uses."""
    hashes = {name: hashlib.new(name) for name in algorithms}
    for chunk in chunks:
        for one in hashes.values():
            one.update(chunk)
    return {name: one.digest() for name, one in hashes.items()}


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(CHUNK):
        target.write(chunk)


def write_private(
    path: str | os.PathLike[str], data: bytes, *, overwrite: bool, what: str = "Key file"
) -> None:
    """Create a file that only its owner may read (mode 0600).

    Raises:
        FatalError: the file exists and `overwrite` is false, or it cannot be written.
    """
    if overwrite:
        write_atomic(path, data, 0o600)
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o600)
    except FileExistsError:
        raise FatalError(f"ERROR: {what} {os.fspath(path)} already exists.") from None
    except OSError as e:
        raise FatalError(f"Cannot write '{os.fspath(path)}': {e.strerror or e}.") from e
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(data)
    except BaseException as e:
        os.unlink(path)
        if isinstance(e, OSError):
            raise FatalError(f"Cannot write '{os.fspath(path)}': {e.strerror or e}.") from e
        raise


def require_different(source: str | None, target: str | None) -> None:
    """Refuse to write over an input, also through a link or another spelling of its path.

    Raises:
        UsageError: both names are the same file.
    """
    if source is None or target is None or "<stream>" in (source, target):
        return
    try:
        same = os.path.samefile(source, target)
    except OSError:
        same = os.path.normcase(os.path.abspath(source)) == os.path.normcase(
            os.path.abspath(target)
        )
    if same:
        raise UsageError(f'The input "{source}" and output "{target}" should not be the same!')
