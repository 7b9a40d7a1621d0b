# SPDX-License-Identifier: Apache-2.0
"""Serves a virtual chip to debuggers, by the GDB remote protocol over TCP.

One debugger at a time; the chip lives on between. It stops when one comes, as with any server. What
the program prints on its UART is shown by the debugger.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Callable
from functools import partial

from esptool.errors import UsageError
from esptool.serving import LOOPBACK, Client, ClientGoneError, Listener
from esptool.virtual import gdb_packets
from esptool.virtual.emulator.debug import DebugProgram
from esptool.virtual.gdb_target import SIGINT, SIGTRAP, Halt, Target
from esptool.virtual.options import Options
from esptool.virtual.server import Server
from esptool.virtual.silicon.spec import Arch

LOG = logging.getLogger("esp_virtual_chip")
PACKET_SIZE = 0x8000
_IDLE_S = 0.05
_RUNNING_S = 0.001
_HELP = "reset [halt|run]: reset the chip, which stands then, or runs from its ROM\n"


class GdbServer(Server):
    """`serve` blocks; `stop` from another thread ends it.

    Attributes:
        pace: bytes a second that the link is made to carry at most, as a slow adapter would; None
            for as fast as it can.
    """

    def __init__(
        self, options: Options, host: str = LOOPBACK, port: int = 0, pace: float | None = None
    ) -> None:
        stop = threading.Event()
        if not DebugProgram.engines():
            raise UsageError(
                "A debugger needs the emulator, which is not installed.",
                remedy='pip install "esptool[emulator]"',
            )
        if options.rom is not None:
            raise UsageError("A chip that runs its own ROM cannot be debugged yet: leave out rom=.")
        self._listener = Listener(host, port, stop.is_set)
        try:
            super().__init__(options, lines=True)
        except BaseException:
            self._listener.close()
            raise
        self._stop = stop
        self.pace = pace
        self.url = f"gdb://{self._listener.endpoint}"
        self.target = Target(self.board)

    def serve(self) -> None:
        """Serve one debugger after the other until `stop`."""
        while not self._stop.is_set():
            client = self._listener.accept()
            if client is None:
                self._run_on()
                continue
            try:
                Conversation(client, self.target, self.pace).serve(
                    self._stop.is_set, partial(self._listener.wants_room, client)
                )
            except ClientGoneError as e:
                LOG.info("Debugger %s is gone: %s", client.name, e)
            except Exception:
                # Whatever a client has brought about ends that client alone.
                LOG.exception("Debugger %s is ended", client.name)
            finally:
                client.close()

    def _run_on(self) -> None:
        """A target that a debugger has left running goes on."""
        if self.target.running and self.target.advance() is not None:
            self.target.running = False

    def close(self) -> None:
        """Save the state and stop listening."""
        self.stop()
        self._listener.close()
        super().close()


class Conversation:
    """What is said with one debugger."""

    def __init__(self, client: Client, target: Target, pace: float | None = None) -> None:
        self._client = client
        self._target = target
        self._pace = pace
        self._free_at = 0.0
        self._reader = gdb_packets.Reader()
        self._acks = True
        self._last = b""
        self._halt = Halt(SIGINT if target.running else SIGTRAP)
        target.running = False
        self._ended = False

    def serve(self, stopped: Callable[[], bool], make_room: Callable[[], bool]) -> None:
        """Answer until the debugger goes.

        Raises:
            ClientGoneError: it has gone.
        """
        client, target = self._client, self._target
        while not (stopped() or self._ended):
            wait = 0.0 if target.running and not target.in_rom else _IDLE_S
            if select.select([client], [], [], wait)[0]:
                data = client.receive()
                self._charge(len(data))
                self._reader.add(data)
                self._answer_all()
            if target.running:
                self._advance()
            if make_room():
                raise ClientGoneError("it was idle, and another one waits")

    def _advance(self) -> None:
        halt = self._target.advance()
        if text := self._target.board.arrived():
            self._send(b"O" + text.hex().encode())
        if halt is not None:
            self._stand(halt)

    def _stand(self, halt: Halt) -> None:
        self._target.running = False
        self._halt = halt
        self._send(self._stop_reply())

    def _stop_reply(self) -> bytes:
        return f"T{self._halt.signal:02x}thread:1;{self._halt.cause}".encode()

    # --- packets ---------------------------------------------------------------------------------

    def _charge(self, count: int) -> None:
        """Count these bytes, and let the link take its time for them."""
        self._target.moved += count
        if self._pace is None or not count:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + count / self._pace
        time.sleep(max(0.0, self._free_at - now))

    def _send(self, body: bytes) -> None:
        self._last = gdb_packets.packet(body)
        self._charge(len(self._last))
        self._client.send(self._last)

    def _answer_all(self) -> None:
        while not self._ended:
            try:
                body = self._reader.next()
            except gdb_packets.DamageError:
                if self._acks:
                    self._client.send(b"-")
                continue
            if body is None:
                return
            if body == gdb_packets.INTERRUPT:
                if self._target.running:
                    self._stand(Halt(SIGINT))
                continue
            if self._acks:
                self._client.send(b"+")
            answer = self._answer(body)
            if answer is not None:
                self._send(answer)
            if body == b"QStartNoAckMode":
                self._acks = False

    def _answer(self, body: bytes) -> bytes | None:
        """The answer; None where none is given now. Empty where the request is not known."""
        try:
            name = body[:1].decode("ascii", "replace")
            handler = _HANDLERS.get(name)
            return b"" if handler is None else handler(self, body[1:])
        except (ValueError, IndexError, UnicodeDecodeError):
            return b"E01"

    # --- requests --------------------------------------------------------------------------------

    def _why(self, _text: bytes) -> bytes:
        return self._stop_reply()

    def _read(self, text: bytes, *, binary: bool = False) -> bytes:
        address, size = (int(part, 16) for part in text.split(b","))
        data = self._target.read(address, min(size, PACKET_SIZE // 2 - 8))
        if data is None:
            return b"E14"
        return b"b" + gdb_packets.quote(data) if binary else data.hex().encode()

    def _read_binary(self, text: bytes) -> bytes:
        return self._read(text, binary=True)

    def _store(self, text: bytes, data: bytes) -> bytes:
        address, size = (int(part, 16) for part in text.split(b","))
        if size != len(data):
            return b"E01"
        return b"OK" if self._target.write(address, data) else b"E14"

    def _write(self, text: bytes) -> bytes:
        head, _, digits = text.partition(b":")
        return self._store(head, bytes.fromhex(digits.decode("ascii")))

    def _write_binary(self, text: bytes) -> bytes:
        head, _, data = text.partition(b":")
        return self._store(head, gdb_packets.unquote(data))

    def _registers(self, _text: bytes) -> bytes:
        target = self._target
        words = (target.get(n).to_bytes(4, "little") for n in range(len(target.names)))
        return b"".join(words).hex().encode()

    def _set_registers(self, text: bytes) -> bytes:
        data = bytes.fromhex(text.decode("ascii"))
        for n in range(min(len(data) // 4, len(self._target.names))):
            self._target.put(n, int.from_bytes(data[4 * n : 4 * n + 4], "little"))
        return b"OK"

    def _register(self, text: bytes) -> bytes:
        return self._target.get(int(text, 16)).to_bytes(4, "little").hex().encode()

    def _set_register(self, text: bytes) -> bytes:
        number, _, digits = text.partition(b"=")
        value = int.from_bytes(bytes.fromhex(digits.decode("ascii")), "little")
        self._target.put(int(number, 16), value)
        return b"OK"

    def _point(self, text: bytes, *, wanted: bool) -> bytes:
        kind, address, size = (int(part, 16) for part in text.split(b";")[0].split(b","))
        target = self._target
        if kind in (0, 1):
            (target.set_breakpoint if wanted else target.clear_breakpoint)(address)
            return b"OK"
        if kind not in (2, 3, 4):
            return b""
        if not wanted:
            target.clear_watchpoint(address, size, kind)
            return b"OK"
        return b"OK" if target.set_watchpoint(address, size, kind) else b"E16"

    def _set_point(self, text: bytes) -> bytes:
        return self._point(text, wanted=True)

    def _clear_point(self, text: bytes) -> bytes:
        return self._point(text, wanted=False)

    def _continue(self, text: bytes) -> None:
        if text:
            self._target.put(self._target.pc_number, int(text, 16))
        self._target.running = True

    def _step(self, text: bytes) -> bytes:
        if text:
            self._target.put(self._target.pc_number, int(text, 16))
        self._halt = self._target.step() or Halt(SIGTRAP)
        return self._stop_reply()

    def _v(self, text: bytes) -> bytes | None:
        if text == b"Cont?":
            return b"vCont;c;C;s;S"
        if text.startswith(b"Cont;"):
            if text[5:6] in (b"s", b"S"):
                return self._step(b"")
            if text[5:6] in (b"c", b"C"):
                self._continue(b"")
                return None
        if text.startswith(b"Kill"):
            self._kill(b"")
            self._send(b"OK")
            return None
        return b""

    def _thread(self, _text: bytes) -> bytes:
        return b"OK"

    def _detach(self, _text: bytes) -> None:
        # Who hears of it finds it so.
        self._target.running = self._ended = True
        self._send(b"OK")

    def _kill(self, _text: bytes) -> None:
        self._target.reset()
        self._ended = True

    def _query(self, text: bytes) -> bytes:
        name = text.partition(b":")[0]
        if name == b"Supported":
            return (
                f"PacketSize={PACKET_SIZE:x};QStartNoAckMode+;qXfer:features:read+;"
                "qXfer:memory-map:read+;vContSupported+;hwbreak+;binary-upload+"
            ).encode()
        if name == b"fThreadInfo":
            return b"m1"
        if name == b"Xfer":
            return self._document(text)
        if text.startswith(b"Rcmd,"):
            return self._command(bytes.fromhex(text[5:].decode("ascii")).decode("utf-8", "replace"))
        return {b"sThreadInfo": b"l", b"C": b"QC1", b"Attached": b"1"}.get(name, b"")

    def _set(self, text: bytes) -> bytes:
        return b"OK" if text == b"StartNoAckMode" else b""

    def _document(self, text: bytes) -> bytes:
        _, kind, action, name, part = text.decode("ascii").split(":")
        make = {
            ("features", "target.xml"): self._description,
            ("memory-map", ""): self._memory_map,
        }.get((kind, name))
        if make is None or action != "read":
            return b"E00"
        at, size = (int(n, 16) for n in part.split(","))
        data = make().encode()
        piece = data[at : at + size]
        return (b"m" if at + size < len(data) else b"l") + gdb_packets.quote(piece)

    def _description(self) -> str:
        target = self._target
        riscv = target.board.silicon.arch is Arch.RISCV
        feature = "org.gnu.gdb.riscv.cpu" if riscv else "org.gnu.gdb.xtensa.core"
        kinds = {"pc": "code_ptr", "sp": "data_ptr"}
        registers = "".join(
            f'<reg name="{"fp" if name == "s0" else name}" bitsize="32" regnum="{n}" '
            f'type="{kinds.get(name, "int")}"/>'
            for n, name in enumerate(target.names)
        )
        return (
            '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">'
            f"<architecture>{'riscv:rv32' if riscv else 'xtensa'}</architecture>"
            f'<feature name="{feature}">{registers}</feature></target>'
        )

    def _memory_map(self) -> str:
        parts = "".join(
            f'<memory type="{kind}" start="{start:#x}" length="{end - start:#x}"/>'
            for kind, start, end in self._target.spans()
        )
        return f'<?xml version="1.0"?><memory-map>{parts}</memory-map>'

    def _command(self, text: str) -> bytes:
        match text.split():
            case ["reset"] | ["reset", "run"]:
                self._target.reset()
                said = "The chip was reset.\n"
            case ["reset", "halt" | "init"]:
                self._target.reset()
                self._halt = Halt(SIGTRAP)
                said = "The chip was reset and stands.\n"
            case ["help"] | []:
                said = _HELP
            case _:
                said = f"Unknown command '{text}'.\n{_HELP}"
        self._send(b"O" + said.encode().hex().encode())
        return b"OK"


_HANDLERS: dict[str, Callable[[Conversation, bytes], bytes | None]] = {
    "?": Conversation._why,
    "m": Conversation._read,
    "x": Conversation._read_binary,
    "M": Conversation._write,
    "X": Conversation._write_binary,
    "g": Conversation._registers,
    "G": Conversation._set_registers,
    "p": Conversation._register,
    "P": Conversation._set_register,
    "Z": Conversation._set_point,
    "z": Conversation._clear_point,
    "c": Conversation._continue,
    "s": Conversation._step,
    "v": Conversation._v,
    "H": Conversation._thread,
    "T": Conversation._thread,
    "D": Conversation._detach,
    "k": Conversation._kill,
    "q": Conversation._query,
    "Q": Conversation._set,
}
