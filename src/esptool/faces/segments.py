# SPDX-License-Identifier: Apache-2.0
"""Segments and ELF files by their v5 names: mutable objects over `esptool.image`."""

from __future__ import annotations

from typing import Protocol

from esptool.chips.spec import ChipSpec
from esptool.image.elf import read_elf
from esptool.image.model import Segment
from esptool.image.sources import ImageSource, read_source
from esptool.logger import log


class _OfChip(Protocol):
    """An image, as far as a segment needs to know it."""

    @property
    def rules(self) -> ChipSpec:
        """The chip whose memory map counts."""


class ImageSegment:
    """Bytes for an address. Unless that is 0, the data are padded to whole words."""

    def __init__(
        self,
        addr: int,
        data: bytes,
        file_offs: int | None = None,
        flags: int = 0,
        align: int = 4,
    ) -> None:
        self.addr = addr
        self.data = data
        self.file_offs = file_offs
        self.flags = flags
        self.align = align
        self.include_in_checksum = True
        if addr:
            self.pad_to_alignment(4)

    def __repr__(self) -> str:
        place = "" if self.file_offs is None else f" file_offs {self.file_offs:#010x}"
        return f"len {len(self.data):#07x} load {self.addr:#010x}{place}"

    def copy_with_new_addr(self, new_addr: int) -> ImageSegment:
        """The same data for another address."""
        return ImageSegment(new_addr, self.data, 0)

    def split_image(self, split_len: int) -> ImageSegment:
        """Cut the first `split_len` bytes off and return them as a segment of their own."""
        front = type(self).__new__(type(self))
        front.__dict__.update(self.__dict__)
        front.data, self.data = self.data[:split_len], self.data[split_len:]
        self.addr += split_len
        front.file_offs = self.file_offs = None
        return front

    def get_memory_type(self, image: _OfChip) -> list[str]:
        """The kinds of memory at the segment's address on the chip of `image`."""
        return list(image.rules.memory_kind(self.addr))

    def pad_to_alignment(self, alignment: int) -> None:
        """Append zeros up to a multiple of `alignment` bytes."""
        self.data += bytes(-len(self.data) % alignment)

    def end_addr_if_aligned(self, alignment: int) -> int:
        """The end address, rounded up."""
        end = self.addr + len(self.data)
        return end + -end % max(1, alignment)

    def pad_until_addr(self, addr: int) -> None:
        """Append zeros so that the segment ends at `addr`; nothing if it already reaches it."""
        self.data += bytes(max(0, addr - self.addr - len(self.data)))

    def frozen(self) -> Segment:
        """The segment as a value of `esptool.image`."""
        return Segment(
            self.addr,
            self.data,
            self.file_offs,
            self.name if isinstance(self, ELFSection) else "",
            self.flags,
            self.align,
            self.include_in_checksum,
        )


class ELFSection(ImageSegment):
    """A segment with the name that it had in an ELF file."""

    def __init__(
        self, name: bytes | str, addr: int, data: bytes, flags: int, align: int = 4
    ) -> None:
        super().__init__(addr, data, flags=flags, align=align)
        self.name = name.decode("utf-8") if isinstance(name, bytes) else name

    def __repr__(self) -> str:
        return f"{self.name} {super().__repr__()}"


def thawed(segment: Segment, file_offset: int = 0) -> ImageSegment:
    """A value of `esptool.image` as a segment; `file_offset` is where its image begins."""
    if segment.name:
        section = ELFSection(segment.name, segment.addr, segment.data, segment.flags, segment.align)
        section.include_in_checksum = segment.checksummed
        return section
    offset = None if segment.file_offset is None else segment.file_offset + file_offset
    result = ImageSegment(segment.addr, segment.data, offset, segment.flags, segment.align)
    result.include_in_checksum = segment.checksummed
    return result


class ELFFile:
    """An ELF file: `entrypoint`, `sections`, `nobits_sections` and `segments`.

    Raises:
        FatalError: it cannot be read, or is no 32-bit ELF for Xtensa or RISC-V.
    """

    LEN_SEC_HEADER = 0x28
    LEN_SEG_HEADER = 0x20
    SEG_TYPE_LOAD = 0x01

    def __init__(self, data: ImageSource) -> None:
        self.data, self.name = read_source(data)
        program = read_elf(self.data, self.name)
        for warning in program.warnings:
            log.warning(warning)
        self.entrypoint = program.entry
        self.sections = [thawed(s) for s in program.sections]
        self.nobits_sections = [thawed(s) for s in program.nobits]
        self.segments = [thawed(s) for s in program.segments or ()]
        self._program = program

    def get_section(self, section_name: str) -> ImageSegment:
        """The section of that name.

        Raises:
            ValueError: there is none.
        """
        for section in self.sections:
            if isinstance(section, ELFSection) and section.name == section_name:
                return section
        raise ValueError(f"No section {section_name} in ELF file")

    def sha256(self) -> bytes:
        """Digest of the whole file."""
        return self._program.sha256
