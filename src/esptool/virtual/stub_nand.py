# SPDX-License-Identifier: Apache-2.0
"""The NAND plug-in of a stub as a behaviour: ours, or the public one, which knows one part."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from esptool import stubs
from esptool.virtual.framing import wrap
from esptool.virtual.nand import BUSY, ERASE_FAIL, PROGRAM_FAIL, Nand
from esptool.virtual.rom import xor_sum
from esptool.virtual.stub_status import (
    BAD_BLOCK_SIZE,
    BAD_CHECKSUM,
    BAD_COMMAND,
    BAD_LENGTH,
    ERASE_FAILED,
    NOT_WRITING,
    PROGRAM_FAILED,
    SPI_FAILED,
    TOO_LITTLE,
    TOO_MUCH,
    StubError,
    words,
)

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

FIRST, LAST = 0xD5, 0xDF
_PROTECTION, _CONFIG, _STATUS = 0xA0, 0xB0, 0xC0
_WINBOND = 0xEF
_ECC, _BUFFER = 0x10, 0x08
_GEOMETRY, _TALLY, _DIGEST, _MARKS = range(4)
_MOST_MARKS, _LARGEST_PAGE, _PIECE = 512, 4096, 64
_LOST = 3
_NO_PAGE = 0xFFFFFFFF
_STUB_SEGMENTS = 2
_PINS = 49

Result = tuple[int, bytes]


def _tables(chip: str) -> Iterator[int]:
    """Addresses of the tables of handlers in the stubs of this package for a chip."""
    for path in sorted(stubs.DATA.glob(f"{chip}*.json")):
        if path.stem == chip or path.stem.startswith(f"{chip}-"):
            stub = stubs.load_file(path)
            if stub.table_offset is not None:
                yield stub.data_start + stub.table_offset


def loaded(soc: Soc, opcode: int, *, ours: bool) -> bool:
    """The plug-in is in RAM: its handler stands in our stub's table, or a segment more than the
    two of the public stub came."""
    if not ours:
        return len(soc.loaded) > _STUB_SEGMENTS
    slot = 4 * (opcode - FIRST)
    return any(soc.bus.read_word(table + slot) for table in _tables(soc.silicon.key))


class NandPlugin:
    """The commands 0xD5 to 0xDF.

    Attributes:
        reader: what streams data now; acknowledgements go there.
        more: it is ours, with the command 0xDF.
    """

    def __init__(self, soc: Soc, *, more: bool) -> None:
        self._soc = soc
        self.more = more
        self.reader: NandReader | None = None
        self._attached = False
        self._writing = False
        self._loaded = _NO_PAGE
        self.handlers: dict[int, Callable[[bytes, int], Result]] = {
            0xD5: self._attach,
            0xD6: self._read_spare,
            0xD7: self._write_spare,
            0xD8: self._read,
            0xD9: self._begin,
            0xDA: self._data,
            0xDB: self._erase_all,
            0xDC: self._erase_region,
            0xDD: self._page,
            0xDE: self._end,
        }
        if more:
            self.handlers[0xDF] = self._more

    # --- the flash ---------------------------------------------------------------------------

    def _nand(self) -> Nand:
        if not self._attached or self._soc.nand is None:
            raise StubError(SPI_FAILED)
        return self._soc.nand

    def _command(self, command: int, row: int = 0, data: bytes = b"", want: int = 0) -> bytes:
        assert self._soc.nand is not None
        answer = self._soc.nand.transfer(command, row, 24, data, want)
        self._soc.nand.wait_ready()
        return answer

    def _status(self) -> int:
        assert self._soc.nand is not None
        self._soc.nand.wait_ready()
        return self._soc.nand.transfer(0x0F, _STATUS, 8, b"", 1)[0] & ~BUSY

    def _set(self, feature: int, value: int) -> None:
        assert self._soc.nand is not None
        self._soc.nand.transfer(0x1F, feature, 8, bytes((value,)), 0)

    def _get(self, feature: int) -> int:
        assert self._soc.nand is not None
        return self._soc.nand.transfer(0x0F, feature, 8, b"", 1)[0]

    def _column(self, page: int, at: int) -> int:
        odd = page // self._pages & 1
        return at | (self._plane_bit if odd else 0)

    def _in_flash(self, page: int) -> None:
        if self.more and page >= self._pages * self._blocks:
            raise StubError(SPI_FAILED)

    def _holds(self, at: int, size: int) -> None:
        last = at + max(size, 1) - 1
        if last >> 32:
            raise StubError(SPI_FAILED)
        self._in_flash(at // self._page_size)
        self._in_flash(last // self._page_size)

    def load(self, page: int) -> bytes:
        """A page behind the error correction, which is counted."""
        self._in_flash(page)
        if page != self._loaded:
            self._command(0x13, page)
            verdict = self._verdicts >> 2 * (self._status() >> 4 & 7) & 3
            if verdict == _LOST:
                self._lost.append(page)
            elif verdict:
                self._corrected.append(page)
                self._at_limit += verdict == 2
            self._loaded = page
        column = self._column(page, 0) << 8
        return self._command(0x03, column, b"", self._page_size)

    def lost(self) -> int:
        """Pages that could not be corrected since the tally was taken."""
        return len(self._lost)

    def _raw_mark(self, page: int) -> bytes:
        self._in_flash(page)
        self._loaded = _NO_PAGE
        self._set(_CONFIG, self._get(_CONFIG) & ~_ECC)
        self._command(0x13, page)
        mark = self._command(0x03, self._column(page, self._page_size) << 8, b"", 4)
        self._set(_CONFIG, self._get(_CONFIG) | _ECC)
        return mark

    def _program(self, page: int, at: int, data: bytes) -> int:
        self._loaded = _NO_PAGE
        self._command(0x06)
        assert self._soc.nand is not None
        self._soc.nand.transfer(0x02, self._column(page, at), 16, data, 0)
        self._command(0x10, page)
        return PROGRAM_FAILED if self._status() & PROGRAM_FAIL else 0

    def _erase(self, page: int) -> None:
        self._in_flash(page)
        self._loaded = _NO_PAGE
        self._command(0x06)
        self._command(0xD8, page)
        if self._status() & ERASE_FAIL:
            raise StubError(ERASE_FAILED)

    # --- commands ----------------------------------------------------------------------------

    def _attach(self, data: bytes, _check: int) -> Result:
        (pins,) = _exactly(data, 4)
        self._attached = self._writing = False
        if self._soc.nand is None or not self._leads_to_flash(pins):
            raise StubError(SPI_FAILED)
        self._attached = True
        self._page_size, self._pages, self._blocks = 2048, 64, 1024
        self._plane_bit, self._verdicts, self._tells = 0, 0xF4F4, False
        self._loaded = _NO_PAGE
        self._forget()
        self._command(0xFF)
        maker, *device = self._command(0x9F, 0, b"", 3)
        self._set(_PROTECTION, 0)
        self._set(_CONFIG, self._get(_CONFIG) | _ECC | (_BUFFER if maker == _WINBOND else 0))
        value = self._status() << 24 | maker << 16 | device[0] << 8 | device[1]
        return value, bytes((self._get(_PROTECTION),))

    def _leads_to_flash(self, word: int) -> bool:
        named = [word >> shift & 63 for shift in (0, 6, 12, 24, 18)]
        wired = self._soc.options.nand.pins
        return max(named) < _PINS and (not word or wired is None or named == [*wired])

    def _forget(self) -> None:
        self._corrected: list[int] = []
        self._lost: list[int] = []
        self._at_limit = 0

    def _read_spare(self, data: bytes, _check: int) -> Result:
        (page,) = _exactly(data, 4)
        self._nand()
        return int.from_bytes(self._raw_mark(page), "little"), b""

    def _write_spare(self, data: bytes, _check: int) -> Result:
        if len(data) != 5:
            raise StubError(BAD_LENGTH)
        self._nand()
        (page,) = words(data, 1)
        self._in_flash(page)
        if not data[4]:
            return 0, b""
        self._set(_CONFIG, self._get(_CONFIG) & ~_ECC)
        failed = self._program(page, self._page_size, bytes(4))
        self._set(_CONFIG, self._get(_CONFIG) | _ECC)
        if failed and self._raw_mark(page)[0] == 0xFF:
            raise StubError(SPI_FAILED)
        return 0, b""

    def _read(self, data: bytes, _check: int) -> Result:
        at, size, packet, window = _exactly(data, 16)
        self._nand()
        most = 2 * (_LARGEST_PAGE if self.more else self._page_size)
        if not packet or packet > most or (self.more and packet % _PIECE):
            raise StubError(BAD_LENGTH)
        self._holds(at, size)
        window = min(window or 1, 64) if self.more else 1
        self.reader = NandReader(self._soc, self, at, size, packet, window)
        self._soc.defer(self.reader.go)
        return 0, b""

    def contents(self, at: int, size: int) -> tuple[bytes, bool]:
        """Bytes as they lie there; False where a host without tally must not trust them."""
        out = bytearray()
        good = True
        while size:
            page, within = divmod(at, self._page_size)
            take = min(size, self._page_size - within)
            before = self.lost()
            out += self.load(page)[within : within + take]
            good = good and (self.lost() == before or self._tells)
            at += take
            size -= take
        return bytes(out), good

    def _begin(self, data: bytes, _check: int) -> Result:
        at, size, _block, _packet = _exactly(data, 16)
        self._nand()
        self._writing = False
        if at % self._page_size:
            raise StubError(BAD_LENGTH)
        self._holds(at, size)
        self._at, self._left = at, size
        self._partial = b""
        self._seq, self._result = 0, 0
        self._writing = True
        return 0, b""

    def _data(self, data: bytes, check: int) -> Result:
        if len(data) < 16:
            raise StubError(TOO_LITTLE)
        if not self._attached or not self._writing:
            raise StubError(NOT_WRITING)
        length, seq, _, _ = words(data, 4)
        payload = data[16:]
        if length != len(payload):
            raise StubError(TOO_MUCH)
        if xor_sum(payload) != check:
            raise StubError(BAD_CHECKSUM)
        if self.more and self._seq and seq == self._seq - 1:
            return self._again()
        if self.more and seq != self._seq:
            raise StubError(TOO_LITTLE)
        if length > self._left:
            raise StubError(TOO_MUCH)
        self._seq += 1
        self._result = self._put(payload)
        return self._again()

    def _again(self) -> Result:
        if self._result:
            raise StubError(self._result)
        return 0, b""

    def _put(self, payload: bytes) -> int:
        while payload:
            room = self._page_size - len(self._partial)
            self._partial += payload[:room]
            self._left -= len(payload[:room])
            payload = payload[room:]
            if len(self._partial) < self._page_size:
                break
            page, self._partial = self._partial, b""
            try:
                self._put_page(page)
            except StubError as e:
                return e.status
        return 0

    def _put_page(self, content: bytes) -> None:
        page = self._at // self._page_size
        if page % self._pages == 0:
            self._erase(page)
        self._in_flash(page)
        if content.count(0xFF) != len(content) or not self.more:
            failed = self._program(page, 0, content)
            if failed:
                raise StubError(failed)
        self._at += self._page_size

    def _end(self, data: bytes, _check: int) -> Result:
        _exactly(data, 4)
        if not self._attached or not self._writing:
            raise StubError(NOT_WRITING)
        if self._left:
            raise StubError(BAD_LENGTH)
        if self._partial:
            content, self._partial = self._partial.ljust(self._page_size, b"\xff"), b""
            self._put_page(content)
        self._writing = False
        return 0, b""

    def _erase_all(self, _data: bytes, _check: int) -> Result:
        self._nand()
        for block in range(self._blocks):
            self._erase(block * self._pages)
        return 0, b""

    def _erase_region(self, data: bytes, _check: int) -> Result:
        at, size = _exactly(data, 8)
        self._nand()
        block = self._page_size * self._pages
        if at % block or size % block:
            raise StubError(BAD_LENGTH)
        self._holds(at, size)
        for number in range(at // block, (at + size) // block):
            self._erase(number * self._pages)
        return 0, b""

    def _page(self, data: bytes, _check: int) -> Result:
        (page,) = _exactly(data, 4)
        self._nand()
        return page, self.load(page)[:16]

    # --- ours only ---------------------------------------------------------------------------

    def _more(self, data: bytes, _check: int) -> Result:
        (what,) = words(data, 1)
        self._nand()
        jobs = {
            _GEOMETRY: self._set_geometry,
            _TALLY: self._tell_tally,
            _DIGEST: self._digest,
            _MARKS: self._marks,
        }
        job = jobs.get(what)
        if job is None:
            raise StubError(BAD_COMMAND)
        return job(data)

    def _set_geometry(self, data: bytes) -> Result:
        _, page, pages, blocks, plane_bit, verdicts, flags = _exactly(data, 28)
        odd_page = not 512 <= page <= _LARGEST_PAGE or page & (page - 1)
        odd_pages = not pages or pages & (pages - 1) or pages > 1024
        if odd_page or odd_pages or not 0 < blocks <= 0x10000:
            raise StubError(BAD_BLOCK_SIZE)
        self._page_size, self._pages, self._blocks = page, pages, blocks
        self._plane_bit, self._verdicts, self._tells = plane_bit, verdicts, bool(flags & 1)
        self._loaded = _NO_PAGE
        self._writing = False
        return 0, b""

    def _tell_tally(self, _data: bytes) -> Result:
        first_corrected = self._corrected[0] if self._corrected else _NO_PAGE
        first_lost = self._lost[0] if self._lost else _NO_PAGE
        fields = struct.pack("<4I", self._at_limit, first_corrected, len(self._lost), first_lost)
        corrected = len(self._corrected)
        self._forget()
        return corrected, fields

    def _digest(self, data: bytes) -> Result:
        _, at, size = _exactly(data, 12)
        self._holds(at, size)
        found = self.contents(at, size)[0]
        return 0, hashlib.md5(found, usedforsecurity=False).digest()

    def _marks(self, data: bytes) -> Result:
        _, first, count = _exactly(data, 12)
        if count > _MOST_MARKS or first + count > self._blocks:
            raise StubError(SPI_FAILED)
        bits = bytearray((count + 7) // 8)
        for i in range(count):
            bad = self._raw_mark((first + i) * self._pages)[0] != 0xFF
            bits[i // 8] |= bad << i % 8
        return sum(byte.bit_count() for byte in bits), bytes(bits)


class NandReader:
    """Frames of data, each acknowledged with the bytes received, then their MD5."""

    def __init__(
        self, soc: Soc, plugin: NandPlugin, at: int, size: int, packet: int, window: int
    ) -> None:
        self._soc, self._plugin = soc, plugin
        self._at, self._size, self._packet, self._window = at, size, packet, window
        self._sent = self._acked = 0
        self._hash = hashlib.md5(usedforsecurity=False)
        self._good = True
        self.over = False

    def go(self) -> None:
        """Send as much as may be unacknowledged, and the MD5 when all has been acknowledged."""
        while self._sent < self._size and self._sent - self._acked < self._window * self._packet:
            take = min(self._packet, self._size - self._sent)
            self._send(*self._plugin.contents(self._at + self._sent, take))
            self._sent += take
        if self._acked >= self._size:
            digest = self._hash.digest()
            if not self._good:
                digest = bytes(byte ^ 0xFF for byte in digest)
            self._soc.send(wrap(digest))
            self.over = True

    def _send(self, data: bytes, good: bool) -> None:
        self._good = self._good and good
        if not self._good:
            data = bytes(len(data))
        self._hash.update(data)
        self._soc.send(wrap(data))

    def acknowledge(self, total: int) -> None:
        """The host has `total` bytes."""
        self._acked = total
        self.go()


def _exactly(data: bytes, size: int) -> tuple[int, ...]:
    """All words of a request of that size.

    Raises:
        StubError: it has another one.
    """
    if len(data) != size:
        raise StubError(BAD_LENGTH)
    return words(data, size // 4)
