# SPDX-License-Identifier: Apache-2.0
"""The Xtensa processor that executes a chip's own ROM: windows, loops, shifts and exceptions.

Instructions are written as the fields of the ISA manual, so these tests need no assembler.
"""

from __future__ import annotations

import struct

import pytest

from esptool.virtual.genuine.core import Core, Trap
from esptool.virtual.genuine.memory import Memory
from esptool.virtual.genuine.xtensa import LX106, Config, Xtensa
from esptool.virtual.genuine.xtensa import WINDOWED as WINDOWS

BASE, RAM = 0x40000000, 0x3FFE0000
CODE = BASE + 0x800
_WOE = 1 << 18


class Nothing:
    """There are no peripherals; exceptions are kept."""

    def __init__(self) -> None:
        self.traps: list[int] = []

    def load(self, address: int, size: int, pc: int) -> int:
        raise AssertionError(f"load of {address:#x}")

    def store(self, address: int, size: int, value: int, pc: int) -> None:
        raise AssertionError(f"store to {address:#x}")

    def watched(self, address: int, size: int, pc: int) -> None:
        raise AssertionError(f"store to {address:#x}")

    def trapped(self, trap: Trap) -> None:
        self.traps.append(trap.cause)


def wide(op0: int, t: int = 0, s: int = 0, r: int = 0, op1: int = 0, op2: int = 0) -> bytes:
    """An instruction of 24 bits by its nibbles."""
    return (op0 | t << 4 | s << 8 | r << 12 | op1 << 16 | op2 << 20).to_bytes(3, "little")


def immediate(t: int, s: int, r: int, value: int) -> bytes:
    """One with 8 bits of a constant."""
    return wide(2, t, s, r, value & 0xF, value >> 4 & 0xF)


def movi(t: int, value: int) -> bytes:
    return immediate(t, value >> 8 & 0xF, 10, value)


def call(n: int, at: int, target: int) -> bytes:
    return ((target - (at & ~3) - 4 >> 2 & 0x3FFFF) << 6 | n << 4 | 5).to_bytes(3, "little")


def entry(frame: int) -> bytes:
    return (frame // 8 << 12 | 1 << 8 | 3 << 4 | 6).to_bytes(3, "little")


RETW = wide(0, 9)
RSR, WSR = 0, 1
#: `j .`: where a program ends.
HALT = wide(6, 0, 0xF, 0xF, 0xF, 0xF)


def processor(code: bytes, config: Config = WINDOWS, ps: int = _WOE) -> tuple[Xtensa, Nothing]:
    outside = Nothing()
    memory = Memory()
    memory.add(BASE, memoryview(bytearray(0x2000)), writable=False)
    memory.add(RAM, memoryview(bytearray(0x1000)), writable=True)
    memory.write(CODE, code)
    core = Xtensa(memory, outside, config)
    core.restart(CODE)
    core.ps = ps
    core.regs[1] = RAM + 0x1000
    return core, outside


def run(core: Core, instructions: int = 2000) -> None:
    core.run_until(core.cycles + instructions)


def _vectors(memory: Memory) -> None:
    """Overflow and underflow of frames of calls by 8, as the manual's chapter on windows shows."""

    def s32e(t: int, s: int, offset: int) -> bytes:
        return wide(0, t, s, offset // 4 & 0xF, 9, 4)

    def l32e(t: int, s: int, offset: int) -> bytes:
        return wide(0, t, s, offset // 4 & 0xF, 9, 0)

    over = [s32e(0, 9, -16), l32e(0, 1, -12), s32e(1, 9, -12), s32e(2, 9, -8), s32e(3, 9, -4)]
    over += [s32e(4 + i, 0, -32 + 4 * i) for i in range(4)]
    under = [l32e(0, 9, -16), l32e(1, 9, -12), l32e(2, 9, -8), l32e(7, 1, -12), l32e(3, 9, -4)]
    under += [l32e(4 + i, 7, -32 + 4 * i) for i in range(4)]
    memory.write(BASE + 0x80, b"".join(over) + wide(0, 0, 4, 3))
    memory.write(BASE + 0xC0, b"".join(under) + wide(0, 0, 5, 3))


@pytest.mark.parametrize("depth", [1, 6, 7, 8, 20])
def test_calls_deeper_than_the_registers_are_saved_and_come_back(depth: int) -> None:
    """f(n) = n + f(n - 1), by CALL8: the frames that do not fit pass through the stack."""
    function = CODE + 0x40
    body = entry(32)
    #   beqz a2, to the end; addi a10, a2, -1; call8 f; add a2, a2, a10; retw
    rest = immediate(10, 2, 12, 0xFF)
    at = function + len(body) + 3 + len(rest)
    rest += call(2, at, function) + wide(0, 10, 2, 2, 0, 8)
    skip = len(rest) + 3 - 4
    body += (skip << 12 | 2 << 8 | 1 << 4 | 6).to_bytes(3, "little") + rest + RETW
    start = movi(10, depth)
    code = start + call(2, CODE + len(start), function) + HALT
    core, outside = processor(code.ljust(0x40, b"\0") + body)
    _vectors(core.memory)
    # The outermost frame has a caller, too, as far as saving it goes.
    core.memory.write(core.regs[1] - 12, struct.pack("<I", RAM + 0x200))
    run(core, 4000)
    assert outside.traps == []
    assert core.pc == CODE + 6
    assert core.regs[10] == depth * (depth + 1) // 2
    assert (core.base, core.regs[1]) == (0, RAM + 0x1000)


@pytest.mark.parametrize(("times", "kind"), [(1, 8), (5, 8), (300, 9), (0, 9), (0, 10)])
def test_a_loop_without_branches(times: int, kind: int) -> None:
    """LOOP, LOOPNEZ and LOOPGTZ around one ADDI."""
    loop = wide(6, 7, 2, kind, 3 + 3 - 4, 0)
    core, _ = processor(movi(2, times) + movi(3, 0) + loop + immediate(3, 3, 12, 1) + HALT)
    run(core)
    assert core.regs[3] == times
    assert core.fast[3] == (0 if times else 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("name", "code", "result"),
    [
        ("addx4", wide(0, 3, 2, 4, 0, 10), 0x80000001 * 4 + 7 & 0xFFFFFFFF),
        ("subx2", wide(0, 3, 2, 4, 0, 13), 0x80000001 * 2 - 7 & 0xFFFFFFFF),
        ("neg", wide(0, 3, 0, 4, 0, 6), 0xFFFFFFF9),
        ("slli 4", wide(0, 12, 2, 4, 1, 1), 0x10),
        ("srai 4", wide(0, 2, 4, 4, 1, 2), 0xF8000000),
        ("extui 31, 1", wide(0, 2, 15, 4, 5, 0), 1),
        ("sext 7", wide(0, 0, 2, 4, 3, 2), 1),
        ("nsau", wide(0, 4, 3, 15, 0, 4), 29),
        ("nsa", wide(0, 4, 2, 14, 0, 4), 0),
        ("mull", wide(0, 3, 2, 4, 2, 8), 0x80000007),
        ("mulsh", wide(0, 3, 2, 4, 2, 11), 0xFFFFFFFC),
        ("quos", wide(0, 3, 2, 4, 2, 13), -((0x7FFFFFFF) // 7) & 0xFFFFFFFF),
        ("rems", wide(0, 3, 2, 4, 2, 15), -(0x7FFFFFFF % 7) & 0xFFFFFFFF),
        ("min", wide(0, 3, 2, 4, 3, 4), 0x80000001),
        ("minu", wide(0, 3, 2, 4, 3, 6), 7),
        ("salt", wide(0, 3, 2, 4, 2, 7), 1),
        ("saltu", wide(0, 3, 2, 4, 2, 6), 0),
        ("saltu the other way", wide(0, 2, 3, 4, 2, 6), 1),
        ("ssl, sll", wide(0, 0, 3, 1, 0, 4) + wide(0, 0, 2, 4, 1, 10), 0x80),
        ("ssr, src", wide(0, 0, 3, 0, 0, 4) + wide(0, 2, 3, 4, 1, 8), 0x0F000000),
        ("ssr, sra", wide(0, 0, 3, 0, 0, 4) + wide(0, 2, 0, 4, 1, 11), 0xFF000000),
    ],
)
def test_arithmetic(name: str, code: bytes, result: int) -> None:
    """Into a4, of a2 = 0x80000001 and a3 = 7."""
    core, _ = processor(code + HALT)
    core.regs[2], core.regs[3] = 0x80000001, 7
    run(core, 40)
    assert core.regs[4] == result, name


def test_literals_loads_and_stores() -> None:
    """L32R reaches behind itself; halves and bytes keep their neighbours."""
    literal = struct.pack("<I", RAM)
    code = (
        literal
        + ((0xFFFF << 8 | 2 << 4 | 1).to_bytes(3, "little"))
        + movi(3, -2 & 0xFFF)
        + immediate(3, 2, 6, 1)
        + immediate(3, 2, 4, 1)
        + immediate(4, 2, 9, 2)
        + immediate(5, 2, 0, 1)
        + HALT
    )
    core, _ = processor(code)
    core.restart(CODE + 4)
    run(core, 60)
    assert core.regs[2] == RAM
    assert (core.regs[4], core.regs[5]) == (0xFFFFFFFE, 0xFE)
    assert core.memory.read(RAM, 8) == b"\0\xfe\0\0\xfe\xff\xff\xff"


@pytest.mark.parametrize(("config", "vector"), [(WINDOWS, 0x300), (LX106, 0x30)])
def test_an_unknown_instruction_is_an_exception(config: Config, vector: int) -> None:
    core, outside = processor(b"\0\0\0", config, ps=0)
    core.memory.write(BASE + vector, HALT)
    run(core, 40)
    assert outside.traps == [0]
    assert core.pc == BASE + vector
    assert core.sr[177] == CODE


@pytest.mark.parametrize(("line", "level"), [(5, 1), (19, 2), (31, 5)])
def test_an_interrupt_waits_for_its_level(line: int, level: int) -> None:
    """It is taken as soon as RSIL has lowered the level, and RFE or RFI goes on behind."""
    code = wide(0, 2, 0, 6) + wide(0, 15, 0, 2) + movi(3, 1) + HALT
    core, _ = processor(code, ps=5)
    vector = {1: 0x300, 2: 0x180, 5: 0x240}[level]
    back = wide(0, 1, level, 3) if level > 1 else wide(0, 0, 0, 3)
    # INTENABLE is cleared through a4, which is 0.
    core.memory.write(BASE + vector, wide(0, 4, 4, 14, 3, WSR) + movi(5, 1) + back)
    core.sr[228] = 1 << line
    core.request(1 << line)
    run(core, 60)
    assert (core.regs[3], core.regs[5]) == (1, 1)
    assert core.ps & 0x1F == 0


def test_code_in_ram_may_lie_across_pages() -> None:
    """The block of such an instruction holds, and is noticed when it changes."""
    core, _ = processor(b"")
    core.memory.add(RAM + 0x1000, memoryview(bytearray(0x1000)), writable=True)
    start = RAM + 0xFFE
    for value in (5, 6):
        core.memory.write(start, movi(2, value) + HALT)
        core.pc = start
        run(core, 40)
        assert core.regs[2] == value
        assert core.pc == start + 3
