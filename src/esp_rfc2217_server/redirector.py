# SPDX-License-Identifier: Apache-2.0
"""The v5 name of what passes bytes between a lent port and one socket (programs' own servers)."""

from __future__ import annotations

import contextlib
import logging
import socket as sockets
import threading
import time
from typing import TYPE_CHECKING, Any

from esp_rfc2217_server.esp_port_manager import EspPortManager
from esptool.serving import ClientGoneError, without_telnet

if TYPE_CHECKING:
    from serial import Serial

CHUNK = 1024
MODEM_LINES_S = 1.0


class Redirector:
    """Serves one client until it goes.

    Args:
        serial_instance: the open port that is lent.
        socket: connected to the client.
        debug: log what the client asks for.
        esp32r0delay: see `EspPortManager`.
    """

    def __init__(
        self,
        serial_instance: Serial,
        socket: sockets.socket,
        debug: bool = False,
        esp32r0delay: bool = False,
    ) -> None:
        self.serial = serial_instance
        self.socket = socket
        self.log = logging.getLogger("redirector")
        self.alive = False
        self._write_lock = threading.Lock()
        asked = logging.getLogger("rfc2217.server") if debug else None
        self.rfc2217 = EspPortManager(serial_instance, self, esp32r0delay, asked)
        self.thread_read: threading.Thread | None = None
        self.thread_poll: threading.Thread | None = None

    def shortcircuit(self) -> None:
        """Pass bytes both ways; returns when the client has gone or `stop` was called."""
        self.alive = True
        self.thread_read = self._start(self.reader)
        self.thread_poll = self._start(self.statusline_poller)
        self.writer()

    def _start(self, work: Any) -> threading.Thread:
        thread = threading.Thread(target=work, name=work.__name__, daemon=True)
        thread.start()
        return thread

    def reader(self) -> None:
        """From the port to the client, in a thread of its own."""
        while self.alive:
            try:
                data = self.serial.read(self.serial.in_waiting or 1)
                if data:
                    self.write(b"".join(self.rfc2217.escape(data)))
            except OSError as e:
                self.log.error("%s", e)
                break
        self.alive = False

    def statusline_poller(self) -> None:
        """Tell the client of changes of the modem lines, in a thread of its own."""
        while self.alive:
            time.sleep(MODEM_LINES_S)
            with contextlib.suppress(OSError):
                self.rfc2217.check_modem_lines()

    def writer(self) -> None:
        """From the client to the port."""
        while self.alive:
            try:
                data = self.socket.recv(CHUNK)
                if not data:
                    break
                self.serial.write(without_telnet(self.rfc2217, data))
            except (OSError, ClientGoneError) as e:
                self.log.error("%s", e)
                break
        self.stop()

    def write(self, data: bytes) -> None:
        """Send to the client; the threads take turns."""
        with self._write_lock:
            self.socket.sendall(data)

    def stop(self) -> None:
        """End both threads."""
        self.alive = False
        for thread in (self.thread_read, self.thread_poll):
            if thread is not None and thread is not threading.current_thread():
                thread.join(timeout=2 * MODEM_LINES_S)
