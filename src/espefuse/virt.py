# SPDX-License-Identifier: Apache-2.0
"""The chip behind `--virt`: eFuse registers in memory, kept in a file if one is named.

It obeys the controller's commands (burning only sets bits, write-protected groups stay, hidden
blocks read as zero) with code of its own, and the file has the layout that `--path-efuse-file`
has always had: the whole register space, last register first, big-endian words. It is no serial
chip; `esptool.virtual` is.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

from espefuse import schema
from espefuse.coding import (
    CHUNK_DATA_BYTES,
    RS_DATA_BYTES,
    THREE_QUARTERS,
    chunk_3_4,
    from_words,
    rs_parity,
    to_words,
)
from espefuse.memory_file import MemoryFile
from espefuse.schema import BlockDef, ChipTable, FieldDef
from esptool.errors import FatalError

if TYPE_CHECKING:
    from espefuse.token import Token

#: The crystal of a chip that leaves a choice, or whose controller needs no timing.
USUAL_CRYSTAL_MHZ = 40
ESP32_DATE_REGISTER = 0x3FF6607C
ESP32_DATE_VALUE = 0x80000000


class VirtualEfuses:
    """Registers of an eFuse controller in memory; a `RegisterAccess`.

    `get_chip_revision` follows the wafer version fields, as on silicon.
    """

    USB_JTAG_SERIAL_PID = 0x1001

    def __init__(self, chip: str, path: str | os.PathLike[str] | None = None) -> None:
        self.table: ChipTable = schema.load(chip)
        self.CHIP_NAME = self.table.chip
        self.file = MemoryFile(path) if path else None
        self.mem = bytearray(self.table.memory_bytes)
        registers = self.table.registers
        #: Registers that no file keeps (see `ChipTable.unsettled_timing`).
        self._aside = {registers[name]: 0 for name, _, _ in self.table.unsettled_timing}
        self.fields: dict[str, FieldDef] = {f.name: f for f in self.table.fields}
        if self.file is not None:
            self._load(self.file)

    # --- the file ------------------------------------------------------------------------------

    def _load(self, file: MemoryFile) -> None:
        stored = file.load()
        if not stored:
            self.save()
        elif len(stored) != len(self.mem):
            raise FatalError(
                f"The eFuse file '{file.path}' has {len(stored)} bytes, but that of "
                f"{self.table.chip} has {len(self.mem)}: it belongs to another chip.",
                remedy="Name another file, or delete this one to start with blank eFuses.",
            )
        else:
            self.mem[:] = stored[::-1]

    def keep_in(self, path: str | os.PathLike[str]) -> None:
        """Keep the memory in this file from now on, whatever it held."""
        self.file = MemoryFile(path)
        self.save()

    def save(self) -> None:
        """Write the memory to its file, if it has one."""
        if self.file is not None:
            self.file.save(bytes(self.mem[::-1]))

    def load_token(self, token: Token) -> None:
        """Take over the blocks and error registers of a token.

        Raises:
            FatalError: the token's blocks are not those of this chip.
        """
        blocks = self.table.blocks
        if len(token.blocks) != len(blocks):
            raise FatalError(
                f"The eFuse token has {len(token.blocks)} blocks, but {self.CHIP_NAME} has "
                f"{len(blocks)}."
            )
        for block, data in zip(blocks, token.blocks, strict=True):
            if len(data) > block.words * 4:
                raise FatalError(
                    f"BLOCK{block.index} of the eFuse token has {len(data)} bytes, "
                    f"but {self.CHIP_NAME}'s has {block.words * 4}."
                )
            self._set_data(block, int.from_bytes(data, "little"))
        registers = [*self.table.block0_errors, *(a for _, a in self.table.status_registers)]
        if len(token.errors) > 4 * len(registers):
            raise FatalError("The eFuse token has more error registers than the chip.")
        for i, address in enumerate(registers):
            self._set_word(address, int.from_bytes(token.errors[4 * i : 4 * i + 4], "little"))

    # --- registers -----------------------------------------------------------------------------

    def _word(self, addr: int) -> int:
        at = addr - self.table.base
        return int.from_bytes(self.mem[at : at + 4], "little")

    def _set_word(self, addr: int, value: int) -> None:
        at = addr - self.table.base
        self.mem[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")

    def read_reg(self, addr: int) -> int:
        """The word at `addr`, 0 outside of the controller."""
        if addr == ESP32_DATE_REGISTER:
            return ESP32_DATE_VALUE
        if addr in self._aside:
            return self._aside[addr]
        return self._word(addr) if self._inside(addr) else 0

    def read_regs(self, addresses: list[int]) -> list[int]:
        """The words at `addresses`."""
        return [self.read_reg(addr) for addr in addresses]

    def _inside(self, addr: int) -> bool:
        return 0 <= addr - self.table.base <= len(self.mem) - 4

    def write_reg(
        self,
        addr: int,
        value: int,
        mask: int = 0xFFFFFFFF,
        delay_us: int = 0,
        delay_after_us: int = 0,
    ) -> None:
        """Write the bits of `value` that `mask` names, and do what they ask the controller for."""
        if addr in self._aside:
            self._aside[addr] = (self._aside[addr] & ~mask) | (value & mask)
        elif self._inside(addr):
            self._store(addr, value, mask)

    def _store(self, addr: int, value: int, mask: int) -> None:
        self._set_word(addr, (self._word(addr) & ~mask) | (value & mask))
        if addr == self.table.registers["CMD"]:
            self._command(value)

    def update_reg(self, addr: int, mask: int, new_val: int) -> None:
        """Set the bits under `mask`; unlike on a real chip the value is not shifted to them.

        That is what the files of `--path-efuse-file` hold since they exist.
        """
        self.write_reg(addr, new_val, mask)

    # --- chip facts ----------------------------------------------------------------------------

    def get_crystal_freq(self) -> int:
        """Crystal frequency in MHz."""
        allowed = self.table.xtal_mhz
        return allowed[0] if len(allowed) == 1 else USUAL_CRYSTAL_MHZ

    def get_chip_revision(self) -> int:
        """major * 100 + minor."""
        return self.get_major_chip_version() * 100 + self.get_minor_chip_version()

    def get_major_chip_version(self) -> int:
        """Major part of the revision."""
        return self._number("WAFER_VERSION_MAJOR")

    def get_minor_chip_version(self) -> int:
        """Minor part of the revision."""
        return self._number("WAFER_VERSION_MINOR")

    def get_chip_description(self) -> str:
        """Name and revision."""
        major, minor = self.get_major_chip_version(), self.get_minor_chip_version()
        return f"{self.CHIP_NAME} (revision v{major}.{minor})"

    def _number(self, name: str) -> int:
        """A field's raw value, or the value computed from its parts."""
        f = self.fields.get(name)
        if f is None:
            return 0
        if f.bit is not None:
            return (self._data(self.table.blocks[f.block]) >> f.bit) & f.mask
        value = 0
        for source, shift, width in f.bits_from:
            part = 1 if " " in source else self._number(source)
            value |= (part & ((1 << width) - 1)) << shift
        return f.value_map.get(value, 0) if f.value_map else value

    # --- what the controller does --------------------------------------------------------------

    def _data(self, block: BlockDef) -> int:
        return from_words([self._word(block.read_addr + 4 * i) for i in range(block.words)])

    def _set_data(self, block: BlockDef, data: int) -> None:
        for i, word in enumerate(to_words(data, block.words)):
            self._set_word(block.read_addr + 4 * i, word)

    def _command(self, value: int) -> None:
        registers = self.table.registers
        conf = self._word(registers["CONF"])
        burns = bool(value & 0x02) and conf == 0x5A5A
        if not burns and not (value & 0x01 and conf == 0x5AA5):
            return
        with self.file.change() if self.file is not None else nullcontext():
            if burns and self.table.controller == "direct":
                self._burn_direct()
            elif burns:
                self._burn_window(value >> 2)
            self._hide()
            self._set_word(registers["CMD"], 0)
            self.save()

    def _burn_direct(self) -> None:
        for block in self.table.blocks:
            addresses = [block.write_addr + 4 * i for i in range(block.words)]
            written = from_words([self._word(a) for a in addresses])
            if written:
                self._merge(block, self._decode_3_4(written) if block.index else written)
            for address in addresses:
                self._set_word(address, 0)

    def _burn_window(self, index: int) -> None:
        block = self.table.blocks[index]
        window = self.table.registers["PGM_DATA0"]
        count = self.table.block0_words if index == 0 else 11
        words = [self._word(window + 4 * i) for i in range(count)]
        data = from_words(words[: max(block.words, 8)])
        if index:
            parity = from_words(words[8:11]).to_bytes(12, "little")
            plain = from_words(words[:8]).to_bytes(RS_DATA_BYTES, "little")
            if rs_parity(plain) != parity:
                raise FatalError(
                    f"The check words for BLOCK{index} do not fit its data: nothing is burned."
                )
        self._merge(block, data & ((1 << block.words * 32) - 1))

    def _decode_3_4(self, coded: int) -> int:
        """Data of an ESP32 block by the scheme in force; wrong check bytes are refused."""
        scheme = self._number("CODING_SCHEME")
        if scheme != THREE_QUARTERS.number:
            return coded
        plain = bytearray()
        raw = coded.to_bytes(32, "little")
        for at in range(0, 32, CHUNK_DATA_BYTES + 2):
            chunk = raw[at : at + CHUNK_DATA_BYTES + 2]
            if chunk != chunk_3_4(chunk[:CHUNK_DATA_BYTES]):
                raise FatalError("The check bytes of the 3/4 coding scheme do not fit the data.")
            plain += chunk[:CHUNK_DATA_BYTES]
        return int.from_bytes(plain, "little")

    def _merge(self, block: BlockDef, new: int) -> None:
        old = self._data(block)
        self._set_data(block, old | (new & ~self._locked(block)))

    def _locked(self, block: BlockDef) -> int:
        """The bits of a block that WR_DIS protects."""
        wr_dis = self._number("WR_DIS")
        if not wr_dis:
            return 0
        if block.wr_dis is not None and wr_dis >> block.wr_dis & 1:
            return -1
        locked = 0
        if block.index == 0:
            for f in self.table.fields:
                here = f.block == 0 and f.bit is not None
                if here and f.wr_dis is not None and wr_dis >> f.wr_dis & 1:
                    locked |= f.mask << (f.bit or 0)
        return locked

    def _hide(self) -> None:
        """Hidden blocks and fields read as zero."""
        rd_dis = self._number("RD_DIS")
        if not rd_dis:
            return
        for block in self.table.blocks:
            self._hide_bits(block, 0, block.words * 32, block.rd_dis, rd_dis)
        for f in self.table.fields:
            if f.block == 0 and f.bit is not None and f.rd_dis:
                self._hide_bits(self.table.blocks[0], f.bit, f.length, f.rd_dis, rd_dis)

    def _hide_bits(
        self, block: BlockDef, start: int, length: int, bits: tuple[int, ...], rd_dis: int
    ) -> None:
        if not bits:
            return
        data = self._data(block)
        part = length // len(bits)
        for i, bit in enumerate(bits):
            if rd_dis >> bit & 1:
                data &= ~(((1 << part) - 1) << start + i * part)
        self._set_data(block, data)
