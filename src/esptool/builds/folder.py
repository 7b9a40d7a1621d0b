# SPDX-License-Identifier: Apache-2.0
"""Files of a build folder by the names that the build gives them, wherever it was moved to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from esptool.builds.model import KEEP, FlashWords, Part, Role
from esptool.errors import UsageError
from esptool.image.sources import open_source
from esptool.textfile import read_text

_AGAIN = "Build again, or copy the whole build folder."
_SPACE = 1 << 32


class Folder:
    """A build folder. Names that build systems write down may be absolute, or from Windows."""

    def __init__(self, path: Path, described_by: str) -> None:
        """
        Args:
            path: the folder.
            described_by: the file whose names are looked up, for messages.
        """
        self.path = path
        self.described_by = described_by
        self.notes: list[str] = []

    def find(self, name: str) -> Path | None:
        """The file of that name; one that was moved along is found by the end of its path."""
        asked = name.replace("\\", "/")
        given = Path(asked)
        there = given if given.is_absolute() else self.path / given
        if there.is_file():
            return there
        words = [word for word in given.parts if word not in ("/", "..", ".")]
        for start in range(len(words)):
            moved = self.path.joinpath(*words[start:])
            if moved.is_file():
                self.notes.append(f"'{name}' was found as '{moved.relative_to(self.path)}'.")
                return moved
        return None

    def part(
        self,
        role: Role,
        name: str,
        offset: int | None,
        encrypted: bool | None = None,
    ) -> Part:
        """The image in the file of that name.

        Raises:
            UsageError: there is no such file, or it is empty.
        """
        path = self.find(name)
        if path is None:
            raise UsageError(
                f"{self.described_by} in '{self.path}' names '{name}', which is not there.",
                remedy=_AGAIN,
            )
        return part_of(path, role, offset, encrypted, name=self.shown(path))

    def shown(self, path: Path) -> str:
        """How messages call a file: its path within the folder, where it lies there."""
        try:
            return path.relative_to(self.path).as_posix()
        except ValueError:
            return str(path)

    def elf(self, *names: str) -> str | None:
        """The first of these ELF files that is there."""
        found = (self.path / name for name in names)
        return next((str(path) for path in found if path.is_file()), None)


def part_of(
    path: Path,
    role: Role,
    offset: int | None = None,
    encrypted: bool | None = None,
    *,
    name: str | None = None,
) -> Part:
    """The image in a file.

    Raises:
        UsageError: the file is empty.
        ImageError: it cannot be read.
    """
    data, _ = open_source(path)
    if not len(data):
        raise UsageError(f"'{path}' is empty.", remedy=_AGAIN)
    return Part(role, data, name or path.name, offset, encrypted)


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file of a build says.

    Raises:
        UsageError: it is not a JSON object, or says a thing twice.
        FatalError: it cannot be read.
    """
    text = read_text(path, "build description")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
            raise UsageError(f"'{path}' says '{twice}' twice.", remedy="Build again.")
        return found

    try:
        found = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as e:
        raise UsageError(f"'{path}' is not JSON: {e}.", remedy="Build again.") from None
    if not isinstance(found, dict):
        raise UsageError(f"'{path}' holds no JSON object.", remedy="Build again.")
    return found


def number(value: object, what: str) -> int:
    """A flash offset, as a number or as text in any base.

    Raises:
        UsageError: it is none.
    """
    try:
        offset = int(value, 0) if isinstance(value, str) else value
    except ValueError:
        offset = None
    if not isinstance(offset, int) or isinstance(offset, bool) or not 0 <= offset < _SPACE:
        raise UsageError(f"{what}: '{value}' is not a flash offset.", remedy="Build again.")
    return offset


_OPTIONS = {"mode": "mode", "freq": "freq", "size": "size"}
_SHORT = {"-fm": "mode", "-ff": "freq", "-fs": "size"}


def words_of(options: dict[str, str]) -> FlashWords:
    """Flash parameters of keys such as "flash_mode"; what is not there is kept."""
    found = {short: options.get(f"flash_{short}", KEEP) for short in _OPTIONS}
    return FlashWords(**{key: str(value).strip() or KEEP for key, value in found.items()})


class ArgumentFile:
    """A file of arguments for write-flash, as ESP-IDF and Arduino leave it: `flash_args`.

    Attributes:
        words: flash parameters.
        pairs: offset, file name, and whether the chip is to encrypt it.
        encrypt: the chip is to encrypt all.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            UsageError: it is no such file.
        """
        import shlex

        text = read_text(path, "argument file")
        try:
            words = shlex.split(text.replace("\\", "/"))
        except ValueError as e:
            raise UsageError(f"'{path}' cannot be read: {e}.", remedy="Build again.") from None
        found: dict[str, str] = {}
        self.encrypt = False
        self.pairs: list[tuple[int, str, bool]] = []
        self._path = path
        self._take(words, found)
        self.words = words_of(found)

    def _take(self, words: list[str], found: dict[str, str]) -> None:
        rest = iter(words)
        encrypted = False
        for word in rest:
            name, _, value = word.partition("=")
            key = _SHORT.get(name) or name.lstrip("-").replace("-", "_").removeprefix("flash_")
            if not word.startswith("-"):
                offset = number(word, f"'{self._path}'")
                self.pairs.append((offset, self._next(rest, word), encrypted))
            elif key in _OPTIONS:
                found[f"flash_{key}"] = value or self._next(rest, word)
            elif key == "encrypt":
                self.encrypt = True
            elif key == "encrypt_files":
                encrypted = True

    def _next(self, rest: Iterator[str], word: str) -> str:
        try:
            return next(rest)
        except StopIteration:
            raise UsageError(
                f"'{self._path}' ends behind '{word}'.", remedy="Build again."
            ) from None


def lies_in(path: Path, *names: str) -> bool:
    """A folder's path ends in these names and one more, as in `.pio/build/ENV`."""
    words = Path(os.path.abspath(path)).parts
    return words[-len(names) - 1 : -1] == names
