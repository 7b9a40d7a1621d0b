# SPDX-License-Identifier: Apache-2.0
"""Sequences of changes to an NVS, the same for every run and every version of Python."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from esptool.storage.nvs.layout import ItemType
from esptool.storage.nvs.medium import Medium
from esptool.storage.nvs.store import NvsFullError, Store

TYPES = (ItemType.U8, ItemType.I32, ItemType.STRING, ItemType.BLOB, ItemType.U64)
LENGTHS = (1, 31, 32, 33, 90, 700, 1984, 3900, 4000, 6000)


class Dice:
    """Numbers that only depend on a seed."""

    def __init__(self, seed: object) -> None:
        self._seed = seed
        self._count = 0

    def bytes(self, size: int) -> bytes:
        self._count += 1
        return hashlib.shake_128(f"{self._seed}/{self._count}".encode()).digest(size)

    def below(self, limit: int) -> int:
        return int.from_bytes(self.bytes(8), "little") % limit


@dataclass(frozen=True)
class Step:
    """`set`, `delete` (a key), `clear` (a namespace) or `start` (the library starts anew)."""

    action: str
    namespace: str = ""
    key: str = ""
    type: ItemType = ItemType.U8
    data: bytes = b""


def steps(seed: object, count: int, keys: int, longest: int) -> list[Step]:
    """Changes; values have up to `longest` bytes."""
    dice = Dice(seed)
    lengths = [n for n in LENGTHS if n <= longest]
    found = []
    for _ in range(count):
        namespace = ("app", "wifi", "log")[dice.below(3)]
        number = dice.below(keys)
        chance = dice.below(100)
        if chance < 80:
            kind = TYPES[dice.below(5) if dice.below(8) == 0 else number % 5]
            if kind is ItemType.STRING:
                size = min(lengths[dice.below(len(lengths))], 3900)
                data = dice.bytes(size - 1).replace(b"\0", b"-") + b"\0"
            elif kind is ItemType.BLOB:
                data = dice.bytes(lengths[dice.below(len(lengths))])
            else:
                data = dice.bytes(int(kind) & 0xF)
            found.append(Step("set", namespace, f"key{number}", kind, data))
        elif chance < 92:
            found.append(Step("delete", namespace, f"key{number}"))
        elif chance < 94:
            found.append(Step("clear", namespace))
        else:
            found.append(Step("start"))
    return found


def play(medium: Medium, script: list[Step]) -> None:
    """Do the steps; what does not fit leaves no trace, and the library starts anew."""
    store = Store(medium)
    for step in script:
        before, done = bytes(medium.image), len(medium.changes)
        try:
            _one(store, step)
        except NvsFullError:
            medium.image[:] = before
            del medium.changes[done:]
            store = Store(medium)
        if step.action == "start":
            store = Store(medium)


def _one(store: Store, step: Step) -> None:
    name = step.key.encode().ljust(16, b"\0")
    if step.action == "set":
        store.set(store.namespace(step.namespace.encode()), step.type, name, step.data)
        return
    index = store.namespaces.get(step.namespace.encode())
    if index is not None and step.action == "delete":
        store.delete(index, name)
    if index is not None and step.action == "clear":
        store.delete_namespace(index)
