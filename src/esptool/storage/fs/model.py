# SPDX-License-Identifier: Apache-2.0
"""What all file systems have in common: entries, sizes, the rules for paths, and one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from esptool.errors import FatalError, UsageError
from esptool.records import dataclass
from esptool.storage.fs.blocks import Step

#: A path deeper than this is damage (or an attack), whatever the file system.
MAX_DEPTH = 64


class FileSystemError(FatalError):
    """A file system is damaged, full, or of another kind than expected. Nothing was written."""

    error_code = "storage"


class DamagedError(FileSystemError):
    """What lies in the image breaks the rules of its file system."""


class OtherKindError(DamagedError):
    """It is not a file system of this kind at all."""


class FullError(FileSystemError):
    """What should be stored does not fit."""


class NoSuchFileError(UsageError):
    """There is nothing of that name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder. `path` has '/' between its parts and none at either end; `size` is in
    bytes, 0 for a folder."""

    path: str
    size: int
    is_dir: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes that files can fill, and how many are taken, both rounded as the file system does."""

    total: int
    used: int

    @property
    def free(self) -> int:
        """Bytes that are left; what a file needs for its own bookkeeping comes out of them."""
        return max(0, self.total - self.used)


def clean(path: str) -> str:
    """A path as a person writes it, in the one form used here: 'a/b', without a leading '/'.

    Raises:
        UsageError: the path is empty, or leads out of the file system.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\0" in path:
        raise UsageError(f"'{path}' is not a path inside a file system.")
    if len(parts) > MAX_DEPTH:
        raise UsageError(f"'{path[:40]}...' has more than {MAX_DEPTH} folders in a row.")
    return "/".join(parts)


def parents(path: str) -> list[str]:
    """The folders that `path` lies in, outermost first: 'a/b/c' gives 'a', 'a/b'."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


class FileSystem(ABC):
    """A file system in memory. Changes are made to a copy of the image it was opened from.

    Every method raises `DamagedError` where the image breaks the rules of its format,
    `NoSuchFileError` for a path that is not there, `FullError` for what does not fit, and
    `UsageError` for what the format cannot hold. After an error of a changing method the object
    is of no more use: open the image again.
    """

    #: 'littlefs', 'fat' or 'spiffs'.
    kind: str

    @abstractmethod
    def entries(self) -> list[Entry]:
        """All files and folders, sorted by path."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """The content of a file."""

    @abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Make a file, or replace its content; folders on the way are made."""

    @abstractmethod
    def make_folder(self, path: str) -> None:
        """Make a folder and those it lies in; one that exists is left alone."""

    @abstractmethod
    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file or an empty folder; with `recursive`, a folder with all that is in it."""

    @abstractmethod
    def usage(self) -> Usage:
        """How full it is."""

    @abstractmethod
    def details(self) -> Mapping[str, int | str | bool]:
        """Its parameters, by name: what another file system needs to be made like it."""

    @abstractmethod
    def image(self) -> bytes:
        """All bytes, as they belong into the partition."""

    @abstractmethod
    def steps(self) -> list[Step]:
        """What was changed, in the order in which to write it.

        Content comes first and what points to it last, as far as the format allows.
        """

    def find(self, path: str) -> Entry:
        """The entry of that path.

        Raises:
            NoSuchFileError: with the names that come closest.
        """
        wanted = clean(path)
        found = self.entries()
        for entry in found:
            if entry.path == wanted:
                return entry
        raise no_such_file(wanted, [entry.path for entry in found])


def no_such_file(path: str, there: list[str]) -> NoSuchFileError:
    """The error for a path that is not there, with those that come closest."""
    from difflib import get_close_matches

    near = get_close_matches(path, there, 3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`esptool fs ls` shows what is there."
    return NoSuchFileError(f"There is no '{path}' in the file system.", remedy=hint)
