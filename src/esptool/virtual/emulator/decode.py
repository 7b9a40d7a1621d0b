# SPDX-License-Identifier: Apache-2.0
"""Loads and stores of RISC-V (RV32IMC) and Xtensa, decoded when one has met a peripheral.

Sources: the RISC-V unprivileged specification and the Xtensa ISA reference manual.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """One load or store: register `reg`, `size` bytes, in an instruction `length` bytes long."""

    store: bool
    reg: str
    size: int
    signed: bool
    length: int


_RISCV_REGS = (
    "zero",
    "ra",
    "sp",
    "gp",
    "tp",
    "t0",
    "t1",
    "t2",
    "s0",
    "s1",
    *(f"a{i}" for i in range(8)),
    *(f"s{i}" for i in range(2, 12)),
    *(f"t{i}" for i in range(3, 7)),
)


def riscv(code: bytes) -> Access | None:
    """The access that the instruction at the start of `code` makes, None if it is none."""
    word = int.from_bytes(code[:4], "little")
    if word & 3 == 3:
        return _riscv_full(word)
    half = word & 0xFFFF
    kind = (half & 3, half >> 13)
    if kind in ((0, 2), (0, 6)):
        return Access(kind[1] == 6, _RISCV_REGS[8 + (half >> 2 & 7)], 4, False, 2)
    if kind == (2, 2):
        return Access(False, _RISCV_REGS[half >> 7 & 31], 4, False, 2)
    if kind == (2, 6):
        return Access(True, _RISCV_REGS[half >> 2 & 31], 4, False, 2)
    return None


def _riscv_full(word: int) -> Access | None:
    opcode, width = word & 0x7F, word >> 12 & 7
    if opcode == 0x03 and width in (0, 1, 2, 4, 5):
        return Access(False, _RISCV_REGS[word >> 7 & 31], 1 << (width & 3), width < 2, 4)
    if opcode == 0x23 and width < 3:
        return Access(True, _RISCV_REGS[word >> 20 & 31], 1 << width, False, 4)
    return None


#: The third nibble of Xtensa's loads and stores with an 8-bit offset: (store, size, signed).
_XTENSA = {
    0: (False, 1, False),
    1: (False, 2, False),
    2: (False, 4, False),
    4: (True, 1, False),
    5: (True, 2, False),
    6: (True, 4, False),
    9: (False, 2, True),
}


def xtensa(code: bytes) -> Access | None:
    """The access that the instruction at the start of `code` makes, None if it is none."""
    low, high = code[0], code[1]
    reg = f"a{low >> 4}"
    if low & 0xF in (8, 9):
        return Access(low & 0xF == 9, reg, 4, False, 2)
    if low & 0xF == 2 and high >> 4 in _XTENSA:
        store, size, signed = _XTENSA[high >> 4]
        return Access(store, reg, size, signed, 3)
    return None
