# SPDX-License-Identifier: Apache-2.0
"""Reads what an image needs of an ELF file: loadable sections, segments, entry point, machine.

Only the three fixed tables of a 32-bit little-endian file are decoded, with `struct`: importing
pyelftools costs more than the whole conversion, so it serves the tests as a second opinion.
Contents are slices of the file, so a header that claims gigabytes allocates nothing.
Source: System V ABI, "Object Files"; section types also from the RISC-V and Xtensa supplements.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import NamedTuple

from esptool.chips.spec import Arch
from esptool.errors import ImageError
from esptool.image.model import Segment
from esptool.records import dataclass

_MAGIC = b"\x7fELF"
_CLASS_64 = 2
_BIG_ENDIAN = 2
_XTENSA = 0x5E
_RISCV = 0xF3
_MACHINES = {_XTENSA: "Xtensa", _RISCV: "RISC-V"}
_PT_LOAD = 1
_STRTAB = 3
_NOBITS = 8
_LOADED = frozenset({1, 14, 15, 16})  # PROGBITS, INIT_ARRAY, FINI_ARRAY, PREINIT_ARRAY

#: How often, on average, contents may be named.
_SHARED_AT_MOST = 4

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION = struct.Struct("<10I")
_PROGRAM = struct.Struct("<8I")


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entsize: int


class _Program(NamedTuple):
    kind: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    flags: int
    align: int


@dataclass(frozen=True, slots=True)
class ElfProgram:
    """An ELF file as far as an image is concerned.

    Attributes:
        sections: those with contents and an address, in file order, padded to whole words.
        nobits: sections that only reserve memory; their `data` are empty.
        segments: loadable program headers, by physical address; None where the file has no table.
        source: the whole file.
        warnings: what was passed over.
    """

    entry: int
    machine: int
    sections: tuple[Segment, ...]
    nobits: tuple[Segment, ...]
    segments: tuple[Segment, ...] | None
    source: bytes
    warnings: tuple[str, ...]

    @property
    def sha256(self) -> bytes:
        """Digest of the whole file."""
        return hashlib.sha256(self.source).digest()

    def runs_on(self, arch: Arch) -> bool:
        """The code is for this architecture."""
        return (self.machine == _RISCV) == (arch is Arch.RISCV)

    @property
    def machine_name(self) -> str:
        """Name of the instruction set."""
        return _MACHINES[self.machine]


def read_elf(data: bytes, name: str | None = None, *, sections_needed: bool = True) -> ElfProgram:
    """Read a 32-bit little-endian ELF file for Xtensa or RISC-V.

    Without `sections_needed` the file may lack its table of sections, as a stripped one does.

    Raises:
        ImageError: it is another kind of file, or one of its tables lies outside of it.
    """
    what = "Image" if name is None else f"'{name}'"
    _check_identity(data, what)
    head = _HEADER.unpack_from(data)
    machine, entry, program_offset, section_offset = head[2], head[4], head[5], head[6]
    programs, section_size, sections, name_index = head[10], head[11], head[12], head[13]
    if sections == 0 and not sections_needed:
        section_size = _SECTION.size
    if section_size != _SECTION.size:
        raise ImageError(
            f"{what} has unexpected section header entry size {section_size:#x} "
            f"(not {_SECTION.size:#x})"
        )
    if sections == 0 and sections_needed:
        raise ImageError(f"{what} has 0 section headers")
    warnings: list[str] = []
    loaded: tuple[Segment, ...] = ()
    nobits: tuple[Segment, ...] = ()
    if sections:
        loaded, nobits = _sections(data, section_offset, sections, name_index, warnings)
    return ElfProgram(
        entry=entry,
        machine=machine,
        sections=loaded,
        nobits=nobits,
        segments=_segments(data, program_offset, programs, warnings) if programs else None,
        source=data,
        warnings=tuple(warnings),
    )


def _check_identity(data: bytes, what: str) -> None:
    if len(data) < _HEADER.size:
        raise ImageError(
            f"{what} does not have a valid ELF header: {_HEADER.size} bytes expected, "
            f"{len(data)} present"
        )
    if not data.startswith(_MAGIC):
        raise ImageError(f"{what} has invalid ELF magic header")
    machine = int.from_bytes(data[18:20], "big" if data[5] == _BIG_ENDIAN else "little")
    if machine not in _MACHINES:
        raise ImageError(
            f"{what} does not appear to be an Xtensa or an RISCV ELF image. "
            f"(e_machine = {machine:#06x})"
        )
    if data[4] == _CLASS_64:
        raise ImageError(f"{what} is a 64-bit ELF file; a 32-bit one is needed.")
    if data[5] == _BIG_ENDIAN:
        raise ImageError(f"{what} is a big-endian ELF file; a little-endian one is needed.")


def _table(
    data: bytes, offset: int, count: int, entry: struct.Struct, kind: str
) -> Iterator[tuple[int, ...]]:
    size = count * entry.size
    present = min(size, max(0, len(data) - offset))
    if present == 0:
        raise ImageError(f"No {kind} header found at offset {offset:#06x} in ELF image.")
    if present != size:
        raise ImageError(
            f"Only read {present:#x} bytes from {kind} header (expected {size:#x}). "
            "Truncated ELF image?"
        )
    return entry.iter_unpack(memoryview(data)[offset : offset + size])


def _sections(
    data: bytes, offset: int, count: int, name_index: int, warnings: list[str]
) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    headers = [_Section(*row) for row in _table(data, offset, count, _SECTION, "section")]
    if name_index >= len(headers):
        raise ImageError(f"ELF file has no STRTAB section at shstrndx {name_index}")
    names = headers[name_index]
    if names.kind != _STRTAB:
        warnings.append(f"ELF file has incorrect STRTAB section type {names.kind:#04x}")

    loaded: list[Segment] = []
    nobits: list[Segment] = []
    claimed = 0
    for header in headers:
        if header.addr == 0 or header.size == 0 or header.kind == _STRTAB:
            continue
        if header.kind in _LOADED:
            claimed += min(header.size, len(data))
            _refuse_more_than_there_is(claimed, data, "sections")
            name = _string(data, names, header.name)
            contents = _contents(data, header.offset, header.size, name, warnings)
            loaded.append(_segment(header.addr, contents, name, header.flags, header.align))
        elif header.kind == _NOBITS:
            name = _string(data, names, header.name)
            nobits.append(_segment(header.addr, b"", name, header.flags, header.align))
        else:
            warnings.append(f"Unknown section type {header.kind:#04x} in ELF file")
    return tuple(loaded), tuple(nobits)


def _segments(data: bytes, offset: int, count: int, warnings: list[str]) -> tuple[Segment, ...]:
    found: list[Segment] = []
    claimed = 0
    for row in _table(data, offset, count, _PROGRAM, "segment"):
        header = _Program(*row)
        if header.kind != _PT_LOAD or header.paddr == 0 or header.filesz == 0:
            continue
        claimed += min(header.filesz, len(data))
        _refuse_more_than_there_is(claimed, data, "program headers")
        contents = _contents(data, header.offset, header.filesz, "PHDR", warnings)
        found.append(_segment(header.paddr, contents, "PHDR", header.flags, header.align))
    return tuple(found)


def _refuse_more_than_there_is(claimed: int, data: bytes, what: str) -> None:
    """Contents may be named twice, but a file that multiplies its bytes would fill the memory."""
    if claimed > _SHARED_AT_MOST * len(data):
        raise ImageError(f"The {what} of the ELF file claim more than it holds. Damaged ELF image?")


def _segment(addr: int, contents: bytes, name: str, flags: int, align: int) -> Segment:
    """The boot loaders copy whole words."""
    padded = contents + bytes(-len(contents) % 4)
    return Segment(addr, padded, name=name, flags=flags, align=align)


def _string(data: bytes, table: _Section, offset: int) -> str:
    start = table.offset + offset
    end = data.find(b"\0", start, table.offset + table.size)
    if offset >= table.size or end < 0:
        raise ImageError(
            f"ELF section name at offset {offset:#x} lies outside of the string table "
            f"({table.size:#x} bytes). Damaged ELF image?"
        )
    return data[start:end].decode("utf-8", "replace")


def _contents(data: bytes, offset: int, size: int, name: str, warnings: list[str]) -> bytes:
    contents = data[offset : offset + size]
    if len(contents) < size:
        warnings.append(
            f"ELF file ends inside '{name}': {len(contents):#x} of {size:#x} bytes present. "
            "Truncated ELF image?"
        )
    return contents
