# SPDX-License-Identifier: Apache-2.0
"""A hand-written client of the stub on a socket: own framing and seals, nothing of the tool's."""

from __future__ import annotations

import socket
import struct
import zlib
from dataclasses import dataclass


def words(*values: int) -> bytes:
    """32-bit words."""
    return struct.pack(f"<{len(values)}I", *values)


def xor_sum(data: bytes) -> int:
    """The checksum of data blocks."""
    value = 0xEF
    for byte in data:
        value ^= byte
    return value


@dataclass(frozen=True)
class Answer:
    """A response without its status and seal."""

    opcode: int
    value: int
    data: bytes
    status: int

    @property
    def words(self) -> tuple[int, ...]:
        """The data as words."""
        return struct.unpack(f"<{len(self.data) // 4}I", self.data)


class Hand:
    """Frames to and from a stub."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(100)
        self._buffer = b""

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self._socket.sendall(data)

    def frame(self) -> bytes:
        """The next frame."""
        while True:
            start = self._buffer.find(b"\xc0")
            end = self._buffer.find(b"\xc0", start + 1) if start >= 0 else -1
            if end == start + 1:
                self._buffer = self._buffer[end:]
                continue
            if end > 0:
                frame, self._buffer = self._buffer[start + 1 : end], self._buffer[end + 1 :]
                return frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
            data = self._socket.recv(65536)
            if not data:
                raise EOFError("the stub has hung up")
            self._buffer += data

    def send(self, payload: bytes) -> None:
        """A frame."""
        escaped = payload.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        self.raw(b"\xc0" + escaped + b"\xc0")

    def request(self, opcode: int, data: bytes = b"", checksum: int = 0) -> None:
        """A public request."""
        self.send(struct.pack("<BBHI", 0, opcode, len(data), checksum) + data)

    def answer(self, opcode: int) -> Answer:
        """The answer to a public request."""
        frame = self.frame()
        direction, got, length, value = struct.unpack("<BBHI", frame[:8])
        assert (direction, got, length) == (1, opcode, len(frame) - 8), frame[:16].hex()
        return Answer(got, value, frame[8:-2], frame[-2])

    def command(self, opcode: int, data: bytes = b"", checksum: int = 0) -> Answer:
        """A public request and its answer."""
        self.request(opcode, data, checksum)
        return self.answer(opcode)

    def block(self, opcode: int, seq: int, data: bytes) -> Answer:
        """A data block."""
        return self.command(opcode, words(len(data), seq, 0, 0) + data, xor_sum(data))

    # --- sealed ----------------------------------------------------------------------------------

    @staticmethod
    def sealed(opcode: int, fields: bytes) -> bytes:
        """The payload of a sealed request."""
        crc = zlib.crc32(bytes([opcode]) + fields)
        return struct.pack("<BBHI", 0, opcode, len(fields) + 4, 0) + fields + words(crc)

    def sealed_answer(self) -> Answer:
        """Any sealed answer; its seal is checked."""
        frame = self.frame()
        body, (crc,) = frame[8:-6], struct.unpack("<I", frame[-6:-2])
        assert frame[0] == 1
        assert struct.unpack("<H", frame[2:4])[0] == len(frame) - 8
        assert zlib.crc32(frame[1:2] + frame[4:8] + body + frame[-2:]) == crc
        return Answer(frame[1], struct.unpack("<I", frame[4:8])[0], body, frame[-2])

    def ask(self, opcode: int, fields: bytes) -> Answer:
        """A sealed request and its answer; others that come before it are passed over."""
        self.send(self.sealed(opcode, fields))
        while True:
            got = self.sealed_answer()
            if got.opcode == opcode:
                return got
