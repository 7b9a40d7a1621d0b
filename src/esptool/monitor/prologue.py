# SPDX-License-Identifier: Apache-2.0
"""Unwinding rules out of the code itself, where a file has none, as those of ROMs.

The instructions at the beginning of a RISC-V function tell how much stack it takes and where it
keeps what the caller needs. Encodings: RISC-V unprivileged specification, chapters "RV32I" and "C".
"""

from __future__ import annotations

from esptool.monitor.dwarf.frames import Rules

_SP, _RA = 2, 1
#: Registers that a function gives back as it found them, and the return address.
_KEPT = frozenset({1, 8, 9, *range(18, 28)})
#: What belongs to the beginning of a function has come within so many bytes.
_LONGEST = 96


def rules_of(code: bytes, length: int) -> Rules | None:
    """The rules `length` bytes into a function; None where its stack does not move by constants.

    Args:
        code: the function's beginning.
        length: how much of it was executed.
    """
    at, size = 0, 0
    saved: dict[int, int] = {}
    end = min(length, len(code), _LONGEST)
    while at + 2 <= end:
        half = int.from_bytes(code[at : at + 2], "little")
        if half & 3 != 3:
            moved, kept = _short(half)
            at += 2
        else:
            moved, kept = _long(int.from_bytes(code[at : at + 4], "little"))
            at += 4
        if moved is not None:
            if moved >= 0:
                # The end of a branch that returns: what is behind it began with a whole frame.
                continue
            size -= moved
        if kept is not None and size:
            register, offset = kept
            saved.setdefault(register, offset - size)
    return Rules(_SP, size, saved, _RA)


Effect = tuple[int | None, tuple[int, int] | None]


def _short(half: int) -> Effect:
    """How a compressed instruction moves the stack pointer, or what it keeps on the stack."""
    op = half & 0xE003
    register = half >> 7 & 31
    if op == 0x6001 and register == _SP:  # c.addi16sp
        value = half >> 3 & 0x200 | half >> 2 & 0x10 | half << 1 & 0x40
        value |= half << 4 & 0x180 | half << 3 & 0x20
        return (value - 1024 if value & 512 else value), None
    if op == 0x0001 and register == _SP:  # c.addi
        value = half >> 7 & 0x20 | half >> 2 & 0x1F
        return (value - 64 if value & 32 else value), None
    if op == 0xC002:  # c.swsp
        source = half >> 2 & 31
        offset = half >> 7 & 0x3C | half >> 1 & 0xC0
        return None, ((source, offset) if source in _KEPT else None)
    return None, None


def _long(word: int) -> Effect:
    op, kind = word & 0x7F, word >> 12 & 7
    if op == 0x13 and kind == 0 and word >> 7 & 31 == _SP and word >> 15 & 31 == _SP:  # addi
        value = word >> 20
        return (value - 4096 if value & 2048 else value), None
    if op == 0x23 and kind == 2 and word >> 15 & 31 == _SP:  # sw
        value = word >> 20 & 0xFE0 | word >> 7 & 31
        offset = value - 4096 if value & 2048 else value
        source = word >> 20 & 31
        return None, ((source, offset) if source in _KEPT else None)
    return None, None
