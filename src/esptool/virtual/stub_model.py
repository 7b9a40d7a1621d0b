# SPDX-License-Identifier: Apache-2.0
"""How a flasher stub behaves on the wire, where its machine code cannot be executed.

The public stub protocol, and unless told otherwise the extensions of `docs/serial-protocol.md`.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.virtual.framing import FrameReader, wrap
from esptool.virtual.nor import SECTOR
from esptool.virtual.program import Program
from esptool.virtual.rom import xor_sum
from esptool.virtual.stub_ext import Extensions
from esptool.virtual.stub_nand import FIRST, LAST, NandPlugin, loaded
from esptool.virtual.stub_status import (
    BAD_BLOCK_SIZE,
    BAD_CHECKSUM,
    BAD_COMMAND,
    BAD_LENGTH,
    INFLATE_FAILED,
    LOCKED,
    NOT_IMPLEMENTED,
    NOT_LOADED,
    NOT_WRITING,
    SPI_FAILED,
    TOO_LITTLE,
    TOO_MUCH,
    StubError,
    words,
)

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

MAX_BLOCK = 0x4000
#: Requests that carry a block of data behind their words.
_WITH_DATA = {0x03, 0x07, 0x11, 0xD4}
#: Words that a request has at least, looked at before anything else.
_LEAST_WORDS = {
    0x02: 4, 0x03: 4, 0x04: 1, 0x05: 4, 0x06: 2, 0x07: 4, 0x09: 4, 0x0A: 1, 0x0B: 6, 0x0D: 1,
    0x0F: 2, 0x10: 4, 0x11: 4, 0x12: 1, 0x13: 2, 0xD1: 2, 0xD2: 4, 0xD4: 4,
}  # fmt: skip
#: A few more than needed pass, as hosts differ. Many are a block of data with a damaged opcode.
_MOST_WORDS = {op: words + 2 for op, words in _LEAST_WORDS.items() if op not in _WITH_DATA} | {
    0x08: 16, 0x09: 32, 0x14: 2, 0xD0: 2, 0xD3: 2, 0xE0: 2,
}  # fmt: skip
#: Public commands that need the late part.
_LATE = frozenset({0x02, 0x03, 0x04, 0x10, 0x11, 0x12, 0x13, 0xD0, 0xD1, 0xD2, 0xD4})
_INFLATE_RATE = 4e6  # bytes a second, at some 40 instructions a byte
_READ_RATE = 4e6

Result = tuple[int, bytes]


class StubModel(Program):
    """A stub that has just been started: it greets, and then serves requests.

    Attributes:
        soc: the chip it runs on.
    """

    def __init__(self, soc: Soc, *, extensions: bool = True, missing_at: int | None = None) -> None:
        """`missing_at` is the word in which our stub notes that its late part is missing."""
        self.soc = soc
        self._missing_at = missing_at
        self._frames = FrameReader()
        self._reading: _FlashReader | None = None
        self._write: _Writer | None = None
        self._ram_at = self._ram_left = 0
        self._size_told = 0
        self._handlers: dict[int, Callable[[bytes, int], Result]] = {
            0x02: self._flash_begin,
            0x03: self._flash_data,
            0x04: self._flash_end,
            0x05: self._mem_begin,
            0x06: self._mem_end,
            0x07: self._mem_data,
            0x08: lambda _data, _check: (0, b""),
            0x09: self._write_reg,
            0x0A: self._read_reg,
            0x0B: self._set_params,
            0x0D: self._attach,
            0x0F: self._change_baud,
            0x10: self._deflate_begin,
            0x11: self._flash_data,
            0x12: self._flash_end,
            0x13: self._md5,
            0xD0: self._erase_chip,
            0xD1: self._erase_region,
            0xD2: self._read_flash,
            0xD3: self._run_user_code,
            0xD4: self._flash_data,
        }
        if soc.silicon.loader.security_info:
            self._handlers[0x14] = lambda _data, _check: (0, soc.security_info())
        self._nand = NandPlugin(soc, more=extensions)
        self._ours = extensions
        self._sealed: dict[int, Callable[[int, bytes], None]] = {}
        if extensions:
            self._extensions = Extensions(self)
            self._handlers[0xE0] = self._extensions.info
            self._sealed = self._extensions.handlers

    @property
    def missing(self) -> int:
        """The stub's build while its late part is not there, else 0."""
        return 0 if self._missing_at is None else self.soc.bus.read_word(self._missing_at)

    def greet(self) -> None:
        """Announce that the stub runs."""
        self.soc.attach_flash()
        self.soc.send(wrap(b"OHAI"))

    # --- the wire ----------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes from the host."""
        for frame in self._frames.feed(data):
            if self._streams() and not self._is_sync(frame):
                self._acknowledged(frame)
            elif self._is_request(frame):
                self._reading = self._nand.reader = None
                self._request(frame)
            if self.soc.program is not self:
                return

    def _streams(self) -> bool:
        return self._reading is not None or self._nand.reader is not None

    @staticmethod
    def _is_sync(frame: bytes) -> bool:
        return len(frame) == 44 and frame[:2] == b"\x00\x08"

    @staticmethod
    def _is_request(frame: bytes) -> bool:
        """Anything else is taken for a damaged frame, and not answered."""
        if len(frame) < 8 or frame[0]:
            return False
        return int.from_bytes(frame[2:4], "little") == len(frame) - 8

    def _request(self, frame: bytes) -> None:
        _, op, _length, checksum = struct.unpack_from("<BBHI", frame)
        data = frame[8:]
        sealed = self._sealed.get(op)
        if sealed is not None:
            sealed(op, data)
            self.soc.after_answer()
            return
        value, body, status = 0, b"", 0
        try:
            handler = self._handlers.get(op) or self._by_plugin(op)
            if handler is None:
                raise StubError(BAD_COMMAND)
            if op in _LATE and self.missing:
                raise StubError(NOT_LOADED)
            words(data, _LEAST_WORDS.get(op, 0))
            if len(data) > 4 * _MOST_WORDS.get(op, len(data)):
                raise StubError(BAD_LENGTH)
            value, body = handler(data, checksum)
        except StubError as e:
            status = e.status
        if op != 0xD3 or status:
            for _ in range(8 if op == 0x08 else 1):
                self.answer(op, value, body, status)
        self.soc.after_answer()

    def _by_plugin(self, op: int) -> Callable[[bytes, int], Result] | None:
        """The handler of a plug-in that was loaded."""
        if not FIRST <= op <= LAST:
            return None
        handler = self._nand.handlers.get(op)
        if handler is not None and loaded(self.soc, op, ours=self._ours):
            return handler
        if not self._ours:
            raise StubError(NOT_IMPLEMENTED)
        return None

    def answer(self, op: int, value: int, body: bytes, status: int = 0) -> None:
        """Send a response."""
        head = struct.pack("<BBHI", 1, op, len(body) + 2, value & 0xFFFFFFFF)
        self.soc.send(wrap(head + body + bytes((status, 0))))

    # --- basics ------------------------------------------------------------------------------

    def _read_reg(self, data: bytes, _check: int) -> Result:
        return self.soc.bus.read_word(words(data, 1)[0]), b""

    def _write_reg(self, data: bytes, _check: int) -> Result:
        if not data or len(data) % 16:
            raise StubError(BAD_LENGTH)
        for at in range(0, len(data), 16):
            address, value, mask, delay_us = struct.unpack_from("<4I", data, at)
            self.write_masked(address, value, mask)
            self.soc.clock.spend(delay_us * 1e-6)
        return 0, b""

    def write_masked(self, address: int, value: int, mask: int) -> None:
        """Change the bits of `mask` in a register."""
        bus = self.soc.bus
        if mask != 0xFFFFFFFF:
            value = bus.read_word(address) & ~mask | value & mask
        bus.write_word(address, value)

    def _attach(self, data: bytes, _check: int) -> Result:
        words(data, 1)
        self.soc.attach_flash()
        return 0, b""

    def _change_baud(self, data: bytes, _check: int) -> Result:
        baud = words(data, 2)[0]
        self.soc.defer(lambda: self.soc.set_baud(max(1, baud)))
        return 0, b""

    def _mem_begin(self, data: bytes, _check: int) -> Result:
        self._ram_left, _blocks, _block_size, self._ram_at = words(data, 4)
        return 0, b""

    def _mem_data(self, data: bytes, check: int) -> Result:
        payload = self._payload(data, check)
        if len(payload) > self._ram_left:
            raise StubError(TOO_MUCH)
        self.soc.bus.write(self._ram_at, payload)
        self._ram_at += len(payload)
        self._ram_left -= len(payload)
        return 0, b""

    def _mem_end(self, data: bytes, _check: int) -> Result:
        stay, entry = words(data, 2)
        if self._ram_left:
            raise StubError(TOO_LITTLE)
        if not stay and entry:
            self.soc.defer(lambda: self.soc.run_ram(entry))
        return 0, b""

    @staticmethod
    def _payload(data: bytes, check: int) -> bytes:
        length = words(data, 4)[0]
        payload = data[16:]
        if len(payload) != length:
            raise StubError(BAD_LENGTH)
        if xor_sum(payload) != check & 0xFF:
            raise StubError(BAD_CHECKSUM)
        return payload

    # --- writing -----------------------------------------------------------------------------

    def _flash_begin(self, data: bytes, _check: int) -> Result:
        size, _blocks, block_size, offset = words(data, 4)
        self._begin(data, offset, size, block_size, None)
        return 0, b""

    def _deflate_begin(self, data: bytes, _check: int) -> Result:
        size, _blocks, block_size, offset = words(data, 4)
        self._begin(data, offset, size, block_size, zlib.decompressobj())
        return 0, b""

    def _begin(
        self,
        data: bytes,
        offset: int,
        size: int,
        block_size: int,
        inflate: zlib._Decompress | None,
    ) -> None:
        encrypt = len(data) >= 20 and words(data, 5)[4] != 0
        if block_size > MAX_BLOCK:
            raise StubError(BAD_BLOCK_SIZE)
        self._write = None
        self.check_range(offset, size)
        self.unlock()
        self._write = _Writer(self, offset, size, inflate, encrypt)

    def unlock(self) -> None:
        """Clear the block-protect bits, as a stub does before it changes the flash.

        Raises:
            StubError: they stay set.
        """
        nor = self.soc.nor
        if not nor.status[0]:
            return
        nor.transfer(0x06, None, 0, b"", 0)
        nor.transfer(0x01, None, 0, b"\0\0"[: min(2, nor.part.status_bytes)], 0)
        nor.wait_ready()
        if nor.status[0] & 0x3C:
            raise StubError(LOCKED)

    def _flash_data(self, data: bytes, check: int) -> Result:
        if self._write is None:
            raise StubError(NOT_WRITING)
        payload = self._payload(data, check)
        writer = self._write
        if writer.status:
            raise StubError(writer.status)
        # The answer goes out before the flash is written; a failure shows in the next one.
        self.soc.defer(lambda: writer.take(payload))
        return 0, b""

    def _flash_end(self, data: bytes, _check: int) -> Result:
        (stay,) = words(data, 1)
        writer, self._write = self._write, None
        if writer is None:
            raise StubError(NOT_WRITING)
        if writer.status:
            raise StubError(writer.status)
        if writer.left > 0:
            raise StubError(TOO_LITTLE)
        if not stay:
            self.soc.defer(self.soc.reboot)
        return 0, b""

    # --- reading and erasing -----------------------------------------------------------------

    def _md5(self, data: bytes, _check: int) -> Result:
        offset, size = words(data, 2)
        self.check_range(offset, size)
        contents = self.soc.nor.read(offset, size)
        self.soc.clock.spend(size / _READ_RATE)
        return 0, hashlib.md5(contents, usedforsecurity=False).digest()

    def check_range(self, offset: int, size: int) -> None:
        """Refuse what lies outside the flash that is there, or that the host has told of.

        Raises:
            StubError: it does.
        """
        limit = self.soc.nor.part.size
        if self._size_told:
            limit = min(limit, self._size_told)
        if offset + size > limit:
            raise StubError(SPI_FAILED)

    def _set_params(self, data: bytes, _check: int) -> Result:
        self._size_told = words(data, 6)[1]
        return 0, b""

    def _erase_chip(self, _data: bytes, _check: int) -> Result:
        self.unlock()
        self.soc.nor.erase_chip()
        return 0, b""

    def _erase_region(self, data: bytes, _check: int) -> Result:
        offset, size = words(data, 2)
        if offset % SECTOR or size % SECTOR:
            raise StubError(BAD_BLOCK_SIZE)
        self.check_range(offset, size)
        self.unlock()
        self.erase(offset, size)
        return 0, b""

    def erase(self, offset: int, size: int) -> None:
        """Erase whole sectors, by 64 KiB blocks where they fit."""
        end = offset + size
        while offset < end:
            step = 0x10000 if offset % 0x10000 == 0 and end - offset >= 0x10000 else SECTOR
            self.soc.nor.erase(offset, step)
            offset += step

    def _run_user_code(self, _data: bytes, _check: int) -> Result:
        self.soc.defer(self.soc.run_flash)
        return 0, b""

    def _read_flash(self, data: bytes, _check: int) -> Result:
        offset, size, packet, unacknowledged = words(data, 4)
        if not packet or packet % 64:
            raise StubError(BAD_BLOCK_SIZE)
        self.check_range(offset, size)
        reader = _FlashReader(self, offset, size, packet, unacknowledged or 1)
        self._reading = reader
        self.soc.defer(reader.go)
        return 0, b""

    def _acknowledged(self, frame: bytes) -> None:
        reader = self._reading or self._nand.reader
        assert reader is not None
        if len(frame) == 4:
            reader.acknowledge(int.from_bytes(frame, "little"))
            if reader.over:
                self._reading = self._nand.reader = None


class _Writer:
    """One FLASH_BEGIN or FLASH_DEFL_BEGIN and what follows it."""

    def __init__(
        self, stub: StubModel, offset: int, size: int, inflate: zlib._Decompress | None, enc: bool
    ) -> None:
        self._stub = stub
        self._at = offset
        self._inflate = inflate
        self._encrypt = enc
        self._erased_to = offset - offset % SECTOR
        self._end = offset + size
        self.left = size
        self.status = 0

    def take(self, payload: bytes) -> None:
        """Write a block; a failure is kept in `status`."""
        try:
            self._take(payload)
        except zlib.error:
            self.status = INFLATE_FAILED
        except StubError as e:
            self.status = e.status

    def _take(self, payload: bytes) -> None:
        soc = self._stub.soc
        if self._inflate is not None:
            payload = self._inflate.decompress(payload)
            soc.clock.spend(len(payload) / _INFLATE_RATE)
            if len(payload) > self.left:
                raise StubError(TOO_MUCH)
        elif self.left <= 0:
            raise StubError(TOO_MUCH)
        # The last plain block is padded by the host: what goes past the end is left out.
        payload = payload[: self.left]
        if self._encrypt:
            if not soc.can_encrypt():
                raise StubError(SPI_FAILED)
            payload = soc.encrypt(self._at, payload)
        self._erase_to(self._at + len(payload))
        soc.nor.program(self._at, payload)
        self._at += len(payload)
        self.left -= len(payload)

    def _erase_to(self, end: int) -> None:
        while self._erased_to < end:
            room = self._end - self._erased_to
            step = 0x10000 if self._erased_to % 0x10000 == 0 and room >= 0x10000 else SECTOR
            self._stub.soc.nor.erase(self._erased_to, step)
            self._erased_to += step


class _FlashReader:
    """READ_FLASH: frames of data, each acknowledged with the bytes received, then their MD5."""

    def __init__(self, stub: StubModel, offset: int, size: int, packet: int, window: int) -> None:
        self._stub = stub
        self._offset, self._size, self._packet, self._window = offset, size, packet, window
        self._sent = self._acked = 0
        self._hash = hashlib.md5(usedforsecurity=False)
        self.over = False

    def go(self) -> None:
        """Send as many frames as may be unacknowledged, and the MD5 when all have been."""
        soc = self._stub.soc
        while self._sent < self._size and self._sent - self._acked < self._window * self._packet:
            take = min(self._packet, self._size - self._sent)
            data = soc.nor.read(self._offset + self._sent, take)
            self._hash.update(data)
            soc.send(wrap(data))
            self._sent += take
        if self._acked >= self._size:
            soc.send(wrap(self._hash.digest()))
            self.over = True

    def acknowledge(self, total: int) -> None:
        """The host has `total` bytes."""
        self._acked = total
        self.go()
