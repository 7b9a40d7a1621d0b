# SPDX-License-Identifier: Apache-2.0
"""A client of the GDB remote protocol: one connection to a server, and the target behind it.

It needs no more of a server than packets that all of them know (`?`, `m`, `M`, `p`, `P` or `G`,
`Z`, `c`), and takes what else there is: binary writes and reads, packets that nobody acknowledges.
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
#: A processor stops within this time, or not at all.
HALT_S = 3.0
_FEATURES = b"qSupported:swbreak+;hwbreak+;vContSupported+;qXfer:features:read+;binary-upload+"
_CHUNK = 1 << 16


class TargetError(FatalError):
    """The GDB server refuses something of its target: memory, a register, a breakpoint."""


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


class GdbClient:
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
        self._binary_writes: bool | None = None
        self._console = bytearray()
        self._kinds: dict[int, bytes] = {}

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
        self._kinds.clear()
        self._binary_writes = None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        try:
            return self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> Stop | None:
        self._send_raw(gdb.ACK)
        try:
            self.features = gdb.parse_features(self.request(_FEATURES))
        except NoAnswerError as e:
            raise PortError(
                f"What listens at {self.host}:{self.port} does not answer as a GDB server.",
                remedy="Name its port for GDB; OpenOCD's for telnet and Tcl are others.",
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
            item = self._next(deadline)
            if item is None:
                raise LinkTimeoutError(f"{self._who} does not answer to {_shown(payload)}.")
            if item.kind is Kind.PACKET:
                return item.data
            if item.kind is Kind.DAMAGED and self._acks:
                self._send_raw(gdb.NAK)
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
        self._send_raw(gdb.encode(payload))

    def _next(self, deadline: float) -> Item | None:
        """The next packet, damage or refusal; what the target prints is handed on meanwhile."""
        while True:
            while self._items:
                item = self._items.popleft()
                if item.kind in (Kind.ACK, Kind.NOTIFICATION, Kind.INTERRUPT):
                    continue
                if item.kind is Kind.PACKET:
                    self._note("<-", item.data)
                    if self._acks:
                        self._send_raw(gdb.ACK)
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

    def _send_raw(self, data: bytes) -> None:
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

    # --- memory ----------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Memory of the target.

        Raises:
            TargetError: the server cannot read there.
        """
        out = bytearray()
        binary = self.features.get("binary-upload") == "+"
        most = max(4, gdb.packet_size(self.features) // 2 - 8 & ~3)
        while len(out) < size:
            at, count = address + len(out), min(most, size - len(out))
            reply = self.request(b"%c%x,%x" % (b"x" if binary else b"m", at, count))
            data = _binary(reply) if binary else _hex(reply)
            if not data or len(data) > count:
                raise TargetError(f"{self._who} cannot read memory at {at:#010x}.")
            out += data
        return bytes(out)

    def read_word(self, address: int) -> int:
        """A 32-bit word."""
        return int.from_bytes(self.read(address, 4), "little")

    def write(self, address: int, data: bytes) -> None:
        """Set memory of the target.

        Raises:
            TargetError: the server cannot write there.
        """
        if self._binary_writes is None:
            self._binary_writes = self.request(b"X%x,0:" % address) == b"OK"
        room = gdb.packet_size(self.features) - 32
        done = 0
        while done < len(data):
            body = self._piece(data, done, room)
            count = len(body) // 2 if not self._binary_writes else len(gdb.unescape(body))
            head = b"X" if self._binary_writes else b"M"
            reply = self.request(head + b"%x,%x:" % (address + done, count) + body)
            if reply != b"OK":
                raise TargetError(f"{self._who} cannot write memory at {address + done:#010x}.")
            done += count

    def _piece(self, data: bytes, at: int, room: int) -> bytes:
        """As much from `at` on as one packet carries, in whole words where it is not the end."""
        if not self._binary_writes:
            return data[at : at + (room // 2 & ~3)].hex().encode()
        count = room & ~3
        while True:
            body = gdb.escape(data[at : at + count])
            if len(body) <= room:
                return body
            count = count * room // len(body) & ~3

    def write_word(self, address: int, value: int) -> None:
        """Set a 32-bit word."""
        self.write(address, value.to_bytes(4, "little"))

    # --- registers -------------------------------------------------------------------------------

    def read_register(self, number: int) -> int:
        """A register by its number in the protocol.

        Raises:
            TargetError: there is none.
        """
        data = _hex(self.request(b"p%x" % number))
        if data is None:
            whole = self.read_registers()
            data = whole[4 * number : 4 * number + 4]
        if not data:
            raise TargetError(f"{self._who} has no register {number}.")
        return int.from_bytes(data, "little")

    def write_register(self, number: int, value: int) -> None:
        """Set a register of 32 bits.

        Raises:
            TargetError: the server refuses it.
        """
        reply = self.request(b"P%x=%s" % (number, value.to_bytes(4, "little").hex().encode()))
        if reply == b"":
            whole = bytearray(self.read_registers())
            whole[4 * number : 4 * number + 4] = value.to_bytes(4, "little")
            reply = self.request(b"G" + bytes(whole).hex().encode())
        if reply != b"OK":
            raise TargetError(f"{self._who} cannot set register {number}.")

    def read_registers(self) -> bytes:
        """All registers, as the server packs them; those it does not know read as zero.

        Raises:
            TargetError: it gives none.
        """
        data = _hex(self.request(b"g").replace(b"x", b"0"))
        if not data:
            raise TargetError(f"{self._who} does not give the registers.")
        return data

    def write_registers(self, data: bytes) -> None:
        """Set all registers to what `read_registers` gave.

        Raises:
            TargetError: the server refuses it.
        """
        if self.request(b"G" + data.hex().encode()) != b"OK":
            raise TargetError(f"{self._who} cannot set the registers.")

    def description(self) -> list[str]:
        """The target's description and what it includes; empty where the server has none."""
        main = self.document("features", "target.xml")
        if main is None:
            return []
        texts = [main]
        for name in gdb.parse_includes(main):
            text = self.document("features", name)
            if text is not None:
                texts.append(text)
        return texts

    def document(self, kind: str, name: str = "") -> str | None:
        """A document of qXfer; None where the server has none.

        Raises:
            ProtocolError: it has no end.
        """
        out = bytearray()
        most = gdb.packet_size(self.features) // 2 - 8
        if self.features.get(f"qXfer:{kind}:read") != "+":
            return None
        while len(out) < gdb.LONGEST:
            request = f"qXfer:{kind}:read:{name}:{len(out):x},{most:x}"
            reply = self.request(request.encode())
            if reply[:1] not in (b"m", b"l"):
                return None
            out += gdb.unescape(reply[1:])
            if reply[:1] == b"l" or len(reply) == 1:
                return out.decode("utf-8", "replace")
        raise ProtocolError(f"The document {name} of {self.where} has no end.")

    def threads(self) -> list[str]:
        """Threads, or processors where no operating system is known, as the server names them."""
        replies = [self.request(b"qfThreadInfo")]
        while replies[-1][:1] == b"m" and len(replies) < 1000:
            replies.append(self.request(b"qsThreadInfo"))
        return gdb.parse_threads(replies)

    # --- breakpoints and running -----------------------------------------------------------------

    def set_breakpoint(self, address: int, kinds: tuple[int, ...] = (1, 0), size: int = 4) -> None:
        """Stop before the instruction at `address`.

        Args:
            kinds: what to try in turn: 1 is a breakpoint of the processor, 0 one in memory.
            size: bytes of the instruction.

        Raises:
            TargetError: the server sets none.
        """
        for kind in kinds:
            if self.request(b"Z%x,%x,%x" % (kind, address, size)) == b"OK":
                self._kinds[address] = b"%x,%x,%x" % (kind, address, size)
                return
        raise TargetError(f"{self._who} sets no breakpoint at {address:#010x}.")

    def clear_breakpoint(self, address: int) -> None:
        """Take away what `set_breakpoint` has set there."""
        known = self._kinds.pop(address, None)
        if known is not None:
            self.request(b"z" + known)

    def resume(self, address: int | None = None, *, thread: str | None = None) -> None:
        """Let the target go on, at `address` where one is given; with `thread` that one alone."""
        if thread is not None:
            self.send(f"vCont;c:{thread}".encode())
        else:
            self.send(b"c" if address is None else b"c%x" % address)
        self.running = True

    def step(self) -> Stop:
        """Execute one instruction.

        Raises:
            LinkTimeoutError: it did not come back.
        """
        self.send(b"s")
        self.running = True
        stop = self.wait(ANSWER_S)
        if stop is None:
            raise LinkTimeoutError(f"{self._who} does not come back from a step.")
        return stop

    def wait(self, timeout_s: float) -> Stop | None:
        """Why the target has stopped; None where it still runs after so long.

        Raises:
            ProtocolError: the server says that it cannot run.
            PortError: the connection is gone.
        """
        deadline = time.monotonic() + timeout_s
        while self.running:
            item = self._next(deadline)
            if item is None:
                return None
            if item.kind is Kind.DAMAGED and self._acks:
                self._send_raw(gdb.NAK)
            if item.kind is not Kind.PACKET:
                continue
            stop = gdb.parse_stop(item.data)
            if stop is not None:
                self.running = False
                return stop
            if item.data[:1] == b"E" or not item.data:
                self.running = False
                raise ProtocolError(
                    f"{self._who} cannot let its target run: "
                    f"{_shown(item.data) if item.data else 'it does not know how'}."
                )
        raise ProtocolError("The target does not run.")

    def interrupt(self, timeout_s: float = HALT_S) -> Stop | None:
        """Stop a target that runs; None where it did not run.

        Raises:
            LinkTimeoutError: it does not stop.
        """
        if not self.running:
            return None
        self._send_raw(gdb.INTERRUPT)
        stop = self.wait(timeout_s)
        if stop is None:
            raise LinkTimeoutError(
                f"The target behind {self.where} does not stop.",
                remedy="Check its power and the debugger's cable.",
            )
        return stop

    def command(self, text: str, timeout_s: float = COMMAND_S) -> str | None:
        """What a command of the server's own (`monitor` in GDB) prints; None: it knows none, or
        it failed."""
        self._console.clear()
        reply = self.request(b"qRcmd," + text.encode().hex().encode(), timeout_s)
        if not reply or reply[:1] == b"E":
            return None
        if reply != b"OK":
            self._printed(reply)
        return self._console.decode("utf-8", "replace")


def _shown(payload: bytes) -> str:
    text = payload[:24].decode("ascii", "replace")
    return f"'{text}{'...' if len(payload) > 24 else ''}'"


def _hex(reply: bytes) -> bytes | None:
    """Bytes out of digits; None for an error or an empty answer."""
    if not reply or len(reply) % 2:
        return None
    try:
        return bytes.fromhex(reply.decode("ascii"))
    except ValueError:
        return None


def _binary(reply: bytes) -> bytes | None:
    return gdb.unescape(reply[1:]) if reply[:1] == b"b" else None
