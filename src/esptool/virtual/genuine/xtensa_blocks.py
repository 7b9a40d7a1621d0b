# SPDX-License-Identifier: Apache-2.0
"""Blocks of Xtensa code as Python.

Source: the Xtensa ISA reference manual, chapters on windows, loops and memory.
"""

from __future__ import annotations

from typing import Protocol

from esptool.virtual.genuine.memory import PAGE, SHIFT, Memory

_MOST = 48
WORD = 0xFFFFFFFF
ILLEGAL = 0


class Processor(Protocol):
    """What the writer of blocks asks of the core."""

    memory: Memory
    windowed: bool
    ends: set[int]
    guard: list[tuple[int, int]]

    def loop_ends(self, end: int) -> None:
        """A loop ends there."""


def signed(value: int) -> int:
    """Of 32 bits."""
    return value - 0x100000000 if value >> 31 else value


class Block:
    """Writes one block: straight on over branches that leave it, to where it must end."""

    def __init__(self, core: Processor, pc: int) -> None:
        self.core = core
        self.start = self.pc = self.next = pc
        self.lines: list[str] = []
        self.used: set[int] = set()
        self.dirty: set[int] = set()
        self.known: dict[int, int] = {}
        self.most = 0
        self.count = 0
        self.loops = self.touches = self.ended = self.ram = False
        #: It stores to places that it computes; and it looks at the cycle counter.
        self.fills = self.clocks = False

    def write(self) -> tuple[str, int]:
        """Source, and how many bytes of code it stands for."""
        memory = self.core.memory
        pc = self.start
        if not memory.holds(pc):
            return "", 0
        page = pc >> SHIFT
        self.ram = memory.is_ram(pc)
        while not self.ended:
            if self.count >= _MOST or (self.count and self.ram and (pc + 2) >> SHIFT != page):
                self.leave(pc)
                break
            word = int.from_bytes(memory.read(pc, 3), "little")
            length = 2 if word & 0xF >= 8 else 3
            self.pc, self.next = pc, pc + length
            self.count += 1
            if word & 0xF >= 14 or not self.instruction(word & (0xFFFF if length == 2 else WORD)):
                self.count -= 1
                if not self.count:
                    return f"def b(R):\n raise Trap({ILLEGAL}, {pc}, {word})\n", length
                self.leave(pc)
                break
            pc += length
            if pc in self.core.ends and not self.ended:
                self.loop_end(pc)
        return self.source(pc), pc - self.start

    # --- the frame around it ---------------------------------------------------------------------

    def source(self, end: int) -> str:
        """All of the function."""
        out = ["def b(R):"]
        if self.ram:
            a, size = self.start % PAGE, end - self.start
            # An instruction may begin in one page and end in the next.
            code = f"P[{a}:{a + size}]" if a + size <= PAGE else f"M({self.start},{size})"
            out.append(f" if {code} != X: return renew({self.start})")
        quad = max([self.most, *self.used, *self.dirty]) >> 2
        if quad and self.core.windowed:
            out.append(f" if Z[5]<{quad}: return over({self.start})")
        out += [f" x{i}=R[{i}]" for i in sorted(self.used | self.dirty)]
        pad = " "
        if self.loops:
            out.append(" n=0")
        if self.touches:
            out.append(pad + "try:")
            pad += " "
        if self.loops:
            out.append(pad + "while 1:")
            pad += " "
        back = "".join(f"R[{i}]=x{i};" for i in sorted(self.dirty))
        out += [pad + line.replace("@WB@", back) for line in self.lines]
        if self.touches:
            out += [" except Trap:", f"  {back}raise"]
        return "\n".join(out) + "\n"

    def emit(self, text: str) -> None:
        """Add a line."""
        self.lines.append(text)

    def leaving(self, target: str) -> str:
        """Statements that end the block."""
        return f"@WB@C[0]+={self.count};return {target}"

    def leave(self, target: int | str) -> None:
        """End the block here."""
        self.emit(self.leaving(str(target)))
        self.ended = True

    def again(self, pad: str) -> None:
        """To the start of the block, from time to time by way of outside."""
        self.loops = True
        self.emit(f"{pad}n+=1;C[0]+={self.count}")
        self.emit(f"{pad}if n>200{' or cpu.stop' if self.clocks else ''}:")
        if self.fills:
            self.emit(f"{pad} cpu.touched+=1")
        self.emit(f"{pad} @WB@return {self.start}")
        self.emit(f"{pad}continue")

    def loop_end(self, end: int) -> None:
        """The instruction before has been the last one of a zero-overhead loop."""
        self.emit(f"if Z[3] and Z[2]=={end}:")
        self.emit(" Z[3]-=1")
        self.emit(f" if Z[1]=={self.start}:")
        self.again("  ")
        self.emit(" " + self.leaving("Z[1]"))
        self.leave(end)

    # --- registers -------------------------------------------------------------------------------

    def get(self, reg: int) -> str:
        """A register as an expression."""
        self.used.add(reg)
        return str(self.known[reg]) if reg in self.known else f"x{reg}"

    def set(self, reg: int, text: str) -> None:
        """Give a register a value."""
        self.dirty.add(reg)
        self.known.pop(reg, None)
        self.emit(f"x{reg}={text}")

    def const(self, reg: int, value: int) -> None:
        """Give a register a value that is known now."""
        self.set(reg, str(value & WORD))
        self.known[reg] = value & WORD

    # --- instructions ----------------------------------------------------------------------------

    def instruction(self, word: int) -> bool:
        """Write one; False if it is none."""
        raise NotImplementedError

    def trap(self, cause: int) -> None:
        """It makes an exception."""
        if cause == 63:
            # Without a debugger nothing happens.
            return
        self.emit(f"@WB@C[0]+={self.count};raise Trap({cause},{self.pc},0)")
        self.ended = True

    def move(self, rd: int, rs: int) -> None:
        """A copy."""
        if rs in self.known:
            self.const(rd, self.known[rs])
        else:
            self.set(rd, self.get(rs))

    def plus(self, rd: int, rs: int, imm: int) -> None:
        """A sum with a constant."""
        if rs in self.known:
            self.const(rd, self.known[rs] + imm)
        else:
            self.set(rd, f"{self.get(rs)}+{imm}&0xFFFFFFFF")

    def add(self, rd: int, a: str, rs: int, b: str, rt: int) -> None:
        """A sum."""
        if rs in self.known and rt in self.known:
            self.const(rd, self.known[rs] + self.known[rt])
        else:
            self.set(rd, f"{a}+{b}&0xFFFFFFFF")

    # --- calls and branches ----------------------------------------------------------------------

    def call(self, quads: int, target: str) -> None:
        """CALLn, CALLXn."""
        if quads:
            self.emit(f"Z[4]={quads}")
            self.const(4 * quads, quads << 30 | self.next & 0x3FFFFFFF)
        else:
            self.const(0, self.next)
        self.leave(target)

    def retw(self) -> None:
        """RETW."""
        self.used.add(0)
        self.emit(f"@WB@C[0]+={self.count};return retw({self.pc})")
        self.ended = True

    def branch(self, condition: str, target: int) -> None:
        """Go there if."""
        target &= WORD
        self.emit(f"if {condition}:")
        if target == self.start:
            self.again(" ")
        else:
            self.emit(" " + self.leaving(str(target)))

    # --- memory ----------------------------------------------------------------------------------

    def place(self, reg: int, offset: int) -> tuple[str, int | None]:
        """An address, and its value if that is known."""
        if reg in self.known:
            value = self.known[reg] + offset & WORD
            return str(value), value
        base = self.get(reg)
        if not offset:
            return base, None
        self.emit(f"a={base}+{offset}&0xFFFFFFFF")
        return "a", None

    def load(
        self, rd: int, size: int, address: str, known: int | None, *, signs: bool = False
    ) -> None:
        """A load of 1, 2 or 4 bytes."""
        self.touches = True
        self.known.pop(rd, None)
        self.dirty.add(rd)
        into, shift = f"x{rd}", size >> 1
        if known is not None and not self.core.memory.holds(known):
            self.emit(f"{into}=ld({address},{size},{self.pc})")
        else:
            self.emit(f"p=L{'BHW'[shift]}({address}>>12)")
            aligned = f" and not {address}&{size - 1}" if shift else ""
            self.emit(
                f"{into}=p[({address}&4095)>>{shift}] if p is not None{aligned} "
                f"else ld({address},{size},{self.pc})"
            )
        if signs:
            self.emit(f"{into}=({into}^32768)-32768&0xFFFFFFFF")

    def store(self, rt: int, size: int, address: str, known: int | None) -> None:
        """A store of 1, 2 or 4 bytes."""
        self.touches = True
        on_stack = address == "x1" or "x1+" in address
        self.fills = self.fills or (known is None and not on_stack)
        value, shift = self.get(rt), size >> 1
        if self.ram and self.core.guard:
            self.emit(f"G({address},{size},{self.pc})")
        if known is not None and not self.core.memory.is_ram(known):
            self.emit(f"st({address},{size},{value},{self.pc})")
            return
        self.emit(f"p=S{'BHW'[shift]}({address}>>12)")
        aligned = f" and not {address}&{size - 1}" if shift else ""
        mask = ("&255", "&65535", "")[shift]
        self.emit(f"if p is not None{aligned}: p[({address}&4095)>>{shift}]={value}{mask}")
        self.emit(f"else: st({address},{size},{value},{self.pc})")
