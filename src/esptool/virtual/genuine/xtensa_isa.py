# SPDX-License-Identifier: Apache-2.0
"""The instructions of Xtensa, each as what it adds to a block.

Source: the Xtensa ISA reference manual, chapter "Instruction Formats and Opcodes" for names of
fields and tables of opcodes.
"""

from __future__ import annotations

from esptool.virtual.genuine.xtensa_blocks import WORD, Block

SYSCALL = 1
_B4 = (-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256)
_B4U = (32768, 65536, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256)
#: Special registers that change nothing which a block depends on: it need not end behind them.
_QUIET = frozenset({3, 16, 17, *range(177, 184), *range(209, 216), *range(244, 248)})
_SAR, _CCOUNT = 3, 234


def _sign(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def _s(text: str) -> str:
    """For comparisons by sign."""
    return f"({text}^0x80000000)"


class Writer(Block):
    """Writes a block by its instructions."""

    def instruction(self, word: int) -> bool:
        """Write one; False if it is none."""
        op0, t, s, r = word & 0xF, word >> 4 & 0xF, word >> 8 & 0xF, word >> 12 & 0xF
        if op0 == 0:
            return self.qrst(word, t, s, r)
        if op0 == 1:
            offset = (word >> 8 << 2) - 0x40000
            place = ((self.pc + 3) & ~3) + offset & WORD
            memory = self.core.memory
            if memory.holds(place) and not memory.is_ram(place):
                self.const(t, int.from_bytes(memory.read(place, 4), "little"))
            else:
                self.load(t, 4, str(place), place)
        elif op0 == 2:
            return self.lsai(word >> 16, t, s, r)
        elif op0 == 4:
            return self.mac16(word, t, s, r)
        elif op0 == 5:
            target = (self.pc & ~3) + 4 + (_sign(word >> 6, 18) << 2) & WORD
            self.call(t & 3, str(target))
        elif op0 == 6:
            return self.si(word, t, s, r)
        elif op0 == 7:
            return self.compare(_sign(word >> 16, 8), t, s, r)
        else:
            return self.narrow(op0, t, s, r)
        return True

    def narrow(self, op0: int, t: int, s: int, r: int) -> bool:
        """The ones of 16 bits."""
        if op0 == 8:
            self.load(t, 4, *self.place(s, 4 * r))
        elif op0 == 9:
            self.store(t, 4, *self.place(s, 4 * r))
        elif op0 == 10:
            self.add(r, self.get(s), s, self.get(t), t)
        elif op0 == 11:
            self.plus(r, s, t or -1)
        elif op0 == 12 and t < 8:
            value = t << 4 | r
            self.const(s, value - 128 if value >= 96 else value)
        elif op0 == 12:
            sign = "!=" if t & 4 else "=="
            self.branch(f"{self.get(s)}{sign}0", self.pc + 4 + ((t & 3) << 4 | r))
        elif r == 0:
            self.move(t, s)
        elif r == 15 and t in (0, 1):
            self.leave(self.get(0)) if not t else self.retw()
        elif r == 15 and t == 2:
            self.trap(63)
        else:
            return r == 15 and t == 3
        return True

    # --- branches, loops and memory --------------------------------------------------------------

    def si(self, word: int, t: int, s: int, r: int) -> bool:
        """Jumps, branches on zero or constants, ENTRY and loops."""
        kind, m = t & 3, t >> 2
        if kind == 0:
            target = self.pc + 4 + _sign(word >> 6, 18) & WORD
            if target == self.start:
                self.again("")
                self.ended = True
            else:
                self.leave(target)
        elif kind == 1:
            a = self.get(s)
            condition = (f"{a}==0", f"{a}!=0", f"{a}>>31", f"not {a}>>31")[m]
            self.branch(condition, self.pc + 4 + _sign(word >> 12, 12))
        elif kind == 2 or m >= 2:
            self.branch(self.constant(kind, m, s, r), self.pc + 4 + _sign(word >> 16, 8))
        elif m == 0:
            self.used.add(s)
            self.emit(f"@WB@C[0]+={self.count};return entry({s},{(word >> 12) * 8},{self.pc})")
            self.ended = True
        elif r in (8, 9, 10):
            self.loop(r, s, self.pc + 4 + (word >> 16))
        elif r in (0, 1):
            bit = f"rsr(4)>>{s}&1"
            self.branch(f"not {bit}" if r == 0 else bit, self.pc + 4 + _sign(word >> 16, 8))
        else:
            return False
        return True

    def constant(self, kind: int, m: int, s: int, r: int) -> str:
        """A comparison with one of the constants."""
        a = self.get(s)
        if kind == 3:
            return f"{a}{'<' if m == 2 else '>='}{_B4U[r]}"
        if m < 2:
            return f"{a}{'!=' if m else '=='}{_B4[r] & WORD}"
        return f"{_s(a)}{'<' if m == 2 else '>='}{_B4[r] & WORD ^ 0x80000000}"

    def loop(self, kind: int, s: int, end: int) -> None:
        """LOOP, LOOPNEZ, LOOPGTZ."""
        self.core.loop_ends(end)
        a = self.get(s)
        self.emit(f"Z[1]={self.next};Z[2]={end};Z[3]={a}-1&0xFFFFFFFF")
        if kind != 8:
            self.emit(f"if {a}==0{f' or {a}>>31' if kind == 10 else ''}:")
            self.emit(" " + self.leaving(str(end)))
        self.leave(self.next)

    def compare(self, offset: int, t: int, s: int, r: int) -> bool:
        """Branches that compare registers or test bits."""
        a = self.get(s)
        if r & 6 == 6:
            bit = f"{a}>>{t | (r & 1) << 4}&1"
            self.branch(bit if r & 8 else f"not {bit}", self.pc + 4 + offset)
            return True
        b = self.get(t)
        condition = {
            0: f"not {a}&{b}",
            1: f"{a}=={b}",
            2: f"{_s(a)}<{_s(b)}",
            3: f"{a}<{b}",
            4: f"{a}&{b}=={b}",
            5: f"not {a}>>({b}&31)&1",
            8: f"{a}&{b}",
            9: f"{a}!={b}",
            10: f"{_s(a)}>={_s(b)}",
            11: f"{a}>={b}",
            12: f"{a}&{b}!={b}",
            13: f"{a}>>({b}&31)&1",
        }[r]
        self.branch(condition, self.pc + 4 + offset)
        return True

    def lsai(self, imm: int, t: int, s: int, r: int) -> bool:
        """Loads, stores, and constants of 8 bits."""
        if r in (0, 1, 2, 9, 11):
            size = {0: 1, 1: 2, 9: 2}.get(r, 4)
            self.load(t, size, *self.place(s, imm * size), signs=r == 9)
        elif r in (4, 5, 6, 15):
            size = {4: 1, 5: 2}.get(r, 4)
            self.store(t, size, *self.place(s, imm * size))
        elif r == 10:
            self.const(t, _sign(s << 8 | imm, 12))
        elif r in (12, 13):
            self.plus(t, s, _sign(imm, 8) << (8 if r == 13 else 0))
        elif r == 14:
            self.touches = True
            address, _known = self.place(s, imm * 4)
            self.set(t, f"cas({address},{self.get(t)},{self.pc})")
        else:
            # Caches
            return r == 7
        return True

    # --- three registers -------------------------------------------------------------------------

    def qrst(self, word: int, t: int, s: int, r: int) -> bool:
        """The big table."""
        op1, op2 = word >> 16 & 0xF, word >> 20
        if op1 in (4, 5):
            shift, mask = s | (op1 & 1) << 4, (2 << op2) - 1
            self.set(r, f"{self.get(t)}>>{shift}&{mask}")
            return True
        if op1 == 9 and op2 in (0, 4):
            address, known = self.place(s, 4 * r - 64)
            if op2:
                self.store(t, 4, address, known)
            else:
                self.load(t, 4, address, known)
            return True
        if op1 > 3:
            return False
        return (self.rst0, self.rst1, self.rst2, self.rst3)[op1](word, op2, t, s, r)

    def rst0(self, word: int, op2: int, t: int, s: int, r: int) -> bool:
        """Logic, sums, and what controls the processor."""
        if op2 == 0:
            return self.st0(t, s, r)
        if op2 == 4:
            return self.st1(t, s, r)
        if op2 == 5:
            if r in (3, 5, 7, 11, 13, 15):
                self.const(t, 0)
            return True
        a, b = self.get(s), self.get(t)
        if op2 in (1, 2, 3):
            if op2 == 2 and s == t:
                self.move(r, s)
            else:
                self.set(r, f"{a}{'&|^'[op2 - 1]}{b}")
        elif op2 == 6 and s < 2:
            self.set(r, f"-{b}&0xFFFFFFFF" + (f" if {b}>>31 else {b}" if s else ""))
        elif op2 == 8:
            self.add(r, a, s, b, t)
        elif op2 > 8:
            sign = "-" if op2 & 4 else "+"
            self.set(r, f"({a}<<{op2 & 3}){sign}{b}&0xFFFFFFFF")
        else:
            return False
        return True

    def st0(self, t: int, s: int, r: int) -> bool:
        """Returns, calls by register, synchronisation, and levels."""
        if r == 0:
            if t in (8, 10):
                self.leave(self.get(0 if t == 8 else s))
            elif t == 9:
                self.retw()
            elif t >= 12:
                target = self.get(s)
                if s == 4 * (t & 3) and s not in self.known:
                    self.emit(f"t={target}")
                    target = "t"
                self.call(t & 3, target)
            else:
                return False
        elif r == 1:
            self.touches = True
            self.set(t, f"movsp({self.get(s)},{self.pc})")
        elif r == 2:
            return t in (0, 1, 2, 3, 8, 12, 13, 15)
        elif r == 3:
            return self.returns(t, s)
        elif r == 5:
            self.trap(SYSCALL)
        elif r == 6:
            self.set(t, f"rsil({s})")
            self.leave(self.next)
        elif r == 7:
            self.leave(f"waiti({s},{self.next})")
        else:
            return r == 4
        return True

    def returns(self, t: int, s: int) -> bool:
        """From exceptions and interrupts."""
        if t == 0 and s in (0, 2):
            self.leave(f"rfe({s == 2})")
        elif t == 0 and s in (4, 5):
            self.leave(f"rfw({s == 4})")
        elif t == 1:
            self.leave(f"rfi({s})")
        else:
            return False
        return True

    def st1(self, t: int, s: int, r: int) -> bool:
        """Amounts of shifts, ROTW, and counts of leading bits."""
        if r == 4:
            self.emit(f"Z[0]={s | (t & 1) << 4}")
        elif r < 4:
            a = self.get(s)
            amount = (f"{a}&31", f"32-({a}&31)", f"({a}&3)<<3", f"32-(({a}&3)<<3)")[r]
            self.emit(f"Z[0]={amount}")
        elif r == 6:
            self.const(t, 0)
        elif r == 8:
            self.leave(f"rotw({_sign(t, 4)},{self.next})")
        elif r == 14:
            a = self.get(s)
            self.set(t, f"31-({a}^0xFFFFFFFF if {a}>>31 else {a}).bit_length()")
        elif r == 15:
            self.set(t, f"32-({self.get(s)}).bit_length()")
        else:
            return r == 7
        return True

    def rst1(self, word: int, op2: int, t: int, s: int, r: int) -> bool:
        """Shifts."""
        number = word >> 8 & 0xFF
        if op2 == 6:
            self.emit(f"t={self.get(t)}")
            self.set(t, f"rsr({number})")
            self.wsr(number, "t")
            return True
        a, b = self.get(s), self.get(t)
        if op2 in (0, 1):
            self.set(r, f"{a}<<{32 - (t | op2 << 4)}&0xFFFFFFFF")
        elif op2 in (2, 3):
            self.set(r, f"({_s(b)}-0x80000000>>{s | (op2 & 1) << 4})&0xFFFFFFFF")
        elif op2 == 4:
            self.set(r, f"{b}>>{s}")
        elif op2 == 8:
            self.set(r, f"(({a}<<32|{b})>>Z[0])&0xFFFFFFFF")
        elif op2 == 9:
            self.set(r, f"{b}>>Z[0]")
        elif op2 == 10:
            self.set(r, f"{a}<<32-Z[0]&0xFFFFFFFF")
        elif op2 == 11:
            self.set(r, f"({_s(b)}-0x80000000>>Z[0])&0xFFFFFFFF")
        elif op2 == 12:
            self.set(r, f"({a}&65535)*({b}&65535)")
        elif op2 == 13:
            self.set(r, f"((({a}&65535)^32768)-32768)*((({b}&65535)^32768)-32768)&0xFFFFFFFF")
        else:
            return False
        return True

    def wsr(self, number: int, value: str) -> None:
        """WSR: the block ends behind it where it may depend on it."""
        if number == _SAR:
            self.emit(f"Z[0]={value}&63")
            return
        self.emit(("@WB@" if number == 72 else "") + f"wsr({number},{value})")
        if number == 72:
            self.emit(f"C[0]+={self.count};return {self.next}")
            self.ended = True
        elif number not in _QUIET:
            self.leave(self.next)

    def rst2(self, _word: int, op2: int, t: int, s: int, r: int) -> bool:
        """Booleans, products and quotients."""
        if op2 < 5:
            condition = ("{a}&{b}", "{a}&({b}^1)", "{a}|{b}", "{a}|({b}^1)", "{a}^{b}")[op2]
            text = condition.format(a=f"(rsr(4)>>{s}&1)", b=f"(rsr(4)>>{t}&1)")
            self.emit(f"wsr(4,rsr(4)&{~(1 << r) & 0xFFFF}|({text})<<{r})")
            return True
        a, b = self.get(s), self.get(t)
        text = {
            # SALTU and SALT of LX7
            6: f"int({a}<{b})",
            7: f"int({_s(a)}<{_s(b)})",
            8: f"{a}*{b}&0xFFFFFFFF",
            10: f"{a}*{b}>>32",
            11: f"(({_s(a)}-0x80000000)*({_s(b)}-0x80000000)>>32)&0xFFFFFFFF",
            12: f"{a}//{b} if {b} else div(0,0,{self.pc})",
            13: f"div({a},{b},{self.pc})",
            14: f"{a}%{b} if {b} else div(0,0,{self.pc})",
            15: f"rem({a},{b},{self.pc})",
        }.get(op2, "")
        if not text:
            return False
        self.touches = self.touches or op2 > 11
        self.set(r, text)
        return True

    def rst3(self, word: int, op2: int, t: int, s: int, r: int) -> bool:
        """Special registers, limits and moves on a condition."""
        number = word >> 8 & 0xFF
        if op2 == 0:
            self.clocks = self.clocks or number == _CCOUNT
            self.set(t, "Z[0]" if number == _SAR else f"rsr({number})")
        elif op2 == 1:
            self.wsr(number, self.get(t))
        elif op2 == 14:
            self.set(r, f"ur.get({s << 4 | t},0)")
        elif op2 == 15:
            self.emit(f"ur[{number}]={self.get(t)}")
        elif op2 == 2:
            half = 1 << t + 7
            self.set(r, f"({self.get(s)}&{2 * half - 1}^{half})-{half}&0xFFFFFFFF")
        elif op2 == 3:
            a, top = self.get(s), 1 << t + 7
            value = f"{_s(a)}-0x80000000"
            self.set(r, f"max(-{top},min({top - 1},{value}))&0xFFFFFFFF")
        else:
            return self.choose(op2, t, s, r)
        return True

    def choose(self, op2: int, t: int, s: int, r: int) -> bool:
        """MIN, MAX and MOVcc."""
        a, b = self.get(s), self.get(t) if op2 < 12 else "0"
        if op2 in (4, 5):
            self.set(r, f"{a} if {_s(a)}{'<>'[op2 - 4]}{_s(b)} else {b}")
        elif op2 in (6, 7):
            self.set(r, f"{('min', 'max')[op2 - 6]}({a},{b})")
        else:
            condition = {
                8: f"not {b}",
                9: b,
                10: f"{b}>>31",
                11: f"not {b}>>31",
                12: f"not rsr(4)>>{t}&1",
                13: f"rsr(4)>>{t}&1",
            }[op2]
            old = self.get(r)
            self.set(r, f"{a} if {condition} else {old}")
        return True

    def mac16(self, word: int, t: int, s: int, _r: int) -> bool:
        """MAC16 on two ordinary registers."""
        op1, op2 = word >> 16 & 0xF, word >> 20
        if op2 != 7:
            return False
        self.emit(f"mac({op1 >> 2},{op1 & 3},{self.get(s)},{self.get(t)})")
        return True
