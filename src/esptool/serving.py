# SPDX-License-Identifier: Apache-2.0
"""Sockets of servers that lend one board to one client after the other. Knows no board.

A client may be hostile, slow or dead: it is sent to with a deadline, heard in bounded chunks, found
out when its machine is gone, and ended alone when it breaks the protocol.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from esptool.errors import PortError, UsageError

LOOPBACK = "127.0.0.1"
CHUNK = 65536
#: A client that takes no byte for so long is given up.
STALL_S = 20.0
#: A newcomer waits so long for the client before it, which may be about to go.
GRACE_S = 1.5
#: A client that neither said nor was told anything for so long makes room for a newcomer.
IDLE_S = 60.0
IN_USE = "The port is in use by another client"
_SLICE_S = 0.05
_MAX_WAITING = 8
#: No request of RFC 2217 is nearly as long; what goes on longer is not meant to end.
_LONGEST_OPTION = 256
#: Probes of a silent peer: the first after so many seconds, then so often, so many.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


class ClientGoneError(Exception):
    """A client has gone, or is ended for the reason that the text gives."""


def parse_endpoint(text: str) -> tuple[str, int]:
    """'HOST:PORT', '[IPV6]:PORT', ':PORT' or 'PORT' to listen on; without a host, the loopback.

    Raises:
        UsageError: no port number, or a host that is no full address.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f"'{text}' is not an address to listen on: write {LOOPBACK}:PORT.")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise UsageError(f"'{text}' is not an address to listen on: brackets are for IPv6.")
    elif ":" in host:
        raise UsageError(
            f"'{text}' is not an address to listen on.", remedy=f"Write [{host}]:{port} for IPv6."
        )
    elif not host:
        return LOOPBACK, int(port)
    return checked_host(host), int(port)


def checked_host(host: str) -> str:
    """An address to listen on as it was written, if it was written in full, or a host's name.

    "", "0" and "*" are not taken: some systems read them as "all addresses".

    Raises:
        UsageError: it is none.
    """
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return host
    labels = host.rstrip(".").split(".")
    named = all(x and x.replace("-", "").replace("_", "").isalnum() for x in labels)
    if not named or not any(c.isalpha() for c in labels[-1]) or labels[-1][:2] in ("0x", "0X"):
        raise UsageError(
            f"'{host}' is not an address to listen on.",
            remedy=f"Write {LOOPBACK} for this machine alone, or 0.0.0.0 to let others in.",
        )
    return host


def bracketed(host: str) -> str:
    """The host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


class Client:
    """The socket of one client. Nothing here blocks longer than `stopped` allows.

    Attributes:
        name: its address, for messages.
    """

    def __init__(self, connection: socket.socket, name: str, stopped: Callable[[], bool]) -> None:
        self.name = name
        self._socket = connection
        self._stopped = stopped
        self._active = time.monotonic()
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE.items():
                if hasattr(socket, option):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def idle_s(self) -> float:
        """Seconds since bytes last went either way."""
        return time.monotonic() - self._active

    def receive(self) -> bytes:
        """What has come, empty when nothing has.

        Raises:
            ClientGoneError: it has closed the connection, or its machine is gone.
        """
        try:
            data = self._socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as e:
            raise ClientGoneError(str(e)) from e
        if not data:
            raise ClientGoneError("it has closed the connection")
        self._active = time.monotonic()
        return data

    def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            ClientGoneError: it takes nothing any more, or the server is to stop.
        """
        left = memoryview(data)
        deadline = time.monotonic() + STALL_S
        while left:
            try:
                sent = self._socket.send(left)
            except (BlockingIOError, InterruptedError):
                if self._stopped():
                    raise ClientGoneError("the server stops") from None
                if time.monotonic() > deadline:
                    raise ClientGoneError(f"it took nothing for {STALL_S:g} s") from None
                with contextlib.suppress(OSError, ValueError):
                    select.select([], [self._socket], [], _SLICE_S)
                continue
            except OSError as e:
                raise ClientGoneError(str(e)) from e
            left = left[sent:]
            self._active = time.monotonic()
            deadline = self._active + STALL_S

    def hang_up(self) -> None:
        """End the connection from another thread; `receive` will say that it is gone."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def turn_away(self, why: str) -> None:
        """Say why, and close."""
        with contextlib.suppress(ClientGoneError, OSError):
            # What is left unread would make the system drop the text with the connection.
            self.receive()
            self.send(f"{why}\r\n".encode())
            self._socket.shutdown(socket.SHUT_WR)
            self.receive()
        self.close()

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()


class Listener:
    """Listens on one address and lets clients in one at a time.

    Attributes:
        host, port: where it listens; the number is that of the system where 0 was asked for.

    Raises:
        UsageError: the host is not an address in full.
        PortError: the address cannot be had.
    """

    def __init__(self, host: str, port: int, stopped: Callable[[], bool], remedy: str = "") -> None:
        self.host = checked_host(host)
        self._stopped = stopped
        self._waiting: deque[tuple[Client, float]] = deque()
        try:
            family, *_, address = socket.getaddrinfo(self.host, port, type=socket.SOCK_STREAM)[0]
            self._socket = socket.create_server((address[0], port), family=family)
        except OSError as e:
            if isinstance(e, socket.gaierror) or e.errno == errno.EADDRNOTAVAIL:
                remedy = (
                    f"Listen on an address of this machine: {LOOPBACK} for itself alone, or "
                    "0.0.0.0 to let others in."
                )
            elif e.errno == errno.EACCES:
                remedy = "Ports below 1024 belong to the system; choose a higher one."
            raise PortError(
                f"Cannot listen on {bracketed(host)}:{port}: {e.strerror or e}.",
                remedy=remedy or "Another program may use it; choose another port.",
            ) from e
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    @property
    def endpoint(self) -> str:
        """HOST:PORT as it stands in a URL."""
        return f"{bracketed(self.host)}:{self.port}"

    def accept(self) -> Client | None:
        """The next client; None when none has come for a moment."""
        if self._waiting:
            return self._waiting.popleft()[0]
        try:
            if not select.select([self._socket], [], [], _SLICE_S)[0]:
                return None
        except (OSError, ValueError):
            return None
        return self._take()

    def _take(self) -> Client | None:
        try:
            connection, peer = self._socket.accept()
        except OSError:
            return None  # it went before it was served
        return Client(connection, bracketed(str(peer[0])), self._stopped)

    def wants_room(self, current: Client) -> bool:
        """Deal with newcomers while `current` is served; True when it must make room for one.

        A newcomer is told that the port is in use, unless `current` goes in time or has been idle
        for long.
        """
        while len(self._waiting) < _MAX_WAITING and (newcomer := self._take()) is not None:
            self._waiting.append((newcomer, time.monotonic()))
        while self._waiting and time.monotonic() - self._waiting[0][1] > GRACE_S:
            if current.idle_s() > IDLE_S:
                return True
            newcomer, _since = self._waiting.popleft()
            newcomer.turn_away(f"{IN_USE} ({current.name}). Try again later.")
        return False

    def close(self) -> None:
        """Stop listening."""
        for newcomer, _since in self._waiting:
            newcomer.close()
        self._waiting.clear()
        self._socket.close()


def without_telnet(manager: Any, received: bytes) -> bytes:
    """The data among bytes of an RFC 2217 client; requests are carried out by pyserial's manager.

    Raises:
        ClientGoneError: the bytes are no such protocol, so that this client is to be ended.
    """
    try:
        data = b"".join(manager.filter(received))
    except (struct.error, TypeError, LookupError, ValueError, ArithmeticError) as e:
        raise ClientGoneError(f"it sent a malformed request ({e})") from e
    if manager.suboption is not None and len(manager.suboption) > _LONGEST_OPTION:
        raise ClientGoneError("it sent a request that does not end")
    return data
