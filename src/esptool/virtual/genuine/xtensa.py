# SPDX-License-Identifier: Apache-2.0
"""Xtensa as in Espressif's chips: LX6 and LX7 with register windows, LX106 without.

Source: the Xtensa ISA reference manual. The physical registers are kept rotated, so that those of
the present window come first. Interrupts are the processor's own; which line has which level
is told by ESP-IDF's core-isa.h.
"""

from __future__ import annotations

from dataclasses import dataclass

from esptool.virtual.genuine.core import Core, Outside, Trap
from esptool.virtual.genuine.memory import Memory
from esptool.virtual.genuine.xtensa_blocks import signed
from esptool.virtual.genuine.xtensa_isa import Writer

(SAR, LBEG, LEND, LCOUNT, CALLINC, FREE) = range(6)
_M = 0xFFFFFFFF
_WINDOWBASE, _WINDOWSTART, _SCOMPARE = 72, 73, 12
_EPC, _DEPC, _EPS, _EXCSAVE = 176, 192, 192, 208
_INTSET, _INTCLEAR, _INTENABLE, _PS, _VECBASE = 226, 227, 228, 230, 231
_EXCCAUSE, _CCOUNT, _PRID, _EXCVADDR = 232, 234, 235, 238
_INTLEVEL, _EXCM, _UM, _OWB, _CALLINC, _WOE = 0xF, 1 << 4, 1 << 5, 0xF00, 3 << 16, 1 << 18
ILLEGAL, SYSCALL, FETCH_ERROR, LEVEL1, ALLOCA, DIVISION = 0, 1, 2, 4, 5, 6
_DEBUG = 6
#: What PRID shows on the first of two processors.
_FIRST = 0xCDCD


@dataclass(frozen=True, slots=True)
class Config:
    """What the manual leaves to who builds the processor.

    Attributes:
        registers: physical ones; 16 means that there are no windows.
        levels: of each interrupt line.
        reset: offset of the first instruction from VECBASE.
        vectors: level to offset from VECBASE.
    """

    registers: int
    levels: tuple[int, ...]
    vectors: dict[int, int]
    kernel: int
    user: int
    double: int
    reset: int
    vecbase: int = 0x40000000
    mask_level: int = 3


#: LX6 of ESP32, LX7 of S2 and S3 (xtensa/config/core-isa.h).
_LEVELS = (
    *(1,) * 11, 3, 1, 1, 7, 3, 5, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 3, 4, 3, 4, 5,
)  # fmt: skip
WINDOWED = Config(
    64,
    _LEVELS,
    {2: 0x180, 3: 0x1C0, 4: 0x200, 5: 0x240, 6: 0x280, 7: 0x2C0},
    0x300,
    0x340,
    0x3C0,
    0x400,
)
LX106 = Config(
    16, (1,) * 14 + (3,) + (1,) * 17, {2: 0x10, 3: 0x20}, 0x30, 0x50, 0x70, 0x80, mask_level=1
)


class Xtensa(Core):
    """One processor.

    Attributes:
        sr: special registers by number, but for those in `fast`.
        fast: SAR, LBEG, LEND, LCOUNT, PS.CALLINC, and how many quads of registers beyond the first
            may be used without a window overflow.
        ends: where zero-overhead loops end.
    """

    def __init__(self, memory: Memory, outside: Outside, config: Config = WINDOWED) -> None:
        super().__init__(memory, outside, config.registers)
        self.config = config
        self.windowed = config.registers > 16
        self.sr: dict[int, int] = {}
        self.ur: dict[int, int] = {}
        self.fast = [0, 0, 0, 0, 0, 3]
        self.ends: set[int] = set()
        self.ps = 0
        self.base = 0
        self.starts = 1
        self._quads = config.registers // 4
        self._lines = 0
        self.names |= {
            "Z": self.fast,
            "over": self.overflow,
            "entry": self.entry,
            "retw": self.retw,
            "movsp": self.movsp,
            "rsr": self.rsr,
            "wsr": self.wsr,
            "rsil": self.rsil,
            "waiti": self.waiti,
            "rfe": self.rfe,
            "rfi": self.rfi,
            "rfw": self.rfw,
            "rotw": self.rotw,
            "cas": self.compare_and_store,
            "mac": self.mac,
            "renew": self.renew,
            "div": _div,
            "rem": _rem,
            "ur": self.ur,
        }

    def restart(self, pc: int) -> None:
        """As after a reset: all interrupts masked, no windows in use."""
        # An image without an entry of its own begins with the vectors.
        super().restart(pc + self.config.reset if pc == self.config.vecbase else pc)
        self.sr.clear()
        self.ur.clear()
        self.ps = _EXCM | 0xF
        self.base, self.starts = 0, 1
        self.fast[:] = [0, 0, 0, 0, 0, 3]
        self.sr[_VECBASE] = self.config.vecbase
        self.sr[_PRID] = _FIRST if self.windowed else 0
        self._lines = 0

    def steady(self) -> tuple[int, ...]:
        """All registers: those of callers tell how far a copy from a buffer has come."""
        return (self.base, *self.regs)

    def translate(self, pc: int) -> tuple[str, int]:
        """See `Core.translate`."""
        return Writer(self, pc).write()

    def loop_ends(self, end: int) -> None:
        """A loop ends there, so a block must."""
        if end not in self.ends:
            self.ends.add(end)
            self.forget()

    def call(self, function: int, stack: int, *args: int) -> None:
        """Set up a call without a window of its own, for tests: it returns to address 0."""
        self.pc = function
        self.regs[0], self.regs[1] = 0, stack
        for i, value in enumerate(args):
            self.regs[2 + i] = value

    # --- state -----------------------------------------------------------------------------------

    def _state(self, ps: int) -> None:
        self.ps = ps & ~_CALLINC
        self.fast[CALLINC] = ps >> 16 & 3
        self._refresh()

    def _refresh(self) -> None:
        if not self.windowed or self.ps & (_WOE | _EXCM) != _WOE:
            self.fast[FREE] = 3
            return
        free = 0
        while free < 3 and not self._started(self.base + free + 1):
            free += 1
        self.fast[FREE] = free

    def _started(self, quad: int) -> int:
        return self.starts >> quad % self._quads & 1

    def _rotate(self, quads: int) -> None:
        if quads % self._quads:
            n = 4 * (quads % self._quads)
            regs = self.regs
            regs[:] = regs[n:] + regs[:n]
            self.base = (self.base + quads) % self._quads

    # --- windows ---------------------------------------------------------------------------------

    def _window(self, pc: int, quads: int, vector: int) -> int:
        self.ps = self.ps & ~_OWB | self.base << 8 | _EXCM
        self.sr[_EPC + 1] = pc
        self._rotate(quads)
        self._refresh()
        return self.sr[_VECBASE] + vector

    def overflow(self, pc: int) -> int:
        """The instruction there needs registers of an older frame: let it be saved."""
        ahead = self.fast[FREE] + 1
        frame = self.base + ahead
        size = next((n for n in (1, 2) if self._started(frame + n)), 3)
        return self._window(pc, ahead, (0, 0x00, 0x80, 0x100)[size])

    def entry(self, reg: int, frame: int, pc: int) -> int:
        """ENTRY: the window of the function that begins, and its stack."""
        regs, step = self.regs, self.fast[CALLINC]
        if self.fast[FREE] < step:
            return self.overflow(pc)
        regs[4 * step + reg] = regs[reg] - frame & _M
        self._rotate(step)
        self.starts |= 1 << self.base
        self._refresh()
        return pc + 3

    def retw(self, pc: int) -> int:
        """RETW: back to the caller's window, which may have been saved."""
        back = self.regs[0]
        step = back >> 30
        behind = next((n for n in (1, 2, 3) if self._started(self.base - n)), 0)
        if not step or behind not in (0, step) or self.ps & (_WOE | _EXCM) != _WOE:
            raise Trap(ILLEGAL, pc)
        if not behind:
            return self._window(pc, -step, (0, 0x40, 0xC0, 0x140)[step])
        self.starts &= ~(1 << self.base)
        self._rotate(-step)
        self._refresh()
        return pc & 0xC0000000 | back & 0x3FFFFFFF

    def movsp(self, value: int, pc: int) -> int:
        """MOVSP: the caller's registers are to be in place."""
        if not any(self._started(self.base - n) for n in (1, 2, 3)):
            raise Trap(ALLOCA, pc)
        return value

    def rotw(self, quads: int, pc: int) -> int:
        """ROTW: move the window."""
        self._rotate(quads)
        self._refresh()
        return pc

    def rfw(self, saved: bool) -> int:
        """RFWO, RFWU: a frame was saved, or is back."""
        bit = 1 << self.base
        self.starts = self.starts & ~bit if saved else self.starts | bit
        self._rotate((self.ps >> 8 & 0xF) - self.base)
        self.ps &= ~_EXCM
        self._refresh()
        return self.sr[_EPC + 1]

    # --- exceptions and interrupts ---------------------------------------------------------------

    def trap(self, trap: Trap) -> int:
        """To the vector of exceptions."""
        self.touched += 1
        if trap.cause < 0:
            trap.cause = ILLEGAL if self.memory.holds(trap.pc) else FETCH_ERROR
            trap.value = trap.value or (trap.pc if trap.cause == FETCH_ERROR else 0)
        self.outside.trapped(trap)
        return self._except(trap.pc, trap.cause, trap.value)

    def _except(self, pc: int, cause: int, value: int | None = None) -> int:
        config, sr = self.config, self.sr
        sr[_EXCCAUSE] = cause
        if value is not None:
            sr[_EXCVADDR] = value
        if self.ps & _EXCM:
            sr[_DEPC] = pc
            vector = config.double
        else:
            sr[_EPC + 1] = pc
            vector = config.user if self.ps & _UM else config.kernel
        self.ps |= _EXCM
        self._refresh()
        target = sr[_VECBASE] + vector
        if not self.memory.holds(target):
            self.halted = True
        return target

    def request(self, lines: int) -> None:
        """These lines of interrupts are active."""
        self._lines = lines
        self.pending[0] = bool(self._active())

    def _active(self) -> int:
        return (self._lines | self.sr.get(_INTSET, 0)) & self.sr.get(_INTENABLE, 0)

    def interrupt(self, pc: int) -> int:
        """Take the active line of the highest level, where that is allowed."""
        level, levels = 0, self.config.levels
        active = self._active()
        for line in range(32):
            if active >> line & 1:
                level = max(level, levels[line])
        barrier = self.ps & _INTLEVEL
        if self.ps & _EXCM:
            barrier = max(barrier, self.config.mask_level)
        if level <= barrier:
            return pc
        self.touched += 1
        if level == 1:
            return self._except(pc, LEVEL1)
        self.sr[_EPC + level] = pc
        self.sr[_EPS + level] = self._shown()
        self.ps = self.ps & ~_INTLEVEL | level | _EXCM
        self._refresh()
        return self.sr[_VECBASE] + self.config.vectors[level]

    def rsil(self, level: int) -> int:
        """RSIL: the old PS, and a new level."""
        old = self._shown()
        self.ps = self.ps & ~_INTLEVEL | level
        return old

    def waiti(self, level: int, pc: int) -> int:
        """WAITI: time passes until something happens."""
        self.ps = self.ps & ~_INTLEVEL | level
        self.extra += 10
        return pc

    def rfe(self, double: bool) -> int:
        """RFE, RFDE: back from an exception."""
        if double:
            return self.sr.get(_DEPC, 0)
        self.ps &= ~_EXCM
        self._refresh()
        return self.sr.get(_EPC + 1, 0)

    def rfi(self, level: int) -> int:
        """RFI: back from an interrupt of a high level."""
        self._state(self.sr.get(_EPS + level, 0))
        return self.sr.get(_EPC + level, 0)

    # --- special registers -----------------------------------------------------------------------

    def _shown(self) -> int:
        return self.ps | self.fast[CALLINC] << 16

    def rsr(self, number: int) -> int:
        """RSR."""
        if number < 4:
            return self.fast[(LBEG, LEND, LCOUNT, SAR)[number]]
        if number == _PS:
            return self._shown()
        if number == _CCOUNT:
            return self.clock() - self.sr.get(_CCOUNT, 0) & _M
        if number == _WINDOWBASE:
            return self.base
        if number == _WINDOWSTART:
            return self.starts
        if number == _INTSET:
            return self._lines | self.sr.get(_INTSET, 0)
        return self.sr.get(number, 0)

    def wsr(self, number: int, value: int) -> None:
        """WSR; the block ends behind it."""
        if number < 4:
            self.fast[(LBEG, LEND, LCOUNT, SAR)[number]] = value & 0x3F if number == 3 else value
            if number == 1:
                self.loop_ends(value)
        elif number == _PS:
            self._state(value)
        elif number == _WINDOWBASE:
            self._rotate((value & self._quads - 1) - self.base)
            self._refresh()
        elif number == _WINDOWSTART:
            self.starts = value & (1 << self._quads) - 1
            self._refresh()
        elif number == _CCOUNT:
            self.sr[_CCOUNT] = self.cycles - value
        elif number == _INTCLEAR:
            self.sr[_INTSET] = self.sr.get(_INTSET, 0) & ~value
            self.request(self._lines)
        elif number == _INTSET:
            self.sr[_INTSET] = self.sr.get(_INTSET, 0) | value
            self.request(self._lines)
        elif number != _PRID:
            self.sr[number] = value
            if number == _INTENABLE:
                self.request(self._lines)

    def compare_and_store(self, address: int, value: int, pc: int) -> int:
        """S32C1I: what was there before."""
        old = self.load(address, 4, pc)
        if old == self.sr.get(_SCOMPARE, 0):
            self.store(address, 4, value, pc)
        return old

    def mac(self, what: int, kind: int, a: int, b: int) -> None:
        """MAC16: of UMUL (0), MUL, MULA and MULS, on halves of `a` and `b`."""
        a = a >> 16 if kind & 1 else a & 0xFFFF
        b = b >> 16 if kind & 2 else b & 0xFFFF
        sr = self.sr
        if what:
            a, b = (a ^ 0x8000) - 0x8000, (b ^ 0x8000) - 0x8000
        acc = sr.get(17, 0) << 32 | sr.get(16, 0)
        acc = {0: a * b, 1: a * b, 2: acc + a * b, 3: acc - a * b}[what]
        sr[16], sr[17] = acc & _M, acc >> 32 & 0xFF


def _div(a: int, b: int, pc: int) -> int:
    if not b:
        raise Trap(DIVISION, pc)
    a, b = signed(a), signed(b)
    quotient = abs(a) // abs(b)
    return (quotient if (a < 0) == (b < 0) else -quotient) & _M


def _rem(a: int, b: int, pc: int) -> int:
    if not b:
        raise Trap(DIVISION, pc)
    a, b = signed(a), signed(b)
    left = abs(a) % abs(b)
    return (left if a >= 0 else -left) & _M
