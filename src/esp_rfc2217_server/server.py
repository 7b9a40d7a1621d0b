# SPDX-License-Identifier: Apache-2.0
"""Lends one serial port to one network client after the other, by RFC 2217.

The telnet side is pyserial's; the timing of resets is `lines`'. No encryption, no passwords: who
reaches the socket owns the board.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

from esp_rfc2217_server.lines import KeptPort, LineKeeper
from esptool.errors import FatalError, PortError
from esptool.transport import open_port

if TYPE_CHECKING:
    from serial import Serial

LOG = logging.getLogger("esp_rfc2217_server")
CHUNK = 65536
IDLE_S = 0.05
#: Ports that the system cannot wait on are looked at this often.
POLL_S = 0.002


class Bridge:
    """A listening socket and a serial port.

    Args:
        url: the serial port.
        host, port: where to listen; port 0 takes a free one.
        extra_delay_s: see `LineKeeper`.

    Raises:
        FatalError: the serial port or the address cannot be had.
    """

    def __init__(
        self, url: str, host: str = "127.0.0.1", port: int = 2217, extra_delay_s: float = 0.0
    ) -> None:
        self.url = url
        self._extra_delay_s = extra_delay_s
        self._stop = threading.Event()
        self.serial: Serial = open_port(url)
        try:
            self.serial.timeout = 0
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family)
        except OSError as e:
            self.serial.close()
            raise PortError(
                f"Cannot listen on {host}:{port}: {e.strerror or e}.",
                remedy="Another program may use it; choose another with --localport.",
            ) from e
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def stop(self) -> None:
        """Let `serve` return soon; may be called from a signal handler or another thread."""
        self._stop.set()

    def close(self) -> None:
        """Give back socket and port."""
        self._listener.close()
        self.serial.close()

    def serve(self) -> None:
        """Serve clients, one after the other, until `stop`.

        Raises:
            FatalError: the serial port is gone for good.
        """
        settings = self.serial.get_settings()
        while not self._stop.is_set():
            if not select.select([self._listener], [], [], IDLE_S)[0]:
                continue
            try:
                client, peer = self._listener.accept()
            except OSError as e:
                LOG.warning("A client went before it was served: %s", e)
                continue
            LOG.info("Client %s:%s", *peer[:2])
            with client:
                try:
                    self._serve_client(client)
                except ConnectionError as e:
                    LOG.info("Client broke off: %s", e)
                except OSError as e:
                    LOG.error("%s", e)
                    self._revive()
            LOG.info("Client has gone")
            with contextlib.suppress(OSError, ValueError):
                self.serial.apply_settings(settings)

    def _revive(self) -> None:
        """A USB port may vanish in a reset: open it again, or give up."""
        with contextlib.suppress(OSError):
            self.serial.in_waiting  # noqa: B018 - asks the driver
            return
        self.serial.close()
        try:
            self.serial = open_port(self.url, attempts=5)
        except FatalError as e:
            raise PortError(f"The serial port {self.url} is gone: {e.message}") from e
        self.serial.timeout = 0

    def _serve_client(self, client: socket.socket) -> None:
        from serial import rfc2217

        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        keeper = LineKeeper(self.serial, extra_delay_s=self._extra_delay_s)
        port: Any = KeptPort(self.serial, keeper)
        sender: Any = _Sender(client)
        manager = rfc2217.PortManager(port, sender, logger=_debug_only())
        descriptor = _descriptor(self.serial)
        watched: list[Any] = [client] if descriptor is None else [client, descriptor]
        wait_s = POLL_S if descriptor is None else IDLE_S
        while not self._stop.is_set():
            pending = keeper.pending_s()
            timeout_s = wait_s if pending is None else min(wait_s, pending)
            ready = select.select(watched, [], [], timeout_s)[0]
            if client in ready:
                received = client.recv(CHUNK)
                if not received:
                    return
                data = b"".join(manager.filter(received))
                if data:
                    keeper.settle()
                    self.serial.write(data)
            elif keeper.pending_s() == 0:
                keeper.settle()
            self._pass_on(client, manager)

    def _pass_on(self, client: socket.socket, manager: Any) -> None:
        waiting = self.serial.in_waiting
        if waiting:
            data = self.serial.read(min(waiting, CHUNK))
            if data:
                client.sendall(b"".join(manager.escape(data)))
        manager.check_modem_lines()


class _Sender:
    """What `PortManager` writes its answers to."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client

    def write(self, data: bytes) -> None:
        self._client.sendall(data)


def _debug_only() -> logging.Logger | None:
    """pyserial's own remarks are worth showing only when everything is."""
    return logging.getLogger("rfc2217.server") if LOG.isEnabledFor(logging.DEBUG) else None


def _descriptor(port: Serial) -> int | None:
    """The number by which the system can wait for the port, where it has one."""
    if "://" in str(port.port):
        return None
    try:
        number = port.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return number if isinstance(number, int) else None
