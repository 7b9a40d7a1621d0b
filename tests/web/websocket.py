# SPDX-License-Identifier: Apache-2.0
"""The server's half of a WebSocket (RFC 6455) on the socket of an HTTP request."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
from io import BufferedIOBase

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_MASK_BIT = 0x80
_LENGTH_16, _LENGTH_64 = 126, 127


def accept(key: str) -> str:
    """What proves that a request was understood (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


class WebSocket:
    """Messages of one frame each, as browsers send what a page hands over in one piece."""

    def __init__(self, incoming: BufferedIOBase, connection: socket.socket) -> None:
        self._incoming = incoming
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, opcode: int, data: bytes) -> None:
        """Send one frame; any thread may."""
        size = len(data)
        if size < _LENGTH_16:
            head = struct.pack("!BB", 0x80 | opcode, size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, _LENGTH_16, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, _LENGTH_64, size)
        with self._lock:
            self._connection.sendall(head + data)

    def receive(self) -> bytes | None:
        """The next binary message; None when the other side closes or is gone."""
        while True:
            head = self._incoming.read(2)
            if len(head) < 2:
                return None
            opcode, size = head[0] & 0xF, head[1] & ~_MASK_BIT
            if size == _LENGTH_16:
                (size,) = struct.unpack("!H", self._incoming.read(2))
            elif size == _LENGTH_64:
                (size,) = struct.unpack("!Q", self._incoming.read(8))
            mask = self._incoming.read(4)
            data = _unmasked(self._incoming.read(size), mask)
            if opcode == CLOSE:
                return None
            if opcode == PING:
                self.send(PONG, data)
            elif opcode == BINARY:
                return data


def _unmasked(data: bytes, mask: bytes) -> bytes:
    """In one operation on whole numbers; a loop over bytes would be slower than the line."""
    size = len(data)
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")
