# SPDX-License-Identifier: Apache-2.0
"""The eFuse controller at register level: bits that only ever turn on, and how they are read.

Where the controllers differ is data in `efuse_map` and `efuse_rules`. Blocks keep their check bits
as silicon does: a block burned twice or in part reads with errors, and says so in its registers.
"""

from __future__ import annotations

from esptool.virtual import efuse_rules
from esptool.virtual.bus import Registers
from esptool.virtual.efuse_map import Block, EfuseMap

_PGM_CMD, _READ_CMD = 2, 1
_WRITE_CODE, _READ_CODE = 0x5A5A, 0x5AA5


class EfuseController(Registers):
    """Burned bits, the registers that show them, and the program and read commands."""

    def __init__(self, layout: EfuseMap) -> None:
        super().__init__()
        self.layout = layout
        self.rules = efuse_rules.of(layout)
        #: check bytes of the blocks that were burned by command; others are taken for sound
        self.check: dict[int, bytearray] = {}
        #: (block to bits of its code word) that the next command fails to turn on: a weak supply
        self.weak: dict[int, int] = {}
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
        self.check.pop(block, None)
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
        self.words.update(self.rules.no_errors())
        for block in self.layout.blocks:
            data = self._decoded(block)
            for part, bit in enumerate(block.read_disable_bits):
                if hidden >> bit & 1:
                    size = len(data) // len(block.read_disable_bits)
                    data[part * size : (part + 1) * size] = bytes(size)
            if block.index == 0:
                data = self.rules.without_hidden(data, hidden)
            for i in range(block.words):
                word = data[4 * i : 4 * i + 4].ljust(4, b"\0")
                self.words[block.read + 4 * i] = int.from_bytes(word, "little")

    def _decoded(self, block: Block) -> bytearray:
        """A block's data as the controller shows it, its error registers set."""
        cells = bytearray(self.burned[block.index])
        if block.index == 0:
            return cells
        if self.rules.coded:
            check = self.check.get(block.index)
            if check is None:
                return cells
            data, count, fail = efuse_rules.decode_rs(bytes(cells), bytes(check))
            self._report(self.rules.block_error(block.index, count, fail))
            return bytearray(data)
        if block.index in self.check and self.bits(efuse_rules.CODING_SCHEME) == 1:
            data, fail = efuse_rules.decode_3_4(bytes(cells))
            if fail:
                self._report(self.rules.decode_error(block.index))
            return bytearray(data)
        return cells

    def _report(self, registers: dict[int, int]) -> None:
        for offset, bits in registers.items():
            self.words[offset] = self.words.get(offset, 0) | bits

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
        locks = self.word(0, 0)
        if block.write_disable_bit is not None and locks >> block.write_disable_bit & 1:
            return
        data = self._window(start, block.words)
        if block.index == 0:
            data &= ~self.rules.locked(locks)
        new = data
        if self.rules.coded and block.index:
            new |= self._window(self.rules.check_offset, 3) << block.words * 32
        new &= ~self.weak.pop(block.index, 0)
        if block.index == 0:
            self.burn(0, new.to_bytes(4 * block.words, "little"))
        elif new:
            self._add(block, new)

    def _window(self, start: int, count: int) -> int:
        return sum(self.words.get(start + 4 * i, 0) << 32 * i for i in range(count))

    def _add(self, block: Block, code: int) -> None:
        """Turn on bits of a coded block: data and check bytes."""
        size = 4 * block.words
        cells = self.burned[block.index]
        check = self.check.get(block.index)
        if check is None:
            check = bytearray(efuse_rules.rs_check(bytes(cells)) if self.rules.coded else b"")
        new = code.to_bytes(size + efuse_rules.RS_CHECK_BYTES, "little")
        for i in range(size):
            cells[i] |= new[i]
        for i in range(len(check)):
            check[i] |= new[size + i]
        self.check[block.index] = check


class OtpWords(Registers):
    """ESP8266: four words of factory-set memory, read only."""

    def write(self, offset: int, value: int) -> None:
        """Writes have no effect."""
