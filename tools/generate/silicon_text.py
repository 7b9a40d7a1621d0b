# SPDX-License-Identifier: Apache-2.0
"""A record of the virtual chip's silicon as Python source."""

from __future__ import annotations

import json
from enum import Enum

from esptool.virtual.silicon import shape, spec

_WIDTH = 100

#: Types whose values stand without names.
_POSITIONAL = (spec.Range, spec.Bit, spec.Block, spec.BlockError, shape.Ram, shape.Answer)
#: What is never an address.
_DECIMAL = ("since", "revision")


def imports(record: object) -> str:
    """Lines that import what the literal of a record needs of the schema."""
    needed = types(record)
    lines = []
    for module in sorted({kind.__module__ for kind in needed}):
        names = sorted(kind.__name__ for kind in needed if kind.__module__ == module)
        one = f"from {module} import {', '.join(names)}"
        many = f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"
        lines.append(one if len(one) <= _WIDTH else many)
    return "\n".join(lines)


def types(value: object) -> set[type]:
    """The schema's types that the literal of `value` needs."""
    if isinstance(value, Enum):
        return {type(value)}
    if isinstance(value, tuple):
        return set().union(*(types(item) for item in value))
    if hasattr(value, "__dataclass_fields__"):
        inner = (types(getattr(value, name)) for name in value.__dataclass_fields__)
        return {type(value)}.union(*inner)
    return set()


def literal(value: object) -> str:
    """The record as Python source."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, int):
        return f"0x{value:X}" if value > 255 else str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        items = ", ".join(literal(item) for item in value)
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    plain = isinstance(value, _POSITIONAL)
    shown = []
    for name in value.__dataclass_fields__:  # type: ignore[attr-defined]
        item = getattr(value, name)
        text = str(item) if name in _DECIMAL else literal(item)
        shown.append(text if plain else f"{name}={text}")
    return f"{type(value).__name__}({', '.join(shown)})"
