# SPDX-License-Identifier: Apache-2.0
"""Output files that appear whole or not at all. Reading is left to the callers."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, TypeGuard

from esptool.errors import FatalError, FileError, UsageError

_AT_ONCE = 1 << 20
#: Without it Windows would change line ends.
BINARY = getattr(os, "O_BINARY", 0)


@contextmanager
def atomic_writer(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[IO[bytes]]:
    """Open a temporary file for binary writing; its content goes to `path` at the end.

    A new name is given to the finished file in one step. What exists already (a file, also one
    with several names or one that somebody holds open, a pipe, a terminal) keeps its identity: the
    finished content is copied into it, as programs may read it through a handle that they opened
    before. On an exception the temporary file is removed and `path` keeps its former content.

    `mode` is the permission of the file (owner-only for keys); None gives the usual one, or leaves
    that of a file that exists.

    Raises:
        FatalError: nothing can be written there (before anything is), or the disk is full; the
            text says what the file holds then.
    """
    target = os.fspath(path)
    check_output(target)
    if os.path.islink(target) and _own_descriptor(target) is None:
        target = os.path.realpath(target)
    new = not os.path.exists(target)
    spool = _spool(target, beside=new or os.path.isfile(target))
    remove = True
    try:
        out = io.BufferedWriter(spool)
        try:
            yield out
            out.flush()
        finally:
            with suppress(FatalError):  # a full disk was reported by the write before
                out.close()
        try:
            if new:
                os.chmod(spool.path, _usual_mode() if mode is None else mode)
                os.replace(spool.path, target)
            else:
                _copy_into(target, spool.path, mode)
        except OSError as e:
            raise _cannot(target, e) from e
    except _HalfWrittenError:
        remove = False
        raise
    finally:
        if remove:
            with suppress(OSError):
                os.unlink(spool.path)


def write_atomic(path: str | os.PathLike[str], data: bytes, mode: int | None = None) -> None:
    """Write `data` to `path` through a temporary file; see `atomic_writer`."""
    with atomic_writer(path, mode) as out:
        out.write(data)


def check_output(path: str | os.PathLike[str]) -> None:
    """Refuse a place where no file can be written, before any work is done for it.

    Creates nothing, and waits for nobody at the other end of a pipe.

    Raises:
        FatalError: a folder, a folder that does not exist, no permission, or no name at all.
    """
    target = os.fspath(path)
    if not target or "\0" in target:
        raise UsageError(f"Cannot write '{_shown(target)}': that is not a file name.")
    try:
        folder = os.path.dirname(os.path.realpath(target)) or "."
        if os.path.isdir(target) or target.endswith(("/", os.sep)):
            raise FileError(f"Cannot write '{target}': it is a folder. Name a file.")
        if os.path.exists(target):
            if not os.access(target, os.W_OK):
                raise FileError(f"Cannot write '{target}': Permission denied.")
            return
        os.stat(folder)
        if not os.path.isdir(folder):
            raise FileError(f"Cannot write '{target}': '{folder}' is not a folder.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise FileError(f"Cannot write '{target}': Permission denied in its folder.")
        if os.path.lexists(target):
            return
        limit = os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
        if len(os.fsencode(os.path.basename(target))) > limit:
            raise FileError(f"Cannot write '{target}': File name too long.")
    except OSError as e:
        raise _cannot(target, e) from e


def is_open_file(source: object) -> TypeGuard[IO[bytes]]:
    """Whether a source of bytes is an open file, or what a program has in place of one."""
    return hasattr(source, "read")


def name_of(file: object) -> str | None:
    """The path that an open file was opened by; None where it has none (memory, a descriptor)."""
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else None


def refuse_input_as_output(output: str | os.PathLike[str], inputs: Iterable[Any]) -> None:
    """Refuse to write over a file that is read, also through a link or another spelling.

    `inputs` may hold paths, open files, and anything else, which is passed over.

    Raises:
        UsageError: both names are the same file.
    """
    for source in inputs:
        name = source if isinstance(source, str | os.PathLike) else name_of(source)
        if name is None:
            continue
        with suppress(OSError, ValueError):
            found = os.stat(output)
            # Reading from and writing to one terminal or null device is nothing unusual.
            if stat.S_ISREG(found.st_mode) and os.path.samestat(found, os.stat(name)):
                raise UsageError(
                    f"The output '{os.fspath(output)}' is the input '{os.fspath(name)}' as well.",
                    remedy="Name another file for the output.",
                )


class _HalfWrittenError(FileError):
    """The output holds a part only; the temporary file is left, as it is whole."""


class _Spool(io.FileIO):
    """The temporary file. What the disk refuses is told apart from what a caller's work raises."""

    def __init__(self, descriptor: int, path: str, target: str) -> None:
        super().__init__(descriptor, "wb")
        self.path = path
        self.target = target

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as e:
            raise _cannot(self.target, e) from e


def _cannot(target: str, error: OSError, state: str = "") -> FileError:
    return FileError(
        f"Cannot write '{target}': {error.strerror or error}.{state}", operands={"file": target}
    )


def _shown(path: str) -> str:
    return path.replace("\0", "\\0")


def _spool(target: str, beside: bool) -> _Spool:
    """A temporary file next to `target`, or where the folder takes none, that of the system."""
    if beside:
        try:
            return _Spool(*_open_neighbour(target), target)
        except OSError as e:
            if not os.path.exists(target):
                raise _cannot(target, e) from e
    import tempfile

    try:
        return _Spool(*tempfile.mkstemp(prefix="esptool-"), target)
    except OSError as e:
        raise _cannot(target, e) from e


def _open_neighbour(target: str) -> tuple[int, str]:
    """A new file next to `target` that nobody else may read.

    `tempfile` and `pathlib` would do, but cost more to import than a short command has to spare.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY
    folder, base = os.path.split(target)
    while True:
        name = os.path.join(folder, f".{base[:40]}.{os.urandom(6).hex()}")
        try:
            return os.open(name, flags, 0o600), name
        except FileExistsError:
            continue


def _copy_into(target: str, source: str, mode: int | None) -> None:
    """Give a file that exists the content of `source`.

    Raises:
        OSError: it cannot be opened; nothing has changed.
        FatalError: it could not be filled; the text says what it holds.
    """
    with open(source, "rb", buffering=0) as spool, _opened(target) as out:
        size = os.fstat(spool.fileno()).st_size
        before = os.fstat(out.fileno())
        if not stat.S_ISREG(before.st_mode):
            _copy(spool, out)
            return
        start = out.tell()  # more than 0 where a shell opened the file for several programs
        try:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(out.fileno(), mode)
            # The room is asked for first, so that a full disk costs nothing.
            if start + size > before.st_size:
                _reserve(out.fileno(), start, size)
        except OSError as e:
            with suppress(OSError):
                os.ftruncate(out.fileno(), before.st_size)
            raise _cannot(target, e, " It keeps its former content.") from e
        try:
            try:
                _copy(spool, out)
            except KeyboardInterrupt:
                # Half a file would be worse than an interruption that comes a moment later.
                spool.seek(0)
                out.seek(start)
                _copy(spool, out)
                raise
            finally:
                os.ftruncate(out.fileno(), out.tell())
        except OSError as e:
            raise _HalfWrittenError(
                f"Cannot write '{target}': {e.strerror or e}. It holds only {out.tell() - start} "
                f"of {size} bytes now.",
                remedy=f"All of them are in '{source}'.",
            ) from e


def _reserve(descriptor: int, start: int, size: int) -> None:
    """Have the file system set the room aside, where it can.

    Raises:
        OSError: there is not enough.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, start, size)
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


def _opened(target: str) -> IO[bytes]:
    """A file, device or pipe for writing; names of our own descriptors stand for these.

    Opening them anew would start at the beginning of the file that the output goes to.
    """
    number = _own_descriptor(target)
    if number is None:
        return os.fdopen(os.open(target, os.O_WRONLY | BINARY), "wb", buffering=0)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    return os.fdopen(os.dup(number), "wb", buffering=0)


def _own_descriptor(target: str) -> int | None:
    """The descriptor of ours that a name such as /dev/stdout stands for."""
    if target in ("/dev/stdout", "/dev/stderr"):
        return 1 if target == "/dev/stdout" else 2
    for folder in ("/dev/fd/", "/proc/self/fd/"):
        if target.startswith(folder) and target[len(folder) :].isdigit():
            return int(target[len(folder) :])
    return None


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(_AT_ONCE):
        rest = memoryview(chunk)
        while rest:
            rest = rest[target.write(rest) or 0 :]


def _usual_mode() -> int:
    """What the umask leaves of a new file's permission."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
