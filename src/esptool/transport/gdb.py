# SPDX-License-Identifier: Apache-2.0
"""A client of the GDB remote protocol: the target behind a server's connection.

It needs no more of a server than packets that all of them know (`?`, `m`, `M`, `p`, `P` or `G`,
`Z`, `c`), and takes what else there is: binary writes and reads, packets that nobody acknowledges.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from esptool.errors import FatalError, LinkTimeoutError, ProtocolError
from esptool.protocol import gdb
from esptool.protocol.gdb import Kind, Stop
from esptool.transport.gdb_link import ANSWER_S, COMMAND_S, SCHEME, GdbLink, parse_url, shown

__all__ = ["SCHEME", "GdbClient", "TargetError", "parse_url"]

#: A processor stops within this time, or not at all.
HALT_S = 3.0


class TargetError(FatalError):
    """The GDB server refuses something of its target: memory, a register, a breakpoint."""


class GdbClient(GdbLink):
    """A target behind a GDB server."""

    def __init__(self, host: str, port: int, trace: Callable[[str], None] | None = None) -> None:
        super().__init__(host, port, trace)
        self._binary_writes: bool | None = None
        self._kinds: dict[int, bytes] = {}

    def open(self) -> Stop | None:
        """Connect anew; how the target stands, None while it runs.

        Raises:
            PortError: nobody listens there, or it is no GDB server.
        """
        self._kinds.clear()
        self._binary_writes = None
        return super().open()

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
            item = self.next_item(deadline)
            if item is None:
                return None
            if item.kind is Kind.DAMAGED and self._acks:
                self.send_raw(gdb.NAK)
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
                    f"{shown(item.data) if item.data else 'it does not know how'}."
                )
        raise ProtocolError("The target does not run.")

    def interrupt(self, timeout_s: float = HALT_S) -> Stop | None:
        """Stop a target that runs; None where it did not run.

        Raises:
            LinkTimeoutError: it does not stop.
        """
        if not self.running:
            return None
        self.send_raw(gdb.INTERRUPT)
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
