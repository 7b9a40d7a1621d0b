# SPDX-License-Identifier: Apache-2.0
"""How to get from a function to its caller: `.debug_frame` and `.eh_frame`.

Section 6.4 of DWARF 5, and the Linux Standard Base's chapter on `.eh_frame`.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import NamedTuple

from esptool.monitor.dwarf.leb import sleb, uleb
from esptool.monitor.elfdata import ElfData

_ABSENT, _PCREL = 0xFF, 0x10
_DAMAGE = (ValueError, LookupError, struct.error, ArithmeticError)


class Common(NamedTuple):
    """What several functions share (a CIE)."""

    code_factor: int
    data_factor: int
    return_register: int
    encoding: int
    augmented: bool
    begin: int
    end: int


class Piece(NamedTuple):
    """The rules of one function (an FDE): its code, and where its instructions stand."""

    start: int
    end: int
    common: Common
    data: bytes
    at: int
    last: int


class Rules(NamedTuple):
    """How the registers of the caller are found at one address.

    Attributes:
        register, offset: their sum is the stack pointer of the caller (the CFA).
        saved: register -> offset from the CFA at which the caller's value lies.
        return_register: it holds the return address.
    """

    register: int
    offset: int
    saved: dict[int, int]
    return_register: int


class FrameTable:
    """The unwinding rules of a file."""

    def __init__(self, elf: ElfData) -> None:
        self._size = elf.bits // 8
        self._pieces: list[Piece] = []
        for name, is_eh in ((".debug_frame", False), (".eh_frame", True)):
            try:
                data = elf.section(name)
                self._read(data, elf.address_of(name), is_eh)
            except _DAMAGE:
                continue
        self._pieces.sort(key=lambda piece: piece.start)
        self._starts = [piece.start for piece in self._pieces]

    def rules(self, address: int) -> Rules | None:
        """The rules at an address, None where there are none or they are too unusual."""
        at = bisect_right(self._starts, address) - 1
        while at >= 0 and address - self._starts[at] < 1 << 20:
            piece = self._pieces[at]
            if address < piece.end:
                try:
                    return _Machine(piece, self._size).at(address)
                except _DAMAGE:
                    return None
            at -= 1
        return None

    def _read(self, data: bytes, base: int, is_eh: bool) -> None:
        commons: dict[int, Common] = {}
        at = 0
        while at + 8 <= len(data):
            begin = at
            (length,) = struct.unpack_from("<I", data, at)
            at += 4
            wide = 4
            if length == 0xFFFFFFFF:
                length, at, wide = struct.unpack_from("<Q", data, at)[0], at + 8, 8
            if length == 0:
                if is_eh:
                    return
                continue
            end = at + length
            field = at
            pointer = int.from_bytes(data[at : at + (4 if is_eh else wide)], "little")
            at += 4 if is_eh else wide
            if pointer == (0 if is_eh else (1 << 8 * wide) - 1):
                commons[begin] = self._common(data, at, end, is_eh)
            else:
                common = commons.get(field - pointer if is_eh else pointer)
                if common is not None:
                    self._piece(data, at, end, common, base)
            at = end

    def _common(self, data: bytes, at: int, end: int, is_eh: bool) -> Common:
        version, at = data[at], at + 1
        stop = data.index(b"\0", at)
        letters, at = data[at:stop].decode("latin-1"), stop + 1
        if version >= 4:
            at += 2
        code_factor, at = uleb(data, at)
        data_factor, at = sleb(data, at)
        register, at = (data[at], at + 1) if version == 1 else uleb(data, at)
        encoding = 0
        augmented = letters.startswith("z")
        if augmented:
            size, at = uleb(data, at)
            begin, place = at + size, at
            for letter in letters[1:]:
                if letter == "R":
                    encoding, place = data[place], place + 1
                elif letter == "L":
                    place += 1
                elif letter == "P":
                    _, place = self._pointer(data, place + 1, data[place], 0)
            at = begin
        return Common(code_factor, data_factor, register, encoding, augmented, at, end)

    def _piece(self, data: bytes, at: int, end: int, common: Common, base: int) -> None:
        start, at = self._pointer(data, at, common.encoding, base)
        length, at = self._pointer(data, at, common.encoding & 0xF, base)
        if common.augmented:
            size, at = uleb(data, at)
            at += size
        if length:
            self._pieces.append(Piece(start, start + length, common, data, at, end))

    def _pointer(self, data: bytes, at: int, encoding: int, base: int) -> tuple[int, int]:
        """An encoded pointer (Linux Standard Base, table of DWARF exception header encoding)."""
        if encoding == _ABSENT:
            return 0, at
        here = base + at
        kind = encoding & 0xF
        if kind == 1:
            value, at = uleb(data, at)
        elif kind == 9:
            value, at = sleb(data, at)
        else:
            size = {0: self._size, 2: 2, 3: 4, 4: 8, 10: 2, 11: 4, 12: 8}[kind]
            value = int.from_bytes(data[at : at + size], "little", signed=kind >= 8)
            at += size
        if encoding & 0x70 == _PCREL:
            value += here
        return value & ((1 << 8 * self._size) - 1), at


class _Machine:
    """Carries out the instructions of a function up to an address (section 6.4.2)."""

    def __init__(self, piece: Piece, size: int) -> None:
        self._piece, self._size = piece, size
        self._register = self._offset = 0
        self._saved: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._stack: list[tuple[int, int, dict[int, int]]] = []

    def at(self, address: int) -> Rules | None:
        piece, common = self._piece, self._piece.common
        self._run(common.begin, common.end, piece.start, None)
        self._first = dict(self._saved)
        self._run(piece.at, piece.last, piece.start, address)
        if self._register < 0:
            return None
        return Rules(self._register, self._offset, self._saved, common.return_register)

    def _run(self, at: int, end: int, place: int, until: int | None) -> None:
        data, common = self._piece.data, self._piece.common
        while at < end:
            op, low, at = data[at] & 0xC0, data[at] & 0x3F, at + 1
            step: int | None = None
            if op == 0x40:
                step = low
            elif op == 0x80:
                value, at = uleb(data, at)
                self._saved[low] = value * common.data_factor
            elif op == 0xC0:
                self._restore(low)
            elif low == 0x01:
                place = int.from_bytes(data[at : at + self._size], "little")
                at += self._size
                if until is not None and place > until:
                    return
            elif low in (0x02, 0x03, 0x04):
                size = 1 << (low - 2)
                step, at = int.from_bytes(data[at : at + size], "little"), at + size
            else:
                at = self._other(low, data, at)
            if step is not None:
                place += step * common.code_factor
                if until is not None and place > until:
                    return

    def _restore(self, register: int) -> None:
        if register in self._first:
            self._saved[register] = self._first[register]
        else:
            self._saved.pop(register, None)

    def _other(self, op: int, data: bytes, at: int) -> int:
        factor = self._piece.common.data_factor
        if op == 0x00:
            return at
        if op in (0x05, 0x11):  # offset_extended, and with a sign
            register, at = uleb(data, at)
            value, at = uleb(data, at) if op == 0x05 else sleb(data, at)
            self._saved[register] = value * factor
        elif op == 0x06:  # restore_extended
            register, at = uleb(data, at)
            self._restore(register)
        elif op in (0x07, 0x08):  # undefined, same_value
            register, at = uleb(data, at)
            self._saved.pop(register, None)
        elif op == 0x0A:  # remember_state
            self._stack.append((self._register, self._offset, dict(self._saved)))
        elif op == 0x0B:  # restore_state
            self._register, self._offset, self._saved = self._stack.pop()
        elif op in (0x0C, 0x12):  # def_cfa, and with a sign
            self._register, at = uleb(data, at)
            value, at = uleb(data, at) if op == 0x0C else sleb(data, at)
            self._offset = value if op == 0x0C else value * factor
        elif op == 0x0D:
            self._register, at = uleb(data, at)
        elif op in (0x0E, 0x13):  # def_cfa_offset, and with a sign
            value, at = uleb(data, at) if op == 0x0E else sleb(data, at)
            self._offset = value if op == 0x0E else value * factor
        elif op == 0x2E:  # GNU_args_size
            _, at = uleb(data, at)
        elif op == 0x0F:  # def_cfa_expression: nothing that compilers make for these processors
            size, at = uleb(data, at)
            at += size
            self._register = -1
        elif op in (0x10, 0x16):  # expression, val_expression
            register, at = uleb(data, at)
            size, at = uleb(data, at)
            at += size
            self._saved.pop(register, None)
        else:
            raise ValueError(f"an instruction {op:#x} of a frame is not known")
        return at
