# SPDX-License-Identifier: Apache-2.0
"""Loads and stores of RISC-V (RV32IMC) and Xtensa, decoded when one has met a peripheral.

Sources: the RISC-V unprivileged specification and the Xtensa ISA reference manual.
"""

from __future__ import annotations

from dataclasses import dataclass

from esptool.virtual.silicon.spec import Arch


@dataclass(frozen=True, slots=True)
class Access:
    """One load or store: register `reg`, `size` bytes, in an instruction `length` bytes long."""

    store: bool
    reg: str
    size: int
    signed: bool
    length: int


#: Orderings of memory and of the pipeline, of no effect where all is done in turn: memw, extw,
#: isync, rsync, esync, dsync.
_XTENSA_ORDERINGS = frozenset(
    word.to_bytes(3, "little") for word in (0x20C0, 0x20D0, 0x2000, 0x2010, 0x2020, 0x2030)
)
_FENCE_I = (0x100F).to_bytes(4, "little")


def harmless(arch: Arch, code: bytes) -> int:
    """Length of the instruction at the start of `code` where it has no effect here, else 0."""
    if arch is Arch.RISCV:
        return 4 if code[:4] == _FENCE_I else 0
    if code[:3] in _XTENSA_ORDERINGS or interrupt_level(arch, code) is not None:
        return 3
    return 0


def interrupt_level(arch: Arch, code: bytes) -> str | None:
    """The register that `rsil` at the start of `code` puts the old PS into, None if it is none."""
    if arch is Arch.RISCV or code[0] & 0xF or code[1] >> 4 != 6 or code[2]:
        return None
    return f"a{code[0] >> 4}"


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
