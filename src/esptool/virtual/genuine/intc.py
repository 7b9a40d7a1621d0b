# SPDX-License-Identifier: Apache-2.0
"""How peripherals' interrupts reach a processor: the matrix, and the controllers of RISC-V chips.

Sources: ESP-IDF's interrupt_core0_reg.h (C2, C3), plic_reg.h (C6, H2), clic_reg.h (the others).
"""

from __future__ import annotations

from collections.abc import Callable

from esptool.virtual.bus import Registers

_LINE = 31


class Matrix(Registers):
    """Which line of the processor each source is led to, a word a source."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed

    def line(self, source: int) -> int:
        """The line of a source, 0 where it has none."""
        return self.words.get(4 * source, 0) & 0x3F

    def write(self, offset: int, value: int) -> None:
        """Lead a source somewhere."""
        self.words[offset] = value
        self._changed()


class Lines(Registers):
    """C3's controller and the PLIC of C6: enabled lines, a priority each, and a threshold.

    `priorities` and `threshold` are offsets; the enable register is at `enable`.
    """

    def __init__(
        self, changed: Callable[[], None], *, enable: int, priorities: int, threshold: int
    ) -> None:
        super().__init__()
        self._changed = changed
        self._enable, self._priorities, self._threshold = enable, priorities, threshold

    def choose(self, active: list[int]) -> int | None:
        """Of the active lines the one to take, if any."""
        best, line = -1, None
        enabled = self.words.get(self._enable, 0)
        threshold = self.words.get(self._threshold, 0)
        for number in active:
            priority = self.words.get(self._priorities + 4 * number, 0) & 0xF
            if number and enabled >> number & 1 and priority >= threshold and priority > best:
                best, line = priority, number
        return line

    def write(self, offset: int, value: int) -> None:
        """Enable, rank."""
        self.words[offset] = value
        self._changed()


class Both(Registers):
    """The matrix and the controller of a chip that has them in one block of registers."""

    def __init__(self, matrix: Matrix, lines: Lines, border: int) -> None:
        super().__init__()
        self._matrix, self._lines, self._border = matrix, lines, border

    def read(self, offset: int) -> int:
        """Of whichever it is."""
        return (self._matrix if offset < self._border else self._lines).read(offset)

    def write(self, offset: int, value: int) -> None:
        """To whichever it is."""
        (self._matrix if offset < self._border else self._lines).write(offset, value)


class Clic(Registers):
    """The core-local interrupt controller: a word an interrupt with pending, enable, attributes and
    level. Interrupts of peripherals have numbers from 16 on."""

    _FIRST = 0x1000

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed
        #: Level of what the processor does now.
        self.level = 0

    def choose(self, active: list[int]) -> int | None:
        """Of the active lines the one to take, if any; as a number of the controller."""
        best, line = self.level, None
        for number in active:
            word = self.words.get(self._FIRST + 4 * number, 0)
            level = self._level(word)
            if word >> 8 & 1 and level > best:
                best, line = level, number
        return line

    @staticmethod
    def _level(word: int) -> int:
        # Bits below the three that there are read as ones.
        return word >> 24 | 0x1F

    def take(self, number: int) -> int:
        """An interrupt is taken: the level before, as MCAUSE keeps it."""
        before, self.level = self.level, self._level(self.words.get(self._FIRST + 4 * number, 0))
        return before << 16

    def leave(self, cause: int) -> None:
        """A handler is left: back to the level that MCAUSE has kept."""
        if cause >> 31:
            self.level = cause >> 16 & 0xFF
            self._changed()

    def hardware_vector(self, number: int) -> bool:
        """The processor looks its handler up in the table of MTVT."""
        return bool(self.words.get(self._FIRST + 4 * number, 0) >> 16 & 1)

    def read(self, offset: int) -> int:
        """CLICINFO tells of 48 interrupts with 3 bits of level."""
        if offset == 4:
            return 48 | 3 << 21
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Enable, rank."""
        self.words[offset] = value
        self._changed()
