# SPDX-License-Identifier: Apache-2.0
"""The silicon witness of one chip, and the rows in which two witnesses are compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NO_WITNESS = ("no second source", "host")


@dataclass(frozen=True)
class Row:
    """One fact that both hold."""

    chip: str
    name: str
    host: Any
    silicon: Any


class Silicon:
    """The values of one `silicon.json` that have a source of their own, or with `believed` all."""

    def __init__(self, facts: Path, chip: str, believed: bool = False) -> None:
        raw = json.loads((facts / chip / "silicon.json").read_text(encoding="utf-8"))
        self.values = {
            name: plain(entry["v"])
            for name, entry in raw["values"].items()
            if believed or not entry["src"].startswith(NO_WITNESS)
        }
        self.efuses: dict[int, dict[str, Any]] = {
            int(since): {
                name: entry
                for name, entry in fields.items()
                if name != "src" and (believed or not entry["src"].startswith(NO_WITNESS))
            }
            for since, fields in raw["efuses"].items()
        }

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def versions(self, name: str) -> dict[int, Any]:
        """A value by the first revision that has it: `rom.X` and `rom@101.X`."""
        head, _, tail = name.partition(".")
        found = {}
        for key, value in self.values.items():
            prefix, _, rest = key.partition(".")
            kind, _, since = prefix.partition("@")
            if (kind, rest) == (head, tail):
                found[int(since or 0)] = value
        return found

    def register(self, block: int, bit: int) -> tuple[int, int] | None:
        """(address, shift) of a bit of an eFuse block."""
        name = {0: "rd_wr_dis", 10: "rd_sys_part2"}.get(block, f"rd_block{block}")
        base = self.get(f"efuse.{name}")
        return None if base is None else (base + bit // 32 * 4, bit % 32)

    def field(self, revision: int, *names: str) -> list[tuple[int, int]] | None:
        """The bits of an eFuse field as (address, shift), from bit 0 up; None if not known."""
        since = max((s for s in self.efuses if s <= revision), default=None)
        if since is None:
            return None
        bits: list[tuple[int, int]] = []
        for name in names:
            entry = self.efuses[since].get(name)
            if entry is None:
                return None
            block, spans = entry["at"]
            for start, length in spans:
                for bit in range(start, start + length):
                    place = self.register(block, bit)
                    if place is None:
                        return None
                    bits.append(place)
        return bits


def plain(value: Any) -> Any:
    """Numbers that are written as texts, as numbers."""
    if isinstance(value, str) and value.startswith("0x"):
        return int(value, 16)
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


#: Name, what the host says, what silicon says.
Pairs = Iterator[tuple[str, Any, Any]]
