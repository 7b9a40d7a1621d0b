# SPDX-License-Identifier: Apache-2.0
"""Makes small ELF files of any shape, sound or not, byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

XTENSA = 0x5E
RISCV = 0xF3
PROGBITS, STRTAB, NOBITS, INIT_ARRAY = 1, 3, 8, 14
_HEADER_LEN = 52


@dataclass(frozen=True)
class Part:
    """A section, and the segment that loads it. `claimed` is the size to state, if a false one."""

    name: str
    addr: int
    data: bytes = b""
    kind: int = PROGBITS
    flags: int = 6
    align: int = 4
    claimed: int | None = None
    in_segment: bool = True

    @property
    def size(self) -> int:
        return len(self.data) if self.claimed is None else self.claimed


@dataclass
class Elf:
    """The whole file; the fields allow to state nonsense."""

    parts: Sequence[Part] = ()
    machine: int = RISCV
    entry: int = 0x40380000
    elf_class: int = 1
    endian: int = 1
    program_headers: bool = True
    section_headers: bool = True
    names_kind: int = STRTAB
    section_size: int = 40
    overrides: dict[str, int] = field(default_factory=dict)

    def build(self) -> bytes:
        loaded = [p for p in self.parts if p.in_segment and p.kind != NOBITS]
        programs = len(loaded) if self.program_headers else 0
        names = b"\0.shstrtab\0"
        offsets: list[int] = []
        body = b""
        base = _HEADER_LEN + 32 * programs
        name_at: list[int] = []
        for part in self.parts:
            name_at.append(len(names))
            names += part.name.encode() + b"\0"
            offsets.append(base + len(body))
            if part.kind != NOBITS:
                body += part.data
        names_offset = base + len(body)
        table_offset = names_offset + len(names)
        table = bytes(40)
        for part, name, offset in zip(self.parts, name_at, offsets, strict=True):
            table += struct.pack(
                "<10I",
                name,
                part.kind,
                part.flags,
                part.addr,
                offset,
                part.size,
                0,
                0,
                part.align,
                0,
            )
        table += struct.pack("<10I", 1, self.names_kind, 0, 0, names_offset, len(names), 0, 0, 1, 0)
        phdrs = b""
        for part, offset in zip(self.parts, offsets, strict=True):
            if programs and part in loaded:
                phdrs += struct.pack(
                    "<8I", 1, offset, part.addr, part.addr, part.size, part.size, 5, part.align
                )
        sections = len(self.parts) + 2 if self.section_headers else 0
        values = {
            "type": 2,
            "machine": self.machine,
            "version": 1,
            "entry": self.entry,
            "phoff": _HEADER_LEN,
            "shoff": table_offset if sections else 0,
            "flags": 0,
            "ehsize": _HEADER_LEN,
            "phentsize": 32,
            "phnum": programs,
            "shentsize": self.section_size,
            "shnum": sections,
            "shstrndx": max(0, sections - 1),
        } | self.overrides
        ident = b"\x7fELF" + bytes((self.elf_class, self.endian, 1)) + bytes(9)
        form = ("<" if self.endian == 1 else ">") + "HHIIIIIHHHHHH"
        header = ident + struct.pack(form, *values.values())
        return header + phdrs + body + names + (table if sections else b"")


def ram_program(ram: int) -> bytes:
    """Two sections in RAM from address `ram` on."""
    parts = [Part(".dram", ram, pattern(100, 2)), Part(".iram", ram + 0x400, pattern(200))]
    return Elf(parts, XTENSA, entry=ram + 0x404).build()


def pattern(size: int, seed: int = 1) -> bytes:
    """Bytes that differ from place to place and from seed to seed."""
    return bytes((i * 7 + i // 251 + seed * 31) & 0xFF for i in range(size))


#: Small programs that tests begin with.
C3_ELF = ram_program(0x3FC80000)
ELF_8266 = Elf(
    [Part(".text", 0x40100000, pattern(90)), Part(".irom0.text", 0x40210000, pattern(70))], XTENSA
).build()
