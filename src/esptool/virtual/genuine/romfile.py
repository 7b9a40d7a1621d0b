# SPDX-License-Identifier: Apache-2.0
"""A ROM as an ELF file of the vendor: what lies where, its symbols, and which revision it is.

Source of the format: System V ABI, "Object Files".
"""

from __future__ import annotations

import bisect
import struct
from dataclasses import dataclass, field
from pathlib import Path

from esptool.errors import UsageError

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION = struct.Struct("<10I")
_PROGRAM = struct.Struct("<8I")
_SYMBOL = struct.Struct("<IIIBBH")
#: Sections end at multiples of this.
_PADDING = 16
_LOAD, _PROGBITS, _SYMTAB, _NOBITS, _ALLOC = 1, 1, 2, 8, 2


@dataclass(frozen=True, slots=True)
class Segment:
    """Contents at their place for running (`vaddr`) and in the ROM (`paddr`)."""

    vaddr: int
    paddr: int
    data: bytes


@dataclass(slots=True)
class RomFile:
    """A ROM.

    Attributes:
        segments: what the file has contents for.
        own: (name, start, end) of the RAM that the ROM's own variables, buffers and stacks take.
        symbols: name to address.
        entry: where the processor starts.
    """

    path: Path
    entry: int
    segments: list[Segment]
    own: list[tuple[str, int, int]]
    symbols: dict[str, int]
    _at: list[int] = field(default_factory=list)
    _names: list[str] = field(default_factory=list)

    def has(self, text: bytes) -> bool:
        """The ROM holds this text."""
        return any(text in segment.data for segment in self.segments)

    def function(self, address: int) -> str:
        """The function at an address, such as `main+0x10`."""
        index = bisect.bisect_right(self._at, address) - 1
        if index < 0 or address - self._at[index] > 0x10000:
            return f"{address:#x}"
        offset = address - self._at[index]
        return self._names[index] + (f"+{offset:#x}" if offset else "")

    def owners(self, start: int, end: int) -> list[str]:
        """What the ROM has in a range of RAM."""
        return [name for name, low, high in self.own if low < end and start < high]

    def owner(self, address: int) -> str | None:
        """What the ROM has at an address in RAM."""
        for name, start, end in self.own:
            if start <= address < end:
                return name
        return None


def read(path: Path, base: int) -> RomFile:
    """Read a ROM's ELF file, or a raw one that begins at `base`.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise UsageError(f"The ROM file {path} cannot be read: {e.strerror}.") from None
    if data[:4] != b"\x7fELF":
        if not data or len(data) % 0x1000:
            raise UsageError(
                f"{path} is no ROM: neither an ELF file nor an image of whole pages.",
                remedy="Give a file of the package esp-rom-elfs, such as esp32c3_rev101_rom.elf.",
            )
        return RomFile(path, base, [Segment(base, base, data)], [], {})
    try:
        return _elf(path, data)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise UsageError(f"{path} is a damaged ELF file.") from None


def _elf(path: Path, data: bytes) -> RomFile:
    head = _HEADER.unpack_from(data)
    entry, programs_at, sections_at = head[4], head[5], head[6]
    programs = [
        _PROGRAM.unpack_from(data, programs_at + i * _PROGRAM.size) for i in range(head[10])
    ]
    sections = [
        _SECTION.unpack_from(data, sections_at + i * _SECTION.size) for i in range(head[12])
    ]
    segments = [
        Segment(vaddr, paddr, data[offset : offset + size])
        for kind, offset, vaddr, paddr, size, *_ in programs
        if kind == _LOAD and size
    ]
    names = _text_table(data, sections[head[13]])
    initial: list[tuple[int, bytes]] = []
    own: list[tuple[str, int, int]] = []
    symbols: dict[str, int] = {}
    places: list[tuple[int, str]] = []
    for name_at, kind, flags, start, offset, size, link, *_ in sections:
        if kind == _SYMTAB:
            strings = _text_table(data, sections[link])
            for name, value, _size, info, _other, index in _SYMBOL.iter_unpack(
                data[offset : offset + size]
            ):
                text = _string(strings, name)
                if text and info & 0xF < 3:
                    symbols.setdefault(text, value)
                    if info & 0xF == 2 or (index and info & 0xF == 0):
                        places.append((value, text))
        elif size and start:
            name = _string(names, name_at)
            # Data that the ROM copies into RAM lie in sections without the flag of being loaded.
            if (kind == _NOBITS and flags & _ALLOC) or name.startswith((".data", ".bss")):
                own.append((name, start, start + size))
            if kind == _PROGBITS and name.startswith(".data"):
                initial.append((start, data[offset : offset + size]))
    segments += _initial_values(segments, initial)
    places.sort(key=lambda item: item[0])
    return RomFile(
        path, entry, segments, own, symbols, [a for a, _ in places], [n for _, n in places]
    )


def _initial_values(segments: list[Segment], sections: list[tuple[int, bytes]]) -> list[Segment]:
    """Initial values of variables, which some of the files have at their places in RAM only.

    The ROM's start-up code copies them by a table of (start, end, where in the ROM), in which that
    place is found.
    """
    out = []
    for start, contents in sections:
        for segment in segments:
            source = _copied_from(segment.data, start, len(contents))
            if source is not None:
                out.append(Segment(source, source, contents))
                break
    return out


def _copied_from(rom: bytes, start: int, size: int) -> int | None:
    """The place in the ROM by that entry of the table; sections may be padded behind its end."""
    wanted = struct.pack("<I", start)
    at = rom.find(wanted)
    while at >= 0:
        if at % 4 == 0 and at + 12 <= len(rom):
            end, source = struct.unpack_from("<II", rom, at + 4)
            if start < end <= start + size < end + _PADDING:
                return int(source)
        at = rom.find(wanted, at + 1)
    return None


def _text_table(data: bytes, section: tuple[int, ...]) -> bytes:
    return data[section[4] : section[4] + section[5]]


def _string(table: bytes, at: int) -> str:
    end = table.find(b"\0", at)
    return table[at:end].decode("utf-8")
