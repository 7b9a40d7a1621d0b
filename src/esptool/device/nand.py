# SPDX-License-Identifier: Apache-2.0
"""Requests for SPI NAND flash (a plug-in of the public stub on ESP32-S3)."""

from __future__ import annotations

from esptool.device.flash import READ_PACKET, FlashRequests, ProgressFn
from esptool.errors import ChipResponseError
from esptool.protocol import packets
from esptool.protocol.opcodes import Cmd

PAGES_PER_BLOCK = 64
BLOCK_SIZE = 0x20000
READ_FRAME_TIMEOUT_S = 10.0


class NandRequests(FlashRequests):
    """The SPI_NAND_* requests."""

    def nand_attach(self, pins: int = 0) -> tuple[int, int, int]:
        """Connect to the NAND: returns (manufacturer, device, protection register).

        Raises:
            ChipResponseError: no NAND answered.
        """
        what = "attach the SPI NAND flash"
        value, data = self.command(Cmd.SPI_NAND_ATTACH, packets.words(pins, 0))
        # This answer has a data byte, the protection register, before its status.
        if len(data) < 2:
            self.checked(what, Cmd.SPI_NAND_ATTACH, data)
        if value >> 24:
            raise ChipResponseError(
                f"Failed to {what}: status 0x{value >> 24:02x}.",
                opcode=Cmd.SPI_NAND_ATTACH,
                status=value >> 24,
                reason=0,
            )
        body = self.checked(what, Cmd.SPI_NAND_ATTACH, data[1:]) if len(data) > 2 else b""
        del body
        return (value >> 16) & 0xFF, value & 0xFFFF, data[0]

    def nand_read_spare(self, page: int) -> int:
        """The bad-block mark of a page: 0xFF is good."""
        return (
            self.request("read NAND spare area", Cmd.SPI_NAND_READ_SPARE, packets.words(page)).value
            & 0xFF
        )

    def nand_write_spare(self, page: int, is_bad: bool) -> None:
        """Write the bad-block mark of a page."""
        data = packets.words(page) + bytes([int(is_bad)])
        self.request("write NAND spare area", Cmd.SPI_NAND_WRITE_SPARE, data)

    def nand_read(self, offset: int, size: int, progress: ProgressFn | None = None) -> bytes:
        """Read a range, bad blocks skipped by the stub."""
        data = packets.words(offset, size, READ_PACKET, PAGES_PER_BLOCK)
        self.request("read NAND flash", Cmd.SPI_NAND_READ_FLASH, data)
        return self._collect(offset, size, READ_FRAME_TIMEOUT_S, progress)

    def nand_write_begin(self, offset: int, size: int) -> int:
        """Prepare to write; returns the number of data blocks."""
        block = self.flash_write_size
        data = packets.words(offset, size, BLOCK_SIZE, block)
        timeout_s = self.settings.scaled(self.settings.erase_region_timeout_per_mb, size)
        self.request("begin NAND write", Cmd.SPI_NAND_WRITE_FLASH_BEGIN, data, 0, timeout_s)
        return -(-size // block)

    def nand_write_block(self, data: bytes, seq: int, timeout_s: float | None = None) -> None:
        """Write block `seq`."""
        body, check = packets.data_block(data, seq)
        self.request(
            f"write to NAND flash after seq {seq}",
            Cmd.SPI_NAND_WRITE_FLASH_DATA,
            body,
            check,
            timeout_s,
        )

    def nand_write_finish(self, reboot: bool = False) -> None:
        """End a write."""
        self.request("end NAND write", Cmd.SPI_NAND_WRITE_FLASH_END, packets.words(int(not reboot)))

    def nand_erase(self) -> None:
        """Erase all good blocks."""
        timeout_s = self.settings.chip_erase_timeout
        self.request("erase NAND flash", Cmd.SPI_NAND_ERASE_FLASH, timeout_s=timeout_s)

    def nand_erase_region(self, offset: int, size: int) -> None:
        """Erase whole blocks."""
        timeout_s = self.settings.scaled(self.settings.erase_region_timeout_per_mb, size)
        data = packets.words(offset, size)
        self.request("erase NAND region", Cmd.SPI_NAND_ERASE_REGION, data, timeout_s=timeout_s)
