# SPDX-License-Identifier: Apache-2.0
"""Reads and writes Intel HEX a block of records at a time, with work in C instead of per byte.

The records are those of Intel's "Hexadecimal Object File Format Specification", rev. A. Whole
columns of equally long records are moved with strided slices, and their check sums are added in
the 32-bit lanes of one big integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

from esptool.errors import ImageError
from esptool.image.regions import Region, in_order, join_adjacent
from esptool.textfile import without_mark

MAGIC = b":"
ROW = 16
_TEXT = b"0123456789ABCDEFabcdef:\r\n\t "
_SHORTEST = 11  # ':00000001FF'
_OVERHEAD = 5  # count, address (2), type, check sum
_BLOCK = 0x10000
_ROWS_AT_ONCE = 4096
_DAMAGED = -1
_DATA, _END, _SEGMENT, _START_CS, _LINEAR, _START_EIP = range(6)
_NEGATE = bytes(-value & 0xFF for value in range(256))


class HexError(ImageError):
    """A line is not a valid record. `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"Intel HEX line {line}: {what}.")
        self.line = line


# --- reading -----------------------------------------------------------------------------------


def looks_like_hex(data: bytes) -> bool:
    """Whether data are meant as Intel HEX, so that whatever is wrong in them is damage.

    Their first line is a well-formed record, or they are made of nothing but its characters.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith(MAGIC):
        return False
    ends = [end for ending in (b"\n", b"\r") if (end := text.find(ending)) >= 0]
    try:
        _decode_line(text[: min(ends, default=len(text))], 1)
    except HexError:
        return len(text) >= _SHORTEST and not text.translate(None, _TEXT)
    return True


def read_hex(text: bytes, source: str | None = None) -> list[Region]:
    """The contiguous regions of an Intel HEX file, sorted.

    Lines may be empty, end in blanks, and end as on any system; a byte order mark may stand first.

    Raises:
        HexError: a line is malformed or its check sum is wrong, or lines are missing at the end.
        ImageError: two records give the same byte, or there are none.
        FatalError: it is text in another encoding.
    """
    text = without_mark(text, f"'{source}'" if source else "The Intel HEX file")
    if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    runs = _Runs()
    base = 0
    pos = line = careful_until = 0
    at_once = _ROWS_AT_ONCE
    while pos < len(text):
        if line >= careful_until:
            rows, size = _take_block(text, pos, base, runs, at_once)
            if rows > 0:
                line += rows
                pos += size
                # Short runs must not cost the decoding of long ones again and again.
                at_once = min(_ROWS_AT_ONCE, 2 * max(rows, 2))
                continue
            if rows == _DAMAGED:
                careful_until = line + _ROWS_AT_ONCE
        line += 1
        end = text.find(b"\n", pos) + 1 or len(text)
        record = _decode_line(text[pos:end], line)
        pos = end
        if record is None:
            continue
        kind = record[3]
        payload = record[4:-1]
        if kind == _DATA:
            runs.add(base + int.from_bytes(record[1:3], "big"), payload)
        elif kind == _END:
            _refuse_records_behind(text, pos, line)
            return runs.regions(source)
        elif kind in (_SEGMENT, _LINEAR):
            if len(payload) != 2:
                raise HexError(line, f"an address record holds {len(payload)} bytes, not 2")
            base = int.from_bytes(payload, "big") << (4 if kind == _SEGMENT else 16)
        elif kind not in (_START_CS, _START_EIP):
            raise HexError(line, f"unknown record type {kind}")
    raise HexError(line + 1, "the file ends without an end record (:00000001FF): is it whole?")


def _refuse_records_behind(text: bytes, pos: int, line: int) -> None:
    """Nobody would see that the second of two files in one is left out."""
    for number, rest in enumerate(text[pos:].split(b"\n"), line + 1):
        if rest.lstrip().startswith(MAGIC):
            raise HexError(number, "a record stands behind the end record: are these two files?")


class _Runs:
    """Data in order of arrival; what continues the last run is appended to it."""

    def __init__(self) -> None:
        self._runs: list[tuple[int, bytearray]] = []

    def add(self, address: int, data: bytes | bytearray) -> None:
        if not data:
            return
        if self._runs:
            start, held = self._runs[-1]
            if start + len(held) == address:
                held += data
                return
        self._runs.append((address, bytearray(data)))

    def regions(self, source: str | None) -> list[Region]:
        ordered = in_order(Region(start, bytes(held), source) for start, held in self._runs)
        self._runs.clear()
        for before, after in pairwise(ordered):
            if after.address < before.end:
                raise ImageError(
                    f"Intel HEX data overlap: the bytes from {after.address:#x} to "
                    f"{min(before.end, after.end) - 1:#x} are given twice."
                )
        return join_adjacent(ordered)


def _decode_line(line: bytes, number: int) -> bytes | None:
    """The bytes of one record, None for an empty line."""
    line = line.rstrip()
    if not line:
        return None
    if not line.startswith(MAGIC):
        raise HexError(number, "does not start with ':', so it is not a record")
    try:
        record = bytes.fromhex(line[1:].decode("ascii"))
    except ValueError:
        raise HexError(number, "holds something else than hexadecimal digits") from None
    if 2 * len(record) != len(line) - 1:
        raise HexError(number, "holds blanks")
    if len(record) < _OVERHEAD or len(record) != record[0] + _OVERHEAD:
        raise HexError(number, f"its length does not match its byte count {record[:1].hex()}")
    if sum(record) & 0xFF:
        raise HexError(number, f"wrong check sum {record[-1]:#04x}")
    return record


def _take_block(text: bytes, pos: int, base: int, runs: _Runs, at_once: int) -> tuple[int, int]:
    """Take a run of equally long, consecutive data records at once: (records, characters).

    No records where the text at `pos` is anything else, and _DAMAGED where one of them is wrong:
    the caller then reads line by line, with full checks.
    """
    try:
        count = int(text[pos + 1 : pos + 3], 16)
    except ValueError:
        return 0, 0
    stride = count + _OVERHEAD
    end = text.find(b"\n", pos, pos + 2 * stride + 3)
    width = end + 1 - pos
    if end < 0 or count == 0 or width - 2 * stride not in (2, 3):
        return 0, 0
    rows = min(at_once, (len(text) - pos) // width)
    prefix = text[pos : pos + 3]
    for column, wanted in ((0, prefix[0]), (1, prefix[1]), (2, prefix[2]), (7, 48), (8, 48)):
        rows = _equal_rows(text, pos + column, width, rows, wanted)
    for column in range(1 + 2 * stride, width):
        rows = _equal_rows(text, pos + column, width, rows, text[pos + column])
    if rows < 2:
        return 0, 0
    try:
        block = bytes.fromhex(text[pos : pos + rows * width].translate(None, MAGIC).decode("ascii"))
    except ValueError:
        return _DAMAGED, 0
    if len(block) != rows * stride or any(_column_sums(block, stride, rows)):
        return _DAMAGED, 0
    first = int.from_bytes(block[1:3], "big")
    rows = min(rows, 1 + (0xFFFF - first) // count)
    rows = _consecutive(block, stride, first, count, rows)
    data = bytearray(rows * count)
    for i in range(count):
        data[i::count] = block[4 + i : rows * stride : stride]
    runs.add(base + first, data)
    return rows, rows * width


def _equal_rows(text: bytes, at: int, width: int, rows: int, wanted: int) -> int:
    """How many of the first `rows` lines have the character `wanted` in this column."""
    column = text[at : at + rows * width : width][:rows]
    return len(column) - len(column.lstrip(bytes((wanted,))))


def _consecutive(block: bytes, stride: int, first: int, count: int, rows: int) -> int:
    """How many of the first `rows` records follow each other without a gap."""
    high, low = _address_columns(first, count, rows)
    size = rows * stride
    if block[1:size:stride] == high and block[2:size:stride] == low:
        return rows
    for row in range(rows):
        if block[row * stride + 1 : row * stride + 3] != bytes((high[row], low[row])):
            return row
    return rows


# --- columns -----------------------------------------------------------------------------------


def _lanes(column: bytes) -> int:
    """Each byte of a column in a 32-bit lane of its own."""
    spread = bytearray(4 * len(column))
    spread[::4] = column
    return int.from_bytes(spread, "little")


def _column_sums(block: bytes, stride: int, rows: int) -> bytes:
    """For every record the sum of its bytes, modulo 256."""
    total = sum(_lanes(block[i::stride]) for i in range(stride))
    return total.to_bytes(4 * rows, "little")[::4]


@lru_cache(maxsize=8)
def _address_columns(first: int, count: int, rows: int) -> tuple[bytes, bytes]:
    """High and low bytes of the addresses of consecutive records."""
    addresses = range(first, first + rows * count, count)
    return bytes(a >> 8 & 0xFF for a in addresses), bytes(a & 0xFF for a in addresses)


# --- writing -----------------------------------------------------------------------------------


def write_hex(regions: Iterable[Region]) -> Iterator[bytes]:
    """Intel HEX text in chunks: rows of 16 bytes, 64 KiB pages announced by linear addresses.

    Page records appear only when some address needs more than 16 bits.

    Raises:
        ImageError: regions overlap, or an address needs more than 32 bits.
    """
    joined = [r for r in join_adjacent(regions) if r.data]
    for before, after in pairwise(joined):
        if after.address < before.end:
            raise ImageError(f"{after} overlaps with {before}.")
    if joined and joined[-1].end > 1 << 32:
        raise ImageError(f"{joined[-1]} does not fit the 32-bit addresses of Intel HEX.")
    paged = bool(joined) and joined[-1].end > _BLOCK
    page = -1
    for region in joined:
        view = memoryview(bytes(region.data))
        at = 0
        while at < len(view):
            address = region.address + at
            if paged and address >> 16 != page:
                page = address >> 16
                yield _encode(0, _LINEAR, page.to_bytes(2, "big"))
            size = min(len(view) - at, _BLOCK - address % _BLOCK)
            yield from _encode_page(address & 0xFFFF, bytes(view[at : at + size]))
            at += size
    yield _encode(0, _END, b"")


def _encode_page(address: int, data: bytes) -> Iterator[bytes]:
    rows = len(data) // ROW
    whole = rows * ROW
    if rows:
        stride = ROW + _OVERHEAD
        high, low = _address_columns(address, ROW, rows)
        block = bytearray(rows * stride)
        block[0::stride] = bytes((ROW,)) * rows
        block[1::stride] = high
        block[2::stride] = low
        for i in range(ROW):
            block[4 + i :: stride] = data[i:whole:ROW]
        block[stride - 1 :: stride] = _column_sums(bytes(block), stride, rows).translate(_NEGATE)
        text = block.hex("\n", stride).upper().replace("\n", "\n:")
        yield f":{text}\n".encode("ascii")
    if whole < len(data):
        yield _encode(address + whole, _DATA, data[whole:])


def _encode(address: int, kind: int, payload: bytes) -> bytes:
    record = bytes((len(payload), address >> 8, address & 0xFF, kind)) + payload
    record += bytes((-sum(record) & 0xFF,))
    return b":" + record.hex().upper().encode("ascii") + b"\n"
