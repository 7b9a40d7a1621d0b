# SPDX-License-Identifier: Apache-2.0
"""An ELF file as a debugger sees it: sections by name, contents by address, functions by address.

Other than `esptool.image.elf`, which prepares an image, it knows also 64-bit files and compressed
sections, and reads nothing before it is asked for. Source: System V ABI, "Object Files".
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from esptool.errors import ImageError

XTENSA = 0x5E
RISCV = 0xF3

_ALLOC, _EXEC, _COMPRESSED = 2, 4, 0x800
_SYMTAB, _NOBITS = 2, 8
_FUNC, _NOTYPE = 2, 0
_HEADER_SIZE = {1: 52, 2: 64}
_SECTION_SIZE = {1: 40, 2: 64}
_ZLIB = 1
#: No function is longer.
_LONGEST = 1 << 20
#: No section of debug information is this large when it is unpacked.
_MOST = 1 << 30


class Section(NamedTuple):
    """One row of the section table; sizes and offsets in bytes of the file."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


class Symbol(NamedTuple):
    """A function: where it begins, how long it is (0 where the file does not say), its name."""

    address: int
    size: int
    name: str


class ElfData:
    """A little-endian ELF file.

    Attributes:
        name: its path, or what it is called in messages.
        data: the whole file.
        bits: 32 or 64.
        machine: the number of its instruction set (`XTENSA`, `RISCV`, or another).

    Raises:
        ImageError: it is not an ELF file, is big-endian, or its section table lies outside of it.
    """

    def __init__(self, data: bytes, name: str = "the ELF file") -> None:
        if data[:4] != b"\x7fELF" or len(data) < _HEADER_SIZE[1]:
            raise ImageError(f"{name} is not an ELF file.", remedy="Name the .elf of the build.")
        if data[5] != 1 or data[4] not in _HEADER_SIZE or len(data) < _HEADER_SIZE[data[4]]:
            raise ImageError(f"{name} is not a little-endian ELF file.")
        self.name, self.data = name, data
        self.bits = 32 * data[4]
        self.type, self.machine = struct.unpack_from("<HH", data, 16)
        form = "<IIIIHHHHHH" if self.bits == 32 else "<QQQIHHHHHH"
        fields = struct.unpack_from(form, data, 24)
        self.entry, self._ph, self._sh = fields[0], fields[1], fields[2]
        self._ph_count, self._sh_count, self._names_at = fields[6], fields[8], fields[9]

    @classmethod
    def load(cls, path: str | Path) -> ElfData:
        """Read a file.

        Raises:
            ImageError: it cannot be read, or is not an ELF file.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as e:
            raise ImageError(f"Cannot read {path}: {e.strerror}.") from e
        return cls(data, str(path))

    @cached_property
    def sha256(self) -> str:
        """Digest of the file in hex: what ESP-IDF prints the beginning of."""
        return hashlib.sha256(self.data).hexdigest()

    # --- sections ----------------------------------------------------------------------------

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The section table."""
        size = _SECTION_SIZE[self.bits // 32]
        end = self._sh + self._sh_count * size
        if end > len(self.data):
            raise ImageError(f"{self.name} ends before its section table. Truncated ELF file?")
        rows = []
        for at in range(self._sh, end, size):
            if self.bits == 32:
                rows.append(struct.unpack_from("<IIIIIII", self.data, at))
            else:
                rows.append(struct.unpack_from("<IIQQQQI", self.data, at))
        if self._names_at >= len(rows):
            return ()
        names = rows[self._names_at]
        return tuple(
            Section(self._text(names[4] + row[0]), row[1], row[2], row[3], row[4], row[5], row[6])
            for row in rows
        )

    def _text(self, at: int) -> str:
        end = self.data.find(b"\0", at)
        return self.data[at : max(at, end)].decode("utf-8", "replace")

    @cached_property
    def _by_name(self) -> dict[str, Section]:
        return {section.name: section for section in self.sections}

    def section(self, name: str) -> bytes:
        """Contents of a section, unpacked; empty where there is none of that name."""
        found = self._by_name.get(name)
        if found is None or found.kind == _NOBITS:
            return b""
        raw = self.data[found.offset : found.offset + found.size]
        if not found.flags & _COMPRESSED:
            return raw
        kind, header = struct.unpack_from("<I", raw)[0], 12 if self.bits == 32 else 24
        if kind != _ZLIB:
            return b""
        try:
            return zlib.decompressobj().decompress(raw[header:], _MOST)
        except zlib.error:
            return b""

    def address_of(self, name: str) -> int:
        """Address of a section, 0 where there is none."""
        found = self._by_name.get(name)
        return 0 if found is None else found.address

    @cached_property
    def code(self) -> tuple[tuple[int, int], ...]:
        """(start, end) of each piece of code, by address."""
        wanted = _ALLOC | _EXEC
        spans = sorted(
            (s.address, s.address + s.size)
            for s in self.sections
            if s.flags & wanted == wanted and s.size and s.kind != _NOBITS
        )
        return tuple(spans)

    def holds_code(self, address: int) -> bool:
        """An address lies in code of this file."""
        at = bisect_right(self._code_starts, address) - 1
        return at >= 0 and address < self.code[at][1]

    def _same_piece(self, first: int, second: int) -> bool:
        at = bisect_right(self._code_starts, second) - 1
        return at >= 0 and self.code[at][0] <= first <= second < self.code[at][1]

    @cached_property
    def _code_starts(self) -> list[int]:
        return [start for start, _ in self.code]

    def read(self, address: int, size: int) -> bytes | None:
        """Contents at an address, None where the file holds none of it."""
        for section in self.sections:
            if (
                section.flags & _ALLOC
                and section.kind != _NOBITS
                and section.address <= address
                and address + size <= section.address + section.size
            ):
                at = section.offset + address - section.address
                return self.data[at : at + size]
        return None

    def segments(self) -> tuple[tuple[int, int, int, int], ...]:
        """(kind, address, offset, size in the file) of each program header."""
        rows = []
        for i in range(self._ph_count):
            if self.bits == 32:
                kind, offset, address, _, size = struct.unpack_from(
                    "<5I", self.data, self._ph + 32 * i
                )
            else:
                kind, _, offset, address, _, size = struct.unpack_from(
                    "<IIQQQQ", self.data, self._ph + 56 * i
                )
            rows.append((kind, address, offset, size))
        return tuple(rows)

    # --- symbols -----------------------------------------------------------------------------

    @cached_property
    def _functions(self) -> list[tuple[int, int, int, int]]:
        """(address, has a type, size, place of the name) of symbols of code.

        Where several share an address, functions and the longest stand last.
        """
        found: list[tuple[int, int, int, int]] = []
        table = next((s for s in self.sections if s.kind == _SYMTAB), None)
        if table is None or table.link >= len(self.sections):
            return found
        names = self.sections[table.link].offset
        form = struct.Struct("<IIIBBH" if self.bits == 32 else "<IBBHQQ")
        count = min(table.size, len(self.data) - table.offset) // form.size
        raw = memoryview(self.data)[table.offset : table.offset + count * form.size]
        for row in form.iter_unpack(raw):
            if self.bits == 32:
                name, value, size, info, _, index = row
            else:
                name, info, _, index, value, size = row
            kind = info & 0xF
            if kind == _FUNC or (kind == _NOTYPE and self._is_label(name, value, index)):
                found.append((value, int(kind == _FUNC), size, names + name))
        found.sort()
        return found

    def _is_label(self, name: int, value: int, index: int) -> bool:
        """A name without a type stands for code: assembly, and functions of a ROM."""
        if not name or index == 0 or not self.holds_code(value):
            return False
        at = self.sections[index].flags if index < len(self.sections) else _EXEC
        return bool(at & _EXEC)

    def function_named(self, name: str) -> int | None:
        """Address of a function, None where there is none of that name."""
        wanted = name.encode() + b"\0"
        for address, _, _, at in self._functions:
            if self.data.startswith(wanted, at):
                return address
        return None

    @cached_property
    def _starts(self) -> list[int]:
        return [row[0] for row in self._functions]

    def function_at(self, address: int) -> Symbol | None:
        """The function that an address lies in, as far as the symbol table knows."""
        at = bisect_right(self._starts, address) - 1
        # What an assembler leaves without a size reaches to the next symbol of its code.
        while at >= 0:
            start, _, size, name = self._functions[at]
            text = self._text(name)
            if not text.startswith((".L", "$")) and (
                address < start + size or (not size and self._same_piece(start, address))
            ):
                return Symbol(start, size, text)
            if address - start > _LONGEST:
                break
            at -= 1
        return None
