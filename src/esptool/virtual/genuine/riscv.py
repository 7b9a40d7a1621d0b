# SPDX-License-Identifier: Apache-2.0
"""RISC-V (RV32IMAC with Zicsr, Zifencei and the moves of F) translated to Python.

Source: the RISC-V unprivileged and privileged specifications. Interrupts come from a controller
that the chip has of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from esptool.virtual.genuine.core import Core, Outside, Trap
from esptool.virtual.genuine.memory import Memory
from esptool.virtual.genuine.riscv_blocks import CYCLES, ILLEGAL, Writer

_MSTATUS, _MTVEC, _MEPC, _MCAUSE, _MTVAL, _MIE = 0x300, 0x305, 0x341, 0x342, 0x343, 0x304
_MIE_BIT, _MPIE_BIT, _MPP = 1 << 3, 1 << 7, 3 << 11
_CYCLES_HIGH = frozenset({0xB80, 0xC80, 0xC81})
FETCH_FAULT = 1
_M = 0xFFFFFFFF


class RiscV(Core):
    """One hart.

    Attributes:
        csrs: control and status registers that were written.
        lines: asks the interrupt controller for the number of the line to take, or None.
        vector: where the handler of a line is, from the line's number.
    """

    def __init__(self, memory: Memory, outside: Outside) -> None:
        super().__init__(memory, outside, 64)
        self.csrs: dict[int, int] = {}
        self.lines: Callable[[], int | None] = lambda: None
        self.vector: Callable[[int], int] | None = None
        #: Told of the line taken: bits for MCAUSE; and of MCAUSE when a handler is left.
        self.taken: Callable[[int], int] = lambda _line: 0
        self.left: Callable[[int], None] = lambda _cause: None
        self.reserved = -1
        self.names |= {
            "csr": self.csr,
            "mret": self.mret,
            "renew": self.renew,
            "mulh": _mulh,
            "mulhsu": _mulhsu,
            "div": _div,
            "rem": _rem,
            "amo": self.amo,
            "wait": self._wait,
            "fence": self._fence,
        }

    def restart(self, pc: int) -> None:
        """As after a reset: machine mode, no interrupts."""
        super().restart(pc)
        self.csrs.clear()
        self.csrs[_MSTATUS] = _MPP
        self.reserved = -1

    def steady(self) -> tuple[int, ...]:
        """The stack and the registers that a function keeps."""
        r = self.regs
        return (r[1], r[2], r[8], r[9], *r[18:28])

    def _wait(self, pc: int) -> int:
        self.extra += 10
        return pc

    def _fence(self, pc: int) -> int:
        return pc

    # --- traps -----------------------------------------------------------------------------------

    def _enter(self, pc: int, cause: int, value: int) -> int:
        csrs = self.csrs
        status = csrs.get(_MSTATUS, 0)
        csrs[_MEPC], csrs[_MCAUSE], csrs[_MTVAL] = pc, cause, value
        status = status & ~_MPIE_BIT | (status & _MIE_BIT) << 4 | _MPP
        csrs[_MSTATUS] = status & ~_MIE_BIT
        return csrs.get(_MTVEC, 0)

    def trap(self, trap: Trap) -> int:
        """To the vector of exceptions."""
        self.touched += 1
        if trap.cause < 0:
            trap.cause = ILLEGAL if self.memory.holds(trap.pc) else FETCH_FAULT
            trap.value = trap.value or (trap.pc if trap.cause == FETCH_FAULT else 0)
        self.outside.trapped(trap)
        target = self._enter(trap.pc, trap.cause, trap.value) & ~3
        if not self.memory.holds(target):
            self.halted = True
        return target

    def interrupt(self, pc: int) -> int:
        """Take the line that the controller has for us, where that is allowed."""
        if not self.csrs.get(_MSTATUS, 0) & _MIE_BIT:
            return pc
        line = self.lines()
        if line is None:
            return pc
        self.touched += 1
        base = self._enter(pc, 0x80000000 | line | self.taken(line), 0)
        if self.vector is not None:
            return self.vector(line)
        return (base & ~3) + (4 * line if base & 1 else 0)

    def mret(self, pc: int) -> int:
        """Back from a handler."""
        csrs = self.csrs
        status = csrs.get(_MSTATUS, 0)
        csrs[_MSTATUS] = status & ~_MIE_BIT | (status & _MPIE_BIT) >> 4 | _MPIE_BIT
        self.left(csrs.get(_MCAUSE, 0))
        return csrs.get(_MEPC, 0)

    def csr(self, number: int, kind: int, value: int, writes: bool) -> int:
        """Read a register, then write (1), set (2) or clear (3) bits of it."""
        if number in CYCLES:
            old = self.clock() & _M
        elif number in _CYCLES_HIGH:
            old = self.cycles >> 32
        else:
            old = self.csrs.get(number, 0)
        if writes:
            if kind == 2:
                value = old | value
            elif kind == 3:
                value = old & ~value & _M
            self.csrs[number] = value
        return old

    def amo(self, kind: int, address: int, value: int, pc: int) -> int:
        """One of the atomic operations: what was there before."""
        if kind == 2:
            self.reserved = address
            return self.load(address, 4, pc)
        if kind == 3:
            done = self.reserved == address
            self.reserved = -1
            if done:
                self.store(address, 4, value, pc)
            return 0 if done else 1
        old = self.load(address, 4, pc)
        a, b = old ^ 0x80000000, value ^ 0x80000000
        new = {
            0: old + value,
            1: value,
            4: old ^ value,
            8: old | value,
            12: old & value,
            16: old if a < b else value,
            20: old if a > b else value,
            24: min(old, value),
            28: max(old, value),
        }[kind]
        self.store(address, 4, new & _M, pc)
        return old

    def call(self, function: int, stack: int, *args: int) -> None:
        """Set up a call, for tests: it returns to address 0."""
        self.pc = function
        self.regs[1], self.regs[2] = 0, stack
        for i, value in enumerate(args):
            self.regs[10 + i] = value

    # --- translation -----------------------------------------------------------------------------

    def translate(self, pc: int) -> tuple[str, int]:
        """See `Core.translate`."""
        return Writer(self, pc).write()


def _mulh(a: int, b: int) -> int:
    return (_s(a) * _s(b) >> 32) & _M


def _mulhsu(a: int, b: int) -> int:
    return (_s(a) * b >> 32) & _M


def _s(value: int) -> int:
    return value - 0x100000000 if value >> 31 else value


def _div(a: int, b: int) -> int:
    if not b:
        return _M
    a, b = _s(a), _s(b)
    quotient = abs(a) // abs(b)
    return (quotient if (a < 0) == (b < 0) else -quotient) & _M


def _rem(a: int, b: int) -> int:
    if not b:
        return a
    a, b = _s(a), _s(b)
    left = abs(a) % abs(b)
    return (left if a >= 0 else -left) & _M
