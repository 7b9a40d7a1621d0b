# SPDX-License-Identifier: Apache-2.0
"""A connection to a server of the GDB remote protocol: packets there, answers back.

What the packets say of a target is `transport/gdb.py`'s.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

from esptool.errors import (
    FatalError,
    LinkTimeoutError,
    NoAnswerError,
    PortError,
    ProtocolError,
    UsageError,
)
from esptool.protocol import gdb
from esptool.protocol.gdb import Item, Kind, Stop

SCHEME = "gdb://"
CONNECT_S = 5.0
ANSWER_S = 5.0
#: What a reset by a debugger may take, adapters and their scripts included.
COMMAND_S = 15.0
#: How often a packet that arrived damaged is sent again.
RESENDS = 3
_FEATURES = b"qSupported:swbreak+;hwbreak+;vContSupported+;qXfer:features:read+;binary-upload+"
_CHUNK = 1 << 16


def parse_url(url: str) -> tuple[str, int]:
    """Host and port of `gdb://HOST:PORT`.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not url.startswith(SCHEME) or not host or not port:
        raise UsageError(
            f"The port '{url}' does not say where to connect.",
            remedy="Write gdb://HOST:PORT, such as gdb://localhost:3333; "
            "gdb://[ADDRESS]:PORT for IPv6.",
        )
    return host, port


class GdbLink:
    """A connection to a GDB server.

    Attributes:
        features: what the server says that it can do.
        running: the target runs; only `wait` and `interrupt` may be asked for.
        packets: how many were sent, for measurements.
        on_output: told of text that the target prints through its debugger.
    """

    def __init__(self, host: str, port: int, trace: Callable[[str], None] | None = None) -> None:
        self.host, self.port = host, port
        self.features: dict[str, str] = {}
        self.running = False
        self.packets = 0
        self.on_output: Callable[[bytes], None] = lambda _text: None
        self._trace = trace
        self._socket: socket.socket | None = None
        self._decoder = gdb.Decoder()
        self._items: deque[Item] = deque()
        self._acks = True
        self._console = bytearray()

    @property
    def where(self) -> str:
        """The server in words."""
        return f"the GDB server at {self.host}:{self.port}"

    @property
    def _who(self) -> str:
        """The server at the beginning of a sentence."""
        return f"T{self.where[1:]}"

    # --- connection ------------------------------------------------------------------------------

    def open(self) -> Stop | None:
        """Connect, and learn what the server can do; how the target stands, None while it runs.

        Raises:
            PortError: nobody listens there, or it is no GDB server.
        """
        try:
            self._socket = socket.create_connection((self.host, self.port), CONNECT_S)
        except OSError as e:
            raise PortError(
                f"No GDB server answers at {self.host}:{self.port}: {e.strerror or e}.",
                remedy="Start one (OpenOCD, an emulator with its GDB stub, probe-rs gdb) and name "
                "its port, often 3333 or 1234.",
            ) from e
        self._decoder, self._acks, self.running = gdb.Decoder(), True, False
        self._items.clear()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        try:
            return self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> Stop | None:
        self.send_raw(gdb.ACK)
        try:
            self.features = gdb.parse_features(self.request(_FEATURES))
        except NoAnswerError as e:
            raise PortError(
                f"What listens at {self.host}:{self.port} does not answer as a GDB server.",
                remedy="Name its port for GDB; OpenOCD's for telnet and Tcl are others.",
            ) from e
        except PortError as e:
            raise PortError(
                f"{self._who} has ended the connection at once.",
                remedy="Most servers serve one debugger at a time: end the other one.",
            ) from e
        if (
            self.features.get("QStartNoAckMode") == "+"
            and self.request(b"QStartNoAckMode") == b"OK"
        ):
            self._acks = False
        try:
            return gdb.parse_stop(self.request(b"?"))
        except LinkTimeoutError:
            self.running = True
            return None

    @property
    def is_open(self) -> bool:
        """The connection stands, as far as is known."""
        return self._socket is not None

    def close(self) -> None:
        """End the connection without a word: the target stays as it is."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def detach(self) -> None:
        """Let the target go on without a debugger, and end the connection."""
        with contextlib.suppress(FatalError):
            if not self.running:
                self.request(b"D", 2.0)
        self.close()

    # --- packets ---------------------------------------------------------------------------------

    def request(self, payload: bytes, timeout_s: float = ANSWER_S) -> bytes:
        """Send a packet and return the contents of its answer, empty where it is not known.

        Raises:
            LinkTimeoutError: no answer came.
            ProtocolError: only damaged ones came.
            PortError: the connection is gone.
        """
        if self.running:
            raise ProtocolError("The target runs: nothing can be asked of it now.")
        self.send(payload)
        deadline = time.monotonic() + timeout_s
        for _ in range(RESENDS + 1):
            item = self.next_item(deadline)
            if item is None:
                raise LinkTimeoutError(f"{self._who} does not answer to {shown(payload)}.")
            if item.kind is Kind.PACKET:
                return item.data
            if item.kind is Kind.DAMAGED and self._acks:
                self.send_raw(gdb.NAK)
            elif item.kind is Kind.NAK:
                self.send(payload)
        raise ProtocolError(f"The answers of {self.where} arrive damaged.")

    def send(self, payload: bytes) -> None:
        """Send a packet without waiting for anything.

        Raises:
            PortError: the connection is gone.
        """
        self.packets += 1
        self._note("->", payload)
        self.send_raw(gdb.encode(payload))

    def next_item(self, deadline: float) -> Item | None:
        """The next packet, damage or refusal; what the target prints is handed on meanwhile."""
        while True:
            while self._items:
                item = self._items.popleft()
                if item.kind in (Kind.ACK, Kind.NOTIFICATION, Kind.INTERRUPT):
                    continue
                if item.kind is Kind.PACKET:
                    self._note("<-", item.data)
                    if self._acks:
                        self.send_raw(gdb.ACK)
                    if item.data[:1] == b"O" and item.data[:2] != b"OK":
                        self._printed(item.data[1:])
                        continue
                return item
            left = deadline - time.monotonic()
            if not self._receive(max(0.0, left)) and left <= 0:
                return None

    def _printed(self, digits: bytes) -> None:
        with contextlib.suppress(ValueError):
            text = bytes.fromhex(digits.decode("ascii", "replace"))
            self._console += text
            self.on_output(text)

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are: an acknowledgement, or an interruption.

        Raises:
            PortError: the connection is gone, or takes nothing.
        """
        sock = self._open_socket()
        view = memoryview(data)
        deadline = time.monotonic() + COMMAND_S
        while view:
            try:
                view = view[sock.send(view) :]
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PortError(f"{self._who} takes no data any more.") from None
                select.select([], [sock], [], 0.25)
            except OSError as e:
                raise self._lost(e) from e

    def _receive(self, timeout_s: float) -> bool:
        sock = self._open_socket()
        try:
            if not select.select([sock], [], [], timeout_s)[0]:
                return False
            data = sock.recv(_CHUNK)
        except BlockingIOError:
            return False
        except (OSError, ValueError) as e:
            raise self._lost(e) from e
        if not data:
            raise self._lost(None)
        self._items += self._decoder.feed(data)
        return True

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise PortError(f"The connection to {self.where} is closed.")
        return self._socket

    def _lost(self, e: Exception | None) -> PortError:
        self.close()
        why = f": {e}" if e is not None else ""
        return PortError(f"The connection to {self.where} is lost{why}.")

    def _note(self, way: str, payload: bytes) -> None:
        if self._trace is not None:
            more = "..." if len(payload) > 80 else ""
            self._trace(f"TRACE GDB {way} {payload[:80].decode('latin-1')!r}{more}")


def shown(payload: bytes) -> str:
    """The beginning of a packet, for a message."""
    text = payload[:24].decode("ascii", "replace")
    return f"'{text}{'...' if len(payload) > 24 else ''}'"
