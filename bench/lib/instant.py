# SPDX-License-Identifier: Apache-2.0
"""A peer that answers at once: an ESP32-S3 ROM loader on a TCP port, with flash in memory.

It has no line rate and no flash times, so that what a client needs of its own CPU can be measured.
It parses requests with its own code. `python -m bench.lib.instant` prints its port and serves one
connection after the other until it is ended.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import sys
import zlib

CHIP_ID = 9
SPI_BASE = 0x60002000
STATUS = bytes(4)


class InstantChip:
    """The loader's state, and the answer to each request."""

    def __init__(self, flash_size: int = 16 << 20) -> None:
        self.flash = bytearray(b"\xff" * flash_size)
        self.words: dict[int, int] = {}
        self.at = 0
        self.inflater: zlib._Decompress | None = None
        self.requests = 0

    def answer(self, frame: bytes) -> bytes:
        """The response to a request, both unframed."""
        _dir, op, _size, _check = struct.unpack_from("<BBHI", frame)
        body = frame[8:]
        self.requests += 1
        value, data = self._handle(op, body)
        return struct.pack("<BBHI", 1, op, len(data) + 4, value) + data + STATUS

    def _handle(self, op: int, body: bytes) -> tuple[int, bytes]:
        if op == 0x0A:
            return self._read(struct.unpack_from("<I", body)[0]), b""
        if op == 0x09:
            address, value, mask = struct.unpack_from("<3I", body)
            self.words[address] = (self.words.get(address, 0) & ~mask) | (value & mask)
        elif op in (0x02, 0x10):
            size, _count, _block, self.at = struct.unpack_from("<4I", body)
            self.flash[self.at : self.at + size] = b"\xff" * size
            self.inflater = zlib.decompressobj() if op == 0x10 else None
        elif op in (0x03, 0x11):
            data = body[16:]
            if self.inflater is not None:
                data = self.inflater.decompress(data)
            self.flash[self.at : self.at + len(data)] = data
            self.at += len(data)
        elif op == 0x13:
            start, size = struct.unpack_from("<2I", body)
            view = memoryview(self.flash)[start : start + size]
            return 0, hashlib.md5(view).hexdigest().encode()
        elif op == 0x0E:
            start, size = struct.unpack_from("<2I", body)
            return 0, bytes(self.flash[start : start + size]).ljust(64, b"\0")
        elif op == 0x14:
            return 0, struct.pack("<IB7sII", 0, 0, bytes(7), CHIP_ID, 0)
        return (1 if op == 0x08 else 0), b""

    def _read(self, address: int) -> int:
        if address == SPI_BASE:
            return 0
        if address == SPI_BASE + 0x58:  # W0: what the flash answered
            command = self.words.get(SPI_BASE + 0x20, 0) & 0xFF
            return {0x9F: 0x1840EF}.get(command, 0)
        return self.words.get(address, 0)


def frame(payload: bytes) -> bytes:
    """SLIP (RFC 1055)."""
    return b"\xc0" + payload.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def unframe(payload: bytes) -> bytes:
    """Undo the escapes of a SLIP frame."""
    return payload.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")


def serve(connection: socket.socket, chip: InstantChip) -> None:
    """Answer one client until it hangs up."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pending = b""
    while received := connection.recv(1 << 20):
        parts = (pending + received).split(b"\xc0")
        pending = parts.pop()
        answers = []
        for part in parts:
            if len(part) < 8:
                continue
            answer = frame(chip.answer(unframe(part)))
            answers.append(answer * (8 if part[1] == 0x08 else 1))
        if answers:
            connection.sendall(b"".join(answers))


def main() -> None:
    """Serve on a free port of the loopback interface, whose number is printed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                try:
                    serve(connection, InstantChip())
                except OSError as e:
                    print(e, file=sys.stderr)


if __name__ == "__main__":
    main()
