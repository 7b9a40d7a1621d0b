# SPDX-License-Identifier: Apache-2.0
"""The chip with its own ROM: memory, processor, and the registers around it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from esptool.virtual.bus import Peripheral
from esptool.virtual.genuine.cache import Window
from esptool.virtual.genuine.core import Core, Trap
from esptool.virtual.genuine.devices import LoaderUart, LoaderUsb, SlowCommand
from esptool.virtual.genuine.intc import Both, Clic, Lines, Matrix
from esptool.virtual.genuine.memory import Memory
from esptool.virtual.genuine.riscv import RiscV
from esptool.virtual.genuine.romfile import RomFile
from esptool.virtual.genuine.sha import CONTINUE, START, Sha
from esptool.virtual.genuine.xtensa import LX106, WINDOWED, Xtensa
from esptool.virtual.silicon.shape import Answer, IntcKind
from esptool.virtual.silicon.spec import Arch

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc


_MTVT, _MTVEC = 0x307, 0x305
#: Offsets of enable, first priority and threshold, where they follow the matrix.
_IN_MATRIX = {IntcKind.C2: (0xB8, 0xC8, 0x148), IntcKind.C3: (0x104, 0x114, 0x194)}


@dataclass(slots=True)
class Missing:
    """A register that is not modelled, and who has looked for it."""

    address: int
    loads: int = 0
    stores: int = 0
    functions: set[str] = field(default_factory=set)


class Machine:
    """One chip with one ROM.

    Attributes:
        core: its processor.
        uart, usb: its ends of the two lines; `usb` is None where it has none.
        missing: registers that were touched and are not modelled, by address.
        restarts: the code has asked for a reset of the chip.
        on_watched: told of (address, owner, function) when a program stores to the ROM's RAM.
        on_rate: told before the UART goes to another rate.
        traps: exceptions that the code has met, oldest first.
    """

    def __init__(self, soc: Soc, rom: RomFile) -> None:
        self.soc, self.rom = soc, rom
        silicon = soc.silicon
        assert silicon.shape is not None
        self.shape = shape = silicon.shape
        self.memory = Memory()
        self._map()
        self.missing: dict[int, Missing] = {}
        self.traps: list[Trap] = []
        self.restarts = False
        #: Registers whose stores do something that a wait does not.
        self._lively = {silicon.spi.base, *silicon.uart.fifo, silicon.usb_jtag}
        if shape.sha:
            self._lively |= {shape.sha + START, shape.sha + CONTINUE}
        self._resets = dict(shape.resets)
        self.on_watched: Callable[[int, str, str], None] = lambda _a, _o, _f: None
        self.on_rate: Callable[[], None] = lambda: None
        self._answers: dict[int, list[Answer]] = {}
        for answer in shape.answers:
            self._answers.setdefault(answer.address, []).append(answer)
        #: Registers of no peripheral that are answered nevertheless.
        self._known = {*self._answers, *shape.random}
        self._random = frozenset(shape.random)
        self._dice = random.Random(soc.options.faults.seed)
        self.uart = LoaderUart(shape.uart, lambda: soc.clock_hz)
        self.uart.on_divider = self._divider
        self.uart.raised = self.update
        self.usb: LoaderUsb | None = None
        bus = soc.bus
        bus.attach(silicon.uart.base, 0x100, self.uart)
        if silicon.usb_jtag is not None:
            self.usb = LoaderUsb(soc.options.link == "usb-jtag")
            self.usb.raised = self.update
            bus.attach(silicon.usb_jtag, 0x100, self.usb)
        if soc.efuse is not None and silicon.efuse is not None:
            slow = SlowCommand(soc.efuse, silicon.efuse.command)
            bus.attach(silicon.efuse.base, 0x200, slow)
        for fifo in silicon.uart.fifo:
            if bus.peripheral_at(fifo) is None:
                bus.attach(fifo, 0x100, self.uart)
        self._window: Window | None = None
        if shape.mmu is not None:
            flash = [(r.start, r.end) for r in silicon.memory if r.kind == "flash"]
            self._window = Window(shape.mmu, flash, self._word, soc.nor.read)
            size = 0x100 if shape.mmu.items else 4 * shape.mmu.entries
            bus.attach(shape.mmu.at, size, self._window.table)
        if shape.sha:
            bus.attach(shape.sha, 0x100, Sha())
        self.core = self._processor()

    # --- parts -------------------------------------------------------------------------------

    def _map(self) -> None:
        shape = self.shape
        for start, end in shape.rom:
            backing = memoryview(bytearray(end - start))
            self.memory.add(start, backing, writable=False)
        for ram in shape.ram:
            backing = memoryview(bytearray(ram.size))
            for place in ram.places:
                self.memory.add(place, backing, writable=True)
        for segment in self.rom.segments:
            for place in {segment.vaddr, segment.paddr}:
                if any(start <= place < end for start, end in shape.rom):
                    self.memory.write(place, segment.data)

    def _processor(self) -> Core:
        shape, bus = self.shape, self.soc.bus
        matrix = self._matrix = Matrix(self.update)
        self._lines: Lines | Clic | None = None
        if self.soc.silicon.arch is not Arch.RISCV:
            # Where sources have no matrix their numbers are those of the processor's lines.
            if shape.intmtx:
                bus.attach(shape.intmtx & -0x100, 0x200, matrix)
            windows = self.soc.silicon.arch is Arch.XTENSA
            return Xtensa(self.memory, self, WINDOWED if windows else LX106)
        core = RiscV(self.memory, self)
        if shape.intc_kind in _IN_MATRIX:
            enable, priorities, threshold = _IN_MATRIX[shape.intc_kind]
            lines = Lines(self.update, enable=enable, priorities=priorities, threshold=threshold)
            bus.attach(shape.intmtx, 0x200, Both(matrix, lines, enable))
            self._lines = lines
        else:
            bus.attach(shape.intmtx, 0x200, matrix)
            if shape.intc_kind is IntcKind.PLIC:
                self._lines = Lines(self.update, enable=0, priorities=0x10, threshold=0x90)
                bus.attach(shape.intc, 0x100, self._lines)
            else:
                clic = self._lines = Clic(self.update)
                bus.attach(shape.intc, 0x1100, clic)
                core.vector, core.taken, core.left = self._vector, clic.take, clic.leave
        core.lines = self._line
        return core

    # --- interrupts --------------------------------------------------------------------------

    def _active(self) -> list[int]:
        shape, active = self.shape, []
        if self.uart.active:
            active.append(shape.uart_source)
        if self.usb is not None and shape.usb_source is not None and self.usb.active:
            active.append(shape.usb_source)
        if not shape.intmtx and shape.intc_kind is IntcKind.XTENSA:
            return active
        first = (shape.intmtx & 0xFF) // 4
        return [self._matrix.line(first + source) for source in active]

    def _line(self) -> int | None:
        active = self._active()
        return self._lines.choose(active) if active and self._lines is not None else None

    def _vector(self, line: int) -> int:
        """Where the handler of an interrupt is, by the core-local controller."""
        assert isinstance(self.core, RiscV)
        assert isinstance(self._lines, Clic)
        if self._lines.hardware_vector(line):
            table = self.core.csrs.get(_MTVT, 0) & -64
            return self.core.load(table + 4 * line, 4, 0)
        return self.core.csrs.get(_MTVEC, 0) & -64

    def update(self) -> None:
        """Something has changed that interrupts depend on."""
        if isinstance(self.core, Xtensa):
            self.core.request(sum({1 << line for line in self._active() if line}))
        else:
            self.core.pending[0] = self._line() is not None

    def _divider(self, value: int) -> None:
        divider = (value & 0xFFFFF) * 16 + (value >> 20 & 0xF)
        if divider:
            self.on_rate()
            self.soc.baud = self.soc.clock_hz * 16 // divider

    # --- registers ---------------------------------------------------------------------------

    def load(self, address: int, size: int, pc: int) -> int:
        """A load from outside of RAM and ROM."""
        if self._window is not None:
            seen = self._window.load(address, size)
            if seen is not None:
                return seen
        place = address & ~3
        found = self.soc.bus.peripheral_at(place)
        if found is None and place not in self._known:
            self._miss(place, pc).loads += 1
        word = self.read_word(place, found)
        return word >> 8 * (address & 3) & (1 << 8 * size) - 1

    def read_word(self, place: int, found: tuple[int, Peripheral] | None) -> int:
        """A register as the chip shows it."""
        if place in self._random:
            return self._dice.getrandbits(32)
        word = self.soc.bus.read_word(place) if found is None else found[1].read(place - found[0])
        for answer in self._answers.get(place, ()):
            shows = not answer.when or word & answer.when
            word = word & ~answer.mask | (answer.value if shows else 0)
        return word & 0xFFFFFFFF

    def _word(self, place: int) -> int:
        return self.read_word(place, self.soc.bus.peripheral_at(place))

    def store(self, address: int, size: int, value: int, pc: int) -> None:
        """A store to outside of RAM."""
        place = address & ~3
        bus = self.soc.bus
        found = bus.peripheral_at(place)
        if found is None and place not in self._known:
            self._miss(place, pc).stores += 1
        if size < 4:
            shift = 8 * (address & 3)
            mask = (1 << 8 * size) - 1 << shift
            value = self.read_word(place, found) & ~mask | value << shift
        if place in self._lively:
            self.core.touched += 1
        bus.write_word(place, value)
        reset = self._resets.get(place)
        if reset is not None and value & reset:
            self.core.stop = self.restarts = True

    def _miss(self, place: int, pc: int) -> Missing:
        entry = self.missing.get(place)
        if entry is None:
            entry = self.missing[place] = Missing(place)
            low, high = self.shape.peripherals
            if not low <= place < high:
                self.soc.notes.append(
                    f"{self.rom.function(pc)} touches {place:#x}, where nothing is"
                )
        entry.functions.add(self.rom.function(pc).partition("+")[0])
        return entry

    def watched(self, address: int, size: int, pc: int) -> None:
        """A program in RAM stores to what the ROM owns."""
        owner = self.rom.owner(address)
        if owner is not None:
            self.on_watched(address, owner, self.rom.function(pc))

    def trapped(self, trap: Trap) -> None:
        """The processor has met an exception."""
        self.traps.append(trap)

    # --- life --------------------------------------------------------------------------------

    def reset(self) -> None:
        """As after power-on; the processor stands at the ROM's first instruction."""
        self.memory.clear()
        self.uart.reset()
        if self.usb is not None:
            self.usb.reset()
        self._matrix.words.clear()
        if self._lines is not None:
            self._lines.words.clear()
        if isinstance(self._lines, Clic):
            self._lines.level = 0
        self.traps.clear()
        self.restarts = False
        self.core.restart(self.rom.entry)
