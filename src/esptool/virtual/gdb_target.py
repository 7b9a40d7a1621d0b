# SPDX-License-Identifier: Apache-2.0
"""A virtual chip as a debugger sees it: registers, memory, and a processor that stops and goes on.

A program that the debugger has put into RAM is executed. The ROM is a model without code: while the
program counter stands at the reset vector, the chip is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from esptool.errors import FatalError
from esptool.stubs import mailbox
from esptool.virtual.emulator.debug import DebugCpu, DebugProgram
from esptool.virtual.rom_words import ROM_WORDS
from esptool.virtual.silicon.spec import Arch

if TYPE_CHECKING:
    from esptool.virtual.board import Board
    from esptool.virtual.emulator.cpu import CrashError

SIGINT, SIGILL, SIGTRAP, SIGSEGV = 2, 4, 5, 11
#: Where processors start (RISC-V: start of the ROM; Xtensa ISA, reset vector).
_VECTOR = {Arch.RISCV: 0x40000000, Arch.XTENSA: 0x40000400, Arch.LX106: 0x40000080}
_EBREAK, _C_EBREAK = b"\x73\0\x10\0", b"\x02\x90"
_STORED_AT = range(0x20000000, 0x80000000)
#: Instructions between two looks at the debugger.
_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Halt:
    """Why the target stands: a signal, and what has caused it in the protocol's words."""

    signal: int
    cause: str = ""


def _stub_ram(key: str) -> list[range]:
    """What a stub for a debugger takes of the chip's RAM."""
    try:
        return list(mailbox.load(key).ram)
    except FatalError:
        return []


class Target:
    """The chip on one board.

    Attributes:
        board: where it is.
        running: it goes on whenever `advance` is called.
        moved: bytes between debugger and server, both ways, for measurements.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.running = False
        self.moved = 0
        self._breakpoints: set[int] = set()
        self._watchpoints: set[tuple[int, int, int]] = set()
        self._begin()

    def _begin(self) -> None:
        """The chip has started: it is in its ROM."""
        soc = self.board.soc
        # Some code may lie where the chip's map knows a cache.
        soc.loaded += [(part.start, len(part)) for part in _stub_ram(soc.silicon.key)]
        self._program = DebugProgram(soc, _VECTOR[soc.silicon.arch])
        self._names: tuple[str, ...] = self._program.do(lambda cpu: cpu.registers)
        self._program.do(self._arm)

    def _arm(self, cpu: DebugCpu) -> None:
        for address in self._breakpoints:
            cpu.set_breakpoint(address)
        for watch in self._watchpoints:
            cpu.set_watchpoint(*watch)

    # --- life ------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Reset the chip; it goes on or stands as it did before."""
        self.board.soc.reboot()
        self._begin()

    @property
    def in_rom(self) -> bool:
        """No program of the debugger's was started."""
        return self.get(self.pc_number) == _VECTOR[self.board.silicon.arch]

    def advance(self) -> Halt | None:
        """Let it go on a little; why it stands now, None while it runs."""
        if self.in_rom:
            return None
        board, program = self.board, self._program
        board.soc.program = program
        crashed = program.advance(_AT_ONCE)
        if board.soc.program is not program:
            self._begin()
            return None
        return self._halted(crashed)

    def step(self) -> Halt | None:
        """Execute one instruction; None where that has reset the chip."""
        if self.in_rom:
            return Halt(SIGTRAP)
        board, program = self.board, self._program
        board.soc.program = program
        crashed = program.single()
        if board.soc.program is not program:
            self._begin()
            return Halt(SIGTRAP)
        return self._halted(crashed) or Halt(SIGTRAP)

    def _halted(self, crashed: CrashError | None) -> Halt | None:
        if crashed is not None:
            if self._calls_debugger():
                return Halt(SIGTRAP)
            return Halt(SIGILL if "llegal" in crashed.name else SIGSEGV)
        hit: int | None = self._program.do(lambda cpu: cpu.hit)
        if hit is not None:
            kinds = {2: "watch", 3: "rwatch", 4: "awatch"}
            kind = next((k for a, n, k in self._watchpoints if a <= hit < a + n), 2)
            return Halt(SIGTRAP, f"{kinds[kind]}:{hit:x};")
        if self._program.do(lambda cpu: cpu.at_breakpoint()):
            return Halt(SIGTRAP, "hwbreak:;")
        return None

    def _calls_debugger(self) -> bool:
        """It stands at a break instruction of its own."""
        code = self.read(self.get(self.pc_number), 4) or b""
        if self.board.silicon.arch is Arch.RISCV:
            return code == _EBREAK or code[:2] == _C_EBREAK
        # BREAK s, t is 0x004000 with s at bit 8 and t at bit 4 (Xtensa ISA).
        return int.from_bytes(code[:3], "little") & 0xFFF00F == 0x004000

    # --- breakpoints -----------------------------------------------------------------------------

    def set_breakpoint(self, address: int) -> None:
        """Stop before the instruction at `address`."""
        self._breakpoints.add(address)
        self._program.do(lambda cpu: cpu.set_breakpoint(address))

    def clear_breakpoint(self, address: int) -> None:
        """No longer stop there."""
        self._breakpoints.discard(address)
        self._program.do(lambda cpu: cpu.clear_breakpoint(address))

    def set_watchpoint(self, address: int, size: int, kind: int) -> bool:
        """Stop behind accesses to RAM of the protocol's kind 2, 3 or 4; False where it cannot."""
        if not size or not all(self._is_ram(a) for a in (address, address + size - 1)):
            return False
        self._watchpoints.add((address, size, kind))
        self._program.do(lambda cpu: cpu.set_watchpoint(address, size, kind))
        return True

    def clear_watchpoint(self, address: int, size: int, kind: int) -> None:
        """No longer stop there."""
        if (address, size, kind) in self._watchpoints:
            self._watchpoints.discard((address, size, kind))
            self._program.do(lambda cpu: cpu.clear_watchpoint(address, size, kind))

    # --- registers -------------------------------------------------------------------------------

    @property
    def pc_number(self) -> int:
        """The program counter's number: behind the others on RISC-V, before them on Xtensa."""
        return 32 if self.board.silicon.arch is Arch.RISCV else 0

    @property
    def names(self) -> list[str]:
        """Registers by their numbers."""
        names = list(self._names)
        names.insert(self.pc_number, "pc")
        return names

    def get(self, number: int) -> int:
        """A register's value.

        Raises:
            IndexError: there is none of that number.
        """
        name = self.names[number]
        value: int = self._program.do(lambda cpu: cpu.pc if name == "pc" else cpu.get(name))
        return value

    def put(self, number: int, value: int) -> None:
        """Set a register.

        Raises:
            IndexError: there is none of that number.
        """
        name = self.names[number]
        self._program.do(lambda cpu: cpu.put(name, value))

    # --- memory ----------------------------------------------------------------------------------

    def _is_ram(self, address: int) -> bool:
        return bool(self._program.do(lambda cpu: cpu.is_ram(address)))

    def read(self, address: int, size: int) -> bytes | None:
        """Memory, or registers of peripherals; None where there is nothing."""
        if not size:
            return b""
        last = address + size - 1
        if self._is_ram(address) and self._is_ram(last):
            data: bytes = self._program.do(lambda cpu: cpu.read(address, size))
            return data
        if address not in _STORED_AT or last not in _STORED_AT:
            return None
        first = address & ~3
        words = b"".join(self._word(at).to_bytes(4, "little") for at in range(first, last + 1, 4))
        return words[address - first :][:size]

    def _word(self, address: int) -> int:
        known = ROM_WORDS.get(self.board.silicon.key)
        if known is not None and address == known[0]:
            return known[1]
        if self._is_ram(address):
            return int.from_bytes(self._program.do(lambda cpu: cpu.read(address, 4)), "little")
        return self.board.soc.bus.read_word(address)

    def write(self, address: int, data: bytes) -> bool:
        """Set memory or registers; False where there is nothing."""
        if not data:
            return address in _STORED_AT
        last = address + len(data) - 1
        if self._is_ram(address) and self._is_ram(last):
            self._program.do(lambda cpu: cpu.write(address, data))
            return True
        if address not in _STORED_AT or last not in _STORED_AT:
            return False
        at = 0
        while at < len(data):
            here = address + at
            size = next(s for s in (4, 2, 1) if not here % s and s <= len(data) - at)
            value = int.from_bytes(data[at : at + size], "little")
            self._program.do(partial(self._store, here, size, value))
            at += size
        return True

    def _store(self, address: int, size: int, value: int, _cpu: DebugCpu) -> None:
        self._program.store(address, size, value)

    def spans(self) -> list[tuple[str, int, int]]:
        """(kind, start, end) of what is where, in order and without overlaps."""
        silicon = self.board.silicon
        rom: list[tuple[int, int]] = []
        for part in sorted((m.start, m.end) for m in silicon.memory if m.kind in ("rom", "flash")):
            start = max(part[0], rom[-1][1] if rom else 0)
            if start < part[1] and not (self._is_ram(start) or self._is_ram(part[1] - 1)):
                rom.append((start, part[1]))
        out: list[tuple[str, int, int]] = []
        at = _STORED_AT.start
        for start, end in rom:
            out += [("ram", at, start)] if at < start else []
            out.append(("rom", start, end))
            at = end
        return [*out, ("ram", at, _STORED_AT.stop)]
