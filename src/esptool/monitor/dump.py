# SPDX-License-Identifier: Apache-2.0
"""Registers and stack of a program that failed, as far as they are known."""

from __future__ import annotations

from bisect import bisect_right

_WORD = 4


class Dump:
    """Registers by the names of a panic dump, and words of the stack by address."""

    def __init__(self) -> None:
        self.registers: dict[str, int] = {}
        self.rows: dict[int, int] = {}
        self._memory: list[tuple[int, bytes]] = []
        self._starts: list[int] = []

    def add_row(self, address: int, words: list[int]) -> None:
        """Words from an address on."""
        for number, word in enumerate(words):
            self.rows[address + _WORD * number] = word

    def add_memory(self, address: int, data: bytes) -> None:
        """A piece of memory as it was."""
        self._memory.append((address, data))
        self._memory.sort()
        self._starts = [start for start, _ in self._memory]

    def word(self, address: int) -> int | None:
        """The word at an address, None where the dump does not hold it."""
        if (found := self.rows.get(address)) is not None:
            return found
        at = bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        start, data = self._memory[at]
        if address - start + _WORD > len(data):
            return None
        return int.from_bytes(data[address - start : address - start + _WORD], "little")
