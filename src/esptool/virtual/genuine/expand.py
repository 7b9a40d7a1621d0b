# SPDX-License-Identifier: Apache-2.0
"""The 16-bit instructions of RISC-V as the 32-bit ones that they stand for (C, Zcb's plain ones).

Source: the RISC-V unprivileged specification, chapters "C" and "Zc".
"""

from __future__ import annotations


def _sign(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def _i(opcode: int, kind: int, rd: int, rs1: int, imm: int) -> int:
    return (imm & 0xFFF) << 20 | rs1 << 15 | kind << 12 | rd << 7 | opcode


def _s(opcode: int, kind: int, rs1: int, rs2: int, imm: int) -> int:
    return (imm >> 5 & 0x7F) << 25 | rs2 << 20 | rs1 << 15 | kind << 12 | (imm & 31) << 7 | opcode


def _r(top: int, kind: int, rd: int, rs1: int, rs2: int) -> int:
    return top << 25 | rs2 << 20 | rs1 << 15 | kind << 12 | rd << 7 | 0x33


def _jal(rd: int, offset: int) -> int:
    bits = (
        (offset >> 20 & 1) << 31
        | (offset >> 1 & 0x3FF) << 21
        | (offset >> 11 & 1) << 20
        | (offset >> 12 & 0xFF) << 12
    )
    return bits | rd << 7 | 0x6F


def _branch(kind: int, rs1: int, offset: int) -> int:
    bits = (
        (offset >> 12 & 1) << 31
        | (offset >> 5 & 0x3F) << 25
        | (offset >> 1 & 0xF) << 8
        | (offset >> 11 & 1) << 7
    )
    return bits | rs1 << 15 | kind << 12 | 0x63


def expand(half: int) -> int:
    """The 32-bit form, 0 where there is none."""
    kind = half >> 13
    return (_quadrant0, _quadrant1, _quadrant2)[half & 3](half, kind)


def _quadrant0(half: int, kind: int) -> int:
    rd, rs1 = 8 + (half >> 2 & 7), 8 + (half >> 7 & 7)
    word = (half >> 10 & 7) << 3 | (half >> 6 & 1) << 2 | (half >> 5 & 1) << 6
    if kind == 0:
        imm = (
            (half >> 11 & 3) << 4
            | (half >> 7 & 0xF) << 6
            | (half >> 6 & 1) << 2
            | (half >> 5 & 1) << 3
        )
        return _i(0x13, 0, rd, 2, imm) if imm else 0
    if kind == 2:
        return _i(0x03, 2, rd, rs1, word)
    if kind == 3:
        return _i(0x07, 2, rd, rs1, word)
    if kind == 6:
        return _s(0x23, 2, rs1, rd, word)
    if kind == 7:
        return _s(0x27, 2, rs1, rd, word)
    if kind == 4:
        return _zcb_memory(half, rd, rs1)
    return 0


def _zcb_memory(half: int, rd: int, rs1: int) -> int:
    what = half >> 10 & 7
    byte = (half >> 6 & 1) | (half >> 5 & 1) << 1
    halfword = (half >> 5 & 1) << 1
    if what == 0:
        return _i(0x03, 4, rd, rs1, byte)
    if what == 1:
        return _i(0x03, 1 if half >> 6 & 1 else 5, rd, rs1, halfword)
    if what == 2:
        return _s(0x23, 0, rs1, rd, byte)
    if what == 3 and not half >> 6 & 1:
        return _s(0x23, 1, rs1, rd, halfword)
    return 0


def _quadrant1(half: int, kind: int) -> int:
    rd = half >> 7 & 31
    imm = _sign((half >> 12 & 1) << 5 | half >> 2 & 31, 6)
    if kind == 0:
        return _i(0x13, 0, rd, rd, imm)
    if kind in (1, 5):
        offset = (
            (half >> 12 & 1) << 11
            | (half >> 11 & 1) << 4
            | (half >> 9 & 3) << 8
            | (half >> 8 & 1) << 10
            | (half >> 7 & 1) << 6
            | (half >> 6 & 1) << 7
            | (half >> 3 & 7) << 1
            | (half >> 2 & 1) << 5
        )
        return _jal(1 if kind == 1 else 0, _sign(offset, 12))
    if kind == 2:
        return _i(0x13, 0, rd, 0, imm)
    if kind == 3:
        if rd == 2:
            imm = _sign(
                (half >> 12 & 1) << 9
                | (half >> 6 & 1) << 4
                | (half >> 5 & 1) << 6
                | (half >> 3 & 3) << 7
                | (half >> 2 & 1) << 5,
                10,
            )
            return _i(0x13, 0, 2, 2, imm)
        return (imm << 12 & 0xFFFFF000) | rd << 7 | 0x37
    if kind == 4:
        return _arithmetic(half, 8 + (half >> 7 & 7), imm)
    offset = _sign(
        (half >> 12 & 1) << 8
        | (half >> 10 & 3) << 3
        | (half >> 5 & 3) << 6
        | (half >> 3 & 3) << 1
        | (half >> 2 & 1) << 5,
        9,
    )
    return _branch(kind - 6, 8 + (half >> 7 & 7), offset)


def _arithmetic(half: int, rd: int, imm: int) -> int:
    what = half >> 10 & 3
    if what == 0:
        return _i(0x13, 5, rd, rd, imm & 31)
    if what == 1:
        return _i(0x13, 5, rd, rd, imm & 31 | 0x400)
    if what == 2:
        return _i(0x13, 7, rd, rd, imm)
    rs2 = 8 + (half >> 2 & 7)
    if not half >> 12 & 1:
        top, kind = ((0x20, 0), (0, 4), (0, 6), (0, 7))[half >> 5 & 3]
        return _r(top, kind, rd, rd, rs2)
    if half >> 5 & 3 == 2:
        return _r(1, 0, rd, rd, rs2)
    if half >> 5 & 3 == 3:
        # Zcb: zext.b, sext.b, zext.h, sext.h, -, not
        return {
            0: _i(0x13, 7, rd, rd, 255),
            1: _i(0x13, 1, rd, rd, 0x604),
            2: _r(4, 4, rd, rd, 0),
            3: _i(0x13, 1, rd, rd, 0x605),
            5: _i(0x13, 4, rd, rd, -1),
        }.get(half >> 2 & 7, 0)
    return 0


def _quadrant2(half: int, kind: int) -> int:
    rd, rs2 = half >> 7 & 31, half >> 2 & 31
    if kind == 0:
        return _i(0x13, 1, rd, rd, rs2)
    if kind in (2, 3):
        imm = (half >> 12 & 1) << 5 | (half >> 4 & 7) << 2 | (half >> 2 & 3) << 6
        return _i(0x03 if kind == 2 else 0x07, 2, rd, 2, imm)
    if kind == 4:
        if not half >> 12 & 1:
            return _r(0, 0, rd, 0, rs2) if rs2 else _i(0x67, 0, 0, rd, 0)
        if rs2:
            return _r(0, 0, rd, rd, rs2)
        return _i(0x67, 0, 1, rd, 0) if rd else 0x00100073
    if kind in (6, 7):
        imm = (half >> 9 & 0xF) << 2 | (half >> 7 & 3) << 6
        return _s(0x23 if kind == 6 else 0x27, 2, 2, rs2, imm)
    return 0
