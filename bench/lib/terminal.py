# SPDX-License-Identifier: Apache-2.0
"""A pseudo-terminal in front of a chip that is served over a socket.

A terminal's own server follows only rates that POSIX has names for; over a socket the chip's rate
counts, but pyserial reads sockets byte by byte. Through this, any rate is read as from a device.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import tty
from urllib.parse import urlsplit


class Terminal:
    """Passes bytes on in both directions until closed.

    Attributes:
        url: the terminal's name.
    """

    def __init__(self, url: str) -> None:
        far = urlsplit(url)
        self._far = socket.create_connection((far.hostname, far.port), 5)
        self._far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The other end stays open here, or the terminal would hang up between two openings.
        self._near, self._client_end = os.openpty()
        tty.setraw(self._client_end)
        self.url = os.ttyname(self._client_end)
        self._open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up."""
        self._open = False
        self._thread.join(5)
        self._far.close()
        os.close(self._near)
        os.close(self._client_end)

    def _serve(self) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while self._open:
                # Not more is taken from the chip than the terminal takes.
                sources = [self._near] if pending else [self._near, self._far.fileno()]
                targets = [self._near] if pending else []
                readable, writable, _ = select.select(sources, targets, [], 0.2)
                if self._near in readable:
                    self._far.sendall(os.read(self._near, 65536))
                if self._far.fileno() in readable:
                    pending = self._far.recv(65536)
                    if not pending:
                        return
                if writable and pending:
                    pending = pending[os.write(self._near, pending[:4096]) :]
