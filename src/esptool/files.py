# SPDX-License-Identifier: Apache-2.0
"""Output files that appear whole or not at all. Reading is left to the callers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from esptool.errors import FatalError


@contextmanager
def atomic_writer(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[IO[bytes]]:
    """Open a temporary neighbour of `path` for binary writing; rename it over `path` at the end.

    On an exception the temporary file is removed and `path` keeps its former content. `mode` is
    the permission of the new file (owner-only for keys); None gives the usual one. Something that
    is not a regular file (a pipe, /dev/null) is written directly, since it cannot be replaced.

    Raises:
        FatalError: the folder does not exist, is not writable, or the disk is full.
    """
    target = os.fspath(path)
    try:
        if os.path.exists(target) and not os.path.isfile(target):
            if os.path.isdir(target):
                raise FatalError(f"Cannot write '{target}': it is a folder. Name a file.")
            with open(target, "wb") as special:
                yield special
            return
        if os.path.islink(target):
            target = os.path.realpath(target)
        fd, name = _open_neighbour(target)
    except OSError as e:
        raise FatalError(f"Cannot write '{target}': {e.strerror or e}.") from e
    try:
        with os.fdopen(fd, "wb") as out:
            yield out
        os.chmod(name, _default_mode(target) if mode is None else mode)
        os.replace(name, target)
    except BaseException as e:
        with suppress(FileNotFoundError):
            os.unlink(name)
        if isinstance(e, OSError):
            raise FatalError(f"Cannot write '{target}': {e.strerror or e}.") from e
        raise


def write_atomic(path: str | os.PathLike[str], data: bytes, mode: int | None = None) -> None:
    """Write `data` to `path` through a temporary file; see `atomic_writer`."""
    with atomic_writer(path, mode) as out:
        out.write(data)


def _open_neighbour(target: str) -> tuple[int, str]:
    """A new file next to `target` that nobody else may read.

    `tempfile` and `pathlib` would do, but cost more to import than a short command has to spare.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    folder, base = os.path.split(target)
    while True:
        name = os.path.join(folder, f".{base}.{os.urandom(6).hex()}")
        try:
            return os.open(name, flags, 0o600), name
        except FileExistsError:
            continue


def _default_mode(target: str) -> int:
    """Keep a replaced file's permission; a new one follows the umask."""
    if os.path.exists(target):
        return os.stat(target).st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
