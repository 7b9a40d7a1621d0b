# SPDX-License-Identifier: Apache-2.0
"""A processor under a debugger: breakpoints, watchpoints, single steps, code that is replaced."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from esptool.virtual.emulator.cpu import PAGE, CrashError, IcicleCpu, Ports, engines
from esptool.virtual.emulator.program import Program
from esptool.virtual.silicon.spec import Arch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esptool.virtual.soc import Soc

T = TypeVar("T")

#: Kinds of watchpoints, by the numbers of the remote protocol.
WATCH_WRITE, WATCH_READ, WATCH_ACCESS = 2, 3, 4
#: Instructions after a new beginning in the middle of a run.
_AT_ONCE = 1_000_000
#: Registers of Xtensa that code without windows and exceptions depends on.
_SPECIAL = ("SAR", "LBEG", "LEND", "LCOUNT", "SCOMPARE1", "BR", "ACCLO", "ACCHI", "PS")
_REPORTS = {WATCH_WRITE: (True,), WATCH_READ: (False,), WATCH_ACCESS: (True, False)}


class DebugCpu(IcicleCpu):
    """The engine with what a debugger needs of it.

    Code that was executed stays translated in the engine, so that only pages from which something
    was executed may be executed from: when one of them is written to, the engine begins anew.

    Attributes:
        breakpoints: addresses before which it stops.
        hit: address of the access that a watchpoint has caught in the last run; None without.
    """

    def __init__(self, arch: Arch, ports: Ports) -> None:
        super().__init__(arch, ports)
        self.breakpoints: set[int] = set()
        self.hit: int | None = None
        self._watches: set[tuple[int, int, int]] = set()
        self._spans: list[tuple[int, int]] = []
        self._code: set[int] = set()
        self._single = False
        self._executed = 0

    @property
    def instructions(self) -> int:
        return self._executed + super().instructions

    # --- memory ----------------------------------------------------------------------------------

    def map(self, start: int, data: bytes) -> None:
        self._vm.mem_map(start, len(data), self._i.MemoryProtection.ReadWrite)
        self._vm.mem_write(start, data)
        self._spans.append((start, start + len(data)))

    def is_ram(self, address: int) -> bool:
        """The engine has memory there."""
        return any(start <= address < end for start, end in self._spans)

    def write(self, address: int, data: bytes) -> None:
        pages = range(address & -PAGE, address + len(data), PAGE)
        if data and not self._code.isdisjoint(pages):
            self._code.difference_update(pages)
            self._renew()
        super().write(address, data)

    def _renew(self) -> None:
        """Forget all translated code."""
        vm, pc = self._vm, self._vm.pc
        names = [n for n in self.registers if n != "zero"]
        names += _SPECIAL if self.arch is not Arch.RISCV else ()
        registers = {name: vm.reg_read(name) for name in names}
        contents = [(start, bytes(vm.mem_read(start, end - start))) for start, end in self._spans]
        self._executed += vm.icount
        vm.reset()
        vm.icount_limit = vm.icount + _AT_ONCE
        self._spans.clear()
        self._decoded.clear()
        for start, data in contents:
            self.map(start, data)
        for page in self._code:
            vm.mem_protect(page, PAGE, self._i.MemoryProtection.ExecuteReadWrite)
        for name, value in registers.items():
            vm.reg_write(name, value)
        for address in self.breakpoints:
            vm.add_breakpoint(address)
        self._protect()
        vm.pc = pc

    # --- breakpoints and watchpoints -------------------------------------------------------------

    def set_breakpoint(self, address: int) -> None:
        """Stop before the instruction at `address`."""
        if address not in self.breakpoints:
            self.breakpoints.add(address)
            self._vm.add_breakpoint(address)

    def clear_breakpoint(self, address: int) -> None:
        """No longer stop there."""
        if address in self.breakpoints:
            self.breakpoints.discard(address)
            self._vm.remove_breakpoint(address)

    def set_watchpoint(self, address: int, size: int, kind: int) -> None:
        """Stop behind accesses of this kind."""
        self._watches.add((address, size, kind))
        self._protect()

    def clear_watchpoint(self, address: int, size: int, kind: int) -> None:
        """No longer stop there."""
        self._watches.discard((address, size, kind))
        p = self._i.MemoryProtection
        for page in range(address & -PAGE, address + size, PAGE):
            access = p.ExecuteReadWrite if page in self._code else p.ReadWrite
            self._vm.mem_protect(page, PAGE, access)
        self._protect()

    def _protect(self) -> None:
        p = self._i.MemoryProtection
        for address, size, kind in self._watches:
            access = p.ReadOnly if kind == WATCH_WRITE else p.NoAccess
            self._vm.mem_protect(address, size, access)

    def _watched(self, address: int, size: int, store: bool) -> bool:
        for start, length, kind in self._watches:
            if start < address + size and address < start + length and store in _REPORTS[kind]:
                self.hit = max(address, start)
                return True
        return False

    # --- running ---------------------------------------------------------------------------------

    def run(self, budget: int) -> None:
        self.hit = None
        if self._vm.pc in self.breakpoints:
            # It was stopped here, and is to go on.
            self.step()
            if self.hit is not None or self.stopped or self.at_breakpoint():
                return
        super().run(budget)

    def step(self) -> None:
        """Execute one instruction, whatever breakpoint is on it.

        Raises:
            CrashError: it cannot be executed.
        """
        self.hit = None
        vm, pc = self._vm, self._vm.pc
        here = pc in self.breakpoints
        if here:
            vm.remove_breakpoint(pc)
        # What the engine leaves to Python is one instruction as well.
        self._single = True
        try:
            super().run(1)
        finally:
            self._single = False
            if here:
                vm.add_breakpoint(pc)

    def at_breakpoint(self) -> bool:
        """The next instruction has a breakpoint."""
        return self._vm.pc in self.breakpoints

    def _load(self, address: int, size: int) -> int:
        self._pause |= self._single
        if not self.is_ram(address):
            return super()._load(address, size)
        if self._watched(address, size, store=False):
            self._pause = True
        return int.from_bytes(self.read(address, size), "little")

    def _store(self, address: int, size: int, value: int) -> None:
        self._pause |= self._single
        if not self.is_ram(address):
            super()._store(address, size, value)
            return
        if self._watched(address, size, store=True):
            self._pause = True
        self.write(address, value.to_bytes(size, "little"))

    def _call(self) -> None:
        pc = self._vm.pc
        # An instruction may reach into the next page.
        new = [a & -PAGE for a in (pc, pc + 3) if self.is_ram(a) and a & -PAGE not in self._code]
        if not self.is_ram(pc) or not new:
            self._pause |= self._single
            super()._call()
            return
        page = new[0]
        self._code.add(page)
        if page != pc & -PAGE:
            # The engine has kept that this instruction cannot be read whole.
            self._renew()
            return
        self._vm.mem_protect(page, PAGE, self._i.MemoryProtection.ExecuteReadWrite)
        self._protect()

    def _step_over(self) -> None:
        self._pause |= self._single
        super()._step_over()

    # --- registers -------------------------------------------------------------------------------

    @property
    def registers(self) -> tuple[str, ...]:
        """Names of the general registers, in the order of their numbers."""
        if self.arch is not Arch.RISCV:
            return tuple(f"a{i}" for i in range(16))
        saved = [f"s{i}" for i in range(2, 12)]
        arguments = [f"a{i}" for i in range(8)]
        return (
            *("zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1"),
            *(*arguments, *saved, "t3", "t4", "t5", "t6"),
        )

    @property
    def pc(self) -> int:
        """The next instruction."""
        return int(self._vm.pc)

    def get(self, name: str) -> int:
        """A register's value."""
        return 0 if name == "zero" else int(self._vm.reg_read(name)) & 0xFFFFFFFF

    def put(self, name: str, value: int) -> None:
        """Set a register, or "pc"."""
        if name == "pc":
            self._vm.pc = value
            self.stopped = False
        elif name != "zero":
            self._vm.reg_write(name, value)


class DebugProgram(Program):
    """Code in RAM that a debugger starts and stops."""

    @staticmethod
    def engines() -> Mapping[str, Callable[[Arch, Ports], DebugCpu]]:
        """The engine that a debugger can be on; none where it is not installed."""
        return {"icicle": DebugCpu} if "icicle" in engines() else {}

    def __init__(self, soc: Soc, entry: int) -> None:
        super().__init__(soc, entry, "icicle", skip_shim=False)

    def do(self, job: Callable[[DebugCpu], T]) -> T:
        """Result of a job with the processor."""
        return self._engine.do(lambda box: job(box["cpu"]))

    def advance(self, budget: int) -> CrashError | None:
        """Go on for about so many instructions, or to a stop; the crash it met, if one."""
        self._looks = self._printed = 0
        self._slice_end = math.inf

        def go(cpu: DebugCpu) -> tuple[CrashError | None, int]:
            try:
                cpu.run(budget)
            except CrashError as e:
                return e.with_traceback(None), cpu.instructions
            return None, cpu.instructions

        crashed, executed = self.do(go)
        self._charge(executed)
        self._send()
        return crashed

    def single(self) -> CrashError | None:
        """One instruction."""

        def go(cpu: DebugCpu) -> CrashError | None:
            try:
                cpu.step()
            except CrashError as e:
                return e.with_traceback(None)
            return None

        crashed = self.do(go)
        self._send()
        return crashed
