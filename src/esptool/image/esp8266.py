# SPDX-License-Identifier: Apache-2.0
"""Builds the three ESP8266 image versions: ROM loader (1), SDK boot loader (2), RTOS SDK (3)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from esptool.chips.spec import ChipSpec
from esptool.errors import ImageError
from esptool.image.esp32 import finish, refuse_shared_pages
from esptool.image.header import IMAGE_MAGIC_V2, V2_SEGMENT_COUNT, Header
from esptool.image.model import Segment
from esptool.image.writer import ElfDigest, ImageWriter
from esptool.records import dataclass, replace

_V2_IROM_ALIGN = 16
_V3_RODATA = ".flash.rodata"
_V3_RODATA_SKIP = 8  # the RTOS linker script leaves room for a header that the image has already


@dataclass(frozen=True, slots=True)
class V1Image:
    """Two files: `irom` for flash at `irom_offset` (None where there is none), `main` for 0."""

    main: bytes
    irom: bytes | None
    irom_offset: int


def split_irom(segments: Sequence[Segment], chip: ChipSpec) -> tuple[Segment | None, list[Segment]]:
    """The one segment that runs from flash, and the others.

    Raises:
        ImageError: more than one segment lies in the flash window.
    """
    low, high = chip.image.irom
    irom = [s for s in segments if low <= s.addr < high]
    if len(irom) > 1:
        raise ImageError(f"Found {len(irom)} segments that could be irom0. Bad ELF file?")
    return (irom[0] if irom else None), [s for s in segments if not low <= s.addr < high]


def irom_offset(segments: Sequence[Segment], chip: ChipSpec) -> int:
    """Flash offset of the IROM part, 0 where there is none.

    Raises:
        ImageError: more than one segment lies in the flash window.
    """
    irom, _ = split_irom(segments, chip)
    return 0 if irom is None else irom.addr - chip.image.irom[0]


def build_v1(
    segments: Sequence[Segment],
    chip: ChipSpec,
    header: Header,
    elf_digest: ElfDigest | None = None,
) -> V1Image:
    """RAM segments for the ROM loader, and the IROM part as it goes to flash.

    Raises:
        ImageError: segments cannot be laid out.
    """
    irom, loaded = split_irom(segments, chip)
    writer = ImageWriter(elf_digest)
    _loaded_part(writer, loaded, header)
    return V1Image(
        bytes(writer.out), None if irom is None else irom.data, irom_offset(segments, chip)
    )


def build_v2(
    segments: Sequence[Segment],
    chip: ChipSpec,
    header: Header,
    elf_digest: ElfDigest | None = None,
) -> bytes:
    """One file: a first header, the IROM part, then a version 1 image and a CRC of all.

    Raises:
        ImageError: segments cannot be laid out.
    """
    irom, loaded = split_irom(segments, chip)
    writer = ImageWriter(elf_digest)
    first = replace(header, magic=IMAGE_MAGIC_V2, segment_count=V2_SEGMENT_COUNT)
    writer.raw(first.pack())
    if irom is not None:
        padded = irom.data + bytes(-len(irom.data) % _V2_IROM_ALIGN)
        writer.segment(0, padded, checksummed=False)
    _loaded_part(writer, loaded, header)
    return bytes(writer.out) + sdk_crc32(writer.out).to_bytes(4, "little")


def build_v3(
    segments: Sequence[Segment],
    chip: ChipSpec,
    header: Header,
    page: int = 0x10000,
    elf_digest: ElfDigest | None = None,
    *,
    append_digest: bool = True,
) -> bytes:
    """One file without page alignment: flash segments, RAM segments, checksum, SHA-256.

    Raises:
        ImageError: segments cannot be laid out.
    """
    filled = sorted((s for s in segments if s.data), key=lambda s: s.addr)
    flash = [s for s in filled if is_v3_flash(chip, s.addr)]
    ram = [s for s in filled if not is_v3_flash(chip, s.addr)]
    refuse_shared_pages(flash, page)
    writer = ImageWriter(elf_digest)
    writer.raw(replace(header, segment_count=0).pack())
    for segment in flash:
        skip = _V3_RODATA_SKIP if segment.name == _V3_RODATA else 0
        writer.segment(segment.addr, segment.data[skip:])
    for segment in ram:
        writer.segment(segment.addr, segment.data)
    writer.checksum()
    return finish(writer, writer.count, digest=append_digest)


def is_v3_flash(chip: ChipSpec, address: int) -> bool:
    """Everything above the start of the flash window."""
    return address > chip.image.irom[0]


def sdk_crc32(data: bytes | bytearray) -> int:
    """The CRC-32 that closes a version 2 image: zlib's, made positive the way the SDK does it."""
    crc = zlib.crc32(data)
    return crc ^ 0xFFFFFFFF if crc & 0x80000000 else crc + 1


def _loaded_part(writer: ImageWriter, loaded: Sequence[Segment], header: Header) -> None:
    """Header, segments and checksum as the ROM loader wants them."""
    if len(loaded) > 0xFF:
        raise ImageError(f"The image would have {len(loaded)} segments; its header can count 255.")
    writer.raw(replace(header, segment_count=len(loaded)).pack())
    for segment in loaded:
        writer.segment(segment.addr, segment.data)
    writer.checksum()
