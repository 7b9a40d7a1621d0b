# SPDX-License-Identifier: Apache-2.0
"""A chip that runs its own ROM: bytes from the host go into its FIFOs, and the code runs until it
only waits."""

from __future__ import annotations

import math
import struct
import time
from typing import TYPE_CHECKING

from esptool.virtual.framing import FrameReader
from esptool.virtual.genuine.find import find
from esptool.virtual.genuine.machine import Machine
from esptool.virtual.program import Program

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

#: Instructions that the code may take before the board is looked at.
_AT_ONCE = 3_000_000
_PIECE = 200_000
#: While the host listens in vain, the code is given so many more.
_MORE = 100_000
_LOOK_AGAIN_S = 0.02
#: Instructions that the code gets where the host has changed its rate.
_TO_NEW_RATE = 100_000
#: What the buffer of every ROM's handler holds.
_BUFFERED = 200
#: Cycles until a loader that looks for its host pauses, most likely.
_INTO_PAUSE = 20_000
#: No text that the ROM prints holds it.
_FRAME_MARK = b"\xc0"
#: Direction and command of a request to load a program, and its least length.
_MEM_BEGIN, _MEM_BEGIN_SIZE = b"\0\x05", 24


class RunningRom(Program):
    """`soc.program` of a chip that executes a ROM from its file."""

    def __init__(self, soc: Soc, machine: Machine) -> None:
        self._soc, self.machine = soc, machine
        self._frames = FrameReader()
        self._met: set[str] = set()
        machine.on_watched = self._watched
        # What was sent so far has left at the old rate.
        machine.on_rate = self._send
        machine.core.watch([])
        self._heard = b""
        self._host_baud = 0
        #: The loader has found where it is called, and has answered.
        self._answers = False
        self._coming = bytearray()
        self._quiet = True
        #: It has asked for a reset where it has only just begun: that may go on without end.
        self._beginning = self._restless = False
        self._usb = soc.options.link == "usb-jtag" and machine.usb is not None

    def begin(self, cause: int, download: bool) -> None:
        """Start at the reset vector, for the reason with that number."""
        machine, shape, bus = self.machine, self.machine.shape, self._soc.bus
        machine.reset()
        bus.write_word(shape.strap, shape.strap_download if download else shape.strap_flash)
        address, shift, width = shape.cause
        mask = (1 << width) - 1 << shift
        bus.write_word(address, bus.read_word(address) & ~mask | cause << shift & mask)
        self._beginning = True
        self._run(_AT_ONCE)
        self._beginning = self._answers = False

    def hears(self, data: bytes, baud: int) -> None:
        """What passes on the line, whatever the receiver makes of it.

        A host that speaks at a new rate has left the code time to get there: it may be on its way,
        in a loop that looks like a wait.
        """
        if self._answers and baud != self._host_baud:
            self.machine.core.run(_TO_NEW_RATE, waiting=lambda: False)
            self._send()
        self._heard, self._host_baud = data, baud

    def receive(self, data: bytes) -> None:
        """Bytes from the host."""
        machine = self.machine
        machine.core.touched += 1
        self._watch(data)
        if self._usb and machine.usb is not None:
            if not self._answers:
                # A loader that looks at one port after the other throws away what it finds when
                # it turns to one. It spends its time in the pause behind that, in which a host's
                # bytes come.
                machine.core.run_until(machine.core.cycles + _INTO_PAUSE)
            machine.usb.feed(data)
        elif self._answers:
            self._coming += data
        else:
            began = time.monotonic()
            self._at_pace(data)
            self._soc.busy_s += time.monotonic() - began
        self._run(_AT_ONCE)

    def _watch(self, data: bytes) -> None:
        """Look out for programs that are loaded to where the ROM has something of its own."""
        for frame in self._frames.feed(data):
            if len(frame) < _MEM_BEGIN_SIZE or frame[:2] != _MEM_BEGIN:
                continue
            size, start = struct.unpack_from("<I8xI", frame, 8)
            machine = self.machine
            self._soc.loaded.append((start, size))
            met = machine.rom.owners(start, start + size)
            if met:
                self._soc.remark(
                    f"A program is loaded to {start:#x}-{start + size:#x}, where the ROM has "
                    f"{', '.join(met)}."
                )
            # From now on a program may run; what it stores is looked at.
            machine.core.watch([(low, high) for _, low, high in machine.rom.own])

    def _watched(self, address: int, owner: str, function: str) -> None:
        if owner not in self._met:
            self._met.add(owner)
            self._soc.notes.append(
                f"the program stores to {address:#x}, where the ROM has {owner} ({function})"
            )

    def _at_pace(self, data: bytes) -> None:
        """Bytes come at the rate of the line as long as the loader looks where it is called: it
        measures that rate, and looks at one port after the other."""
        machine, heard = self.machine, self._heard
        core, uart = machine.core, machine.uart
        step = 10 * 1_000_000 * self._soc.crystal_mhz // (self._host_baud or 115200)
        at = core.cycles
        for i in range(max(len(data), len(heard))):
            uart.hear(heard[i : i + 1], self._host_baud)
            uart.feed(data[i : i + 1])
            at += step
            core.run_until(at)

    def resume(self) -> None:
        """The host listens in vain."""
        if self._restless:
            self._soc.reboot()
        else:
            self._run(_MORE)

    def pending_s(self) -> float:
        """It may have only seemed to wait."""
        return math.inf if self.machine.core.halted else _LOOK_AGAIN_S

    def _waiting(self) -> bool:
        machine = self.machine
        return not (machine.usb.queue if self._usb and machine.usb else machine.uart.queue)

    def _run(self, budget: int) -> None:
        began, before = time.monotonic(), self._soc.busy_s
        try:
            self._go(budget)
        finally:
            # A reset within has counted its own time.
            self._soc.busy_s = before + time.monotonic() - began

    def _go(self, budget: int) -> None:
        machine = self.machine
        core = machine.core
        end = core.count[0] + budget
        until = time.monotonic() + self._soc.slice_s if self._soc.slice_s else math.inf
        while core.count[0] < end and self._soc.program is self:
            self._arrive()
            core.run(min(_PIECE, end - core.count[0]), waiting=self._waiting)
            self._send()
            if machine.restarts:
                self._restless = self._beginning
                if not self._restless:
                    self._soc.reboot()
                return
            self._quiet = core.idle
            if self._quiet and self._coming:
                continue
            if core.idle or core.halted or time.monotonic() > until:
                break

    def _arrive(self) -> None:
        """What has come on the line gets into the FIFO.

        On silicon it never comes faster than the code takes it. A handler of interrupts puts what
        is there into a buffer, so it is given no more than fits until it has nothing to do.
        """
        uart = self.machine.uart
        if self._coming and (self._quiet or not uart.interrupts):
            size = _BUFFERED if uart.interrupts else len(self._coming)
            uart.feed(bytes(self._coming[:size]))
            del self._coming[:size]
            self.machine.core.touched += 1
            self._quiet = False

    def _send(self) -> None:
        machine = self.machine
        if machine.uart.sent:
            data, machine.uart.sent = bytes(machine.uart.sent), bytearray()
            if not self._usb:
                self._answers = self._answers or _FRAME_MARK in data
                self._soc.send(data)
        if machine.usb is not None and machine.usb.sent:
            data, machine.usb.sent = bytes(machine.usb.sent), bytearray()
            if self._usb:
                self._answers = self._answers or _FRAME_MARK in data
                self._soc.send(data)


def start(soc: Soc, cause: int, download: bool) -> None:
    """Start the chip at its ROM's first instruction."""
    if soc.machine is None:
        soc.machine = Machine(soc, find(soc))
        soc.spi.attached = True
    program = RunningRom(soc, soc.machine)
    soc.program = program
    program.begin(cause, download)
