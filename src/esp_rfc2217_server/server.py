# SPDX-License-Identifier: Apache-2.0
"""Lends one serial port to one network client after the other, by RFC 2217.

The telnet side is pyserial's; the timing of resets is `lines`'. No encryption, no passwords: who
reaches the socket owns the board.
"""

from __future__ import annotations

import contextlib
import logging
import select
import threading
from typing import Any

from esp_rfc2217_server.lines import KeptPort, LineKeeper
from esptool.errors import FatalError, PortError
from esptool.serving import LOOPBACK, Client, ClientGoneError, Listener, without_telnet
from esptool.transport import Port, open_port
from esptool.transport.adapters import RAISED

LOG = logging.getLogger("esp_rfc2217_server")
#: So much is written at once, so that a slow line can be left in between.
SLICE = 1024
IAC = b"\xff"
#: A serial port that takes nothing for so long is in trouble.
SEND_S = 5.0
REOPEN_ATTEMPTS = 5
IDLE_S = 0.05
#: Ports that the system cannot wait on are looked at this often.
POLL_S = 0.002


class Bridge:
    """A listening socket and a serial port.

    Args:
        url: the serial port.
        host, port: where to listen, the address in full; port 0 takes a free one.
        extra_delay_s: see `LineKeeper`.

    Attributes:
        endpoint: HOST:PORT of it, as it stands in a URL.

    Raises:
        FatalError: the serial port or the address cannot be had.
    """

    def __init__(
        self, url: str, host: str = LOOPBACK, port: int = 2217, extra_delay_s: float = 0.0
    ) -> None:
        self.url = url
        self._extra_delay_s = extra_delay_s
        self._stop = threading.Event()
        # The address comes first: a port that is opened for nothing may reset its board.
        self._listener = Listener(
            host,
            port,
            self._stop.is_set,
            "Another program may use it; choose another with --localport.",
        )
        try:
            self.port = open_port(url)
        except BaseException:
            self._listener.close()
            raise
        self.port.limit_sending(SEND_S)
        self.address: tuple[str, int] = (self._listener.host, self._listener.port)
        self.endpoint = self._listener.endpoint

    def stop(self) -> None:
        """Let `serve` return soon; may be called from a signal handler or another thread."""
        self._stop.set()

    def close(self) -> None:
        """Give back socket and port."""
        self._listener.close()
        self.port.close()

    def serve(self) -> None:
        """Serve clients, one after the other, until `stop`.

        Raises:
            FatalError: the serial port is gone for good.
        """
        settings = self.port.serial.get_settings()
        while not self._stop.is_set():
            client = self._listener.accept()
            if client is None:
                continue
            LOG.info("Client %s", client.name)
            try:
                self._serve_client(client)
            except ClientGoneError as e:
                LOG.info("Client %s is gone: %s", client.name, e)
            except FatalError as e:
                LOG.error("%s", e.message)
                self._revive()
            except Exception:
                # Whatever a client has brought about ends that client alone.
                LOG.exception("Client %s is ended", client.name)
                self._revive()
            finally:
                client.close()
            with contextlib.suppress(*RAISED):
                self.port.serial.apply_settings(settings)

    def _revive(self) -> None:
        """A USB port may vanish in a reset: open it again, or give up."""
        with contextlib.suppress(FatalError):
            self.port.receive(0)
            return
        self.port.release()
        for attempt in range(REOPEN_ATTEMPTS):
            try:
                self.port.open()
                return
            except FatalError as e:
                if attempt == REOPEN_ATTEMPTS - 1 or self._stop.wait(1):
                    raise PortError(f"The serial port {self.url} is gone: {e.message}") from e

    def _serve_client(self, client: Client) -> None:
        from serial import rfc2217

        keeper = LineKeeper(self.port, extra_delay_s=self._extra_delay_s)
        port: Any = KeptPort(self.port, keeper)
        sender: Any = _Sender(client)
        manager = rfc2217.PortManager(port, sender, logger=_debug_only())
        descriptor = _descriptor(self.port)
        watched: list[Any] = [client] if descriptor is None else [client, descriptor]
        wait_s = POLL_S if descriptor is None else IDLE_S
        while not self._stop.is_set():
            pending = keeper.pending_s()
            timeout_s = wait_s if pending is None else min(wait_s, pending)
            ready = select.select(watched, [], [], timeout_s)[0]
            if client in ready:
                data = without_telnet(manager, client.receive())
                if data:
                    keeper.settle()
                    self._send(data)
            elif keeper.pending_s() == 0:
                keeper.settle()
            self._pass_on(client, manager)
            if self._listener.wants_room(client):
                raise ClientGoneError("it was idle, and another one waits")

    def _send(self, data: bytes) -> None:
        """Write to the serial port, which may take its time at a low rate."""
        for at in range(0, len(data), SLICE):
            if self._stop.is_set():
                return
            self.port.send(data[at : at + SLICE])

    def _pass_on(self, client: Client, manager: Any) -> None:
        data = self.port.receive(0)
        if data:
            client.send(data.replace(IAC, IAC + IAC))
        manager.check_modem_lines()


class _Sender:
    """What `PortManager` writes its answers to."""

    def __init__(self, client: Client) -> None:
        self.write = client.send


def _debug_only() -> logging.Logger | None:
    """pyserial's own remarks are worth showing only when everything is."""
    return logging.getLogger("rfc2217.server") if LOG.isEnabledFor(logging.DEBUG) else None


def _descriptor(port: Port) -> int | None:
    """The number by which the system can wait for the port, where it has one."""
    if "://" in port.url:
        return None
    try:
        number = port.serial.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return number if isinstance(number, int) else None
