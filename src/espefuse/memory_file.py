# SPDX-License-Identifier: Apache-2.0
"""The file of `--path-efuse-file`, which several programs may use, one after the other.

A burn is refused where the file is no longer as this program has read or written it: two programs
that burn at the same time would each lose the other's bits.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from esptool.errors import FatalError
from esptool.files import write_atomic

LOCK_TIMEOUT_S = 10.0
LOCK_POLL_S = 0.02


class MemoryFile:
    """A file of eFuse memory, and what it held when this program used it last."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._known: bytes | None = None

    def load(self) -> bytes:
        """What the file holds; nothing where it is new or empty.

        Raises:
            FatalError: it cannot be read, or another program holds it.
        """
        with self._locked():
            self._known = self._read()
        return self._known

    @contextmanager
    def change(self) -> Iterator[None]:
        """Hold the file while its memory is changed and then saved by `save`.

        Raises:
            FatalError: another program has changed it since.
        """
        with self._locked():
            if self._known is not None and self._read() != self._known:
                raise FatalError(
                    f"The eFuse file '{self.path}' was changed by another program meanwhile. "
                    "This burn was not made.",
                    remedy="Run the command again, on the eFuses as they are now.",
                )
            yield

    def save(self, data: bytes) -> None:
        """Replace the content. Between `load` and this, hold it with `change`."""
        write_atomic(self.path, data)
        self._known = data

    def _read(self) -> bytes:
        try:
            with open(self.path, "rb") as f:
                return f.read()
        except FileNotFoundError:
            return b""
        except OSError as e:
            raise FatalError(f"Cannot read the eFuse file '{self.path}': {e.strerror or e}.") from e

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError:
            yield  # a new file, or one that `_read` says more about
            return
        try:
            deadline = time.monotonic() + LOCK_TIMEOUT_S
            while not _lock(descriptor):
                if time.monotonic() > deadline:
                    raise FatalError(
                        f"Another program holds the eFuse file '{self.path}'.",
                        remedy="Wait until it has ended.",
                    )
                time.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)  # which gives the lock back


def _lock(descriptor: int) -> bool:
    """Take the lock if nobody has it. Windows keeps others from such files by itself."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True
