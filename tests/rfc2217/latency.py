# SPDX-License-Identifier: Apache-2.0
"""A TCP relay that delivers every byte late, in both directions."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque


class Relay:
    """Listens on a free port of the loopback and passes on to `target`, `delay_s` later."""

    def __init__(self, target: tuple[str, int], delay_s: float) -> None:
        self._target = target
        self._delay_s = delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for a, b in ((client, server), (server, client)):
                    a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        queue: deque[tuple[float, bytes]] = deque()
        source.settimeout(0.002)
        with contextlib.suppress(OSError):
            while True:
                with contextlib.suppress(TimeoutError):
                    data = source.recv(65536)
                    queue.append((time.monotonic() + self._delay_s, data))
                while queue and queue[0][0] <= time.monotonic():
                    _, data = queue.popleft()
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(data)
