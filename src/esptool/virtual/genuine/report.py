# SPDX-License-Identifier: Apache-2.0
"""Which registers a ROM has touched that are only storage here."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esptool.virtual.genuine.machine import Machine, Missing
    from esptool.virtual.silicon.shape import Shape

#: No block of registers is longer.
_BLOCK = 0x1000
_TITLES = ("address", "register", "loads", "stores", "functions")


def register_name(shape: Shape, address: int) -> str:
    """The name, such as `EXTMEM_ICACHE_CTRL`, or block and offset, such as `SYSTEM+0x10`.

    It is empty where nothing is known to be there.
    """
    for place, name in shape.registers:
        if place == address:
            return name
    index = bisect.bisect_right(shape.blocks, (address, "\uffff")) - 1
    if index < 0:
        return ""
    base, name = shape.blocks[index]
    return f"{name}+{address - base:#x}" if address - base < _BLOCK else ""


def missing(machine: Machine) -> list[str]:
    """A table of the registers in `machine.missing`, with titles, by address.

    Neighbours that the same functions have touched equally often share a row, as a table of an MMU
    has hundreds. Without any the list is empty.
    """
    rows = [_row(machine.shape, group) for group in _groups(machine.missing.values())]
    if not rows:
        return []
    rows.insert(0, _TITLES)
    widths = [max(len(row[i]) for row in rows) for i in range(len(_TITLES) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]


def _groups(entries: Iterable[Missing]) -> list[list[Missing]]:
    out: list[list[Missing]] = []
    for entry in sorted(entries, key=lambda entry: entry.address):
        last = out[-1][-1] if out else None
        if (
            last is not None
            and last.address + 4 == entry.address
            and (last.loads, last.stores, last.functions)
            == (entry.loads, entry.stores, entry.functions)
        ):
            out[-1].append(entry)
        else:
            out.append([entry])
    return out


def _row(shape: Shape, group: list[Missing]) -> tuple[str, ...]:
    first, last = group[0], group[-1]
    name = register_name(shape, first.address) or "?"
    more = ""
    if last is not first:
        more = f" to {last.address:#x}"
        name += f" to {register_name(shape, last.address) or '?'}"
    return (
        f"{first.address:#x}{more}",
        name,
        str(first.loads),
        str(first.stores),
        ", ".join(sorted(first.functions)),
    )
