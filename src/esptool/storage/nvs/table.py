# SPDX-License-Identifier: Apache-2.0
"""The CSV files that NVS partitions are made of, for one device or for many.

Source: ESP-IDF's documentation, "NVS Partition Generator Utility" (rows of key, type, encoding and
value) and "Manufacturing Utility" (a configuration without values, and a table of values with a
row a device).
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from esptool.errors import FatalError, UsageError
from esptool.nearest import checks_keywords
from esptool.storage.nvs.generate import Row
from esptool.storage.nvs.values import Kind, Value, name_bytes, parse

#: Reads a file that a row names.
ReadFile = Callable[[str], bytes]

COLUMNS = ("key", "type", "encoding", "value")
TYPES = ("file", "data", "namespace")
BINARY = ("hex2bin", "base64", "binary")
NUMBERS = ("u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64")
ENCODINGS = (*NUMBERS, "string", *BINARY)
_FILL = re.compile(r"blob_(sz_)?fill\((\d+);(0x[0-9a-f]{2})\)", re.IGNORECASE)
#: More than a partition can hold.
_LARGEST_FILL = 1 << 20


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of the file before its value is known.

    Attributes:
        key, type, encoding: its first three columns.
        value: the fourth, None where it is missing.
        line: the number of its line.
        repeat: it has the same value for every device.
    """

    key: str
    type: str
    encoding: str
    value: str | None
    line: int
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """What a CSV file says.

    Attributes:
        rows: the values, in order, and the names of namespaces where they begin.
        remarks: what may not be meant.
    """

    rows: tuple[Row | str, ...]
    remarks: tuple[str, ...]


@checks_keywords()
def read_table(text: str, name: str, read_file: ReadFile) -> Table:
    """The values of a CSV file in the public format.

    Args:
        text: the file.
        name: how errors call it.
        read_file: reads a file that a row of type `file` names.

    Raises:
        UsageError: names the line that is wrong.
    """
    cells = list(_cells(text, name))
    if not cells:
        raise UsageError(f"'{name}' holds no rows of {','.join(COLUMNS)}.")
    return _rows(cells, name, read_file)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV file with the numbers of their lines; comments and empty ones left out."""
    # As in the public generator a line that begins with # is a comment, also between quotes.
    kept = [(i, line) for i, line in enumerate(io.StringIO(text), 1) if line[:1] != "#"]
    numbers: list[int] = []

    def feed() -> Iterator[str]:
        for number, line in kept:
            numbers.append(number)
            yield line

    try:
        reader = csv.reader(feed(), strict=False)
        start = 0
        for row in reader:
            if row:
                yield numbers[start], row
            start = len(numbers)
    except csv.Error as e:
        raise UsageError(f"line {numbers[-1] if numbers else 1}: {e}.") from e


def _named(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    try:
        yield from _lines(text)
    except UsageError as e:
        raise UsageError(f"'{name}', {e.message}") from None


def _cells(text: str, name: str) -> Iterator[Cell]:
    header: list[str] | None = None
    for line, row in _named(name, text):
        if header is None:
            header = [word.strip() for word in row]
            missing = [column for column in COLUMNS if column not in header]
            if missing:
                raise UsageError(
                    f"'{name}', line {line}: the first line names the columns "
                    f"{','.join(COLUMNS)}; '{missing[0]}' is missing.",
                )
            continue
        found = dict(zip(header, row, strict=False))
        yield Cell(
            found.get("key", ""),
            found.get("type", ""),
            found.get("encoding", ""),
            found.get("value"),
            line,
        )


def _rows(cells: Sequence[Cell], name: str, read_file: ReadFile) -> Table:
    rows: list[Row | str] = []
    remarks: list[str] = []
    space: str | None = None
    seen: set[tuple[str, str]] = set()
    spaces: set[str] = set()
    wifi = _WifiExtras()
    for cell in cells:
        where = f"'{name}', line {cell.line}"
        try:
            if cell.type not in TYPES:
                raise _unknown("type", cell.type, TYPES)
            if cell.type == "namespace":
                name_bytes(cell.key, "namespace")
                if cell.key in spaces and cell.key != space:
                    remarks.append(
                        f"{where}: the namespace '{cell.key}' is gone on with. (The public "
                        "generator puts what follows into the namespace before.)"
                    )
                space = cell.key
                spaces.add(space)
                rows.append(space)
                continue
            name_bytes(cell.key, "key")
            if space is None:
                raise UsageError("a namespace must come before the first key.")
            for extra in wifi.before(cell):
                rows.append(_row(space, extra, where, read_file))
            rows.append(_row(space, cell, where, read_file))
            for extra in wifi.after(cell):
                rows.append(_row(space, extra, where, read_file))
        except FatalError as e:
            raise type(e)(f"{where}: {e.message}", remedy=e.remedy) from None
        if (space, cell.key) in seen:
            remarks.append(f"{where}: '{cell.key}' stands in '{space}' twice.")
        seen.add((space, cell.key))
    return Table(tuple(rows), tuple(remarks))


def _row(space: str, cell: Cell, where: str, read_file: ReadFile) -> Row:
    kind, value = _value(cell, read_file)
    return Row(space, cell.key, kind, value, where)


def _value(cell: Cell, read_file: ReadFile) -> tuple[Kind, Value]:
    encoding = cell.encoding.strip().lower()
    text = cell.value
    fill = _FILL.fullmatch(encoding)
    if encoding not in ENCODINGS and fill is None:
        raise _unknown("encoding", cell.encoding, ENCODINGS)
    if text is None:
        raise UsageError(f"the value of '{cell.key}' is missing.")
    data = read_file(text) if cell.type == "file" else None
    if fill is not None:
        return Kind.BLOB, _filled(fill, text.encode() if data is None else data)
    if encoding == "binary":
        return Kind.BLOB, text.encode() if data is None else data
    if encoding in BINARY:
        return Kind.BLOB, unpacked(encoding, text.encode() if data is None else data)
    if data is not None:
        try:
            text = data.decode()
        except UnicodeDecodeError as e:
            raise UsageError(f"what '{text}' holds is not UTF-8 text.") from e
    kind = Kind(encoding)
    return kind, parse(kind, text, "the value")


def unpacked(encoding: str, data: bytes) -> bytes:
    """The bytes that hex digits (`hex2bin`) or Base64 stand for.

    Raises:
        UsageError: they are no such thing.
    """
    try:
        if encoding == "hex2bin":
            return binascii.a2b_hex(data.strip())
        # Characters of no meaning would be passed over, and nothing be left of a mistaken value.
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error as e:
        what = "hex digits, two a byte" if encoding == "hex2bin" else "Base64"
        raise UsageError(f"the value is not {what}: {e}.") from e


def _filled(fill: re.Match[str], value: bytes) -> bytes:
    """`blob_fill(SIZE;0xNN)`: a value filled up; `blob_sz_fill` puts its size in front."""
    size, byte = int(fill[2]), bytes((int(fill[3], 16),))
    if size > _LARGEST_FILL:
        raise UsageError(f"a blob of {size} bytes does not fit into an NVS.")
    if len(value) > size:
        raise UsageError(f"the value has {len(value)} bytes, more than {size}.")
    head = len(value).to_bytes(4, "little") if fill[1] else b""
    return head + value.ljust(size, byte)


def _unknown(what: str, word: str, known: Sequence[str]) -> UsageError:
    from difflib import get_close_matches

    near = get_close_matches(word.strip().lower(), known, 1)
    return UsageError(
        f"'{word}' is not a valid {what}.",
        remedy=f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(known)}.",
    )


class _WifiExtras:
    """Entries that the public generator adds to those of the Wi-Fi library, of that library."""

    def __init__(self) -> None:
        self._access_point: dict[str, str] = {}
        self._station = False

    def before(self, cell: Cell) -> Iterator[Cell]:
        value = cell.value or ""
        if cell.key not in ("ap.ssid", "ap.passwd", "ap.authmode"):
            return
        if cell.key != "ap.authmode" or value != "0":
            self._access_point[cell.key] = value
        ssid, password = (self._access_point.get(f"ap.{key}") for key in ("ssid", "passwd"))
        if ssid and password and self._access_point.get("ap.authmode"):
            import hashlib

            key = hashlib.pbkdf2_hmac("sha1", password.encode(), ssid.encode(), 4096, 32)
            yield Cell("ap.pmk_info", "data", "hex2bin", "0" * 200 + key.hex(), cell.line)

    def after(self, cell: Cell) -> Iterator[Cell]:
        if cell.key not in ("sta.ssid", "sta.pswd") or self._station:
            return
        self._station = True
        yield Cell("sta.apinfo", "data", "hex2bin", "f" * 280, cell.line)
        yield Cell("sta.pmk", "data", "hex2bin", "0" * 64, cell.line)
        yield Cell("sta.apsw", "data", "hex2bin", "0000", cell.line)


# --- many devices --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Device:
    """What goes into the NVS of one device.

    Attributes:
        number: counted from 1.
        columns: all its values, by the name of their column (the first of several of one name).
        table: the values of its NVS.
    """

    number: int
    columns: dict[str, str]
    table: Table


def read_config(text: str, name: str) -> list[Cell]:
    """A configuration: rows of key, type, encoding and, where all devices share it, REPEAT.

    Raises:
        UsageError: names the line that is wrong.
    """
    cells = []
    for line, row in _named(name, text):
        words = [word.strip() for word in row]
        if not any(words):
            continue
        repeat = "REPEAT" in words
        if repeat:
            words.remove("REPEAT")
        where = f"'{name}', line {line}"
        kind = words[1] if len(words) > 1 else ""
        if words[:2] == ["key", "type"]:
            continue
        if kind not in TYPES:
            error = _unknown("type", kind, TYPES)
            raise UsageError(f"{where}: {error.message}", remedy=error.remedy)
        encoding = words[2] if len(words) > 2 else ""
        if kind != "namespace" and not encoding:
            raise UsageError(f"{where}: a row has a key, a type and an encoding.")
        cells.append(Cell(words[0], kind, encoding, None, line, repeat))
    if not cells:
        raise UsageError(f"'{name}' holds no rows of key, type and encoding.")
    return cells


def read_devices(
    config: Sequence[Cell], config_name: str, values: str, name: str, read_file: ReadFile
) -> Iterator[Device]:
    """The devices of a table of values, one after the other.

    Args:
        config: what their NVS holds, from `read_config`.
        values: a CSV file whose first line names the columns; a device a line. Columns that the
            configuration does not name are left out.
        read_file: reads a file that a value names.

    Raises:
        UsageError: names the column that is missing, or the line that is wrong.
    """
    rows = ((line, row) for line, row in _named(name, values) if any(w.strip() for w in row))
    first = next(rows, None)
    if first is None:
        raise UsageError(f"'{name}' holds no values.")
    columns = [word.strip() for word in first[1]]
    places = _places(config, config_name, columns, name)
    shared: list[str] | None = None
    number = 0
    for line, row in rows:
        if len(row) != len(columns):
            raise UsageError(
                f"'{name}', line {line}: it has {len(row)} values, and there are "
                f"{len(columns)} columns."
            )
        shared = shared or row
        number += 1
        cells = []
        for cell, place in zip(config, places, strict=True):
            source = shared if cell.repeat else row
            value = None if place is None else source[place]
            cells.append(Cell(cell.key, cell.type, cell.encoding, value, line))
        table = _rows(cells, name, read_file)
        yield Device(number, dict(zip(reversed(columns), reversed(row), strict=True)), table)
    if not number:
        raise UsageError(f"'{name}' has no line of values behind the names of its columns.")


def _places(
    config: Sequence[Cell], config_name: str, columns: Sequence[str], name: str
) -> list[int | None]:
    """The column of each key: the next of its name, as one name may stand in two namespaces."""
    places: list[int | None] = []
    start = 0
    for cell in config:
        if cell.type == "namespace":
            places.append(None)
            continue
        found = next((i for i in range(start, len(columns)) if columns[i] == cell.key), None)
        if found is None and columns.count(cell.key) == 1:
            found = columns.index(cell.key)
        elif found is not None:
            start = found + 1
        if found is None:
            raise UsageError(
                f"'{config_name}', line {cell.line}: '{name}' has no column '{cell.key}'"
                f"{' behind that of the key before' if cell.key in columns else ''}."
            )
        places.append(found)
    return places
