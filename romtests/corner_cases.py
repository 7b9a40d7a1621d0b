# SPDX-License-Identifier: Apache-2.0
"""Requests at and beyond the edges of the loader's protocol, sent to a ROM and to its model."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

from esptool.virtual.board import Board
from esptool.virtual.options import parse_url

SYNC = b"\x07\x07\x12\x20" + b"\x55" * 32
_TRIES = 6


def _sum(data: bytes) -> int:
    value = 0xEF
    for byte in data:
        value ^= byte
    return value


def _block(data: bytes, number: int, length: int | None = None) -> bytes:
    return struct.pack("<4I", len(data) if length is None else length, number, 0, 0) + data


@dataclass(frozen=True)
class Step:
    """One request: `check` None for the right checksum of what follows the block's head."""

    name: str
    op: int
    data: bytes
    check: int | None = 0
    length: int | None = None
    #: The loader ends with it.
    leaves: bool = False

    @property
    def frame(self) -> bytes:
        check = _sum(self.data[16:]) if self.check is None else self.check
        length = len(self.data) if self.length is None else self.length
        return struct.pack("<BBHI", 0, self.op, length, check) + self.data


def _words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


_KB = bytes(range(256)) * 4
_PACKED = zlib.compress(bytes(4096))


def steps(ram: int, flash_words: int) -> list[Step]:
    """The cases, in order; `ram` is free, `flash_words` are the words of FLASH_BEGIN."""
    extra = (0,) * (flash_words - 4)
    return [
        Step("sync again", 0x08, SYNC),
        Step("sync with other words", 0x08, b"\x01" + SYNC[1:]),
        Step("unknown command", 0x77, b""),
        Step("unknown command with data", 0x55, bytes(20)),
        Step("read register", 0x0A, _words(ram)),
        Step("read register without address", 0x0A, b""),
        Step("write register", 0x09, _words(ram, 0x12345678, 0xFFFFFFFF, 0)),
        Step("read it", 0x0A, _words(ram)),
        Step("write under a mask", 0x09, _words(ram, 0xFF, 0xF0, 0)),
        Step("read it again", 0x0A, _words(ram)),
        Step("read register without address after another", 0x0A, b""),
        Step("sync without data", 0x08, b""),
        Step("sync with two bytes", 0x08, SYNC[:2]),
        Step("write two registers", 0x09, _words(ram, 1, 0xFFFFFFFF, 0, ram + 4, 2, 0xFFFFFFFF, 0)),
        Step("read the second", 0x0A, _words(ram + 4)),
        Step("write with a word too few", 0x09, _words(ram, 1, 1)),
        Step("flash data without begin", 0x03, _block(_KB, 0), None),
        Step("RAM data without begin", 0x07, _block(_KB, 0), None),
        Step("packed data without begin", 0x11, _block(_PACKED, 0), None),
        Step("flash begin before attach", 0x02, _words(1024, 1, 1024, 0, *extra)),
        Step("attach", 0x0D, _words(0, 0)),
        Step("set parameters", 0x0B, _words(0, 4 << 20, 0x10000, 0x1000, 0x100, 0xFFFF)),
        Step("set parameters without data", 0x0B, b""),
        Step("set parameters with a word too many", 0x0B, _words(0, 4 << 20, 0, 0, 0, 0, 0)),
        Step("flash begin", 0x02, _words(2048, 2, 1024, 0x10000, *extra)),
        Step("block 0", 0x03, _block(_KB, 0), None),
        Step("block 0 twice", 0x03, _block(_KB, 0), None),
        Step("block 1 damaged", 0x03, _block(_KB, 1), 0x11),
        Step("block 1", 0x03, _block(_KB, 1), None),
        Step("block 5", 0x03, _block(_KB, 5), None),
        Step("hash of what came of it", 0x13, _words(0x10000, 4096, 0, 0)),
        Step("block of another length than it says", 0x03, _block(_KB, 2, 512), None),
        Step("hash beyond the flash", 0x13, _words(0x3FFF00, 0x1000, 0, 0)),
        Step("flash begin beyond the flash", 0x02, _words(0x2000, 2, 1024, 0x3FF000, *extra)),
        Step("flash begin with an oversized block", 0x02, _words(0x8000, 1, 0x8000, 0, *extra)),
        Step("packed begin", 0x10, _words(4096, 1, 1024, 0x20000, *extra)),
        Step("packed block", 0x11, _block(_PACKED, 0), None),
        Step("hash of it", 0x13, _words(0x20000, 4096, 0, 0)),
        Step("packed begin again", 0x10, _words(4096, 1, 1024, 0x20000, *extra)),
        Step("packed block that is none", 0x11, _block(b"\x78\x9c" + b"\xff" * 30, 0), None),
        Step("read flash", 0x0E, _words(0x10000, 64)),
        Step("read too much", 0x0E, _words(0x10000, 65)),
        Step("RAM begin", 0x05, _words(2048, 2, 1024, ram)),
        Step("RAM block 0", 0x07, _block(_KB, 0), None),
        Step("RAM block 0 twice", 0x07, _block(_KB, 0), None),
        Step("RAM block 1 damaged", 0x07, _block(_KB, 1), 0x22),
        Step("RAM block 2", 0x07, _block(_KB, 2), None),
        Step("what came to the start", 0x0A, _words(ram + 4)),
        Step("what came behind", 0x0A, _words(ram + 1024 + 4)),
        Step("what came third", 0x0A, _words(ram + 2048 + 4)),
        Step("RAM begin with an oversized block", 0x05, _words(0x4000, 1, 0x4000, ram)),
        Step("RAM end that stays", 0x06, _words(1, 0)),
        Step("RAM end by its lowest byte", 0x06, _words(0x80, 0)),
        Step("RAM end with a word too many", 0x06, _words(1, 0, 0)),
        Step("RAM end without an entry", 0x06, _words(1)),
        Step("RAM end without data", 0x06, b""),
        Step("security information", 0x14, b""),
        Step("wrong length in the header", 0x0A, _words(ram), length=9),
        Step("a command of the stub", 0xD0, _words(0)),
        Step("flash end that stays", 0x04, _words(2), leaves=True),
    ]


class Loader:
    """A virtual chip in download mode that has answered a SYNC."""

    def __init__(self, url: str) -> None:
        self.board = Board(parse_url(url))
        self.board.take()
        self.syncs = 0
        self.instructions = 0
        for _ in range(_TRIES):
            self.syncs += 1
            self._send(Step("sync", 0x08, SYNC).frame)
            if answers := self._answers():
                self.first = answers
                break
        else:
            raise AssertionError("no answer to SYNC")
        if (machine := self.board.soc.machine) is not None:
            self.instructions = machine.core.count[0]

    def _send(self, frame: bytes) -> None:
        escaped = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        self.board.host_write(b"\xc0" + escaped + b"\xc0")

    def _answers(self) -> list[bytes]:
        data = b"".join(self.board.take() for _ in range(20))
        return [
            p.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
            for p in data.split(b"\xc0")
            if p
        ]

    def ask(self, step: Step) -> list[bytes]:
        """The answers to one request."""
        self._send(step.frame)
        return self._answers()


def shown(answers: list[bytes], status_bytes: int) -> list[tuple[object, ...]]:
    """What of the answers counts: opcode, value, body and the first two bytes of the status."""
    out: list[tuple[object, ...]] = []
    for answer in answers:
        if len(answer) < 8 or answer[0] != 1:
            out.append((answer,))
            continue
        _, op, size, value = struct.unpack_from("<BBHI", answer)
        body = answer[8 : 8 + size]
        status = body[len(body) - status_bytes :] if len(body) >= status_bytes else body
        content = body[: len(body) - status_bytes]
        out.append((f"{op:#x}", f"{value:#x}", content.hex(), status[:2].hex()))
    return out


def digest(answers: list[bytes]) -> str:
    """A short name of some answers."""
    return hashlib.sha256(b"".join(answers)).hexdigest()[:8]
