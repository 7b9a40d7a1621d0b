# SPDX-License-Identifier: Apache-2.0
"""The extensions of `docs/serial-protocol.md`, as a behaviour: windowed, sealed, repeatable."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from esptool.virtual.framing import wrap
from esptool.virtual.nor import SECTOR
from esptool.virtual.stage_stream import place
from esptool.virtual.stub_status import (
    BAD_BLOCK_SIZE,
    BAD_CHECKSUM,
    BAD_LENGTH,
    INFLATE_FAILED,
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
    from esptool.virtual.stub_model import StubModel

INFO_VALUE = 0x31545845
_CAPABILITIES = 0x1FF
_WRITE_BLOCK, _WRITE_WINDOW = 0x1000, 6
_READ_FRAME, _READ_WINDOW = 0x1000, 32
_MAX_UNITS, _MAX_BATCH = 256, 0x400
_SPI_BUFFER = 64  # bytes of one transaction, each way

_MD5, _CRC32_SUM = 1, 2
#: Bytes a second at which the machine code hashes and looks for blank flash at 40 MHz.
_MD5_RATE, _CRC32_RATE, _BLANK_RATE = 2.7e6, 5.2e6, 9e6
_DEFLATED, _ERASE_FIRST, _ENCRYPTED = 1, 2, 4
_BATCH, _W_BEGIN, _W_DATA, _W_STATUS, _W_END = 0xE1, 0xE2, 0xE3, 0xE4, 0xE5
_HASHES, _BLANK, _R_BEGIN, _R_FRAME, _R_ACK, _ERASE = 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xEB
_LOAD, _CALL = 0xEC, 0xED
#: What works without the late part.
_EARLY = frozenset({_BATCH, _LOAD, _CALL})

#: Bytes that the flash encryption takes at once, on any chip.
_CIPHER_BLOCK = 128


@dataclass(slots=True)
class _Write:
    """A write session."""

    session: int
    offset: int
    size: int
    stream: int
    block: int
    flags: int
    inflate: zlib._Decompress | None
    expected: int = 0
    taken: int = 0
    done: int = 0
    erased_to: int = 0
    status: int = 0
    asked_again: bool = False
    held: bytes = b""


@dataclass(slots=True)
class _Read:
    """A read session."""

    session: int
    offset: int
    size: int
    frame: int
    window: int
    compress: bool
    sent: int = 0
    frames: int = field(init=False)

    def __post_init__(self) -> None:
        self.frames = (self.size + self.frame - 1) // self.frame


class Extensions:
    """The handlers of opcodes 0xE0 to 0xED of one running stub."""

    def __init__(self, stub: StubModel) -> None:
        self._stub = stub
        self._nor = stub.soc.nor
        self._write: _Write | None = None
        self._read: _Read | None = None
        self._last_batch: tuple[int, int, bytes, int] | None = None
        serve: dict[int, Callable[[bytes], tuple[int, bytes, int] | None]] = {
            _BATCH: self._batch,
            _W_BEGIN: self._write_begin,
            _W_DATA: self._write_data,
            _W_STATUS: self._write_status,
            _W_END: self._write_end,
            _HASHES: self._hashes,
            _BLANK: self._blank,
            _R_BEGIN: self._read_begin,
            _R_ACK: self._read_ack,
            _ERASE: self._erase,
            _LOAD: self._load,
            _CALL: self._call,
        }
        self._serve = serve
        self.handlers: dict[int, Callable[[int, bytes], None]] = dict.fromkeys(serve, self._sealed)

    def info(self, _data: bytes, _check: int) -> tuple[int, bytes]:
        """EXT_INFO: what there is, and how much fits."""
        return INFO_VALUE, struct.pack(
            "<HH7I", 1, _CAPABILITIES, _WRITE_BLOCK, _WRITE_WINDOW, _READ_FRAME, _READ_WINDOW,
            _MAX_UNITS, _MAX_BATCH, self._stub.missing,
        )  # fmt: skip

    # --- seals -------------------------------------------------------------------------------

    def _sealed(self, op: int, data: bytes) -> None:
        fields, seal = data[:-4], data[-4:]
        if len(data) < 4 or zlib.crc32(bytes((op,)) + fields) != int.from_bytes(seal, "little"):
            if op == _W_DATA and self._write is not None:
                self._damaged_block(self._write)
            elif op != _R_ACK:
                self._answer(op, 0xFFFFFFFF, b"", BAD_CHECKSUM)
            return
        try:
            if self._stub.missing and op not in _EARLY:
                raise StubError(NOT_LOADED)
            result = self._serve[op](fields)
        except StubError as e:
            result = 0, b"", e.status
        if result is not None:
            self._answer(op, *result)

    def _answer(self, op: int, value: int, fields: bytes, status: int) -> None:
        head = bytes((op,)) + struct.pack("<I", value & 0xFFFFFFFF)
        tail = bytes((status, 0))
        seal = zlib.crc32(head + fields + tail)
        body = fields + struct.pack("<I", seal) + tail
        packet = struct.pack("<BBHI", 1, op, len(body), value & 0xFFFFFFFF) + body
        self._stub.soc.send(wrap(packet))

    # --- the late part -----------------------------------------------------------------------

    def _load(self, data: bytes) -> tuple[int, bytes, int]:
        (address,) = words(data, 1)
        if len(data) % 4:
            raise StubError(BAD_LENGTH)
        self._stub.soc.bus.write(address, data[4:])
        return address, b"", 0

    def _call(self, data: bytes) -> tuple[int, bytes, int]:
        words(data, 2)
        return 0, b"", INFLATE_FAILED if place(self._stub.soc, data) else 0

    # --- batch -------------------------------------------------------------------------------

    def _batch(self, data: bytes) -> tuple[int, bytes, int]:
        if len(data) < 4:
            raise StubError(BAD_LENGTH)
        number, count = struct.unpack_from("<HH", data)
        if number and self._last_batch is not None and self._last_batch[0] == number:
            return self._last_batch[1:]
        done, at, status = 0, 4, 0
        out = bytearray()
        try:
            while done < count and not status:
                at, answer, status = self._operation(data, at)
                if len(out) + len(answer) > _MAX_BATCH:
                    raise StubError(TOO_MUCH)
                out += answer
                done += not status
        except StubError as e:
            status = e.status
        except (struct.error, IndexError):
            status = BAD_LENGTH
        self._last_batch = (number, done, bytes(out), status)
        return done, bytes(out), status

    def _operation(self, data: bytes, at: int) -> tuple[int, bytes, int]:
        """Do the operation at `at`; where the next one starts, the answer, the status."""
        bus, clock = self._stub.soc.bus, self._stub.soc.clock
        kind = data[at]
        if kind == 1:
            (address,) = struct.unpack_from("<I", data, at + 1)
            return at + 5, struct.pack("<I", bus.read_word(address)), 0
        if kind == 2:
            address, value, mask = struct.unpack_from("<3I", data, at + 1)
            self._stub.write_masked(address, value, mask)
            return at + 13, b"", 0
        if kind == 3:
            (delay,) = struct.unpack_from("<I", data, at + 1)
            clock.spend(delay * 1e-6)
            return at + 5, b"", 0
        if kind == 4:
            return *self._spi(data, at), 0
        if kind == 5:
            address, mask, value, _timeout = struct.unpack_from("<4I", data, at + 1)
            word = bus.read_word(address)
            status = 0 if word & mask == value else SPI_FAILED
            return at + 17, struct.pack("<I", word), status
        raise StubError(NOT_IMPLEMENTED)

    def _spi(self, data: bytes, at: int) -> tuple[int, bytes]:
        command, bits, _dummy, out, back, address = struct.unpack_from("<5BI", data, at + 1)
        end = at + 10 + out
        if end > len(data) or bits not in (0, 24, 32) or max(out, back) > _SPI_BUFFER:
            raise StubError(BAD_LENGTH)
        payload = data[at + 10 : end]
        where = address if bits else None
        return end, self._nor.transfer(command, where, bits // 8, payload, back)

    # --- writing -----------------------------------------------------------------------------

    def _state(self, write: _Write, *, resend: bool = False) -> tuple[int, bytes, int]:
        limit = write.expected + _WRITE_WINDOW - 1
        fields = struct.pack("<3I", limit, write.done, 1 if resend else 0)
        return write.expected, fields, write.status

    def _session(self, number: int) -> _Write:
        if self._write is None or self._write.session != number:
            raise StubError(NOT_WRITING)
        return self._write

    def _write_begin(self, data: bytes) -> tuple[int, bytes, int]:
        session, offset, size, stream, block, flags = words(data, 6)
        if self._write is not None and self._write.session == session:
            return self._state(self._write)
        aligned = offset % (SECTOR if flags & _ERASE_FIRST else 4) == 0
        self._write = None
        if not session or not aligned or not 0 < block <= _WRITE_BLOCK or block % 4:
            raise StubError(BAD_BLOCK_SIZE)
        if not flags & _DEFLATED and stream != size:
            raise StubError(BAD_BLOCK_SIZE)
        self._stub.check_range(offset, size)
        self._stub.unlock()
        inflate = zlib.decompressobj() if flags & _DEFLATED else None
        self._write = _Write(session, offset, size, stream, block, flags, inflate)
        self._write.erased_to = offset
        return self._state(self._write)

    def _damaged_block(self, write: _Write) -> None:
        if not write.asked_again:
            write.asked_again = True
            self._answer(_W_DATA, *self._state(write, resend=True))

    def _write_data(self, data: bytes) -> tuple[int, bytes, int] | None:
        session, seq = words(data, 2)
        write = self._session(session)
        block = data[8:]
        if seq < write.expected:
            return self._state(write)
        wanted = min(write.block, write.stream - write.taken)
        if seq > write.expected or len(block) != wanted:
            if write.asked_again:
                return None
            write.asked_again = True
            return self._state(write, resend=True)
        write.expected += 1
        write.asked_again = False
        write.taken += len(block)
        # The answer goes out before the flash is written, as blocks are buffered.
        self._stub.soc.defer(lambda: self._store(write, block))
        return self._state(write)

    def _store(self, write: _Write, block: bytes) -> None:
        if write.status:
            return
        try:
            if write.inflate is not None:
                block = write.inflate.decompress(block)
            if write.done + len(block) > write.size:
                raise StubError(TOO_MUCH)
            self._program(write, block)
        except zlib.error:
            write.status = INFLATE_FAILED
        except StubError as e:
            write.status = e.status

    def _program(self, write: _Write, data: bytes) -> None:
        soc = self._stub.soc
        if write.flags & _ENCRYPTED:
            # The cipher takes whole blocks; what is left over waits for more.
            data = write.held + data
            end = write.done + len(data)
            whole = len(data) if end >= write.size else len(data) - end % _CIPHER_BLOCK
            data, write.held = data[: max(0, whole)], data[max(0, whole) :]
            if not data:
                return
        at = write.offset + write.done
        if write.flags & _ENCRYPTED:
            if not soc.can_encrypt():
                raise StubError(SPI_FAILED)
            data = soc.encrypt(at, data)
        if write.flags & _ERASE_FIRST:
            self._erase_ahead(write, at + len(data))
        for start, piece in _pages(at, data):
            self._nor.program(start, piece)
        write.done += len(data)

    def _erase_ahead(self, write: _Write, end: int) -> None:
        last = write.offset + write.size
        while write.erased_to < end:
            step = self._best_step(write.erased_to, (last + SECTOR - 1) // SECTOR * SECTOR)
            if self._nor.cells.read(write.erased_to, step).count(0xFF) != step:
                self._nor.erase(write.erased_to, step)
            write.erased_to += step

    def _best_step(self, at: int, end: int) -> int:
        """The largest erase that fits and is quicker than erasing its used sectors singly."""
        for step, least in ((0x10000, 4), (0x8000, 3)):
            if at % step == 0 and end - at >= step:
                used = sum(
                    self._nor.cells.read(s, SECTOR).count(0xFF) != SECTOR
                    for s in range(at, at + step, SECTOR)
                )
                if used >= least or not used:
                    return step
        return SECTOR

    def _write_status(self, data: bytes) -> tuple[int, bytes, int]:
        return self._state(self._session(words(data, 1)[0]))

    def _write_end(self, data: bytes) -> tuple[int, bytes, int]:
        write = self._session(words(data, 1)[0])
        expected, fields, status = self._state(write)
        if not status and (write.taken < write.stream or write.done < write.size):
            status = TOO_LITTLE
        return expected, fields, status

    # --- looking -----------------------------------------------------------------------------

    def _hashes(self, data: bytes) -> tuple[int, bytes, int]:
        offset, size, unit, kind = words(data, 4)
        fits = unit and not unit % SECTOR and not size % unit and size // unit <= _MAX_UNITS
        if not fits or kind > _CRC32_SUM:
            raise StubError(BAD_BLOCK_SIZE)
        self._stub.check_range(offset, size)
        self._write = None
        self._stub.soc.clock.spend(size / (_MD5_RATE if kind == _MD5 else _CRC32_RATE))
        out = bytearray()
        for at in range(offset, offset + size, unit):
            contents = self._nor.read(at, unit)
            if kind == _MD5:
                out += hashlib.md5(contents, usedforsecurity=False).digest()[:8]
                continue
            out += struct.pack("<I", zlib.crc32(contents))
            if kind == _CRC32_SUM:
                # In another way than the host does it: each word by how often it is counted.
                count = unit // 4
                values = struct.unpack(f"<{count}I", contents)
                total = sum((count - i) * value for i, value in enumerate(values))
                out += struct.pack("<I", total & 0xFFFFFFFF)
        return size // unit, bytes(out), 0

    def _blank(self, data: bytes) -> tuple[int, bytes, int]:
        offset, size = words(data, 2)
        count = size // SECTOR
        if size % SECTOR or count > 8 * _MAX_UNITS:
            raise StubError(BAD_BLOCK_SIZE)
        self._stub.check_range(offset, size)
        self._stub.soc.clock.spend(size / _BLANK_RATE)
        bits = 0
        for number in range(count):
            contents = self._nor.read(offset + number * SECTOR, SECTOR)
            bits |= (contents.count(0xFF) == SECTOR) << number
        return count, bits.to_bytes((count + 7) // 8, "little"), 0

    # --- reading -----------------------------------------------------------------------------

    def _read_begin(self, data: bytes) -> tuple[int, bytes, int]:
        session, offset, size, frame, window, flags = words(data, 6)
        if not session or not 0 < frame <= _READ_FRAME or not window:
            raise StubError(BAD_BLOCK_SIZE)
        self._stub.check_range(offset, size)
        self._write = None
        read = _Read(session, offset, size, frame, min(window, _READ_WINDOW), bool(flags & 1))
        self._read = read
        self._stub.soc.defer(lambda: self._send_frames(read, 0))
        return read.frames, b"", 0

    def _send_frames(self, read: _Read, acknowledged: int) -> None:
        end = min(read.frames, acknowledged + read.window)
        while read.sent < end:
            self._send_frame(read, read.sent)
            read.sent += 1

    def _send_frame(self, read: _Read, number: int) -> None:
        start = number * read.frame
        plain = self._nor.read(read.offset + start, min(read.frame, read.size - start))
        method, body = 0, plain
        if read.compress:
            self._stub.soc.clock.spend(len(plain) / 4e6)
            if plain.count(plain[0]) == len(plain):
                method, body = 2, plain[:1]
            else:
                packer = zlib.compressobj(1, zlib.DEFLATED, -15)
                packed = packer.compress(plain) + packer.flush()
                if len(packed) < len(plain):
                    method, body = 1, packed
        fields = struct.pack("<3I", read.session, method, len(plain)) + body
        self._answer(_R_FRAME, number, fields, 0)

    def _read_ack(self, data: bytes) -> tuple[int, bytes, int] | None:
        session, upto, count = words(data, 3)
        read = self._read
        if read is None:
            return upto, b"", 0
        if read.session != session:
            return None
        if upto >= read.frames:
            self._read = None
            return read.frames, b"", 0
        for number in words(data, 3 + min(count, 32))[3:]:
            if number < read.frames:
                self._send_frame(read, number)
        self._send_frames(read, upto)
        return None

    # --- erasing -----------------------------------------------------------------------------

    def _erase(self, data: bytes) -> tuple[int, bytes, int]:
        offset, size, flags = words(data, 3)
        if offset % SECTOR or size % SECTOR:
            raise StubError(BAD_BLOCK_SIZE)
        self._stub.check_range(offset, size)
        self._stub.unlock()
        at, end = offset, offset + size
        reported = self._stub.soc.clock.now
        while at < end:
            step = self._best_step(at, end)
            if not flags & 1 or self._nor.cells.read(at, step).count(0xFF) != step:
                self._nor.erase(at, step)
            at += step
            if self._stub.soc.clock.now - reported > 0.5 and at < end:
                reported = self._stub.soc.clock.now
                self._answer(_ERASE, at - offset, struct.pack("<I", 0), 0)
        return size, struct.pack("<I", 1), 0


def _pages(at: int, data: bytes) -> list[tuple[int, bytes]]:
    """Runs of pages of 256 bytes that are not blank: (address, bytes)."""
    if data.count(0xFF) < 256:
        return [(at, data)]
    out: list[tuple[int, bytes]] = []
    done = 0
    while done < len(data):
        take = min(256 - (at + done) % 256, len(data) - done)
        piece = data[done : done + take]
        if piece.count(0xFF) != take:
            if out and out[-1][0] + len(out[-1][1]) == at + done:
                out[-1] = (out[-1][0], out[-1][1] + piece)
            else:
                out.append((at + done, piece))
        done += take
    return out
