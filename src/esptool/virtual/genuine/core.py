# SPDX-License-Identifier: Apache-2.0
"""A processor that executes machine code by translating it to Python, block by block.

It knows interrupts and exceptions, and needs nothing installed. An instruction set is a subclass
that writes the source of blocks and delivers traps. One instruction takes one cycle; a program that
looks at the cycle counter finds that more have passed, so that it does not wait long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from esptool.virtual.genuine.memory import SHIFT, Memory

#: Cycles that pass with each look at the cycle counter.
CLOCK_STEP = 400
#: Instructions between two looks at whether the code only waits.
_SLICE = 2_000
#: Instructions without a touch of the outside before that is suspected.
_QUIET = 12_000
#: The same when a wait is known already.
_KNOWN_QUIET = 2_500
#: How often the same place with the same registers makes a wait.
_ROUNDS = 3
#: Blocks looked at in one try to find a wait.
_TRY = 20_000

_NEVER = 1 << 62

Block = Callable[[Any], int]


class Trap(Exception):  # noqa: N818 - a processor's exception
    """An exception: `cause` by the architecture's numbers, at `pc`, about `value`."""

    def __init__(self, cause: int, pc: int, value: int = 0) -> None:
        super().__init__(f"exception {cause} at {pc:#x} ({value:#x})")
        self.cause, self.pc, self.value = cause, pc, value


class Outside(Protocol):
    """Everything that is neither RAM nor ROM."""

    def load(self, address: int, size: int, pc: int) -> int:
        """A load of 1, 2 or 4 bytes by the instruction at `pc`."""

    def store(self, address: int, size: int, value: int, pc: int) -> None:
        """A store."""

    def watched(self, address: int, size: int, pc: int) -> None:
        """Code in RAM stores to a watched place."""

    def trapped(self, trap: Trap) -> None:
        """The processor is about to take an exception."""


class Core:
    """What instruction sets share: memory, the loop over blocks, and the search for waits.

    Attributes:
        regs: the registers, in the instruction set's order.
        pc: the next instruction.
        count: (instructions executed), in a list, for blocks add to it.
        extra: cycles that passed beside instructions.
        pending: an interrupt is there for the processor, in a list, for devices set it.
        touched: counts up whenever something happens that is not a mere look.
        halted: the code cannot go on; a reset will.
        idle: the last run ended in a wait.
        hooks: addresses at which a function is told before the block there runs.
    """

    def __init__(self, memory: Memory, outside: Outside, registers: int) -> None:
        self.memory = memory
        self.outside = outside
        self.regs = [0] * registers
        self.pc = 0
        self.count = [0]
        self.extra = 0
        #: The cycle at which it stops, at the latest when the program looks at its clock.
        self.alarm = _NEVER
        self.pending = [False]
        self.touched = 0
        self.halted = False
        self.stop = False
        self.idle = False
        self.hooks: dict[int, Callable[[], None]] = {}
        #: (start, end) of what code in RAM must not store to.
        self.guard: list[tuple[int, int]] = []
        self._guarded: set[int] = set()
        self._blocks: dict[int, Block] = {}
        self._waits: set[tuple[int, tuple[int, ...]]] = set()
        m = memory
        self.names: dict[str, Any] = {
            "C": self.count,
            "LW": m.words.get,
            "LH": m.halves.get,
            "LB": m.octets.get,
            "SW": m.store_words.get,
            "SH": m.store_halves.get,
            "SB": m.store_octets.get,
            "ld": self.load,
            "st": self.store,
            "Trap": Trap,
            "cpu": self,
            "G": self.guarded,
            "M": memory.read,
            "GP": self._guarded,
        }

    # --- an instruction set ----------------------------------------------------------------------

    def translate(self, pc: int) -> tuple[str, int]:
        """Source of a function `b(R)` for the block at `pc`, and its length in bytes."""
        raise NotImplementedError

    def interrupt(self, pc: int) -> int:
        """An interrupt may be due: where to go on."""
        raise NotImplementedError

    def trap(self, trap: Trap) -> int:
        """Where the handler of an exception is."""
        raise NotImplementedError

    def steady(self) -> tuple[int, ...]:
        """The registers that do not change in a loop that only waits."""
        raise NotImplementedError

    # --- memory ----------------------------------------------------------------------------------

    def load(self, address: int, size: int, pc: int) -> int:
        """A load that is not an aligned one of memory."""
        address &= 0xFFFFFFFF
        memory = self.memory
        if address >> SHIFT in memory.octets:
            # It is not aligned.
            return int.from_bytes(memory.read(address, size), "little")
        return self.outside.load(address, size, pc)

    def store(self, address: int, size: int, value: int, pc: int) -> None:
        """A store that is not an aligned one to RAM."""
        address &= 0xFFFFFFFF
        memory = self.memory
        value &= (1 << 8 * size) - 1
        if address >> SHIFT in memory.store_octets:
            memory.write(address, value.to_bytes(size, "little"))
            return
        if address >> SHIFT not in memory.octets:
            self.outside.store(address, size, value, pc)

    def watch(self, ranges: list[tuple[int, int]]) -> None:
        """Tell of what code in RAM stores to these (start, end)."""
        self.guard = ranges
        self._guarded.clear()
        for start, end in ranges:
            self._guarded.update(range(start >> SHIFT, (end - 1 >> SHIFT) + 1))

    def guarded(self, address: int, size: int, pc: int) -> None:
        """Code in RAM stores there."""
        for start, end in self.guard:
            if start <= address < end:
                self.outside.watched(address, size, pc)

    @property
    def cycles(self) -> int:
        """Cycles since the reset."""
        return self.count[0] + self.extra

    def clock(self) -> int:
        """The cycle counter, as a program looks at it."""
        self.extra += CLOCK_STEP
        now = self.count[0] + self.extra
        if now >= self.alarm:
            self.stop = True
        return now

    # --- running ---------------------------------------------------------------------------------

    def restart(self, pc: int) -> None:
        """As after a reset."""
        self.regs[:] = [0] * len(self.regs)
        self.pc = pc
        self.pending[0] = self.halted = self.stop = self.idle = False
        self._blocks.clear()

    def forget(self) -> None:
        """Code may have changed."""
        self._blocks.clear()

    def run_until(self, cycle: int) -> None:
        """Go on to about that cycle."""
        self.alarm = cycle
        self.stop = False
        if cycle > self.cycles:
            self._go(self.count[0] + cycle - self.cycles)
        self.alarm = _NEVER

    def run(self, budget: int, *, waiting: Callable[[], bool]) -> None:
        """Go on for up to `budget` instructions; less when the code only waits.

        `waiting` tells that there is nothing for it yet.
        """
        count = self.count
        end = count[0] + budget
        quiet_since, touched = count[0], self.touched
        self.stop = False
        self.idle = False
        while count[0] < end and not (self.stop or self.halted):
            self._go(min(end, count[0] + _SLICE))
            if self.touched != touched or not waiting():
                quiet_since, touched = count[0], self.touched
            elif count[0] - quiet_since > self._patience() and self._goes_round():
                self.idle = True
                return

    def _patience(self) -> int:
        return _KNOWN_QUIET if self._waits else _QUIET

    def _go(self, end: int) -> None:
        blocks, regs, count, pending = self._blocks, self.regs, self.count, self.pending
        pc = self.pc
        while True:
            try:
                while count[0] < end and not self.stop:
                    block = blocks.get(pc)
                    if block is None:
                        block = self._block(pc)
                    pc = block(regs)
                    if pending[0]:
                        pc = self.interrupt(pc)
                self.pc = pc
                return
            except Trap as e:
                pc = self.trap(e)
                if self.halted:
                    self.pc = pc
                    return

    def _goes_round(self) -> bool:
        """The code comes by the same place with the same registers, and does nothing."""
        touched = self.touched
        waits = self._waits
        seen: dict[tuple[int, tuple[int, ...]], int] = {}
        for _ in range(_TRY):
            self._go(self.count[0] + 1)
            if self.touched != touched or self.stop or self.halted:
                return False
            state = self.pc, self.steady()
            times = seen[state] = seen.get(state, 0) + 1
            if times >= _ROUNDS or state in waits:
                waits.add(state)
                return True
        return False

    def _block(self, pc: int) -> Block:
        hook = self.hooks.get(pc)
        if hook is not None:
            hook()
        source, length = self.translate(pc)
        if not source:
            raise Trap(-1, pc)
        scope: dict[str, Any] = dict(self.names)
        ram = self.memory.is_ram(pc)
        if ram:
            # Code in RAM may be replaced: the block looks whether it is still the one.
            number = pc >> SHIFT
            scope["P"] = self.memory.octets[number]
            scope["X"] = self.memory.read(pc, length)
        exec(compile(source, f"<{pc:#x}>", "exec"), scope)
        block: Block = scope["b"]
        if hook is None:
            self._blocks[pc] = block
        return block

    def renew(self, pc: int) -> int:
        """The block there is no longer what it was."""
        self._blocks.pop(pc, None)
        return pc
