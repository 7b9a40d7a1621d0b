# SPDX-License-Identifier: Apache-2.0
"""The values of one `silicon.json` by their names, each of the type that is wanted."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

from esptool.virtual.silicon import spec
from generate.files import FactError, load, number


class Values:
    """The values of one file by their names."""

    def __init__(self, facts: Path, chip: str) -> None:
        self.chip = chip
        self.where = f"{chip}/silicon.json"
        raw = load(facts, chip, "silicon")
        self.values: dict[str, Any] = raw["values"]
        self.shape: Any = raw.get("shape")
        self.tables = {int(since): fields for since, fields in raw["efuses"].items()}
        self.fields: dict[str, Any] = self.tables.get(0, {})

    def get(self, key: str) -> Any:
        if key not in self.values:
            raise FactError(self.where, key, None, "is missing")
        return self.values[key]

    def number(self, key: str) -> int:
        return number(self.get(key), self.where, key)

    def maybe(self, key: str) -> int | None:
        return self.number(key) if key in self.values else None

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str):
            raise FactError(self.where, key, value, "is no text")
        return value

    def flag(self, key: str) -> bool:
        value = self.get(key)
        if not isinstance(value, bool):
            raise FactError(self.where, key, value, "is neither true nor false")
        return value

    def one_of(self, key: str, kind: type[Enum]) -> Any:
        try:
            return kind(self.get(key))
        except ValueError:
            known = ", ".join(str(member.value) for member in kind)
            raise FactError(self.where, key, self.get(key), f"is none of {known}") from None

    def bit(self, register: str, field: str) -> spec.Bit:
        shift, width = self.get(field)
        return spec.Bit(self.number(register), shift, width)

    def sinces(self, prefix: str) -> list[int]:
        """The revisions from which on values of this kind are others."""
        found = {0}
        for key in self.values:
            if key.startswith(f"{prefix}@"):
                found.add(int(key.partition("@")[2].partition(".")[0]))
        return sorted(found)

    def latest(self, prefix: str, name: str, since: int) -> Any:
        """A value that may have changed with a revision; None where it is not there."""
        for revision in reversed(self.sinces(prefix)):
            key = f"{prefix}@{revision}.{name}" if revision else f"{prefix}.{name}"
            if revision <= since and key in self.values:
                return self.values[key]
        return None
