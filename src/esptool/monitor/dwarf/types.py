# SPDX-License-Identifier: Apache-2.0
"""Where the members of a structure lie, as the debug information of one unit says."""

from __future__ import annotations

from esptool.monitor.dwarf import units as dw
from esptool.monitor.dwarf.info import DAMAGE, DebugInfo
from esptool.monitor.dwarf.units import Unit

_STRUCTURE, _MEMBER = 0x13, 0x0D
_LOCATION = 0x38


def member_offsets(debug: DebugInfo, address: int, name: str) -> dict[str, int]:
    """Offsets in bytes of the members of a structure; empty where it is not known.

    Args:
        debug: of the program.
        address: code of the unit that defines the structure.
        name: of the structure.
    """
    try:
        unit = debug.unit_of(address)
        return {} if unit is None else _find(unit, name)
    except DAMAGE:
        return {}


def _find(unit: Unit, name: str) -> dict[str, int]:
    at, end, depth = unit.first, unit.end, 0
    while at < end:
        entry = unit.entry(at)
        if entry is None:
            depth -= 1
            at += 1
            if depth <= 0:
                break
            continue
        after = unit.past(entry)
        shape = entry.shape
        if (
            shape.tag == _STRUCTURE
            and shape.children
            and dw.NAME in shape.names
            and unit.text_of(unit.values(entry)[dw.NAME]) == name
        ):
            return _members(unit, after)
        depth += shape.children
        at = after
    return {}


def _members(unit: Unit, at: int) -> dict[str, int]:
    found: dict[str, int] = {}
    depth = 1
    while depth:
        entry = unit.entry(at)
        if entry is None:
            depth -= 1
            at += 1
            continue
        if entry.shape.tag == _MEMBER and depth == 1:
            values = unit.values(entry)
            name = unit.text_of(values.get(dw.NAME))
            offset = values.get(_LOCATION, (0, 0))[1]
            if name and isinstance(offset, int):
                found[name] = offset
        at = unit.past(entry)
        depth += entry.shape.children
    return found
