# SPDX-License-Identifier: Apache-2.0
"""Which functions an address belongs to, the innermost inlined one first.

The unit that an address lies in is found by `.debug_aranges`, or by the ranges of units where that
section does not have them; only this unit is read.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple

from esptool.monitor.dwarf import units as dw
from esptool.monitor.dwarf.lines import LineTable
from esptool.monitor.dwarf.sections import Sections
from esptool.monitor.dwarf.units import Entry, Unit, Value
from esptool.monitor.elfdata import ElfData

_SUBPROGRAM, _INLINED = 0x2E, 0x1D
#: Entries that hold no code where the language is C; their children are passed over.
_TYPES = frozenset({0x13, 0x17, 0x04, 0x01, 0x15})
_C = frozenset({0x01, 0x02, 0x0C, 0x1D, 0x2C})
_FOLLOWED = 8
#: No unit has a piece of code that is longer.
_FAR = 1 << 24
#: What a damaged file may raise where it is read.
DAMAGE = (ValueError, LookupError, struct.error, ArithmeticError, MemoryError)


class Place(NamedTuple):
    """A function in source code: its name as the linker knows it, file and line (0: not known)."""

    function: str | None
    file: str | None
    line: int


class _Function(NamedTuple):
    """A piece of code that a function takes, maybe inlined into another."""

    start: int
    end: int
    depth: int
    order: int
    entry: int
    caller: _Function | None


class _Code:
    """What is known of one unit once it has been read."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.functions: list[_Function] = []
        self._read()
        self.functions.sort(key=lambda f: f.start)
        self.starts = [f.start for f in self.functions]
        self.longest = max((f.end - f.start for f in self.functions), default=0)

    def _read(self) -> None:
        unit = self.unit
        at, end = unit.first, unit.end
        is_c = (unit.top.get(dw.LANGUAGE) or (0, 0))[1] in _C
        #: The functions around, one for each level of children that is open.
        open_: list[list[_Function]] = []
        around: list[_Function] = []
        while at < end:
            entry = unit.entry(at)
            if entry is None:
                at += 1
                if not open_:
                    return
                around = open_.pop()
                continue
            here = around
            shape = entry.shape
            after = unit.past(entry)
            if shape.tag in (_SUBPROGRAM, _INLINED) and (
                dw.LOW_PC in shape.names or dw.RANGES in shape.names
            ):
                here = self._add(entry, at, around)
            elif shape.tag == _SUBPROGRAM:
                here = []
            if shape.children:
                if is_c and shape.tag in _TYPES and dw.SIBLING in shape.names:
                    sibling = unit.values(entry)[dw.SIBLING][1]
                    if isinstance(sibling, int) and after < sibling <= end:
                        at = sibling
                        continue
                open_.append(around)
                around = here
                if not open_[:-1]:
                    around = []
            elif not open_:
                return
            at = after

    def _add(self, entry: Entry, at: int, around: list[_Function]) -> list[_Function]:
        values = self.unit.values(entry)
        spans = self.unit.spans(values)
        inlined = entry.shape.tag == _INLINED
        new = []
        for start, end in spans:
            caller = None
            if inlined:
                caller = next((f for f in around if f.start <= start < f.end), None)
            depth = caller.depth + 1 if caller is not None else 0
            new.append(_Function(start, end, depth, len(self.functions), at, caller))
        self.functions += new
        return new

    def innermost(self, address: int) -> _Function | None:
        """The function whose code an address is: the deepest, and the shortest of those."""
        best: _Function | None = None
        at = bisect_right(self.starts, address) - 1
        while at >= 0 and self.starts[at] + self.longest > address:
            f = self.functions[at]
            if f.start <= address < f.end and (
                best is None
                or (f.depth, f.start - f.end, f.order)
                > (best.depth, best.start - best.end, best.order)
            ):
                best = f
            at -= 1
        return best


class DebugInfo:
    """The debug information of a file."""

    def __init__(self, elf: ElfData) -> None:
        self._sections = Sections(elf)
        self._units: dict[int, Unit] = {}
        self._codes: dict[int, _Code] = {}
        self._lines: dict[tuple[int, str], LineTable | None] = {}

    @property
    def present(self) -> bool:
        """There is any."""
        return bool(self._sections.info)

    def places(self, address: int) -> list[Place]:
        """The functions at an address, the innermost first; empty where nothing is known.

        What is damaged counts as not known.
        """
        try:
            unit = self.unit_of(address)
            return [] if unit is None else self._places(unit, address)
        except DAMAGE:
            return []

    def _places(self, unit: Unit, address: int) -> list[Place]:
        table = self._table(unit)
        row = None if table is None else table.line_at(address)
        file = table.file(row[0]) if table is not None and row is not None else None
        line = row[1] if row is not None else 0
        code = self._codes.get(unit.start)
        if code is None:
            code = self._codes[unit.start] = _Code(unit)
        function = code.innermost(address)
        if function is None:
            return [Place(None, file, line)] if file else []
        out = []
        while True:
            entry = unit.entry(function.entry)
            assert entry is not None
            values = unit.values(entry)
            out.append(Place(self._name(unit, values), file, line))
            if function.caller is None:
                return out
            number = (values.get(dw.CALL_FILE) or (0, 0))[1]
            called = (values.get(dw.CALL_LINE) or (0, 0))[1]
            file = table.file(number) if table is not None and isinstance(number, int) else None
            line = called if isinstance(called, int) else 0
            function = function.caller

    def _name(self, unit: Unit, values: dict[int, tuple[int, Value]]) -> str | None:
        plain: str | None = None
        for _ in range(_FOLLOWED):
            for key in (dw.LINKAGE_NAME, dw.MIPS_LINKAGE_NAME):
                if key in values:
                    return unit.text_of(values[key])
            if plain is None and dw.NAME in values:
                plain = unit.text_of(values[dw.NAME])
            reference = values.get(dw.ABSTRACT_ORIGIN) or values.get(dw.SPECIFICATION)
            if reference is None or not isinstance(reference[1], int):
                break
            place = reference[1]
            if not unit.start <= place < unit.end:
                found = self._unit_holding(place)
                if found is None:
                    break
                unit = found
            entry = unit.entry(place)
            if entry is None:
                break
            values = unit.values(entry)
        return plain

    def _table(self, unit: Unit) -> LineTable | None:
        _, offset = unit.top.get(dw.STMT_LIST, (0, None))
        if not isinstance(offset, int):
            return None
        directory = unit.text_of(unit.top.get(dw.COMP_DIR)) or ""
        key = (offset, directory)
        if key not in self._lines:
            try:
                self._lines[key] = LineTable(self._sections, offset, directory)
            except DAMAGE:
                self._lines[key] = None
        return self._lines[key]

    # --- units -------------------------------------------------------------------------------

    def unit_of(self, address: int) -> Unit | None:
        """The unit whose code an address is; may raise what `DAMAGE` names."""
        for complete in (False, True):
            spans, begins = self._rest if complete else self._index
            at = bisect_right(begins, address) - 1
            while at >= 0 and address - begins[at] < _FAR:
                if spans[at][0] <= address < spans[at][1]:
                    return self._unit(spans[at][2])
                at -= 1
        return None

    def _unit(self, start: int) -> Unit:
        if start not in self._units:
            self._units[start] = Unit(self._sections, start)
        return self._units[start]

    @cached_property
    def _offsets(self) -> list[int]:
        """Where units begin."""
        data, at, out = self._sections.info, 0, []
        while at + 11 <= len(data):
            out.append(at)
            length = struct.unpack_from("<I", data, at)[0]
            at += 4 + length
            if length == 0xFFFFFFFF:
                at += struct.unpack_from("<Q", data, at - length)[0] + 8 - length
        return out

    def _unit_holding(self, place: int) -> Unit | None:
        at = bisect_right(self._offsets, place) - 1
        return None if at < 0 else self._unit(self._offsets[at])

    @cached_property
    def _index(self) -> tuple[list[tuple[int, int, int]], list[int]]:
        """(start, end, unit) as `.debug_aranges` has them, and the starts."""
        data, at = self._sections.aranges, 0
        spans: list[tuple[int, int, int]] = []
        self._covered: set[int] = set()
        try:
            while at + 12 <= len(data):
                length, wide, begin = struct.unpack_from("<I", data, at)[0], 4, at
                at += 4
                if length == 0xFFFFFFFF:
                    length, wide, at = struct.unpack_from("<Q", data, at)[0], 8, at + 8
                end = at + length
                unit = int.from_bytes(data[at + 2 : at + 2 + wide], "little")
                size = data[at + 2 + wide]
                at += 4 + wide
                at += -(at - begin) % (2 * size)
                form = struct.Struct("<II" if size == 4 else "<QQ")
                whole = (end - at) // form.size * form.size
                for low, count in form.iter_unpack(data[at : at + whole]):
                    if count:
                        spans.append((low, low + count, unit))
                        self._covered.add(unit)
                at = end
        except DAMAGE:
            pass
        spans.sort()
        return spans, [span[0] for span in spans]

    @cached_property
    def _rest(self) -> tuple[list[tuple[int, int, int]], list[int]]:
        """The same of the units that are not in that section, by their own ranges."""
        _ = self._index
        spans: list[tuple[int, int, int]] = []
        for offset in self._offsets:
            if offset in self._covered:
                continue
            try:
                unit = self._unit(offset)
                if unit.kind == 1:
                    spans += [(low, high, offset) for low, high in unit.spans(unit.top)]
            except DAMAGE:
                continue
        spans.sort()
        return spans, [span[0] for span in spans]
