# SPDX-License-Identifier: Apache-2.0
"""Commands on the SPI-flash bus, made by poking the SPI controller's registers.

Works in the ROM loader and in any stub. Sources: the SPI chapters of the technical reference
manuals (user-defined transactions: USR, USR1, USR2, data lengths, W0 buffer).
"""

from __future__ import annotations

from dataclasses import dataclass

from esptool.device import ext
from esptool.device.requests import Requester
from esptool.errors import NotSupportedError, UsageError

CMD_OFFS, ADDR_OFFS = 0x00, 0x04
CMD_USR = 1 << 18
USR_COMMAND, USR_ADDR, USR_DUMMY, USR_MISO, USR_MOSI = (1 << b for b in (31, 30, 29, 28, 27))
COMMAND_8_BITS = 7 << 28
ADDR_LEN_SHIFT = 26
LX106_MOSI_SHIFT, LX106_MISO_SHIFT = 17, 8
POLLS = 10
MAX_READ_BITS, MAX_WRITE_BYTES = 32, 64

RDID, RDSFDP, WREN, WRDI, WEVSR = 0x9F, 0x5A, 0x06, 0x04, 0x50
READ_STATUS = (0x05, 0x35, 0x15)
WRITE_STATUS = (0x01, 0x31, 0x11)
#: Write in progress, in the first status register; the slowest parts need a good part of a second.
WIP, STATUS_WRITE_S, WIP_PAUSE_S = 1, 1.0, 0.002


@dataclass(frozen=True, slots=True)
class Transaction:
    """One command on the bus.

    `data` goes out after the address, at most 64 bytes; then `read_bits` (at most 32) come in.
    """

    opcode: int
    data: bytes = b""
    read_bits: int = 0
    addr: int | None = None
    addr_bits: int = 0
    dummy_bits: int = 0


class SpiBus:
    """SPI-flash commands."""

    def __init__(self, requests: Requester) -> None:
        self._r = requests

    def command(
        self,
        opcode: int,
        data: bytes = b"",
        read_bits: int = 0,
        addr: int | None = None,
        addr_bits: int = 0,
        dummy_bits: int = 0,
    ) -> int:
        """Run one SPI-flash command and return what was read (first byte lowest).

        The controller's USR and USR2 registers are put back as they were.

        Raises:
            UsageError: more bits than the buffer holds.
            NotSupportedError: the controller did not finish.
        """
        t = Transaction(opcode, data, read_bits, addr, addr_bits, dummy_bits)
        _check(t)
        return self._run(t)

    def _run(self, t: Transaction) -> int:
        if self._r.may_batch and (not t.addr_bits or t.addr_bits in (24, 32)):
            return self._in_one(t)
        spi = self._r.spec.spi
        usr, usr2 = spi.base + spi.usr_offs, spi.base + spi.usr2_offs
        w0 = spi.base + spi.w0_offs
        saved_usr, saved_usr2 = self._r.read_regs([usr, usr2])
        self._set_lengths(t)
        flags = USR_COMMAND
        if t.read_bits:
            flags |= USR_MISO
        if t.data:
            flags |= USR_MOSI
        if t.dummy_bits:
            flags |= USR_DUMMY
        if t.addr_bits:
            flags |= USR_ADDR
        self._r.write_reg(usr, flags)
        self._r.write_reg(usr2, COMMAND_8_BITS | t.opcode)
        if t.addr_bits:
            address = t.addr or 0
            if spi.addr_msb:
                address <<= 32 - t.addr_bits
            self._r.write_reg(spi.base + ADDR_OFFS, address & 0xFFFFFFFF)
        if t.data:
            padded = t.data + bytes(-len(t.data) % 4)
            for i in range(0, len(padded), 4):
                self._r.write_reg(w0 + i, int.from_bytes(padded[i : i + 4], "little"))
        else:
            self._r.write_reg(w0, 0)
        self._r.write_reg(spi.base + CMD_OFFS, CMD_USR)
        for _ in range(POLLS):
            if not self._r.read_reg(spi.base + CMD_OFFS) & CMD_USR:
                break
        else:
            raise NotSupportedError(
                f"SPI command 0x{t.opcode:02x} did not complete in time: is a flash connected?"
            )
        word = self._r.read_reg(w0)
        self._r.write_reg(usr, saved_usr)
        self._r.write_reg(usr2, saved_usr2)
        return word & ((1 << t.read_bits) - 1) if t.read_bits else word

    def _in_one(self, t: Transaction) -> int:
        """One round trip of our stub; the first byte read is the lowest."""
        operations = ext.Batch()
        operations.spi(
            t.opcode, t.data, -(-t.read_bits // 8), t.addr or 0, t.addr_bits, t.dummy_bits
        )
        answers = ext.batch(self._r, operations)
        return int.from_bytes(answers[0], "little") if answers else 0

    def _set_lengths(self, t: Transaction) -> None:
        spi = self._r.spec.spi
        mosi_bits = 8 * len(t.data)
        usr1 = 0
        if t.dummy_bits:
            usr1 |= t.dummy_bits - 1
        if t.addr_bits:
            usr1 |= (t.addr_bits - 1) << ADDR_LEN_SHIFT
        if spi.mosi_dlen_offs is None or spi.miso_dlen_offs is None:
            mosi = (mosi_bits - 1) if mosi_bits else 0
            miso = (t.read_bits - 1) if t.read_bits else 0
            usr1 |= mosi << LX106_MOSI_SHIFT | miso << LX106_MISO_SHIFT
        else:
            if mosi_bits:
                self._r.write_reg(spi.base + spi.mosi_dlen_offs, mosi_bits - 1)
            if t.read_bits:
                self._r.write_reg(spi.base + spi.miso_dlen_offs, t.read_bits - 1)
        if usr1 or spi.mosi_dlen_offs is None:
            self._r.write_reg(spi.base + spi.usr1_offs, usr1)

    # --- common commands -----------------------------------------------------------------------

    def read_jedec_id(self) -> int:
        """RDID: manufacturer in bits 7:0, memory type in 15:8, capacity in 23:16."""
        return self.command(RDID, read_bits=24)

    def read_sfdp(self, offset: int, bits: int) -> int:
        """Up to 32 bits of the flash's parameter tables (JESD216)."""
        return self.command(RDSFDP, b"", bits, offset, 24, 8)

    def read_status(self, num_bytes: int = 2) -> int:
        """Status registers 1 to `num_bytes` (1 to 3), the first one lowest."""
        value = 0
        for i, opcode in enumerate(READ_STATUS[:num_bytes]):
            value |= self.command(opcode, read_bits=8) << (8 * i)
        return value

    def write_status(self, value: int, num_bytes: int = 2, set_non_volatile: bool = False) -> None:
        """Write status registers 1 to `num_bytes`; volatile unless asked otherwise.

        Both ways of writing the second register are used (a 16-bit WRSR, and WRSR2), since parts
        differ in which they know.
        """
        enable = WREN if set_non_volatile else WEVSR
        if num_bytes == 2:
            self.command(enable)
            self.command(WRITE_STATUS[0], (value & 0xFFFF).to_bytes(2, "little"))
            self._await_ready()
        for i, opcode in enumerate(WRITE_STATUS[:num_bytes]):
            self.command(enable)
            self.command(opcode, bytes([(value >> (8 * i)) & 0xFF]))
            self._await_ready()
        self.command(WRDI)

    def _await_ready(self) -> None:
        """Wait for the end of a write to a status register: meanwhile the flash takes no other."""
        link = self._r.link
        deadline = link.now() + STATUS_WRITE_S
        while self.read_status(1) & WIP and link.now() < deadline:
            link.sleep(WIP_PAUSE_S)


def _check(t: Transaction) -> None:
    if t.read_bits > MAX_READ_BITS:
        raise UsageError("Reading more than 32 bits from a SPI flash operation is unsupported.")
    if len(t.data) > MAX_WRITE_BYTES:
        raise UsageError("Writing more than 64 bytes with one SPI flash command is unsupported.")
