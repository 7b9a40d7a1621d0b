# SPDX-License-Identifier: Apache-2.0
"""Job files as checked tables: each value is asked for by name and type, and what is wrong is told
with the line that it stands in. Knows nothing of jobs."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from esptool.errors import UsageError
from esptool.textfile import read_text

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

Path = tuple[str | int, ...]

_WORD = r"[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*'"
_KEY = re.compile(rf"\s*(?:{_WORD})(?:\s*\.\s*(?:{_WORD}))*\s*=")
_HEADER = re.compile(rf"\s*(\[\[?)\s*((?:{_WORD})(?:\s*\.\s*(?:{_WORD}))*)\s*\]")
_QUOTES = ('"""', "'''", '"', "'")
_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class Document:
    """A TOML file, and all that was found wrong with it.

    Attributes:
        name: the file as errors call it.
        text: what it holds.
        root: its outermost table.
        problems: lines for a person, in the order in which they were found.
    """

    def __init__(self, path: str) -> None:
        """
        Raises:
            FatalError: it cannot be read, or is not TOML.
        """
        self.name = path
        self.text = read_text(path, "job file")
        try:
            values = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as e:
            raise UsageError(f"'{path}' is not TOML: {e}.") from None
        self._lines = key_lines(self.text)
        self.problems: list[str] = []
        self.root = Table(self, values, ())

    def line(self, path: Path) -> int:
        """The line of a key, or of the nearest table around it; 1 for the whole file."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def wrong(self, path: Path, message: str, remedy: str | None = None) -> None:
        """Note a problem."""
        hint = f"\n    {remedy}" if remedy else ""
        self.problems.append(f"{self.name}, line {self.line(path)}: {message}{hint}")

    def refuse_problems(self) -> None:
        """
        Raises:
            UsageError: something is wrong; tells all of it.
        """
        if not self.problems:
            return
        count = len(self.problems)
        head = "The job has a mistake" if count == 1 else f"The job has {count} mistakes"
        raise UsageError("\n".join([f"{head}; no board was touched.", *self.problems]))


class Table:
    """One table of a document. What is asked for is known, and `finish` refuses the rest."""

    def __init__(self, document: Document, values: dict[str, Any], path: Path) -> None:
        self.document = document
        self.values = values
        self.path = path
        self._known: list[str] = []

    def wrong(self, key: str | None, message: str, remedy: str | None = None) -> None:
        """Note a problem with a key, or with the whole table."""
        self.document.wrong(self.path if key is None else (*self.path, key), message, remedy)

    def has(self, key: str) -> bool:
        """The key is there."""
        self._know(key)
        return key in self.values

    def _know(self, key: str) -> None:
        if key not in self._known:
            self._known.append(key)

    def _get(self, key: str, kinds: tuple[type, ...], required: bool) -> Any:
        self._know(key)
        if key not in self.values:
            if required:
                self.wrong(None, f"'{key}' is missing.", f"Add: {key} = ...")
            return None
        value = self.values[key]
        # `True` is an int of Python, but no number of a person.
        fits = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        if not fits:
            self.wrong(key, f"'{key}' must be {_KINDS.get(kinds[0], 'something else')}.")
            return None
        return value

    def text(self, key: str, default: str | None = None, *, required: bool = False) -> str:
        """A text that is not empty."""
        value = self._get(key, (str,), required)
        if value is not None and not value.strip():
            self.wrong(key, f"'{key}' is empty.")
            value = None
        return str(value) if value is not None else default or ""

    def number(
        self, key: str, default: float, low: float | None = None, high: float | None = None
    ) -> float:
        """A number within bounds."""
        value = self._get(key, (float, int), False)
        if value is None:
            return default
        # Of "nan" nothing is greater and nothing less.
        fits = (low is None or value >= low) and (high is None or value <= high)
        if not fits or not math.isfinite(value):
            between = f"from {low:g} to {high:g}" if high is not None else f"{low:g} or more"
            self.wrong(key, f"'{key}' is {value:g}: it must be {between}.")
            return default
        return float(value)

    def maybe_number(self, key: str) -> float | None:
        """A number, None where there is none."""
        value = self._get(key, (float, int), False)
        if value is not None and not math.isfinite(value):
            self.wrong(key, f"'{key}' is {value:g}: it must be a finite number.")
            value = None
        return None if value is None else float(value)

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self._get(key, (int,), False)
        if value is None:
            return default
        if not low <= value <= high:
            self.wrong(key, f"'{key}' is {value}: it must be from {low} to {high}.")
            return default
        return int(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self._get(key, (bool,), False)
        return default if value is None else bool(value)

    def texts(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        """A list of texts; a single one may stand for a list of it."""
        self._know(key)
        value = self.values.get(key)
        if value is None:
            if required:
                self.wrong(None, f"'{key}' is missing.", f'Add: {key} = ["..."]')
            return ()
        found = [value] if isinstance(value, str) else value
        good = isinstance(found, list) and all(isinstance(v, str) and v.strip() for v in found)
        if not good or (required and not found):
            self.wrong(key, f"'{key}' must be a list of texts.")
            return ()
        return tuple(found)

    def table(self, key: str) -> Table | None:
        """A table inside, None where there is none."""
        self._know(key)
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.wrong(key, f"'{key}' must be a table: [{key}].")
            return None
        return Table(self.document, value, (*self.path, key))

    def tables(self, key: str) -> list[Table]:
        """The tables of a list: [[key]]."""
        self._know(key)
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            self.wrong(key, f"'{key}' must be a list of tables: [[{key}]].")
            return []
        return [Table(self.document, v, (*self.path, key, i)) for i, v in enumerate(value)]

    def choice(self, key: str, choices: Sequence[str], *, required: bool = False) -> str:
        """One of several words, the first of which is the default; empty where it is wrong."""
        word = self.text(key, "" if required else choices[0], required=required)
        if word and word not in choices:
            self.wrong(key, f"'{word}' is not a valid {key}.{did_you_mean(word, choices)}")
            return ""
        return word

    def finish(self) -> None:
        """Refuse keys that nobody has asked for: they are mistyped."""
        for key in self.values:
            if key not in self._known:
                self.wrong(key, f"Unknown key '{key}'.{did_you_mean(key, self._known)}")


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The nearest of the words that exist, or all of them, as the end of an error."""
    near = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    if near:
        return f" Did you mean '{near[0]}'?"
    return f" There are: {', '.join(known)}." if known else ""


# --- lines of keys -------------------------------------------------------------------------------


def key_lines(text: str) -> dict[Path, int]:
    """The line of each table and key of a TOML text that has been found to be one.

    The parser of the standard library does not tell. Keys inside of inline tables stand for the key
    that the table belongs to.
    """
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    here: Path = ()
    for number, statement in _statements(text):
        if header := _HEADER.match(statement):
            here = _place(_words(header[2]), counts, header[1] == "[[")
            found.setdefault(here, number)
        elif key := _KEY.match(statement):
            path = here
            for word in _words(key[0][:-1]):
                path = (*path, word)
                found.setdefault(path, number)
    return found


def _place(words: list[str], counts: dict[Path, int], is_list: bool) -> Path:
    """The path of a header, with the numbers of the lists that it leads through."""
    path: Path = ()
    for at, word in enumerate(words):
        path = (*path, word)
        if is_list and at == len(words) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _words(text: str) -> list[str]:
    return [_plain(word) for word in re.findall(_WORD, text)]


def _plain(word: str) -> str:
    if word[:1] == "'":
        return word[1:-1]
    if word[:1] == '"':
        value = tomllib.loads(f"k = {word}")["k"]
        return str(value)
    return word


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The first line of each statement with its number: values may go on over several lines."""
    quote, depth = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if not quote and not depth:
            yield number, line
            head = _HEADER.match(line)
            rest = "" if head else line
        else:
            rest = line
        quote, depth = _after(rest, quote, depth)


def _after(line: str, quote: str, depth: int) -> tuple[str, int]:
    """Which string, if any, and how many brackets are open behind a line."""
    at = 0
    while at < len(line):
        if quote:
            if line[at] == "\\" and quote[0] == '"':
                at += 2
            elif line.startswith(quote, at):
                at += len(quote)
                quote = ""
            else:
                at += 1
            continue
        if line[at] == "#":
            break
        opened = next((q for q in _QUOTES if line.startswith(q, at)), "")
        if opened:
            quote = opened
            at += len(opened)
            continue
        depth += (line[at] in "[{") - (line[at] in "]}")
        at += 1
    return (quote if len(quote) == 3 else ""), depth
