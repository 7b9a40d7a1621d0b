# SPDX-License-Identifier: Apache-2.0
"""Records as Python literals, for the generated files."""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from types import MappingProxyType
from typing import Any

SMALL = {"shift", "width", "out_shift", "status_bytes", "major", "hd_max", "wait_s", "value_small"}


def render(value: Any, indent: int, name: str = "") -> str:
    """A Python literal for `value`, wrapped by hand at 100 columns."""
    flat = render_flat(value, name)
    if len(flat) + indent <= 96 and "\n" not in flat:
        return flat
    pad, end = " " * (indent + 4), " " * indent
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        rows = [f"{pad}{k}={render(v, indent + 4, k)},\n" for k, v in non_default(value)]
        return f"{type(value).__name__}(\n{''.join(rows)}{end})"
    if isinstance(value, MappingProxyType):
        rows = [
            f"{pad}    {render_flat(k, '')}: {render(v, indent + 8, name)},\n"
            for k, v in value.items()
        ]
        return f"frozen(\n{pad}{{\n{''.join(rows)}{pad}}}\n{end})"
    if isinstance(value, tuple):
        rows = [f"{pad}{render(v, indent + 4, name)},\n" for v in value]
        return f"(\n{''.join(rows)}{end})"
    return flat


def non_default(value: Any) -> list[tuple[str, Any]]:
    out = []
    for f in dataclasses.fields(value):
        v = getattr(value, f.name)
        if f.default is not dataclasses.MISSING and v == f.default:
            continue
        if f.default_factory is not dataclasses.MISSING and v == f.default_factory():
            continue
        out.append((f.name, v))
    return out


POSITIONAL = {"FieldPart", "Step", "MemoryRange", "When", "Variant", "Bits", "Usb"}


def render_flat(value: Any, name: str) -> str:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, int):
        return f"0x{value:X}" if value > 255 and name not in SMALL else str(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple):
        inner = ", ".join(render_flat(v, name) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{render_flat(k, str())}: {v!r}' for k, v in value.items())}}}"
    if isinstance(value, MappingProxyType):
        if not value:
            return "frozen({})"
        inner = ", ".join(f"{render_flat(k, '')}: {render_flat(v, name)}" for k, v in value.items())
        return f"frozen({{{inner}}})"
    if isinstance(value, float):
        return repr(value)
    kind = type(value).__name__
    items = non_default(value)
    if kind in POSITIONAL:
        return f"{kind}({', '.join(render_flat(v, k) for k, v in items)})"
    return f"{kind}({', '.join(f'{k}={render_flat(v, k)}' for k, v in items)})"
