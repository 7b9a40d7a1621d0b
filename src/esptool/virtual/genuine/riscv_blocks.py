# SPDX-License-Identifier: Apache-2.0
"""Blocks of RISC-V code as Python.

Source: the RISC-V unprivileged specification, chapters on RV32I, M, A, F, Zicsr and Zifencei.
"""

from __future__ import annotations

from esptool.virtual.genuine.core import Core
from esptool.virtual.genuine.expand import expand
from esptool.virtual.genuine.memory import PAGE, SHIFT

ILLEGAL, BREAK = 2, 3
#: Control and status registers that show the low word of the cycle counter.
CYCLES = frozenset({0xB00, 0xC00, 0xC01, 0x7E2, 0x802})
_MOST = 48
_M = 0xFFFFFFFF


def _sign(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


class Writer:
    """Writes one block: straight on over branches that leave it, to where it must end."""

    def __init__(self, core: Core, pc: int) -> None:
        self.core = core
        self.start = self.pc = pc
        self.lines: list[str] = []
        self.used: set[int] = set()
        self.dirty: set[int] = set()
        self.known: dict[int, int] = {}
        self.count = 0
        self.loops = False
        self.touches = False
        #: It stores to places that it computes: going round it is work, not a wait.
        self.fills = False
        #: It looks at the cycle counter, by which it may have to stop.
        self.clocks = False
        self.ended = False
        self.ram = False
        self.next = pc

    def write(self) -> tuple[str, int]:
        """Source, and how many bytes of code it stands for."""
        memory = self.core.memory
        pc = self.start
        if not memory.holds(pc) or pc & 1:
            return "", 0
        page = pc >> SHIFT
        ram = memory.is_ram(pc)
        self.ram = ram
        while not self.ended:
            if self.count >= _MOST or (self.count and ram and (pc + 3) >> SHIFT != page):
                self.leave(pc)
                break
            word = int.from_bytes(memory.read(pc, 4), "little")
            if word & 3 == 3:
                length = 4
            else:
                word, length = expand(word & 0xFFFF), 2
            self.pc, self.next = pc, pc + length
            if not word or not self.instruction(word):
                if not self.count:
                    return f"def b(R):\n raise Trap({ILLEGAL}, {pc}, {word})\n", length
                self.leave(pc)
                break
            pc += length
        return self.source(pc), pc - self.start

    # --- the frame around it ---------------------------------------------------------------------

    def source(self, end: int) -> str:
        """The function of the block, whose code ends at `end`."""
        out = ["def b(R):"]
        if self.ram:
            a = self.start % PAGE
            # An instruction may begin on one page and end on the next.
            stop = min(a + end - self.start, PAGE)
            known = "X" if stop == a + end - self.start else f"X[:{stop - a}]"
            out.append(f" if P[{a}:{stop}] != {known}: return renew({self.start})")
        out += [f" x{i}=R[{i}]" for i in sorted(self.used | self.dirty) if i]
        pad = " "
        if self.loops:
            out.append(" n=0")
        if self.touches:
            out.append(pad + "try:")
            pad += " "
        if self.loops:
            out.append(pad + "while 1:")
            pad += " "
        back = self.back(self.dirty)
        for line in self.lines:
            out.append(pad + line.replace("@WB@", back))
        if self.touches:
            out.append(" except Trap:")
            out.append(f"  {back}raise")
        return "\n".join(out) + "\n"

    @staticmethod
    def back(dirty: set[int]) -> str:
        """Statements that put registers back where they are kept."""
        return "".join(f"R[{i}]=x{i};" for i in sorted(dirty) if i)

    def emit(self, text: str) -> None:
        """Add a line."""
        self.lines.append(text)

    def leaving(self, target: str) -> str:
        """Statements that end the block."""
        return f"@WB@C[0]+={self.count};return {target}"

    def leave(self, target: int) -> None:
        """End the block here."""
        self.emit(self.leaving(str(target)))
        self.ended = True

    # --- registers -------------------------------------------------------------------------------

    def get(self, reg: int) -> str:
        """A register as an expression."""
        if not reg:
            return "0"
        if reg in self.known:
            return str(self.known[reg])
        self.used.add(reg)
        return f"x{reg}"

    def set(self, reg: int, text: str, value: int | None = None) -> None:
        """Give a register a value, which may be known now."""
        if not reg:
            if "(" in text:
                self.emit(text)
            return
        self.dirty.add(reg)
        if value is None:
            self.known.pop(reg, None)
            self.emit(f"x{reg}={text}")
        else:
            self.known[reg] = value & _M
            self.emit(f"x{reg}={value & _M}")

    def value(self, reg: int) -> int | None:
        """What a register is known to hold."""
        return 0 if not reg else self.known.get(reg)

    # --- instructions ----------------------------------------------------------------------------

    def instruction(self, word: int) -> bool:
        """Write one; False if it is none."""
        opcode = word & 0x7F
        rd, rs1, rs2 = word >> 7 & 31, word >> 15 & 31, word >> 20 & 31
        kind = word >> 12 & 7
        self.count += 1
        imm = _sign(word >> 20, 12)
        if opcode == 0x13:
            return self.immediate(word, kind, rd, rs1, imm)
        if opcode == 0x33:
            return self.register(word >> 25, kind, rd, rs1, rs2)
        if opcode == 0x37:
            self.set(rd, "", word & 0xFFFFF000)
        elif opcode == 0x17:
            self.set(rd, "", self.pc + (word & 0xFFFFF000))
        elif opcode == 0x03:
            return self.load(kind, rd, rs1, imm)
        elif opcode == 0x07 and kind == 2:
            return self.load(2, rd + 32, rs1, imm)
        elif opcode == 0x23:
            return self.store(kind, rs1, rs2, _sign(word >> 25 << 5 | rd, 12))
        elif opcode == 0x27 and kind == 2:
            return self.store(2, rs1, rs2 + 32, _sign(word >> 25 << 5 | rd, 12))
        elif opcode == 0x63:
            return self.branch(word, kind, rs1, rs2)
        elif opcode == 0x6F:
            offset = (
                (word >> 31 & 1) << 20
                | (word >> 12 & 0xFF) << 12
                | (word >> 20 & 1) << 11
                | (word >> 21 & 0x3FF) << 1
            )
            target = self.pc + _sign(offset, 21) & _M
            self.set(rd, "", self.next)
            self.jump(target)
        elif opcode == 0x67:
            known = self.value(rs1)
            base = self.get(rs1)
            if known is None and rd == rs1:
                self.emit(f"t={base}")
                base = "t"
            self.set(rd, "", self.next)
            if known is not None:
                self.leave(known + imm & 0xFFFFFFFE)
            else:
                self.emit(self.leaving(f"({base}+{imm})&0xFFFFFFFE"))
                self.ended = True
        elif opcode == 0x0F:
            if kind == 1:
                self.leave(self.next)
        elif opcode == 0x73:
            return self.system(word, kind, rd, rs1)
        elif opcode == 0x2F and kind == 2:
            self.touches = True
            address, value = self.get(rs1), self.get(rs2)
            self.set(rd, f"amo({word >> 27},{address},{value},{self.pc})")
        elif opcode == 0x53:
            return self.moves(word, rd, rs1)
        else:
            self.count -= 1
            return False
        return True

    def moves(self, word: int, rd: int, rs1: int) -> bool:
        """Bits between the two kinds of registers."""
        if word >> 20 == 0xF00 and word >> 12 & 7 == 0:
            self.set(rd + 32, self.get(rs1), self.value(rs1))
        elif word >> 20 == 0xE00 and word >> 12 & 7 == 0:
            self.set(rd, self.get(rs1 + 32))
        else:
            self.count -= 1
            return False
        return True

    def jump(self, target: int) -> None:
        """Go on at a place."""
        if target == self.start:
            self.loop_back("")
            self.ended = True
            self.known.clear()
        else:
            self.leave(target)

    def loop_back(self, condition: str) -> None:
        """To the start of the block, from time to time by way of outside."""
        self.loops = True
        pad = " " if condition else ""
        if condition:
            self.emit(condition)
        self.emit(f"{pad}n+=1;C[0]+={self.count}")
        self.emit(f"{pad}if n>200{' or cpu.stop' if self.clocks else ''}:")
        if self.fills:
            self.emit(f"{pad} cpu.touched+=1")
        self.emit(f"{pad} @WB@return {self.start}")
        self.emit(f"{pad}continue")

    def immediate(self, word: int, kind: int, rd: int, rs1: int, imm: int) -> bool:
        """Arithmetic with a constant of 12 bits."""
        a, known = self.get(rs1), self.value(rs1)
        shift = imm & 31
        if kind == 0:
            if known is not None:
                self.set(rd, "", known + imm)
            elif imm == 0:
                self.set(rd, a)
            else:
                self.set(rd, f"({a}+{imm})&0xFFFFFFFF")
        elif kind == 4:
            self.set(rd, f"{a}^{imm & _M}", None if known is None else known ^ imm & _M)
        elif kind == 6:
            self.set(rd, f"{a}|{imm & _M}", None if known is None else known | imm & _M)
        elif kind == 7:
            self.set(rd, f"{a}&{imm & _M}", None if known is None else known & imm & _M)
        elif kind == 2:
            self.set(rd, f"1 if ({a}^0x80000000)<{imm & _M ^ 0x80000000} else 0")
        elif kind == 3:
            self.set(rd, f"1 if {a}<{imm & _M} else 0")
        elif kind == 1 and word >> 25 == 0:
            self.set(rd, f"{a}<<{shift}&0xFFFFFFFF", None if known is None else known << shift)
        elif kind == 5 and word >> 25 == 0:
            self.set(rd, f"{a}>>{shift}", None if known is None else known >> shift)
        elif kind == 5 and word >> 25 == 0x20:
            self.set(rd, f"((({a}^0x80000000)-0x80000000)>>{shift})&0xFFFFFFFF")
        else:
            return self.bits(word, kind, rd, a, shift)
        return True

    def bits(self, word: int, kind: int, rd: int, a: str, shift: int) -> bool:
        """What of Zbb and Zbs has an immediate or one operand."""
        top = word >> 20
        if kind == 1 and top == 0x604:
            self.set(rd, f"(({a}&255)^128)-128&0xFFFFFFFF")
        elif kind == 1 and top == 0x605:
            self.set(rd, f"(({a}&65535)^32768)-32768&0xFFFFFFFF")
        elif kind == 1 and word >> 25 == 0x24:
            self.set(rd, f"{a}&{~(1 << shift) & _M}")
        elif kind == 1 and word >> 25 == 0x14:
            self.set(rd, f"{a}|{1 << shift}")
        elif kind == 1 and word >> 25 == 0x34:
            self.set(rd, f"{a}^{1 << shift}")
        elif kind == 5 and word >> 25 == 0x24:
            self.set(rd, f"{a}>>{shift}&1")
        elif kind == 1 and top == 0x600:
            self.set(rd, f"32-({a}).bit_length()")
        elif kind == 1 and top == 0x601:
            self.set(rd, f"(({a}&-{a}).bit_length()-1 if {a} else 32)")
        elif kind == 1 and top == 0x602:
            self.set(rd, f"({a}).bit_count()")
        elif kind == 5 and top == 0x698:
            self.set(rd, f"int.from_bytes(({a}).to_bytes(4,'little'),'big')")
        elif kind == 5 and word >> 25 == 0x30:
            self.set(rd, f"({a}>>{shift}|{a}<<{32 - shift})&0xFFFFFFFF")
        else:
            self.count -= 1
            return False
        return True

    def register(self, top: int, kind: int, rd: int, rs1: int, rs2: int) -> bool:
        """Arithmetic on two registers."""
        a, b = self.get(rs1), self.get(rs2)
        text = _REGISTER.get((top, kind))
        if text is None:
            self.count -= 1
            return False
        known_a, known_b = self.value(rs1), self.value(rs2)
        value = None
        if known_a is not None and known_b is not None and (top, kind) == (0, 0):
            value = known_a + known_b
        self.set(rd, text.format(a=a, b=b), value)
        return True

    def branch(self, word: int, kind: int, rs1: int, rs2: int) -> bool:
        """Go on elsewhere on a condition."""
        offset = (
            (word >> 31 & 1) << 12
            | (word >> 7 & 1) << 11
            | (word >> 25 & 0x3F) << 5
            | (word >> 8 & 0xF) << 1
        )
        target = self.pc + _sign(offset, 13) & _M
        a, b = self.get(rs1), self.get(rs2)
        if kind in (4, 5):
            a = self.signed(rs1, a)
            b = self.signed(rs2, b)
        sign = {0: "==", 1: "!=", 4: "<", 5: ">=", 6: "<", 7: ">="}.get(kind)
        if sign is None:
            self.count -= 1
            return False
        condition = f"if {a}{sign}{b}:"
        if target == self.start:
            self.loop_back(condition)
            # The registers that are known at the start of the block are none.
        else:
            self.emit(condition)
            self.emit(" " + self.leaving(str(target)))
        return True

    def signed(self, reg: int, text: str) -> str:
        """A register for comparisons by sign."""
        known = self.value(reg)
        if known is not None:
            return str(known ^ 0x80000000)
        return f"({text}^0x80000000)"

    def address(self, rs1: int, imm: int) -> tuple[str, int | None]:
        """Register plus offset: as an expression, and as a number where it is known."""
        known = self.value(rs1)
        if known is not None:
            return str(known + imm & _M), known + imm & _M
        base = self.get(rs1)
        if not imm:
            return base, None
        self.emit(f"a={base}+{imm}&0xFFFFFFFF")
        return "a", None

    def load(self, kind: int, rd: int, rs1: int, imm: int) -> bool:
        """A load of 1, 2 or 4 bytes."""
        size = {0: 1, 1: 2, 2: 4, 4: 1, 5: 2}.get(kind)
        if size is None:
            self.count -= 1
            return False
        self.touches = True
        address, known = self.address(rs1, imm)
        into = f"x{rd}" if rd else "t"
        if rd:
            self.known.pop(rd, None)
            self.dirty.add(rd)
        if known is not None and not self.core.memory.holds(known):
            self.emit(f"{into}=ld({address},{size},{self.pc})")
        elif size == 4:
            self.emit(f"p=LW({address}>>12)")
            self.emit(
                f"{into}=p[({address}&4095)>>2] if p is not None and not {address}&3 "
                f"else ld({address},4,{self.pc})"
            )
        elif size == 2:
            self.emit(f"p=LH({address}>>12)")
            self.emit(
                f"{into}=p[({address}&4095)>>1] if p is not None and not {address}&1 "
                f"else ld({address},2,{self.pc})"
            )
        else:
            self.emit(f"p=LB({address}>>12)")
            self.emit(f"{into}=p[{address}&4095] if p is not None else ld({address},1,{self.pc})")
        if kind == 0:
            self.emit(f"{into}=({into}^128)-128&0xFFFFFFFF")
        elif kind == 1:
            self.emit(f"{into}=({into}^32768)-32768&0xFFFFFFFF")
        return True

    def store(self, kind: int, rs1: int, rs2: int, imm: int) -> bool:
        """A store of 1, 2 or 4 bytes."""
        if kind > 2:
            self.count -= 1
            return False
        self.touches = True
        size = 1 << kind
        address, known = self.address(rs1, imm)
        self.fills = self.fills or (known is None and rs1 != 2)
        value = self.get(rs2)
        if self.ram and self.core.guard:
            self.emit(f"if {address}>>12 in GP: G({address},{size},{self.pc})")
        if known is not None and not self.core.memory.is_ram(known):
            self.emit(f"st({address},{size},{value},{self.pc})")
            return True
        name = "BHW"[kind]
        self.emit(f"p=S{name}({address}>>12)")
        aligned = f" and not {address}&{size - 1}" if kind else ""
        mask = ("&255", "&65535", "")[kind]
        self.emit(f"if p is not None{aligned}: p[({address}&4095)>>{kind}]={value}{mask}")
        self.emit(f"else: st({address},{size},{value},{self.pc})")
        return True

    def system(self, word: int, kind: int, rd: int, rs1: int) -> bool:
        """Control and status registers, returns, waits and breaks."""
        if kind == 0:
            if word == 0x30200073:
                self.emit(self.leaving("mret(0)"))
            elif word == 0x10500073:
                self.emit(self.leaving(f"wait({self.next})"))
            elif word == 0x00000073:
                self.emit(f"@WB@C[0]+={self.count};raise Trap(11,{self.pc},0)")
            elif word == 0x00100073:
                self.emit(f"@WB@C[0]+={self.count};raise Trap({BREAK},{self.pc},{self.pc})")
            else:
                self.count -= 1
                return False
            self.ended = True
            return True
        number = word >> 20
        source = str(rs1) if kind & 4 else self.get(rs1)
        writes = kind & 3 == 1 or rs1 != 0
        self.clocks = self.clocks or number in CYCLES
        self.set(rd, f"csr({number},{kind & 3},{source},{writes})")
        # Interrupts may be allowed now.
        if writes:
            self.leave(self.next)
        return True


_REGISTER = {
    (0, 0): "({a}+{b})&0xFFFFFFFF",
    (0x20, 0): "({a}-{b})&0xFFFFFFFF",
    (0, 1): "{a}<<({b}&31)&0xFFFFFFFF",
    (0, 2): "1 if ({a}^0x80000000)<({b}^0x80000000) else 0",
    (0, 3): "1 if {a}<{b} else 0",
    (0, 4): "{a}^{b}",
    (0, 5): "{a}>>({b}&31)",
    (0x20, 5): "((({a}^0x80000000)-0x80000000)>>({b}&31))&0xFFFFFFFF",
    (0, 6): "{a}|{b}",
    (0, 7): "{a}&{b}",
    (1, 0): "{a}*{b}&0xFFFFFFFF",
    (1, 1): "mulh({a},{b})",
    (1, 2): "mulhsu({a},{b})",
    (1, 3): "{a}*{b}>>32",
    (1, 4): "div({a},{b})",
    (1, 5): "({a}//{b} if {b} else 0xFFFFFFFF)",
    (1, 6): "rem({a},{b})",
    (1, 7): "({a}%{b} if {b} else {a})",
    (0x20, 7): "{a}&({b}^0xFFFFFFFF)",
    (0x20, 6): "{a}|({b}^0xFFFFFFFF)",
    (0x20, 4): "({a}^{b})^0xFFFFFFFF",
    (0x10, 2): "({a}*2+{b})&0xFFFFFFFF",
    (0x10, 4): "({a}*4+{b})&0xFFFFFFFF",
    (0x10, 6): "({a}*8+{b})&0xFFFFFFFF",
    (4, 4): "{a}&65535",
    (5, 4): "({a} if ({a}^0x80000000)<({b}^0x80000000) else {b})",
    (5, 5): "min({a},{b})",
    (5, 6): "({a} if ({a}^0x80000000)>({b}^0x80000000) else {b})",
    (5, 7): "max({a},{b})",
    (0x14, 1): "{a}|1<<({b}&31)",
    (0x24, 1): "{a}&~(1<<({b}&31))",
    (0x34, 1): "{a}^1<<({b}&31)",
    (0x24, 5): "{a}>>({b}&31)&1",
    (0x30, 1): "({a}<<({b}&31)|{a}>>(32-({b}&31)))&0xFFFFFFFF",
    (0x30, 5): "({a}>>({b}&31)|{a}<<(32-({b}&31)))&0xFFFFFFFF",
}
