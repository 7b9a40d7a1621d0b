# SPDX-License-Identifier: Apache-2.0
"""A processor that runs machine code from a chip's RAM, with peripherals modelled in Python.

RAM is memory of the engine; everything else is not mapped there. An access to it stops the engine,
is decoded here, done on the `Ports`, and stepped over. A jump to an address outside of RAM is a
call of the ROM, and answered by a Python function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from esptool.errors import FatalError
from esptool.virtual.emulator import decode
from esptool.virtual.emulator.decode import Access
from esptool.virtual.silicon.spec import Arch

PAGE = 0x1000
#: How much of the stack shows whether a loop changes anything.
_STACK_TOP = 128


class Ports(Protocol):
    """What lies outside of RAM."""

    def load(self, address: int, size: int) -> int:
        """A load of 1, 2 or 4 bytes."""

    def store(self, address: int, size: int, value: int) -> None:
        """A store."""

    def call(self, address: int, args: tuple[int, int, int, int]) -> int | None:
        """A call of the ROM; its result, or None when the program ends there."""


class CrashError(Exception):
    """The program did what no program should do: the chip takes an exception.

    Attributes:
        cause: number of the exception on this architecture.
        name: what the architecture's manual calls it.
        pc: address of the instruction.
        address: what it was about, 0 where that is nothing.
    """

    def __init__(self, cause: int, name: str, pc: int, address: int = 0) -> None:
        super().__init__(f"The program crashed at {pc:#x}: {name} (exception {cause}).")
        self.cause, self.name, self.pc, self.address = cause, name, pc, address


class EngineError(FatalError):
    """The emulator itself cannot go on; the program may be right."""


#: Number and name of exceptions (Xtensa ISA reference manual, EXCCAUSE; RISC-V privileged
#: specification, mcause).
_CAUSES = {
    Arch.RISCV: {
        "fetch": (1, "instruction access fault"),
        "illegal": (2, "illegal instruction"),
        "load": (5, "load access fault"),
        "store": (7, "store access fault"),
    },
    Arch.XTENSA: {
        "fetch": (2, "InstructionFetchError"),
        "illegal": (0, "IllegalInstruction"),
        "load": (28, "LoadProhibited"),
        "store": (29, "StoreProhibited"),
    },
}
_CAUSES[Arch.LX106] = _CAUSES[Arch.XTENSA]


def crash(arch: Arch, kind: str, pc: int, address: int = 0) -> CrashError:
    """The exception of that kind: "fetch", "illegal", "load" or "store"."""
    cause, name = _CAUSES[arch][kind]
    return CrashError(cause, name, pc, address)


class Cpu:
    """What both engines share: decoding, and the way a ROM function is called and left.

    Attributes:
        windowed: ROM functions are called with a register window of their own.
        instructions: how many were executed.
        stopped: the program has ended.
    """

    def __init__(self, arch: Arch, ports: Ports) -> None:
        self.arch = arch
        self.ports = ports
        self.windowed = arch is Arch.XTENSA
        self.stopped = False
        self._decoded: dict[int, Access] = {}
        self._decode = decode.riscv if arch is Arch.RISCV else decode.xtensa

    # --- what an engine provides -----------------------------------------------------------------

    def map(self, start: int, data: bytes) -> None:
        """Make RAM of whole pages with these contents."""
        raise NotImplementedError

    def read(self, address: int, length: int) -> bytes:
        """Contents of RAM."""
        raise NotImplementedError

    def write(self, address: int, data: bytes) -> None:
        """Set contents of RAM."""
        raise NotImplementedError

    def run(self, budget: int) -> None:
        """Go on for up to about `budget` instructions, or until `pause` or the end."""
        raise NotImplementedError

    def pause(self) -> None:
        """Let `run` return after the present access."""
        raise NotImplementedError

    @property
    def instructions(self) -> int:
        """Instructions executed so far."""
        raise NotImplementedError

    def state(self) -> bytes:
        """Registers and the top of the stack."""
        raise NotImplementedError

    def start(self, entry: int) -> None:
        """Begin at `entry`."""
        raise NotImplementedError

    # --- shared -----------------------------------------------------------------------------------

    def access_at(self, pc: int) -> Access:
        """The load or store at `pc`.

        Raises:
            CrashError: the instruction is none that is known.
        """
        found = self._decoded.get(pc)
        if found is None:
            found = self._decode(self.read(pc, 4))
            if found is None:
                raise crash(self.arch, "illegal", pc)
            self._decoded[pc] = found
        return found


def _value(access: Access, value: int) -> int:
    if access.signed and value >> (8 * access.size - 1) & 1:
        return value | (0xFFFFFFFF << (8 * access.size) & 0xFFFFFFFF)
    return value


class IcicleCpu(Cpu):
    """On `icicle-emu`: RISC-V, and Xtensa code of the call0 convention."""

    def __init__(self, arch: Arch, ports: Ports) -> None:
        icicle: Any = import_module("icicle")
        super().__init__(arch, ports)
        self._i = icicle
        self._vm = icicle.Icicle("riscv32" if arch is Arch.RISCV else "xtensa", jit=True)
        self._pause = False
        #: By address: the length of what is stepped over, and the register that it would set.
        self._stepped: dict[int, tuple[int, str | None]] = {}
        e = icicle.ExceptionCode
        self._loads = (e.ReadUnmapped, e.ReadPerm)
        self._stores = (e.WriteUnmapped, e.WritePerm)
        self._odd = (e.UnimplementedOp, e.InvalidInstruction, e.Halt)
        self._bad_loads = (e.ReadUnaligned, e.ReadUninitialized, e.AddressOverflow)
        self._bad_stores = (e.WriteUnaligned,)
        #: What ends a run that nothing has stopped.
        self._ends = (icicle.RunStatus.InstructionLimit, icicle.RunStatus.Breakpoint)
        riscv = arch is Arch.RISCV
        self._link = "ra" if riscv else "a0"
        first = 0 if riscv else 10 if self.windowed else 2
        self._args = tuple(f"a{first + i}" for i in range(4))
        self._stack = "sp" if riscv else "a1"
        names = [f"a{i}" for i in range(8 if riscv else 16)]
        names += [f"s{i}" for i in range(12)] + ["ra"] if riscv else []
        self._all = tuple(names)

    def map(self, start: int, data: bytes) -> None:
        access = self._i.MemoryProtection.ExecuteReadWrite
        self._vm.mem_map(start, len(data), access)
        self._vm.mem_write(start, data)

    def read(self, address: int, length: int) -> bytes:
        return bytes(self._vm.mem_read(address, length))

    def write(self, address: int, data: bytes) -> None:
        self._vm.mem_write(address, data)

    def start(self, entry: int) -> None:
        self._vm.pc = entry

    def enter(self, function: int, args: Sequence[int], stack: int, back: int) -> None:
        """Begin a call of one function: it returns to `back`."""
        for reg, value in zip(self._args, args, strict=False):
            self._vm.reg_write(reg, value)
        self._vm.reg_write("sp" if self.arch is Arch.RISCV else "a1", stack)
        self._vm.reg_write(self._link, back)
        self._vm.pc = function
        self.stopped = False

    @property
    def instructions(self) -> int:
        return int(self._vm.icount)

    def state(self) -> bytes:
        vm = self._vm
        words = (int(vm.reg_read(name)).to_bytes(4, "little") for name in self._all)
        return b"".join(words) + bytes(vm.mem_read(int(vm.reg_read(self._stack)), _STACK_TOP))

    def pause(self) -> None:
        self._pause = True

    def run(self, budget: int) -> None:
        vm, ends = self._vm, self._ends
        loads, stores, load, store = self._loads, self._stores, self._load, self._store
        self._pause = False
        vm.icount_limit = vm.icount + budget
        while not (self._pause or self.stopped):
            if vm.run() in ends:
                return
            code = vm.exception_code
            if code in loads:
                pc = vm.pc
                access = self._decoded.get(pc) or self.access_at(pc)
                value = load(vm.exception_value, access.size)
                if access.reg != "zero":
                    vm.reg_write(access.reg, _value(access, value) if access.signed else value)
                vm.pc = pc + access.length
            elif code in stores:
                pc = vm.pc
                access = self._decoded.get(pc) or self.access_at(pc)
                value = 0 if access.reg == "zero" else vm.reg_read(access.reg)
                store(vm.exception_value, access.size, value & ((1 << 8 * access.size) - 1))
                vm.pc = pc + access.length
            elif code == self._i.ExceptionCode.ExecViolation:
                self._call()
            elif code in self._odd:
                self._step_over()
            elif code == self._i.ExceptionCode.JitError:
                # Translated code lies in some thousand mappings of memory, which a process may
                # have only so many of.
                raise EngineError(
                    "The emulator has no room for more code.",
                    remedy="Run fewer virtual chips in one process, or start them with stub=model.",
                )
            else:
                kind = "store" if code in self._bad_stores else "load"
                kind = kind if code in (*self._bad_loads, *self._bad_stores) else "illegal"
                raise crash(self.arch, kind, vm.pc, vm.exception_value)

    def _load(self, address: int, size: int) -> int:
        return self.ports.load(address, size)

    def _store(self, address: int, size: int, value: int) -> None:
        self.ports.store(address, size, value)

    def _step_over(self) -> None:
        """What this engine does not know is harmless, or no instruction.

        Accesses are in order here anyway, and there are no interrupts to be kept away.
        """
        vm = self._vm
        pc = vm.pc
        known = self._stepped.get(pc)
        if known is None:
            code = self.read(pc, 4)
            length = decode.harmless(self.arch, code)
            if not length:
                raise crash(self.arch, "illegal", pc)
            known = self._stepped[pc] = length, decode.interrupt_level(self.arch, code)
        length, reg = known
        if reg is not None:
            vm.reg_write(reg, 0)
        vm.pc = pc + length

    def _call(self) -> None:
        vm = self._vm
        first, second, third, fourth = (int(vm.reg_read(r)) for r in self._args)
        result = self.ports.call(vm.pc, (first, second, third, fourth))
        if result is None:
            self.stopped = True
            return
        vm.reg_write(self._args[0], result & 0xFFFFFFFF)
        vm.pc = vm.reg_read(self._link)


class UnicornCpu(Cpu):
    """On `unicorn`: RISC-V only; slower, and a check on the other."""

    def __init__(self, arch: Arch, ports: Ports) -> None:
        unicorn: Any = import_module("unicorn")
        r: Any = import_module("unicorn.riscv_const")
        super().__init__(arch, ports)
        if arch is not Arch.RISCV:
            raise FatalError("The unicorn engine runs RISC-V only.", remedy="Install icicle-emu.")
        self._u, self._r = unicorn, r
        self._uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        self._pc = 0
        self._count = 0
        self._spans: list[tuple[int, int]] = []
        self._uc.hook_add(unicorn.UC_HOOK_BLOCK, self._block)
        self._paused = False

    def map(self, start: int, data: bytes) -> None:
        self._uc.mem_map(start, len(data))
        self._uc.mem_write(start, data)
        self._spans.append((start, start + len(data)))

    def map_ports(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Give these (start, size) to the ports."""
        for start, size in ranges:
            self._uc.mmio_map(start, size, self._load, start, self._store, start)

    def _load(self, _uc: object, offset: int, size: int, base: int) -> int:
        return self.ports.load(base + offset, size)

    def _store(self, _uc: object, offset: int, size: int, value: int, base: int) -> None:
        self.ports.store(base + offset, size, value)

    def _block(self, uc: object, address: int, size: int, _data: object) -> None:
        self._count += max(1, size // 3)

    def read(self, address: int, length: int) -> bytes:
        return bytes(self._uc.mem_read(address, length))

    def write(self, address: int, data: bytes) -> None:
        self._uc.mem_write(address, data)

    def start(self, entry: int) -> None:
        self._pc = entry

    @property
    def instructions(self) -> int:
        return self._count

    def state(self) -> bytes:
        r, uc = self._r, self._uc
        words = (uc.reg_read(r.UC_RISCV_REG_X0 + n) for n in range(1, 32))
        stack = uc.mem_read(uc.reg_read(r.UC_RISCV_REG_SP), _STACK_TOP)
        return b"".join(int(w).to_bytes(4, "little") for w in words) + bytes(stack)

    def pause(self) -> None:
        self._uc.emu_stop()
        self._paused = True

    def run(self, budget: int) -> None:
        r = self._r
        self._paused = False
        while not (self._paused or self.stopped):
            try:
                self._uc.emu_start(self._pc, 0xFFFFFFFE, count=budget)
                self._pc = self._uc.reg_read(r.UC_RISCV_REG_PC)
                return
            except self._u.UcError as e:
                pc = self._uc.reg_read(r.UC_RISCV_REG_PC)
                if e.errno not in (self._u.UC_ERR_FETCH_UNMAPPED, self._u.UC_ERR_FETCH_PROT):
                    raise crash(self.arch, "illegal", pc) from None
                regs = (r.UC_RISCV_REG_A0, r.UC_RISCV_REG_A1, r.UC_RISCV_REG_A2, r.UC_RISCV_REG_A3)
                one, two, three, four = (int(self._uc.reg_read(x)) for x in regs)
                result = self.ports.call(pc, (one, two, three, four))
                if result is None:
                    self.stopped = True
                    return
                self._uc.reg_write(r.UC_RISCV_REG_A0, result & 0xFFFFFFFF)
                self._pc = self._uc.reg_read(r.UC_RISCV_REG_RA)


def engines() -> Mapping[str, Callable[[Arch, Ports], Cpu]]:
    """The engines that are installed, best first."""
    from importlib.util import find_spec

    found: dict[str, Callable[[Arch, Ports], Cpu]] = {}
    if find_spec("icicle") is not None:
        found["icicle"] = IcicleCpu
    if find_spec("unicorn") is not None:
        found["unicorn"] = UnicornCpu
    return found
