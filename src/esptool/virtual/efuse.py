# SPDX-License-Identifier: Apache-2.0
"""The eFuse controller at register level: bits that only ever turn on, and how they are read.

Where the controllers differ is data in `efuse_map`. Coding schemes are checked by the caller.
"""

from __future__ import annotations

from esptool.virtual.bus import Registers
from esptool.virtual.efuse_map import Block, EfuseMap

_PGM_CMD, _READ_CMD = 2, 1
_WRITE_CODE, _READ_CODE = 0x5A5A, 0x5AA5


class EfuseController(Registers):
    """Burned bits, the registers that show them, and the program and read commands."""

    def __init__(self, layout: EfuseMap) -> None:
        super().__init__()
        self.layout = layout
        self.burned = {b.index: bytearray(4 * b.words) for b in layout.blocks}
        self.refresh()

    # --- for the board -----------------------------------------------------------------------

    def word(self, block: int, word: int) -> int:
        """A burned word, whether or not it may be read."""
        return int.from_bytes(self.burned[block][4 * word : 4 * word + 4], "little")

    def bits(self, place: tuple[int, int, int, int] | None) -> int:
        """Value of (block, word, position, length), 0 where the chip has no such field."""
        if place is None:
            return 0
        block, word, position, length = place
        return self.word(block, word) >> position & ((1 << length) - 1)

    def burn(self, block: int, data: bytes) -> None:
        """Turn on the bits that are 1 in `data`."""
        cells = self.burned[block]
        for i, value in enumerate(data[: len(cells)]):
            cells[i] |= value

    def burn_bits(self, place: tuple[int, int, int, int], value: int) -> None:
        """Turn on bits of a field."""
        block, word, position, length = place
        bits = (value & ((1 << length) - 1)) << position
        self.burn(block, bytes(4 * word) + bits.to_bytes(8, "little"))

    def burn_register(self, address: int, value: int) -> bool:
        """Turn on bits by the address of their read register; False where there is none."""
        offset = address - self.layout.base
        for block in self.layout.blocks:
            if block.read <= offset < block.read + 4 * block.words:
                self.burn(block.index, bytes(offset - block.read) + value.to_bytes(4, "little"))
                return True
        return False

    def refresh(self) -> None:
        """Copy the burned bits to the read registers, except those that are read-protected."""
        hidden = self.bits(self.layout.read_disable)
        for block in self.layout.blocks:
            secret = any(hidden >> bit & 1 for bit in block.read_disable_bits)
            for i in range(block.words):
                shown = 0 if secret else self.word(block.index, i)
                self.words[block.read + 4 * i] = shown

    # --- for the bus -------------------------------------------------------------------------

    def read(self, offset: int) -> int:
        """CMD reads as idle: a command is over before the bus sees it."""
        if offset == self.layout.command:
            return 0
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """CMD with the right code in CONF burns or reads; read registers ignore writes."""
        if offset == self.layout.command:
            self._command(value)
        elif not self._is_read_register(offset):
            self.words[offset] = value

    def _is_read_register(self, offset: int) -> bool:
        return any(b.read <= offset < b.read + 4 * b.words for b in self.layout.blocks)

    def _command(self, value: int) -> None:
        code = self.words.get(self.layout.config, 0) & 0xFFFF
        if value & _PGM_CMD and code == _WRITE_CODE:
            for block in self.layout.blocks:
                if block.write is not None or block.index == value >> 2 & 0xF:
                    self._program(block)
        elif value & _READ_CMD and code == _READ_CODE:
            self.refresh()

    def _program(self, block: Block) -> None:
        start = block.write if block.write is not None else 0
        if block.write_disable_bit is not None and self.word(0, 0) >> block.write_disable_bit & 1:
            return
        words = (self.words.get(start + 4 * i, 0) for i in range(block.words))
        self.burn(block.index, b"".join(w.to_bytes(4, "little") for w in words))


class OtpWords(Registers):
    """ESP8266: four words of factory-set memory, read only."""

    def write(self, offset: int, value: int) -> None:
        """Writes have no effect."""
