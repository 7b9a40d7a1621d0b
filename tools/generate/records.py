# SPDX-License-Identifier: Apache-2.0
"""From plain values of a facts file to records (dataclasses), by the types of their fields.

A record is an object with the names of its fields, or a list of their values in order. Errors name
file, key and value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from generate.files import FactError, number


@cache
def _types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def build(kind: Any, raw: Any, where: str, key: str) -> Any:
    """A value of the type `kind` made of `raw`.

    Raises:
        FactError: `raw` does not fit.
    """
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _one_of(get_args(kind), raw, where, key)
    if origin is tuple:
        return _tuple(get_args(kind), raw, where, key)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(get_args(kind), raw, where, key)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _record(kind, raw, where, key)
    if issubclass(kind, Enum):
        return _member(kind, raw, where, key)
    if kind is bool or kind is str or kind is NoneType:
        if not isinstance(raw, kind):
            raise FactError(where, key, raw, f"is no {kind.__name__}")
        return raw
    if kind is float:
        if isinstance(raw, bool) or not isinstance(raw, (int, float)):
            raise FactError(where, key, raw, "is not a number")
        return float(raw)
    return number(raw, where, key)


def _one_of(kinds: tuple[Any, ...], raw: Any, where: str, key: str) -> Any:
    if raw is None and NoneType in kinds:
        return None
    first: FactError | None = None
    for kind in kinds:
        if kind is NoneType:
            continue
        try:
            return build(kind, raw, where, key)
        except FactError as e:
            first = first or e
    assert first is not None
    raise first


def _tuple(kinds: tuple[Any, ...], raw: Any, where: str, key: str) -> tuple[Any, ...]:
    if not isinstance(raw, list):
        raise FactError(where, key, raw, "is not a list")
    if kinds[-1] is Ellipsis:
        return tuple(build(kinds[0], v, where, f"{key}[{i}]") for i, v in enumerate(raw))
    if len(raw) != len(kinds):
        raise FactError(where, key, raw, f"needs {len(kinds)} values")
    pairs = zip(kinds, raw, strict=True)
    return tuple(build(k, v, where, f"{key}[{i}]") for i, (k, v) in enumerate(pairs))


def _mapping(kinds: tuple[Any, ...], raw: Any, where: str, key: str) -> Mapping[Any, Any]:
    if not isinstance(raw, dict):
        raise FactError(where, key, raw, "is no object")
    out = {}
    for name, value in raw.items():
        place = f"{key}.{name}"
        if kinds[0] is str:
            index: Any = name
        elif get_origin(kinds[0]) is tuple:
            index = tuple(number(part, where, place) for part in name.split(","))
        else:
            index = number(name, where, place)
        out[index] = build(kinds[1], value, where, place)
    return MappingProxyType(out)


def _record(kind: type, raw: Any, where: str, key: str) -> Any:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if isinstance(raw, list):
        if len(raw) > len(fields):
            raise FactError(where, key, raw, f"has more values than {', '.join(fields)}")
        raw = dict(zip(fields, raw, strict=False))
    if not isinstance(raw, dict):
        raise FactError(where, key, raw, f"must give {', '.join(fields)}")
    for name, value in raw.items():
        if name not in fields:
            raise FactError(where, f"{key}.{name}".lstrip("."), value, "is no known key here")
    values = {}
    for name, f in fields.items():
        if name in raw:
            place = f"{key}.{name}".lstrip(".")
            values[name] = build(_types(kind)[name], raw[name], where, place)
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise FactError(where, key, raw, f"lacks '{name}'")
    return kind(**values)


def _member(kind: type[Enum], raw: Any, where: str, key: str) -> Enum:
    try:
        return kind(raw)
    except ValueError:
        known = ", ".join(str(m.value) for m in kind)
        raise FactError(where, key, raw, f"is none of {known}") from None
