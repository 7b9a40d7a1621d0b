# SPDX-License-Identifier: Apache-2.0
"""The eFuse controller at register level: bits that only ever turn on, and how they are read.

Where the controllers differ is data of the silicon. Blocks keep their check bits as silicon does: a
block burned twice or in part reads with errors, and says so in its registers.
"""

from __future__ import annotations

from esptool.virtual import efuse_coding
from esptool.virtual.bus import Registers
from esptool.virtual.silicon.spec import Block, Efuse, Field, locks

_PGM_CMD, _READ_CMD = 2, 1


class EfuseController(Registers):
    """Burned bits, the registers that show them, and the program and read commands.

    Attributes:
        layout: the controller's registers, blocks and fields.
        locks: which bits protect which, in the chip's revision.
        burned: block to bytes, whether or not software may read them.
    """

    def __init__(self, layout: Efuse, revision: int = 0) -> None:
        super().__init__()
        self.layout = layout
        self.locks = locks(layout, revision)
        #: check bytes of the blocks that were burned by command; others are taken for sound
        self.check: dict[int, bytearray] = {}
        #: (block to bits of its code word) that the next command fails to turn on: a weak supply
        self.weak: dict[int, int] = {}
        self.burned = {b.index: bytearray(4 * b.words) for b in layout.blocks}
        self._blocks = {b.index: b for b in layout.blocks}
        self._no_errors = self._error_registers()
        self.refresh()

    def _error_registers(self) -> dict[int, int]:
        registers = [*self.layout.block0_errors]
        for error in self.layout.block_errors:
            registers += (error.register, error.fail_register)
        if self.layout.decode_status is not None:
            registers.append(self.layout.decode_status)
        return dict.fromkeys(registers, 0)

    # --- for the board -----------------------------------------------------------------------

    def word(self, block: int, word: int) -> int:
        """A burned word, whether or not it may be read."""
        return int.from_bytes(self.burned[block][4 * word : 4 * word + 4], "little")

    def bits(self, field: Field | None) -> int:
        """Burned value of a field, 0 where the chip has no such field."""
        value = 0
        for block, position, length, shift in field or ():
            cells = int.from_bytes(self.burned[block], "little")
            value |= (cells >> position & ((1 << length) - 1)) << shift
        return value

    def named(self, name: str) -> int:
        """Burned value of a field by its name in the layout."""
        return self.bits(self.layout.fields.get(name))

    def shown(self, field: Field) -> int:
        """Value of a field as the read registers show it."""
        value = 0
        for block, position, length, shift in field:
            entry = self._blocks[block]
            cells = sum(self.words.get(entry.read + 4 * i, 0) << 32 * i for i in range(entry.words))
            value |= (cells >> position & ((1 << length) - 1)) << shift
        return value

    def burn(self, block: int, data: bytes) -> None:
        """Turn on the bits that are 1 in `data`."""
        cells = self.burned[block]
        self.check.pop(block, None)
        for i, value in enumerate(data[: len(cells)]):
            cells[i] |= value

    def burn_bits(self, field: Field, value: int) -> None:
        """Turn on bits of a field."""
        for block, position, length, shift in field:
            bits = (value >> shift & ((1 << length) - 1)) << position
            self.burn(block, bits.to_bytes(len(self.burned[block]), "little"))

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
        hidden = self.named("read_disable")
        self.words.update(self._no_errors)
        for block in self.layout.blocks:
            data = self._decoded(block)
            for part, bit in enumerate(block.read_disable):
                if hidden >> bit & 1:
                    size = len(data) // len(block.read_disable)
                    data[part * size : (part + 1) * size] = bytes(size)
            if block.index == 0:
                data = self._without_hidden(data, hidden)
            for i in range(block.words):
                word = data[4 * i : 4 * i + 4].ljust(4, b"\0")
                self.words[block.read + 4 * i] = int.from_bytes(word, "little")

    def _without_hidden(self, data: bytearray, read_disable: int) -> bytearray:
        """Block 0 with the fields that software may not see as zeros."""
        value = int.from_bytes(data, "little")
        for bit, mask in self.locks.hide:
            if read_disable >> bit & 1:
                value &= ~mask
        return bytearray(value.to_bytes(len(data), "little"))

    def _decoded(self, block: Block) -> bytearray:
        """A block's data as the controller shows it, its error registers set."""
        cells = bytearray(self.burned[block.index])
        check = self.check.get(block.index)
        if block.index == 0 or check is None:
            return cells
        if self.layout.check is not None:
            plain, count, fail = efuse_coding.decode_rs(bytes(cells), bytes(check))
            self._report(block.index, count, fail)
            return bytearray(plain)
        if self.named("coding_scheme") == 1:
            plain, fail = efuse_coding.decode_3_4(bytes(cells))
            if fail and (status := self.layout.decode_status) is not None:
                # Four bits a block.
                self.words[status] = self.words.get(status, 0) | 0xF << 4 * (block.index - 1)
            return bytearray(plain)
        return cells

    def _report(self, block: int, count: int, fail: bool) -> None:
        for error in self.layout.block_errors:
            if error.block != block:
                continue
            self.words[error.register] = (
                self.words.get(error.register, 0) | (count & error.count_mask) << error.count_shift
            )
            if fail and error.fail is not None:
                self.words[error.fail_register] = (
                    self.words.get(error.fail_register, 0) | 1 << error.fail
                )

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
        if value & _PGM_CMD and code == self.layout.write_code:
            for block in self.layout.blocks:
                if block.write is not None or block.index == value >> 2 & 0xF:
                    self._program(block)
        elif value & _READ_CMD and code == self.layout.read_code:
            self.refresh()

    def _program(self, block: Block) -> None:
        start = block.write if block.write is not None else self.layout.window
        disabled = self.named("write_disable")
        if block.write_disable is not None and disabled >> block.write_disable & 1:
            return
        data = self._window(start, block.words)
        if block.index == 0:
            for bit, mask in self.locks.write:
                if disabled >> bit & 1:
                    data &= ~mask
        new = data
        if self.layout.check is not None and block.index:
            new |= self._window(self.layout.check, 3) << block.words * 32
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
            coded = self.layout.check is not None
            check = bytearray(efuse_coding.rs_check(bytes(cells)) if coded else b"")
        new = code.to_bytes(size + efuse_coding.RS_CHECK_BYTES, "little")
        for i in range(size):
            cells[i] |= new[i]
        for i in range(len(check)):
            check[i] |= new[size + i]
        self.check[block.index] = check


class OtpWords(Registers):
    """ESP8266: four words of factory-set memory, read only."""

    def write(self, offset: int, value: int) -> None:
        """Writes have no effect."""
