# SPDX-License-Identifier: Apache-2.0
"""Line tables: which file and line an address was compiled from. Section 6.2 of DWARF 5."""

from __future__ import annotations

import os
import struct
from bisect import bisect_right

from esptool.monitor.dwarf.leb import sleb, text, uleb
from esptool.monitor.dwarf.sections import Sections

_PATH, _DIRECTORY = 1, 2
_STRING, _LINE_STRP, _STRP, _UDATA, _DATA1, _DATA2, _DATA4, _DATA8, _DATA16, _BLOCK = (
    *(0x08, 0x1F, 0x0E, 0x0F, 0x0B, 0x05, 0x06, 0x07, 0x1E, 0x09),
)
_SIZES = {_DATA1: 1, _DATA2: 2, _DATA4: 4, _DATA8: 8, _DATA16: 16}


class LineTable:
    """The table of one compilation unit.

    Attributes:
        sequences: (start, end, addresses, rows) by start; a row is a file's number and a line.
    """

    def __init__(self, sections: Sections, offset: int, directory: str) -> None:
        self._sections, self._directory = sections, directory
        self._directories: list[str] = []
        self._files: list[tuple[str, int]] = []
        self.sequences: list[tuple[int, int, list[int], list[tuple[int, int]]]] = []
        self._read(sections.lines, offset)
        self.sequences.sort(key=lambda sequence: sequence[:2])
        self._starts = [sequence[0] for sequence in self.sequences]

    def line_at(self, address: int) -> tuple[int, int] | None:
        """(number of the file, line) of an address, None where the table does not cover it."""
        at = bisect_right(self._starts, address) - 1
        while at >= 0:
            _start, end, addresses, rows = self.sequences[at]
            if address < end:
                return rows[bisect_right(addresses, address) - 1]
            at -= 1
        return None

    def file(self, number: int) -> str | None:
        """Path of a file, as complete as the table has it."""
        number -= self._first
        if not 0 <= number < len(self._files):
            return None
        name, directory = self._files[number]
        if _absolute(name):
            return name
        if 0 <= directory < len(self._directories):
            folder = self._directories[directory]
            if not _absolute(folder) and folder != self._directory:
                folder = _joined(self._directory, folder)
            return _joined(folder, name)
        return _joined(self._directory, name)

    # --- reading -----------------------------------------------------------------------------

    def _read(self, data: bytes, at: int) -> None:
        length, at = struct.unpack_from("<I", data, at)[0], at + 4
        wide = 4
        if length == 0xFFFFFFFF:
            length, at, wide = struct.unpack_from("<Q", data, at)[0], at + 8, 8
        end = at + length
        (version,) = struct.unpack_from("<H", data, at)
        at += 2
        address_size = self._sections.elf.bits // 8
        if version >= 5:
            address_size, at = data[at], at + 2
        header = int.from_bytes(data[at : at + wide], "little")
        at += wide
        program = at + header
        smallest = data[at]
        at += 2 if version >= 4 else 1
        line_base = struct.unpack_from("b", data, at + 1)[0]
        line_range, opcode_base = data[at + 2], data[at + 3]
        lengths = data[at + 4 : at + 3 + opcode_base]
        at += 3 + opcode_base
        self._first = 0 if version >= 5 else 1
        if version >= 5:
            rows, at = self._table(data, at, wide)
            self._directories = [path for path, _ in rows]
            self._files, at = self._table(data, at, wide)
        else:
            self._old_tables(data, at)
        self._run(
            data,
            program,
            end,
            lengths,
            (smallest, line_base, max(1, line_range), opcode_base),
            address_size,
        )

    def _old_tables(self, data: bytes, at: int) -> None:
        self._directories = [self._directory]
        while data[at]:
            name, at = text(data, at)
            self._directories.append(name)
        at += 1
        while data[at]:
            name, at = text(data, at)
            directory, at = uleb(data, at)
            _, at = uleb(data, at)
            _, at = uleb(data, at)
            self._files.append((name, directory))

    def _table(self, data: bytes, at: int, wide: int) -> tuple[list[tuple[str, int]], int]:
        count, at = data[at], at + 1
        formats = []
        for _ in range(count):
            kind, at = uleb(data, at)
            form, at = uleb(data, at)
            formats.append((kind, form))
        number, at = uleb(data, at)
        if number > len(data):
            raise ValueError("a line table has more files than bytes")
        rows = []
        for _ in range(number):
            path, directory = "", 0
            for kind, form in formats:
                value: str | int
                if form == _STRING:
                    value, at = text(data, at)
                elif form in (_LINE_STRP, _STRP):
                    place = int.from_bytes(data[at : at + wide], "little")
                    strings = self._sections
                    pool = strings.line_strings if form == _LINE_STRP else strings.strings
                    value, at = text(pool, place)[0], at + wide
                elif form == _UDATA:
                    value, at = uleb(data, at)
                elif form == _BLOCK:
                    size, at = uleb(data, at)
                    value, at = 0, at + size
                elif form in _SIZES:
                    size = _SIZES[form]
                    value, at = int.from_bytes(data[at : at + size], "little"), at + size
                else:
                    raise ValueError(f"a line table has values of the unknown form {form:#x}")
                if kind == _PATH and isinstance(value, str):
                    path = value
                elif kind == _DIRECTORY and isinstance(value, int):
                    directory = value
            rows.append((path, directory))
        return rows, at

    def _run(
        self,
        data: bytes,
        at: int,
        end: int,
        lengths: bytes,
        numbers: tuple[int, int, int, int],
        address_size: int,
    ) -> None:
        """The state machine of section 6.2.2; columns and marks of statements are left out."""
        smallest, line_base, line_range, opcode_base = numbers
        advance = (255 - opcode_base) // line_range * smallest
        end = min(end, len(data))
        address, file, line = 0, 1, 1
        addresses: list[int] = []
        rows: list[tuple[int, int]] = []

        def row() -> None:
            if addresses and addresses[-1] == address:
                rows[-1] = (file, line)
            else:
                addresses.append(address)
                rows.append((file, line))

        while at < end:
            op = data[at]
            at += 1
            if op >= opcode_base:
                op -= opcode_base
                address += op // line_range * smallest
                line += line_base + op % line_range
                row()
            elif op == 1:
                row()
            elif op == 2:
                step, at = uleb(data, at)
                address += step * smallest
            elif op == 3:
                step, at = sleb(data, at)
                line += step
            elif op == 4:
                file, at = uleb(data, at)
            elif op == 8:
                address += advance
            elif op == 9:
                address += data[at] | data[at + 1] << 8
                at += 2
            elif op:
                for _ in range(lengths[op - 1]):
                    _, at = uleb(data, at)
            else:
                size, at = uleb(data, at)
                kind = data[at] if size else 0
                if kind == 1:
                    if addresses and addresses[0] < address:
                        self.sequences.append((addresses[0], address, addresses, rows))
                    addresses, rows = [], []
                    address, file, line = 0, 1, 1
                elif kind == 2:
                    raw = data[at + 1 : at + 1 + min(address_size, size - 1)]
                    address = int.from_bytes(raw, "little")
                at += size


def _absolute(path: str) -> bool:
    return path.startswith(("/", "\\")) or path[1:3] in (":/", ":\\")


def _joined(folder: str, name: str) -> str:
    if not folder:
        return name
    separator = "\\" if "\\" in folder and "/" not in folder else "/"
    return folder.rstrip("/\\") + separator + name if folder not in ("/",) else os.sep + name
