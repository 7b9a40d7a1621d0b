# SPDX-License-Identifier: Apache-2.0
"""Reads the files of `facts/`: values without their sources, and errors that name file, key, value.

`facts/README.md` describes the format. A value without a source is an error, and so is a shared
record that is named but is not there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: The files of a chip's folder.
PARTS = ("host", "silicon", "efuse")


class FactError(Exception):
    """A fact that cannot be right: `where` is its file, `key` the path of keys to it."""

    def __init__(self, where: Path | str, key: str, value: object, text: str) -> None:
        shown = json.dumps(value, default=str)
        if len(shown) > 60:
            shown = shown[:57] + "..."
        super().__init__(f"{where}: {key}: {shown}: {text}")
        self.where, self.key, self.value = where, key, value


def chips(facts: Path, part: str = "host") -> list[str]:
    """The chips (folder names, sorted) that have the file `<part>.json`."""
    return sorted(path.parent.name for path in facts.glob(f"*/{part}.json"))


def load(facts: Path, chip: str, part: str) -> dict[str, Any]:
    """The values of `facts/<chip>/<part>.json`, without their sources.

    Raises:
        FactError: no JSON, a value without a source, or a shared record that is not there.
    """
    return load_file(facts / chip / f"{part}.json", facts / "shared")


def load_file(path: Path, shared: Path) -> dict[str, Any]:
    """The values of one file; see `load`."""
    where = f"{path.parent.name}/{path.name}"
    raw = _parse(path, where)
    values = _strip(raw, where, "", None, shared)
    if not isinstance(values, dict):
        raise FactError(where, "", raw, "the file must hold an object")
    return values


def number(value: object, where: str, key: str, low: int = 0, high: int = 0xFFFFFFFF) -> int:
    """An integer: a JSON number, or a text such as "0x60003000"."""
    result = value
    if isinstance(value, str):
        try:
            result = int(value, 0)
        except ValueError:
            raise FactError(where, key, value, "is not a number") from None
    if not isinstance(result, int) or isinstance(result, bool):
        raise FactError(where, key, value, "is not a number")
    if not low <= result <= high:
        raise FactError(where, key, value, f"is not between {low:#x} and {high:#x}")
    return result


def _parse(path: Path, where: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, value in pairs:
            if name in out:
                raise FactError(where, name, value, "the key appears twice")
            out[name] = value
        return out

    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)
    except json.JSONDecodeError as e:
        raise FactError(where, f"line {e.lineno}", e.doc[e.pos : e.pos + 20], e.msg) from None


def _strip(raw: Any, where: str, key: str, source: str | None, shared: Path) -> Any:
    """`raw` without its `src`; `source` is that of the object around it."""
    if isinstance(raw, dict):
        given = raw.get("src", source)
        if "src" in raw and (not isinstance(given, str) or not given.strip()):
            raise FactError(where, f"{key}.src".lstrip("."), given, "a source is a text")
        if "v" in raw and not raw.keys() - {"v", "src", "note"}:
            return _strip(raw["v"], where, key, given, shared)
        body = {k: v for k, v in raw.items() if k not in ("src", "note", "use")}
        if "use" in raw:
            return _shared(raw["use"], where, key, shared) | _strip(body, where, key, given, shared)
        return {
            k: _strip(v, where, f"{key}.{k}".lstrip("."), given, shared) for k, v in body.items()
        }
    if source is None:
        raise FactError(where, key, raw, "has no source: add `src` to its object or one around it")
    if isinstance(raw, list):
        return [_strip(v, where, f"{key}[{i}]", source, shared) for i, v in enumerate(raw)]
    return raw


def _shared(name: object, where: str, key: str, shared: Path) -> dict[str, Any]:
    path = shared / f"{name}.json"
    if not path.is_file():
        raise FactError(where, f"{key}.use".lstrip("."), name, f"there is no shared/{name}.json")
    return load_file(path, shared)
