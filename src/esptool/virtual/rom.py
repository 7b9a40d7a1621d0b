# SPDX-License-Identifier: Apache-2.0
"""The serial loader in the chip's ROM, seen from the wire: requests in, answers out.

It knows which commands each ROM has, their lengths and limits, and what it does with nonsense.
Oddities are those of the genuine ROMs, executed (`make test-roms`): a block counts even when it
arrives damaged, an answer keeps what it does not set of the one before, and requests are hardly
checked: any SYNC is one, registers are written as far as there are whole records, and a request
that is too short is filled up by what the one before left in the buffer.
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

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

# Error numbers of the loader, second status byte.
INVALID, FAILED, BAD_CHECKSUM, WRITE_ERROR, READ_ERROR = 5, 6, 7, 8, 9
BAD_LENGTH, DEFLATE_ERROR = 0x0A, 0x0B

_SYNC_ANSWERS = 8
_MAX_BLOCK = 0x4000
_MAX_RAM_BLOCK = 0x1800
_SLOW_READ = 64
_MD5_TEXT = 32

_SYNC, _READ_REG = 0x08, 0x0A
#: Commands after whose success the reason of an earlier failure is forgotten.
_FORGETS = frozenset({0x08, 0x09, 0x0A, 0x0D, 0x0E, 0x0F, 0x13})

SECURE_DOWNLOAD_COMMANDS = frozenset({0x02, 0x03, 0x04, 0x08, 0x0B, 0x0D, 0x0F, 0x14})

Result = tuple[int, bytes]


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault of the model
    """The loader answers with this error number."""

    def __init__(self, reason: int, body: bytes = b"") -> None:
        super().__init__(reason)
        self.reason, self.body = reason, body


class Left(Exception):  # noqa: N818 - the same
    """The loader does not come to an answer: other code runs."""


def words(data: bytes, count: int) -> tuple[int, ...]:
    """The first `count` 32-bit words of a request.

    Raises:
        Refused: the request is shorter.
    """
    if len(data) < 4 * count:
        raise Refused(INVALID)
    return struct.unpack_from(f"<{count}I", data)


def xor_sum(data: bytes) -> int:
    """The loader's checksum: all bytes and 0xEF xored together, by folding halves."""
    value = int.from_bytes(data, "little")
    width = 1
    while width < len(data):
        width *= 2
    while width > 1:
        width //= 2
        value = (value >> (8 * width)) ^ (value & ((1 << (8 * width)) - 1))
    return value ^ 0xEF


class RomLoader(Program):
    """Download mode. One instance a boot: it holds what the commands leave behind."""

    def __init__(self, soc: Soc) -> None:
        self._soc = soc
        self._frames = FrameReader()
        self._flash_size = 0x400000
        self._write_at = 0
        self._encrypt = False
        self._inflate: zlib._Decompress | None = None
        self._mode = ""
        self._ram_at = 0
        self._ram_left = 0
        self._next_block = 0
        # What an answer keeps of the one before: opcode, value, and the reason of a failure.
        self._last = _SYNC
        self._value = 0
        self._reason = 0
        # The first two words of the buffer for requests: a short one leaves the rest as it was.
        self._left = bytes(8)
        loader = soc.silicon.loader
        self._handlers: dict[int, Callable[[bytes, int], Result]] = {
            0x02: self._flash_begin,
            0x03: self._flash_data,
            0x04: self._flash_end,
            0x05: self._mem_begin,
            0x06: self._mem_end,
            0x07: self._mem_data,
            0x08: self._sync,
            0x09: self._write_reg,
            0x0A: self._read_reg,
            0x0B: self._set_params,
        }
        if loader.flash_commands:
            self._handlers |= {
                0x0D: self._attach,
                0x0E: self._read_slow,
                0x0F: self._change_baud,
                0x10: self._deflate_begin,
                0x11: self._deflate_data,
                0x12: self._deflate_end,
                0x13: self._md5,
            }
        if loader.security_info:
            self._handlers[0x14] = self._security_info
        if soc.secure_download:
            self._handlers = {
                op: f for op, f in self._handlers.items() if op in SECURE_DOWNLOAD_COMMANDS
            }

    # --- the wire ----------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes from the host."""
        for frame in self._frames.feed(data):
            if len(frame) < 8:
                self._unknown()
            elif frame[0] == 0:
                self._request(frame)
            if self._soc.program is not self:
                # The request has started other code; what follows is not for the loader.
                return

    def _unknown(self) -> None:
        """Nonsense is refused in the form of the last answer, so without the opcode sent."""
        self._answer(b"", INVALID)

    def _request(self, frame: bytes) -> None:
        # The length in the header is not looked at.
        _, op, _length, checksum = struct.unpack_from("<BBHI", frame)
        first = frame[8:16]
        self._left = first + self._left[len(first) :]
        handler = self._handlers.get(op)
        if handler is None:
            self._unknown()
            return
        self._last = op
        body, reason = b"", 0
        try:
            value, body = handler(frame[8:], checksum)
            if op in (_SYNC, _READ_REG):
                self._value = value
            if op in _FORGETS:
                self._reason = 0
        except Refused as e:
            reason, body = e.reason, e.body
        except Left:
            return
        self._answer(body, reason)
        self._soc.after_answer()

    def _answer(self, body: bytes, reason: int) -> None:
        self._reason = reason or self._reason
        status = bytes((1 if reason else 0, self._reason))
        status = status.ljust(self._soc.silicon.loader.status_bytes, b"\0")
        head = struct.pack(
            "<BBHI", 1, self._last, len(body) + len(status), self._value & 0xFFFFFFFF
        )
        for _ in range(_SYNC_ANSWERS if self._last == _SYNC else 1):
            self._soc.send(wrap(head + body + status))

    def _block(self, data: bytes, checksum: int) -> bytes:
        """Payload of a data request: length, number, two words more, then the payload.

        Raises:
            Refused: not the block wanted, or a damaged one, which counts as well.
        """
        length, number, _, _ = words(data, 4)
        payload = data[16:]
        if len(payload) < length or number != self._next_block:
            raise Refused(INVALID)
        payload = payload[:length]
        self._next_block += 1
        if xor_sum(payload) != checksum & 0xFF:
            raise Refused(BAD_CHECKSUM)
        return payload

    # --- basics ------------------------------------------------------------------------------

    def _sync(self, _data: bytes, _checksum: int) -> Result:
        # Any will do, also one without data.
        return words(self._left, 1)[0], b""

    def _read_reg(self, _data: bytes, _checksum: int) -> Result:
        address = words(self._left, 1)[0]
        return self._soc.bus.read_word(address), b""

    def _write_reg(self, data: bytes, _checksum: int) -> Result:
        for at in range(0, len(data) - 15, 16):
            address, value, mask, delay_us = struct.unpack_from("<4I", data, at)
            bus = self._soc.bus
            if mask != 0xFFFFFFFF:
                value = bus.read_word(address) & ~mask | value & mask
            bus.write_word(address, value)
            self._soc.clock.spend(delay_us * 1e-6)
        return 0, b""

    def _security_info(self, _data: bytes, _checksum: int) -> Result:
        return 0, self._soc.security_info()

    def _change_baud(self, data: bytes, _checksum: int) -> Result:
        baud = words(data, 1)[0]
        if not baud:
            raise Refused(INVALID)
        self._soc.defer(lambda: self._soc.set_rom_baud(baud))
        return 0, b""

    # --- RAM ---------------------------------------------------------------------------------

    def _mem_begin(self, data: bytes, _checksum: int) -> Result:
        size, _blocks, block_size, address = words(data, 4)
        if block_size > _MAX_RAM_BLOCK:
            raise Refused(INVALID)
        self._ram_at, self._ram_left = address, size
        # What comes counts, not what was announced: a damaged size may be that of all memory.
        self._soc.loaded.append((address, 0))
        self._mode = "ram"
        self._next_block = 0
        return 0, b""

    def _mem_data(self, data: bytes, checksum: int) -> Result:
        if self._mode != "ram":
            raise Refused(INVALID)
        payload = self._block(data, checksum)
        if len(payload) > _MAX_RAM_BLOCK:
            raise Refused(INVALID)
        self._soc.bus.write(self._ram_at, payload)
        self._ram_at += len(payload)
        start, loaded = self._soc.loaded[-1]
        self._soc.loaded[-1] = start, loaded + len(payload)
        self._ram_left -= len(payload)
        return 0, b""

    def _mem_end(self, data: bytes, _checksum: int) -> Result:
        if len(data) > 8:
            raise Refused(INVALID)
        stay, entry = words(self._left, 2)
        self._mode = ""
        # Only the lowest byte is looked at.
        if not stay & 0xFF:
            refused = self._soc.silicon.loader.refuses_ram and self._soc.secure_boot
            self._soc.defer(self._soc.reboot if refused else lambda: self._soc.run_ram(entry))
        return 0, b""

    # --- flash -------------------------------------------------------------------------------

    def _attach(self, data: bytes, _checksum: int) -> Result:
        if len(data) < 4:
            raise Refused(INVALID)
        self._soc.attach_flash()
        return 0, b""

    def _set_params(self, data: bytes, _checksum: int) -> Result:
        if len(data) != 24:
            raise Refused(INVALID)
        self._flash_size = words(data, 6)[1]
        return 0, b""

    def _need_flash(self, offset: int, size: int) -> None:
        if not self._soc.flash_attached or offset + size > self._flash_size:
            raise Refused(FAILED)

    def _flash_begin(self, data: bytes, _checksum: int) -> Result:
        size, block_size, offset = self._begin(data)
        if not size:
            # An empty begin only turns the loader towards flash, so that an end can follow.
            self._mode = "flash"
            return 0, b""
        if block_size > _MAX_BLOCK:
            raise Refused(INVALID)
        self._need_flash(offset, 0)
        self._erase(offset, size)
        self._mode = "flash"
        self._write_at = offset
        return 0, b""

    def _begin(self, data: bytes) -> tuple[int, int, int]:
        """Size, size of a block, and where: a request of just the right length.

        Raises:
            Refused: it is longer or shorter, or no sector begins there.
        """
        if len(data) != (20 if self._soc.silicon.loader.encrypted_begin else 16):
            raise Refused(INVALID)
        size, _blocks, block_size, offset = words(data, 4)
        self._encrypt = self._asked_to_encrypt(data)
        self._next_block = 0
        if size and offset % SECTOR:
            raise Refused(FAILED)
        return size, block_size, offset

    def _asked_to_encrypt(self, data: bytes) -> bool:
        if len(data) < 20 or not self._soc.silicon.loader.encrypted_begin:
            return False
        encrypt = words(data, 5)[4] != 0
        if encrypt and not self._soc.can_encrypt():
            raise Refused(FAILED)
        return encrypt

    def _erase(self, offset: int, size: int) -> None:
        first = offset // SECTOR
        count = self._sectors(first, size, offset)
        limit = self._flash_size // SECTOR
        for sector in range(first, first + count):
            if sector >= limit:
                raise Refused(FAILED)
            self._soc.nor.erase(sector * SECTOR, SECTOR)

    def _sectors(self, first: int, size: int, offset: int) -> int:
        count = (size + SECTOR - 1) // SECTOR
        if self._soc.silicon.loader.flash_commands:
            last = (offset + size - 1) // SECTOR
            return last - first + 1
        # ESP8266: the loader counts the sectors up to the first block border twice over.
        head = min(16 - first % 16, count)
        return 2 * count if count < head or count == head else count + head

    def _flash_data(self, data: bytes, checksum: int) -> Result:
        if self._mode != "flash" and (reason := self._soc.rom.unasked_data):
            raise Refused(reason)
        payload = self._block(data, checksum)
        if self._soc.flash_attached:
            self._write(payload)
        return 0, b""

    def _write(self, payload: bytes) -> None:
        if self._write_at + len(payload) > self._flash_size:
            raise Refused(WRITE_ERROR)
        if self._encrypt:
            payload = self._soc.encrypt(self._write_at, payload)
        self._soc.nor.program(self._write_at, payload)
        self._write_at += len(payload)

    def _flash_end(self, data: bytes, _checksum: int) -> Result:
        (run,) = words(data, 1)
        self._finish(run)
        return 0, b""

    def _finish(self, run: int) -> None:
        if not self._mode:
            raise Refused(FAILED)
        self._mode = ""
        # 1 leaves the loader for the program in flash; 0 resets, with the straps as they were.
        self._soc.defer(self._soc.run_flash if run else self._soc.reboot)

    def _deflate_begin(self, data: bytes, _checksum: int) -> Result:
        size, block_size, offset = self._begin(data)
        if block_size > _MAX_BLOCK:
            raise Refused(INVALID)
        self._need_flash(offset, 0)
        if size:
            self._erase(offset, size)
        self._mode = "deflate"
        self._inflate = zlib.decompressobj()
        self._write_at = offset
        return 0, b""

    def _deflate_data(self, data: bytes, checksum: int) -> Result:
        if self._mode != "deflate" or self._inflate is None:
            raise Refused(INVALID)
        payload = self._block(data, checksum)
        try:
            plain = self._inflate.decompress(payload)
        except zlib.error:
            raise Refused(DEFLATE_ERROR) from None
        if plain:
            self._write(plain)
        return 0, b""

    def _deflate_end(self, data: bytes, _checksum: int) -> Result:
        (run,) = words(data, 1)
        self._finish(run)
        return 0, b""

    def _by_pointer(self) -> None:
        """Where a word in RAM names another function to read flash with, that is called.

        Raises:
            Left: it is.
        """
        pointer = self._soc.silicon.loader.read_pointer
        if pointer is not None and (function := self._soc.bus.read_word(pointer)):
            self._soc.run_ram(function)
            raise Left

    def _md5(self, data: bytes, _checksum: int) -> Result:
        offset, size = words(data, 2)
        self._by_pointer()
        self._need_flash(0, 0)
        if offset + size > self._flash_size:
            raise Refused(READ_ERROR, bytes(_MD5_TEXT))
        contents = self._soc.nor.read(offset, size)
        self._soc.clock.spend(size / 2.5e6)
        return 0, hashlib.md5(contents, usedforsecurity=False).hexdigest().encode()

    def _read_slow(self, data: bytes, _checksum: int) -> Result:
        offset, length = words(data, 2)
        if length > _SLOW_READ:
            raise Refused(BAD_LENGTH, bytes(_SLOW_READ))
        self._by_pointer()
        self._need_flash(offset, length)
        return 0, self._soc.nor.read(offset, length).ljust(_SLOW_READ, b"\0")
