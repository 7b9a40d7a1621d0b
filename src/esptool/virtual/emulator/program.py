# SPDX-License-Identifier: Apache-2.0
"""Code in RAM as the program of a virtual chip: bytes from the host go into its FIFO, it runs until
it waits for more, and what it sends goes out.

Where time is charged, bytes enter and leave the FIFOs at the rate of the line while the code runs:
one that looks too seldom loses some.
"""

from __future__ import annotations

import gc
import math
import os
import time
import weakref
from typing import TYPE_CHECKING, Any

from esptool.errors import UsageError
from esptool.virtual.emulator import loading
from esptool.virtual.emulator.confined import Confined, Here, wait_for_ended
from esptool.virtual.emulator.cpu import Cpu, CrashError, UnicornCpu, crash, engines
from esptool.virtual.emulator.cpu_clock import ClockTree
from esptool.virtual.emulator.printf import render, string_at
from esptool.virtual.program import Program as Base
from esptool.virtual.silicon.spec import Arch, RomCalls

if TYPE_CHECKING:
    from esptool.virtual.soc import Line, Soc

#: Names the engine that executes code: "icicle" or "unicorn" (RISC-V only).
ENGINE_VARIABLE = "ESPTOOL_VIRTUAL_ENGINE"

_RX_DEPTH = 127
_FIFO_DEPTH = 128
_BITS_A_BYTE = 10
#: A program that looks at the empty FIFO so often in a row, with so few instructions between and
#: nothing stored to a peripheral, idles.
_IDLE_LOOKS = 6
_IDLE_GAP = 2000
#: Where time passes this must be certain: registers and stack must also have been the same.
_SAME_STATES = 3
#: Instructions that a program may take between two looks at the line before it counts as hung.
_HUNG = 400_000_000
#: What an access to a peripheral takes beyond one instruction: the way over the bus.
_ACCESS_S = 50e-9
#: A program that waits for room in the FIFO is woken when so much of it is left.
_TX_WAKE = 64
#: What the return address of a program shows at its start.
_NOWHERE = 0
#: Where call0 code begins in a stub for a chip with register windows (see firmware/arch).
_AFTER_SHIM = 64
_USB_DONE, _USB_ROOM, _USB_HEARD = 1, 2, 4
_USB_PACKET = 64
_FRAME_MARK = 0xC0
#: A program that prints is let go on when so much of its text has passed the line.
_PRINTED = 64

#: A ROM of which no function is known: none of these addresses is called.
_NO_CALLS = RomCalls(attach=-1, restart=-1, delay=-1, encrypt=0, security=0, printf=0)

#: Programs whose engines exist, and from how many on those that are garbage are looked for.
_ALIVE: weakref.WeakSet[Program] = weakref.WeakSet()
_MANY = 8


class Program(Base):
    """A running stub. `soc.program` of a chip whose RAM code is executed."""

    engines = staticmethod(engines)
    #: What keeps an engine; `confined.Here` in a process that forks.
    room: type[Confined] | type[Here] = Confined

    def __init__(
        self, soc: Soc, entry: int, engine: str | None = None, *, skip_shim: bool = True
    ) -> None:
        self._soc = soc
        silicon = soc.silicon
        self._calls = soc.rom.calls or _NO_CALLS
        self._fifo = {*silicon.uart.fifo}
        self._status, self._clkdiv = silicon.uart.status, silicon.uart.clkdiv
        self._spi_command = silicon.spi.base
        # 1 where the chip has no such controller: no address matches that.
        self._usb = silicon.usb_jtag or 1
        self._uart = soc.options.link != "usb-jtag"
        self._usb_packet = 0
        self._usb_held = False
        self._in = bytearray()
        self._out = bytearray()
        self._looks = 0
        self._looked_at = 0
        self._states: dict[bytes, int] = {}
        self._charged = 0
        self._accesses = 0
        self._ended = False
        self._clock = ClockTree(silicon.clock, soc.clock_hz, soc.bus.read_word, soc.notes.append)
        self._printed = 0
        self._line_free = 0.0
        self._slice_end = math.inf
        #: It was stopped while it computes, so that the board is looked at.
        self.cut = False
        self._line = soc.line if soc.clock.charged else None
        self._idles = False
        self._until = math.inf
        self._comes = 0.0
        self._tx_free = 0.0
        #: Bytes that came when the receive FIFO was full.
        self.overrun = 0
        if self._line is not None:
            soc.nor.attention = self._attention
            if soc.nand is not None:
                soc.nand.attention = self._attention
        shim = _AFTER_SHIM if silicon.arch is Arch.XTENSA and skip_shim else 0
        if len(_ALIVE) >= _MANY:
            # Chips are held by themselves, so those that nobody uses any more must be looked for;
            # the collector does not know how much an engine takes.
            gc.collect()
            wait_for_ended()
        _ALIVE.add(self)
        # The engine lives in a thread of its own, and this end of it holds nothing but a way there.
        self._engine = self.room()
        weakref.finalize(self, self._engine.end)
        self._cpu: weakref.ref[Cpu] = self._engine.do(lambda box: self._load(box, engine))
        self._engine.do(lambda _box: self.cpu.start(entry + shim))

    @property
    def cpu(self) -> Cpu:
        """The processor; to be used by jobs of its own thread only."""
        found = self._cpu()
        assert found is not None
        return found

    @property
    def cpu_hz(self) -> int:
        """What the processor runs at."""
        return self._clock.hz

    def ram(self, address: int, length: int) -> bytes:
        """Contents of RAM, as the code sees it; from any thread."""
        found: bytes = self._engine.do(lambda _box: self.cpu.read(address, length))
        return found

    def begin(self) -> None:
        """Run to where the program waits for the host."""
        self._go()

    def _load(self, box: dict[str, Any], engine: str | None) -> weakref.ref[Cpu]:
        silicon = self._soc.silicon
        known = self.engines()
        wanted = engine or os.environ.get(ENGINE_VARIABLE) or next(iter(known))
        if wanted not in known:
            raise UsageError(
                f"There is no engine '{wanted}' here.", remedy=f"Choose one of: {', '.join(known)}."
            )
        cpu = box["cpu"] = known[wanted](silicon.arch, weakref.proxy(self))
        bus = self._soc.bus
        spans = loading.code_spans(self._soc)
        for start, end in spans:
            cpu.map(start, bus.read(start, end - start))
        if isinstance(cpu, UnicornCpu):
            cpu.map_ports(loading.gaps(spans))
        return weakref.ref(cpu)

    # --- the line -------------------------------------------------------------------------

    @property
    def takes_bytes(self) -> bool:
        """Bytes are fetched from the line as they come, not handed over.

        One that has ended fetches none: they would stay on the line for ever.
        """
        return self._line is not None and not self._ended

    def receive(self, data: bytes) -> None:
        """Bytes from the host."""
        self._in += data
        self._go()

    def resume(self) -> None:
        """The host listens in vain: a program that only seemed to wait goes on."""
        if time.monotonic() >= self._line_free:
            self._go()

    def pending_s(self) -> float:
        """Seconds until the program goes on by itself: it was cut off, or waits for the line."""
        if self._soc.clock.charged:
            return math.inf
        if self.cut:
            return 0.0
        if not self._printed:
            return math.inf
        return self._line_free - time.monotonic()

    def next_work(self) -> float:
        """Now, unless it waits for the host; time is its measure only where it is charged."""
        busy = self._line is not None and not self._idles and not self._ended
        return self._soc.clock.now if busy else math.inf

    def work(self, limit: float) -> None:
        """Run until about `limit`, or until it waits for the host."""
        self._idles = False
        self._until = limit
        self._go()
        self._until = math.inf

    def _go(self) -> None:
        if self._ended:
            return
        self._looks = self._printed = 0
        # The host may have sent something meanwhile.
        self._comes = 0.0
        self.cut = False
        if self._soc.slice_s:
            self._slice_end = time.monotonic() + self._soc.slice_s
        executed, self._ended, crashed = self._engine.do(_run)
        self._charge(executed)
        self._send()
        if crashed is not None:
            self._soc.remark(str(crashed))
            self._soc.on_crash(loading.exception_text(self._soc.silicon.arch, crashed))

    def _charge(self, executed: int) -> None:
        """Let the time pass that the instructions up to this count have taken."""
        seconds = (executed - self._charged) / self._clock.hz + self._accesses * _ACCESS_S
        self._soc.clock.spend(seconds)
        self._charged = executed
        self._accesses = 0

    def _attention(self) -> float:
        """Until when code that waits for the flash may be left alone."""
        assert self._line is not None
        moment = min(self._line.next_arrival(), self._until)
        now = self._soc.clock.now
        if self._tx_free > now:
            moment = min(moment, max(now, self._tx_free - _TX_WAKE * self._byte_s))
        return moment

    @property
    def _byte_s(self) -> float:
        return _BITS_A_BYTE / max(1, self._soc.options.line_bits(self._soc.baud))

    def _fetch(self, line: Line) -> None:
        """Take in what has arrived by now."""
        cpu, clock = self.cpu, self._soc.clock
        self._charge(cpu.instructions)
        if clock.now >= self._comes:
            self._in += line.incoming()
            self._comes = line.next_byte()
            if self._uart and len(self._in) > _FIFO_DEPTH:
                self.overrun += len(self._in) - _FIFO_DEPTH
                del self._in[_FIFO_DEPTH:]
        if clock.now >= self._until:
            cpu.pause()

    def _wait(self) -> None:
        """The code does nothing but look: let time pass to when it finds something."""
        clock = self._soc.clock
        sending = self._tx_free - clock.now if self._uart else 0.0
        if sending <= 0:
            self._idles = True
            self.cpu.pause()
            return
        # Below that the FIFO only runs empty: nothing happens before that, or before bytes come.
        wake = self._tx_free - _TX_WAKE * self._byte_s
        wake = wake if wake > clock.now else self._tx_free
        assert self._line is not None
        clock.advance_to(min(self._line.next_arrival(), self._until, wake))
        self._looks = 0
        if clock.now >= self._until:
            self.cpu.pause()

    def _send(self) -> None:
        if self._line is not None and self._uart:
            if self._idles or self._ended:
                self._leave()
            return
        if self._out and not self._usb_held:
            data, self._out = bytes(self._out), bytearray()
            self._soc.send(data)

    def _idle(self) -> None:
        now = self.cpu.instructions
        self._looks = self._looks + 1 if now - self._looked_at < _IDLE_GAP else 0
        self._looked_at = now
        if self._looks < _IDLE_LOOKS:
            return
        if self._line is None:
            self.cpu.pause()
        elif self._goes_round():
            self._states.clear()
            self._wait()

    def _goes_round(self) -> bool:
        """The code is where it was, with nothing changed: it waits."""
        if self._looks == _IDLE_LOOKS:
            self._states.clear()
        state = self.cpu.state()
        times = self._states[state] = self._states.get(state, 0) + 1
        return times >= _SAME_STATES

    # --- ports ----------------------------------------------------------------------------

    def load(self, address: int, size: int) -> int:
        """A load from outside of RAM."""
        if self._slice_end < math.inf and time.monotonic() > self._slice_end and not self.cut:
            self.cut = True
            self.cpu.pause()
        self._accesses += 1
        if address == self._status:
            return self._uart_status()
        if address in self._fifo:
            return self._in.pop(0) if self._in and self._uart else 0
        if address & ~7 == self._usb:
            return self._usb_load(address - self._usb)
        if address == self._spi_command and self._soc.clock.charged:
            # It waits for the bus, which has been busy while the code ran.
            self._charge(self.cpu.instructions)
        word = self._soc.bus.read_word(address)
        return word >> (8 * (address & 3)) & ((1 << 8 * size) - 1)

    def _uart_status(self) -> int:
        """How many bytes wait in the two FIFOs."""
        if not self._uart:
            return 0
        sending = 0
        if self._line is not None:
            self._fetch(self._line)
            if self._tx_free > self._soc.clock.now:
                left = (self._tx_free - self._soc.clock.now) / self._byte_s
                sending = min(_RX_DEPTH, math.ceil(left - 1e-6))
        waiting = min(len(self._in), _RX_DEPTH)
        if waiting:
            self._looks = 0
        else:
            self._idle()
        return waiting | sending << 16

    def store(self, address: int, size: int, value: int) -> None:
        """A store to outside of RAM."""
        self._accesses += 1
        if address in self._fifo:
            self._looks = 0
            if self._uart:
                self._put(value & 0xFF)
            return
        if address & ~7 == self._usb:
            self._usb_store(address - self._usb, value)
            return
        if size < 4:
            shift = 8 * (address & 3)
            mask = ((1 << 8 * size) - 1) << shift
            value = self._soc.bus.read_word(address) & ~mask | value << shift
        if address == self._clkdiv:
            self._leave() if self._line is not None else self._send()
            self._set_divider(value)
        self._looks = 0
        if self._soc.clock.charged:
            self._charge(self.cpu.instructions)
        if self._clock.is_update(address, value):
            self._clock.update()
            return
        self._soc.bus.write_word(address, value)

    def _put(self, byte: int) -> None:
        """A byte goes into the UART's FIFO."""
        if self._line is None:
            self._out.append(byte)
            if byte == _FRAME_MARK:
                # Each frame leaves when it is ready, not when all work is done.
                self._send()
            return
        clock, byte_s = self._soc.clock, self._byte_s
        self._charge(self.cpu.instructions)
        self._tx_free = max(self._tx_free, clock.now) + byte_s
        if self._tx_free - clock.now > (_FIFO_DEPTH + 1) * byte_s:
            self._tx_free -= byte_s
            return
        self._out.append(byte)
        # Each frame leaves when it is ready, not when all work is done.
        if byte == _FRAME_MARK and len(self._out) > 1:
            self._leave()

    def _leave(self) -> None:
        """Hand on what has gone into the FIFO so far."""
        assert self._line is not None
        data, self._out = bytes(self._out), bytearray()
        if data:
            there = self._line.leaves(data, max(self._tx_free, self._soc.clock.now))
            # The host may answer then, so code must not run ahead of that.
            self._until = min(self._until, there)

    def _set_divider(self, value: int) -> None:
        sixteenths = (value & 0xFFFFF) << 4 | value >> 20 & 0xF
        if sixteenths:
            self._soc.baud = self._soc.clock_hz * 16 // sixteenths

    def _usb_load(self, offset: int) -> int:
        if self._uart:
            return 0  # no host is connected there: nothing comes, and there is no room
        if offset == 0:
            return self._in.pop(0) if self._in else 0
        if self._line is not None:
            self._fetch(self._line)
        room = _USB_ROOM if self._usb_packet < _USB_PACKET else 0
        if self._in:
            self._looks = 0
            return room | _USB_HEARD
        self._idle()
        return room

    def _usb_store(self, offset: int, value: int) -> None:
        self._looks = 0
        if self._uart:
            return
        if offset == 0:
            if self._usb_packet < _USB_PACKET:
                self._out.append(value & 0xFF)
                self._usb_packet += 1
        elif value & _USB_DONE:
            # The host waits for more after a full packet: the next one must be shorter.
            self._usb_held = self._usb_packet == _USB_PACKET
            self._usb_packet = 0
            if self._line is not None:
                self._charge(self.cpu.instructions)
                self._send()

    # --- ROM ------------------------------------------------------------------------------

    def call(self, address: int, args: tuple[int, int, int, int]) -> int | None:
        """A call of the ROM."""
        soc, calls = self._soc, self._calls
        if address == calls.attach:
            soc.attach_flash()
        elif address == calls.delay:
            # The ROM counts cycles, and believes in the clock that it has set.
            self._charge(self.cpu.instructions)
            soc.clock.spend(args[0] * 1e-6 * self._clock.slow_hz / self._clock.hz)
        elif address == calls.restart:
            if self._clock.raised:
                soc.notes.append("the processor's clock was left raised")
            self._send()
            soc.reboot()
            return None
        elif address == _NOWHERE:
            # The program has returned: the ROM goes on to the application.
            self._send()
            soc.run_flash()
            return None
        elif calls.printf and address == calls.printf:
            self._print(args)
        elif calls.encrypt and address == calls.encrypt:
            return self._encrypt(*args[:3])
        elif calls.security and address == calls.security:
            info = soc.security_info()
            self.cpu.write(args[2], info)
        elif address not in calls.quiet:
            if not self._may_hold_code(address):
                raise crash(soc.silicon.arch, "fetch", address, address)
            soc.remark(f"The program called the ROM at {address:#x}, which is not modelled.")
            return None
        return 0

    def _may_hold_code(self, address: int) -> bool:
        """The ROM or mapped flash is there, or it is not known where the ROM is."""
        there = [m for m in self._soc.silicon.memory if m.kind in ("rom", "flash")]
        return not there or any(m.start <= address < m.end for m in there)

    def _print(self, args: tuple[int, int, int, int]) -> None:
        text = render(self._string(args[0]), args[1:], self._string)
        self._out += text
        self._charge(self.cpu.instructions)
        if self._line is not None and self._uart:
            # The ROM waits for room in the FIFO.
            clock = self._soc.clock
            self._tx_free = max(self._tx_free, clock.now) + len(text) * self._byte_s
            self._leave()
            clock.advance_to(self._tx_free - _FIFO_DEPTH * self._byte_s)
            self._looks = 0
            if clock.now >= self._until:
                self.cpu.pause()
            return
        self._send()
        # One that prints without end would never come to where it waits for the host.
        self._printed += len(text)
        if self._printed >= _PRINTED:
            seconds = self._printed * _BITS_A_BYTE / (self._soc.baud or 115200)
            self._soc.clock.spend(seconds)
            self._line_free = time.monotonic() + seconds
            self.cpu.pause()

    def _string(self, address: int) -> bytes:
        return string_at(address, self.cpu.read, self._soc.bus.read)

    def _encrypt(self, address: int, source: int, length: int) -> int:
        soc = self._soc
        if not soc.can_encrypt():
            return 1
        soc.nor.program(address, soc.encrypt(address, self.cpu.read(source, length)))
        return 0


def _run(box: dict[str, Any]) -> tuple[int, bool, CrashError | None]:
    """Let the processor go on: instructions in all, whether it has ended, and how if by a crash."""
    cpu: Cpu = box["cpu"]
    try:
        cpu.run(_HUNG)
    except CrashError as e:
        return cpu.instructions, True, e.with_traceback(None)
    return cpu.instructions, cpu.stopped, None
