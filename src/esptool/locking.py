# SPDX-License-Identifier: Apache-2.0
"""Keeping a file for one user at a time, among processes and within one."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from esptool.errors import FileError


class InUseError(FileError):
    """Somebody else holds the file."""


class FileLock:
    """Holds a file that is read at first and written at the end, until `release`.

    A neighbour of the file, PATH.lock, stands for it, since the file itself may be replaced. The
    system lets go of it when the process ends, however it ends.

    Raises:
        InUseError: somebody else holds it.
        FatalError: it is a folder, or its folder cannot be written to.
    """

    #: The descriptor that holds the lock; -1 while there is none.
    _fd = -1

    def __init__(self, path: str, what: str) -> None:
        if os.path.isdir(path):
            raise FileError(f"The {what} '{path}' is a folder.", remedy="Name a file.")
        self._neighbour = f"{path}.lock"
        while self._fd < 0:
            try:
                fd = os.open(self._neighbour, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as e:
                raise FileError(f"Cannot write the {what} '{path}': {e.strerror}.") from e
            if not _taken(fd):
                os.close(fd)
                raise InUseError(
                    f"The {what} '{path}' is in use by another program.",
                    remedy="Wait until it has ended, or give each of them its own file.",
                )
            if _is_named(fd, self._neighbour):
                self._fd = fd
            else:  # whoever held it has just removed it
                os.close(fd)

    def release(self) -> None:
        """Let others have it."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        if os.name == "posix":
            with suppress(OSError):
                os.unlink(self._neighbour)
            os.close(fd)
        else:
            os.close(fd)
            with suppress(OSError):
                os.unlink(self._neighbour)

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def __del__(self) -> None:
        if self._fd >= 0:
            self.release()


if sys.platform == "win32":

    def _taken(fd: int) -> bool:
        import msvcrt

        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _taken(fd: int) -> bool:
        """The lock is ours; also where the file system knows no locks."""
        import fcntl

        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


def _is_named(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False
