# SPDX-License-Identifier: Apache-2.0
"""What differs between two NVS, by what they hold and not by how it lies in flash."""

from __future__ import annotations

from dataclasses import dataclass

from esptool.nearest import checks_keywords
from esptool.storage.nvs.nvs import Nvs
from esptool.storage.nvs.values import Entry


@dataclass(frozen=True, slots=True)
class Difference:
    """A key that does not have the same value in both.

    Attributes:
        namespace, key: its names.
        old, new: its value in the first and in the second; None where it has none there.
    """

    namespace: str
    key: str
    old: Entry | None
    new: Entry | None


@checks_keywords()
def compare(old: Nvs, new: Nvs) -> list[Difference]:
    """The keys whose type or value differ, by name. A damaged value differs from every other."""
    before, after = _by_name(old), _by_name(new)
    found = []
    for where in sorted(before.keys() | after.keys()):
        a, b = before.get(where), after.get(where)
        same = a is not None and b is not None and (a.kind, a.raw) == (b.kind, b.raw)
        if not same or a is None or a.raw is None:
            found.append(Difference(*where, a, b))
    return found


def _by_name(nvs: Nvs) -> dict[tuple[str, str], Entry]:
    found: dict[tuple[str, str], Entry] = {}
    for entry in nvs.entries():
        found.setdefault((entry.namespace, entry.key), entry)
    return found
