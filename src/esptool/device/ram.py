# SPDX-License-Identifier: Apache-2.0
"""Loading code and data into the chip's RAM, and starting it."""

from __future__ import annotations

from esptool.device.requests import Requester
from esptool.errors import LinkTimeoutError
from esptool.protocol import packets
from esptool.protocol.opcodes import Cmd

RAM_BLOCK = 0x1800
#: Over USB-OTG the ROM takes smaller blocks.
USB_OTG_BLOCK = 0x800
BLOCK_ATTEMPTS = 5


class RamLoader(Requester):
    """The MEM_* requests."""

    def mem_begin(self, size: int, blocks: int, block_size: int, address: int) -> None:
        """Announce `size` bytes in `blocks` blocks for RAM at `address`."""
        data = packets.words(size, blocks, block_size, address)
        self.request("enter RAM download mode", Cmd.MEM_BEGIN, data, attempts=3)

    def mem_block(self, data: bytes, seq: int) -> None:
        """Send block number `seq`. A busy ROM refuses one now and then: it is sent again."""
        body, check = packets.data_block(data, seq)
        self.request("write to target RAM", Cmd.MEM_DATA, body, check, attempts=BLOCK_ATTEMPTS)

    def mem_finish(self, entry: int = 0) -> None:
        """Jump to `entry`, or stay in the loader when it is 0.

        The ROM may jump before its answer is out, or change the baud rate under it: silence and
        garbage are no errors then.
        """
        data = packets.words(int(entry == 0), entry)
        timeout_s = None if self.is_stub else self.settings.mem_end_rom_timeout
        try:
            self.request("leave RAM download mode", Cmd.MEM_END, data, timeout_s=timeout_s)
        except LinkTimeoutError:
            if self.is_stub:
                raise

    def load_ram(self, data: bytes, address: int, block_size: int = RAM_BLOCK) -> None:
        """Write `data` to RAM at `address` in blocks."""
        blocks = -(-len(data) // block_size)
        self.mem_begin(len(data), blocks, block_size, address)
        for seq in range(blocks):
            self.mem_block(data[seq * block_size : (seq + 1) * block_size], seq)
