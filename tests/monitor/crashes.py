# SPDX-License-Identifier: Apache-2.0
"""Lets a compiled RISC-V program run until it crashes, and shows it as ESP-IDF's panic handler."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

from esptool.monitor.elfdata import ElfData
from esptool.virtual.emulator.cpu import CrashError, IcicleCpu
from esptool.virtual.silicon.spec import Arch

STACK = 0x3FC9F000
STACK_SIZE = 0x4000
_DATA = 0x3FC90000
_PAGE = 0x1000

#: Names in the dump -> the engine's.
REGISTERS = {
    "RA": "ra",
    "SP": "sp",
    "GP": "gp",
    "TP": "tp",
    "T0": "t0",
    "T1": "t1",
    "T2": "t2",
    "S0/FP": "s0",
    "S1": "s1",
    **{f"A{i}": f"a{i}" for i in range(8)},
    **{f"S{i}": f"s{i}" for i in range(2, 12)},
    **{f"T{i}": f"t{i}" for i in range(3, 7)},
}


class _Nothing:
    """No peripherals: a jump to outside of the program is a crash."""

    def load(self, address: int, size: int) -> int:
        return 0

    def store(self, address: int, size: int, value: int) -> None:
        pass

    def call(self, address: int, args: tuple[int, int, int, int]) -> int | None:
        raise CrashError(1, "instruction access fault", address, address)


class Crash:
    """A program that has crashed.

    Attributes:
        registers: by the names of ESP-IDF's dump.
        stack: the stack from its pointer on.
    """

    def __init__(self, path: Path, function: int, argument: int) -> None:
        elf = ElfData.load(path)
        cpu = IcicleCpu(Arch.RISCV, _Nothing())
        for _, address, offset, size in elf.segments():
            if address < _DATA:
                continue
            start = address & -_PAGE
            data = bytes(address - start) + elf.data[offset : offset + size]
            if start >= 0x40000000:
                cpu.map(start, data.ljust(-(-len(data) // _PAGE) * _PAGE, b"\0"))
        cpu.map(_DATA, bytes(_PAGE))
        cpu.map(STACK - STACK_SIZE, bytes(STACK_SIZE))
        cpu.enter(function, [argument], STACK - 16, 0)
        try:
            cpu.run(10_000_000)
        except CrashError as e:
            self.crash = e
        else:
            raise AssertionError("the program did not crash")
        self.registers = {
            name: int(cpu._vm.reg_read(reg)) & 0xFFFFFFFF for name, reg in REGISTERS.items()
        }
        self.registers["MEPC"] = self.crash.pc
        pointer = self.registers["SP"] & -4
        self.stack = cpu.read(pointer, STACK - pointer)

    def panic(self, most: int | None = None) -> str:
        """What ESP-IDF prints: registers four a line, then the stack, eight words a line.

        Args:
            most: so many bytes of the stack.
        """
        order = ["MEPC", *REGISTERS]
        rows = [
            "  ".join(f"{name:<8}: 0x{self.registers[name]:08x}" for name in order[i : i + 4])
            for i in range(0, len(order), 4)
        ]
        kept = self.stack[:most]
        words = struct.unpack(f"<{len(kept) // 4}I", kept)
        pointer = self.registers["SP"] & -4
        stack = [
            f"{pointer + 4 * i:08x}: " + " ".join(f"0x{word:08x}" for word in words[i : i + 8])
            for i in range(0, len(words), 8)
        ]
        return "\n".join(
            [
                "Guru Meditation Error: Core  0 panic'ed (Illegal instruction). "
                "Exception was unhandled.",
                "",
                "Core  0 register dump:",
                *rows,
                f"MSTATUS : 0x00001881  MTVEC   : 0x40380001  MCAUSE  : 0x{self.crash.cause:08x}  "
                f"MTVAL   : 0x{self.crash.address:08x}",
                "MHARTID : 0x00000000",
                "",
                "Stack memory:",
                *stack,
                "",
                "",
                "ELF file SHA256: 0123456789abcdef",
            ]
        )


@cache
def crashed(path: Path, function: int, argument: int) -> Crash:
    """The crash of a program, which is run once in all."""
    return Crash(path, function, argument)
