# SPDX-License-Identifier: Apache-2.0
"""Stands on the line between a client and a served chip, and counts the client's requests."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from urllib.parse import urlsplit

#: Data of a write: FLASH_DATA, FLASH_DEFL_DATA, and WRITE_DATA of our stub.
_BLOCKS = frozenset({0x03, 0x11, 0xE3})
#: The stub's way into RAM, which is as long as the stub.
_UPLOAD = frozenset({0x05, 0x06, 0x07})
#: One attempt to be heard is several of them.
_SYNC = 0x08


class Counter:
    """Passes bytes on in both directions until closed.

    Attributes:
        url: for the client.
        requests: those before the first data block but SYNC and the stub's upload.
        upload: requests of the upload.
    """

    def __init__(self, url: str) -> None:
        self._far = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = self.upload = 0
        self._blocks = False
        self._open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up."""
        self._open = False
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while self._open:
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            far = socket.create_connection((self._far.hostname, self._far.port), 5)
            with near, far, contextlib.suppress(OSError):
                self._pass(near, far)

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        for side in (near, far):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pending = b""
        while self._open:
            for side in select.select([near, far], [], [], 0.2)[0]:
                data = side.recv(65536)
                if not data:
                    return
                if side is far:
                    near.sendall(data)
                    continue
                *frames, pending = (pending + data).split(b"\xc0")
                for frame in frames:
                    self._count(frame)
                far.sendall(data)

    def _count(self, frame: bytes) -> None:
        if len(frame) < 8 or frame[0] or self._blocks:
            return
        op = frame[1]
        self._blocks = op in _BLOCKS
        if op in _UPLOAD:
            self.upload += 1
        elif op != _SYNC and not self._blocks:
            self.requests += 1
