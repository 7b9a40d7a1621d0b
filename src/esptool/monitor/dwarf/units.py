# SPDX-License-Identifier: Apache-2.0
"""Compilation units: their headers, the shapes of their entries, and the values of attributes.

Sections 7.5.1 to 7.5.6 of DWARF 5; what GNU tools added for split files is passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from esptool.monitor.dwarf.leb import sleb, text, uleb
from esptool.monitor.dwarf.sections import Sections

# Attributes (table 7.5).
SIBLING, NAME, STMT_LIST, LOW_PC, HIGH_PC = 0x01, 0x03, 0x10, 0x11, 0x12
LANGUAGE, COMP_DIR, ABSTRACT_ORIGIN, SPECIFICATION = 0x13, 0x1B, 0x31, 0x47
ENTRY_PC, RANGES, CALL_FILE, CALL_LINE = 0x52, 0x55, 0x58, 0x59
LINKAGE_NAME, STR_OFFSETS_BASE, ADDR_BASE, RNGLISTS_BASE = 0x6E, 0x72, 0x73, 0x74
MIPS_LINKAGE_NAME = 0x2007

# Forms (table 7.6).
_ADDR, _BLOCK2, _BLOCK4, _DATA2, _DATA4, _DATA8, _STRING, _BLOCK, _BLOCK1 = (
    *(0x01, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A),
)
_DATA1, _FLAG, _SDATA, _STRP, _UDATA, _REF_ADDR, _REF1, _REF2, _REF4, _REF8 = (
    *(0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12, 0x13, 0x14),
)
_REF_UDATA, _INDIRECT, _SEC_OFFSET, _EXPRLOC, _FLAG_PRESENT, _STRX, _ADDRX = (
    *(0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B),
)
_REF_SUP4, _STRP_SUP, _DATA16, _LINE_STRP, _REF_SIG8, _IMPLICIT, _LOCLISTX, _RNGLISTX = (
    *(0x1C, 0x1D, 0x1E, 0x1F, 0x20, 0x21, 0x22, 0x23),
)
_REF_SUP8, _STRX1, _STRX2, _STRX3, _STRX4, _ADDRX1, _ADDRX2, _ADDRX3, _ADDRX4 = (
    *(0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x2B, 0x2C),
)

_FIXED = {
    _DATA1: 1,
    _FLAG: 1,
    _REF1: 1,
    _STRX1: 1,
    _ADDRX1: 1,
    _DATA2: 2,
    _REF2: 2,
    _STRX2: 2,
    _ADDRX2: 2,
    _STRX3: 3,
    _ADDRX3: 3,
    _DATA4: 4,
    _REF4: 4,
    _REF_SUP4: 4,
    _STRX4: 4,
    _ADDRX4: 4,
    _DATA8: 8,
    _REF8: 8,
    _REF_SIG8: 8,
    _REF_SUP8: 8,
    _DATA16: 16,
    _FLAG_PRESENT: 0,
    _IMPLICIT: 0,
}
_OFFSETS = frozenset({_STRP, _SEC_OFFSET, _LINE_STRP, _STRP_SUP})
_LEBS = frozenset({_UDATA, _SDATA, _REF_UDATA, _STRX, _ADDRX, _LOCLISTX, _RNGLISTX})
_LOCAL = frozenset({_REF1, _REF2, _REF4, _REF8, _REF_UDATA})
_INDEXED_STRINGS = frozenset({_STRX, _STRX1, _STRX2, _STRX3, _STRX4})
_INDEXED_ADDRESSES = frozenset({_ADDRX, _ADDRX1, _ADDRX2, _ADDRX3, _ADDRX4})

# Unit types (table 7.2).
_TYPE, _SKELETON, _SPLIT, _SPLIT_TYPE = 2, 4, 5, 6

Value = int | str | bytes | None


class Shape:
    """An abbreviation: what entries with this code hold.

    Attributes:
        steps: for passing over: so many bytes, or -1 - form where it must be looked at.
    """

    __slots__ = ("attributes", "children", "names", "steps", "tag")

    def __init__(
        self, tag: int, children: bool, attributes: list[tuple[int, int, int]], unit: Unit
    ) -> None:
        self.tag, self.children, self.attributes = tag, children, attributes
        self.names = frozenset(name for name, _, _ in attributes)
        self.steps: list[int] = []
        for _, form, _ in attributes:
            size = unit.fixed_size(form)
            if size is None:
                self.steps.append(-1 - form)
            elif self.steps and self.steps[-1] >= 0:
                self.steps[-1] += size
            else:
                self.steps.append(size)


class Entry(NamedTuple):
    """An entry of a unit: its shape, and the place of its first value in `.debug_info`."""

    shape: Shape
    at: int


class Unit:
    """A compilation unit.

    Attributes:
        start, end: its place in `.debug_info`, the header included.
        first: place of its first entry.
        version: of DWARF.
        wide: its offsets have 8 bytes.
    """

    def __init__(self, sections: Sections, start: int) -> None:
        data = sections.info
        self.sections, self.start = sections, start
        length, at = struct.unpack_from("<I", data, start)[0], start + 4
        self.wide = length == 0xFFFFFFFF
        if self.wide:
            length, at = struct.unpack_from("<Q", data, at)[0], at + 8
        self.end = min(at + length, len(data))
        self.offset_size = 8 if self.wide else 4
        (self.version,) = struct.unpack_from("<H", data, at)
        at += 2
        self.kind = 1
        if self.version >= 5:
            self.kind, self.address_size = data[at], data[at + 1]
            self._abbrev, at = self.number(at + 2, self.offset_size), at + 2 + self.offset_size
            if self.kind in (_SKELETON, _SPLIT):
                at += 8
            elif self.kind in (_TYPE, _SPLIT_TYPE):
                at += 8 + self.offset_size
        else:
            self._abbrev, at = self.number(at, self.offset_size), at + self.offset_size
            self.address_size, at = data[at], at + 1
        self.first = at
        self._shapes: dict[int, Shape] = {}
        self._shapes_at = self._abbrev

    def number(self, at: int, size: int) -> int:
        """A number of so many bytes in `.debug_info`."""
        return int.from_bytes(self.sections.info[at : at + size], "little")

    def fixed_size(self, form: int) -> int | None:
        """Bytes that a value of this form takes, None where that depends on the value."""
        if form in _OFFSETS:
            return self.offset_size
        if form == _ADDR:
            return self.address_size
        if form == _REF_ADDR:
            return self.address_size if self.version < 3 else self.offset_size
        return _FIXED.get(form)

    # --- entries -----------------------------------------------------------------------------

    def shape(self, code: int) -> Shape | None:
        """The abbreviation with this code; the table is read as far as it is needed."""
        found = self._shapes.get(code)
        if found is not None or self._shapes_at < 0:
            return found
        data, at = self.sections.abbrev, self._shapes_at
        while True:
            number, at = uleb(data, at)
            if not number:
                self._shapes_at = -1
                return None
            tag, at = uleb(data, at)
            children, at = data[at], at + 1
            attributes = []
            while True:
                name, at = uleb(data, at)
                form, at = uleb(data, at)
                constant = 0
                if form == _IMPLICIT:
                    constant, at = sleb(data, at)
                if not name and not form:
                    break
                attributes.append((name, form, constant))
            shape = self._shapes[number] = Shape(tag, bool(children), attributes, self)
            if number == code:
                self._shapes_at = at
                return shape

    def entry(self, at: int) -> Entry | None:
        """The entry at a place in `.debug_info`, None for the end of a list of children.

        Raises:
            ValueError: there is none: the file is damaged.
        """
        code, at = uleb(self.sections.info, at)
        if not code:
            return None
        shape = self.shape(code)
        if shape is None:
            raise ValueError("an entry has an abbreviation that does not exist")
        return Entry(shape, at)

    def past(self, entry: Entry) -> int:
        """The place behind an entry's values."""
        at, data = entry.at, self.sections.info
        for step in entry.shape.steps:
            at = at + step if step >= 0 else self._skip(-1 - step, data, at)
        return at

    def _skip(self, form: int, data: bytes, at: int) -> int:
        if form in _LEBS:
            while data[at] & 0x80:
                at += 1
            return at + 1
        if form == _STRING:
            return data.index(b"\0", at) + 1
        if form in (_EXPRLOC, _BLOCK):
            size, at = uleb(data, at)
            return at + size
        if form in (_BLOCK1, _BLOCK2, _BLOCK4):
            size = {_BLOCK1: 1, _BLOCK2: 2, _BLOCK4: 4}[form]
            return at + size + self.number(at, size)
        if form == _INDIRECT:
            form, at = uleb(data, at)
        fixed = self.fixed_size(form)
        if fixed is None and form not in (*_LEBS, _STRING, _EXPRLOC, _BLOCK):
            raise ValueError(f"values of form {form:#x} are not known")
        return self._skip(form, data, at) if fixed is None else at + fixed

    def values(self, entry: Entry) -> dict[int, tuple[int, Value]]:
        """(form, value) of each attribute.

        References are places in `.debug_info`; strings and addresses by number stay numbers.
        """
        out: dict[int, tuple[int, Value]] = {}
        at, data = entry.at, self.sections.info
        for name, form, constant in entry.shape.attributes:
            if form == _INDIRECT:
                form, at = uleb(data, at)
            size = self.fixed_size(form)
            value: Value
            if size is not None:
                value = constant if form == _IMPLICIT else self.number(at, size)
                at += size
            elif form == _SDATA:
                value, at = sleb(data, at)
            elif form in _LEBS:
                value, at = uleb(data, at)
            elif form == _STRING:
                value, at = text(data, at)
            else:
                value, at = None, self._skip(form, data, at)
            if form in _LOCAL and isinstance(value, int):
                value += self.start
            out[name] = (form, value)
        return out

    # --- values ------------------------------------------------------------------------------

    @cached_property
    def top(self) -> dict[int, tuple[int, Value]]:
        """Attributes of the unit itself."""
        entry = self.entry(self.first)
        return {} if entry is None else self.values(entry)

    def _base(self, name: int, default: int) -> int:
        _, value = self.top.get(name, (0, None))
        return value if isinstance(value, int) else default

    def text_of(self, pair: tuple[int, Value] | None) -> str | None:
        """The string that a value stands for."""
        if pair is None:
            return None
        form, value = pair
        if isinstance(value, str) or not isinstance(value, int):
            return value if isinstance(value, str) else None
        if form == _STRP:
            return text(self.sections.strings, value)[0]
        if form == _LINE_STRP:
            return text(self.sections.line_strings, value)[0]
        if form in _INDEXED_STRINGS:
            size = self.offset_size
            base = self._base(STR_OFFSETS_BASE, 8 if size == 4 else 16)
            table, at = self.sections.string_offsets, base + value * size
            place = int.from_bytes(table[at : at + size], "little")
            return text(self.sections.strings, place)[0]
        return None

    def address_of(self, pair: tuple[int, Value] | None) -> int | None:
        """The address that a value stands for."""
        if pair is None:
            return None
        form, value = pair
        if not isinstance(value, int):
            return None
        return self.address_by_number(value) if form in _INDEXED_ADDRESSES else value

    def address_by_number(self, number: int) -> int:
        """An entry of the unit's table of addresses."""
        size = self.address_size
        at = self._base(ADDR_BASE, 8) + number * size
        return int.from_bytes(self.sections.addresses[at : at + size], "little")

    # --- ranges ------------------------------------------------------------------------------

    def spans(self, values: dict[int, tuple[int, Value]]) -> list[tuple[int, int]]:
        """(start, end) of the code that an entry covers, without empty ones."""
        if RANGES in values:
            form, value = values[RANGES]
            if isinstance(value, int):
                found = self._listed(form, value)
                return [(start, end) for start, end in found if start < end]
        low = self.address_of(values.get(LOW_PC))
        if low is None or HIGH_PC not in values:
            return []
        form, high = values[HIGH_PC]
        if not isinstance(high, int):
            return []
        if form == _ADDR or form in _INDEXED_ADDRESSES:
            end = self.address_of(values[HIGH_PC]) or 0
        else:
            end = low + high
        return [(low, end)] if low < end else []

    def _listed(self, form: int, value: int) -> Iterator[tuple[int, int]]:
        base = self.address_of(self.top.get(LOW_PC)) or 0
        if self.version >= 5:
            if form == _RNGLISTX:
                start = self._base(RNGLISTS_BASE, 12)
                size = self.offset_size
                raw = self.sections.range_lists[start + value * size : start + (value + 1) * size]
                value = start + int.from_bytes(raw, "little")
            return self._range_list(value, base)
        return self._old_ranges(value, base)

    def _old_ranges(self, at: int, base: int) -> Iterator[tuple[int, int]]:
        """Section 2.17.3 of DWARF 4."""
        data, size = self.sections.ranges, self.address_size
        largest = (1 << 8 * size) - 1
        while at + 2 * size <= len(data):
            low = int.from_bytes(data[at : at + size], "little")
            high = int.from_bytes(data[at + size : at + 2 * size], "little")
            at += 2 * size
            if low == high == 0:
                return
            if low == largest:
                base = high
            else:
                yield low + base, high + base

    def _range_list(self, at: int, base: int) -> Iterator[tuple[int, int]]:
        """Section 7.25 of DWARF 5."""
        data, size = self.sections.range_lists, self.address_size
        while at < len(data):
            kind, at = data[at], at + 1
            if kind == 0:
                return
            if kind in (1, 2, 3, 4):
                first, at = uleb(data, at)
                second = 0
                if kind != 1:
                    second, at = uleb(data, at)
                if kind == 4:
                    yield base + first, base + second
                    continue
                low = self.address_by_number(first)
                if kind == 1:
                    base = low
                elif kind == 2:
                    yield low, self.address_by_number(second)
                else:
                    yield low, low + second
            else:
                low = int.from_bytes(data[at : at + size], "little")
                at += size
                if kind == 5:
                    base = low
                elif kind == 6:
                    yield low, int.from_bytes(data[at : at + size], "little")
                    at += size
                else:
                    length, at = uleb(data, at)
                    yield low, low + length
