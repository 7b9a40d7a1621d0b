# SPDX-License-Identifier: Apache-2.0
"""Loading code and data into the chip's RAM, and starting it."""

from __future__ import annotations

from dataclasses import dataclass

from esptool.device.requests import Requester, Tries
from esptool.errors import (
    LineLossError,
    LinkTimeoutError,
    NoAnswerError,
    PortError,
    UnsupportedCommandError,
)
from esptool.protocol import packets
from esptool.protocol.opcodes import Cmd
from esptool.protocol.status import Status

RAM_BLOCK = 0x1800
#: Over USB-OTG the ROM takes smaller blocks.
USB_OTG_BLOCK = 0x800
#: What follows a refused block goes in small ones, which are lost less easily.
SMALL_BLOCK = 0x200
#: A loader that has got a block whole answers at once; silence means that its end is lost.
ANSWER_S = 1.0


@dataclass(frozen=True, slots=True)
class _Download:
    """What MEM_BEGIN has announced; `first` is the caller's number of the first block of it."""

    size: int
    blocks: int
    block_size: int
    address: int
    first: int = 0

    def from_block(self, seq: int) -> _Download:
        """The rest, from the caller's block `seq` on."""
        passed = seq - self.first
        done = passed * self.block_size
        return _Download(
            max(0, self.size - done),
            max(0, self.blocks - passed),
            self.block_size,
            self.address + done,
            seq,
        )


class Ram:
    """The MEM_* requests."""

    def __init__(self, requests: Requester) -> None:
        self._r = requests
        self._download: _Download | None = None
        #: A block was lost: the line is taken for a bad one.
        self._small_blocks = False

    def begin(self, size: int, blocks: int, block_size: int, address: int) -> None:
        """Announce `size` bytes in `blocks` blocks for RAM at `address`."""
        self._announce(_Download(size, blocks, block_size, address))

    def _announce(self, download: _Download) -> None:
        data = packets.words(download.size, download.blocks, download.block_size, download.address)
        what = "enter RAM download mode"
        try:
            self._r.request(what, Cmd.MEM_BEGIN, data, attempts=3)
        except UnsupportedCommandError as e:
            if self._r.secure_download or self._r.is_stub:
                raise
            # Every ROM knows it: what came there was something else.
            raise packets.failure(what, Cmd.MEM_BEGIN, Status.INVALID_MESSAGE) from e
        self._download = download

    def block(self, data: bytes, seq: int) -> None:
        """Send block number `seq`, as counted from `begin`.

        A busy ROM refuses one now and then. It has counted it even so and takes no block of
        that number any more (seen on ESP32 and ESP32-C3), so the rest is announced anew.
        """
        download = self._download
        if download is None:
            self._ram_data(data, seq)
            return
        with self._r.one_job() as tries:
            if not self._small_blocks:
                try:
                    self._ram_data(data, seq - download.first)
                    return
                except LineLossError as e:
                    self._again_or_raise(e, tries)
                    self._small_blocks = True
            self._in_small_blocks(data, download.from_block(seq).address, tries)
        rest = download.from_block(seq + 1)
        if rest.blocks:
            self._download = rest

    def _in_small_blocks(self, data: bytes, address: int, tries: Tries) -> None:
        done, budget = 0, tries.left
        while done < len(data):
            rest, size = data[done:], SMALL_BLOCK
            self._announce(_Download(len(rest), -(-len(rest) // size), size, address + done))
            try:
                for seq, at in enumerate(range(0, len(rest), size)):
                    self._ram_data(rest[at : at + size], seq)
                    done += len(rest[at : at + size])
                    tries.got_through(budget)
            except LineLossError as e:
                self._again_or_raise(e, tries)

    def _ram_data(self, data: bytes, seq: int) -> None:
        body, check = packets.data_block(data, seq)
        wait = max(ANSWER_S, self._r.settings.timeout / 3)
        wait += len(body) * packets.BITS_A_BYTE / self._r.link.baud
        self._r.request("write to target RAM", Cmd.MEM_DATA, body, check, timeout_s=wait)

    def _again_or_raise(self, e: LineLossError, tries: Tries) -> None:
        """Get ready for another try, unless the budget is used up or the port is gone."""
        if isinstance(e, PortError) or not tries.resend():
            raise e
        if isinstance(e, NoAnswerError):
            self._r.link.discard_input()

    def finish(self, entry: int = 0) -> None:
        """Jump to `entry`, or stay in the loader when it is 0.

        The ROM may jump before its answer is out, or change the baud rate under it: silence and
        garbage are no errors then.
        """
        data = packets.words(int(entry == 0), entry)
        timeout_s = None if self._r.is_stub else self._r.settings.mem_end_rom_timeout
        try:
            self._r.request("leave RAM download mode", Cmd.MEM_END, data, timeout_s=timeout_s)
        except LinkTimeoutError:
            if self._r.is_stub:
                raise

    def load(self, data: bytes, address: int, block_size: int = RAM_BLOCK) -> None:
        """Write `data` to RAM at `address` in blocks."""
        blocks = -(-len(data) // block_size)
        self.begin(len(data), blocks, block_size, address)
        for seq in range(blocks):
            self.block(data[seq * block_size : (seq + 1) * block_size], seq)
