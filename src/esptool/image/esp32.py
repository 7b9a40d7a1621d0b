# SPDX-License-Identifier: Apache-2.0
"""Builds images of the ESP32 family: RAM segments fill the gaps that flash mapping leaves.

A segment that is mapped through the MMU must stand in the file at the same offset within a page as
its address does, so what would be padding in front of it is filled with RAM data where there are
any. The result does not depend on the order of the ELF's sections.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise

from esptool.chips.spec import ChipSpec
from esptool.errors import ImageError, UsageError
from esptool.image.header import (
    DIGEST_LEN,
    SEGMENT_HEADER_LEN,
    ExtendedHeader,
    Header,
)
from esptool.image.model import Segment
from esptool.image.writer import ElfDigest, ImageWriter
from esptool.records import dataclass, replace

APP_DESCRIPTOR_SECTION = ".flash.appdesc"
BOOT_DESCRIPTOR_SECTION = ".dram0.bootdesc"
_CHECKSUM_LINE = 16
_V1_SIGNATURE = 4 + 64 + 12  # version, signature, filling up to a whole line


@dataclass(frozen=True, slots=True)
class Esp32Layout:
    """Choices that shape the file.

    Attributes:
        page: MMU page size.
        append_digest: a SHA-256 of everything follows the checksum.
        secure_pad: 1 or 2 pads for a signature of that secure boot version, None for none.
        ram_only: RAM segments first and alone counted in the header; no digest.
        pad_to: fill with 0xFF to a multiple of this, 0 for not at all.
    """

    page: int = 0x10000
    append_digest: bool = True
    secure_pad: int | None = None
    ram_only: bool = False
    pad_to: int = 0


def is_flash_mapped(chip: ChipSpec, address: int) -> bool:
    """The address is read from flash through the MMU."""
    return any(low <= address < high for low, high in (chip.image.irom, chip.image.drom))


def build_esp32(
    segments: Sequence[Segment],
    chip: ChipSpec,
    header: Header,
    extended: ExtendedHeader,
    layout: Esp32Layout,
    elf_digest: ElfDigest | None = None,
) -> bytes:
    """The bytes of an image. The counts in `header` and the digest flag are filled in here.

    Raises:
        ImageError: segments cannot be laid out (two in one page, too long, not in words).
        UsageError: secure padding without a digest.
    """
    digest = layout.append_digest and not layout.ram_only
    if layout.secure_pad and not digest:
        raise UsageError(
            "secure_pad only applies if a SHA-256 digest is also appended to the image"
        )
    ordered = sorted(segments, key=lambda s: s.addr)
    flash = [s for s in ordered if is_flash_mapped(chip, s.addr)]
    ram = [s for s in ordered if not is_flash_mapped(chip, s.addr)]
    _name_first(flash, APP_DESCRIPTOR_SECTION)
    _name_first(ram, BOOT_DESCRIPTOR_SECTION)
    refuse_shared_pages(flash, layout.page)

    writer = ImageWriter(elf_digest)
    writer.raw(replace(header, segment_count=0).pack())
    writer.raw(replace(extended, append_digest=int(digest)).pack())
    guarded = _tail_guard(chip, layout.page)
    if layout.ram_only:
        _write_ram_first(writer, ram, flash, chip, layout.page, guarded)
        count = len(ram)
    else:
        _write_flash_first(writer, flash, ram, layout.page, guarded)
        if layout.secure_pad:
            _pad_for_signature(writer, layout)
        count = writer.count
        writer.checksum()
    return finish(writer, count, digest=digest, pad_to=layout.pad_to)


def finish(writer: ImageWriter, count: int, *, digest: bool, pad_to: int = 0) -> bytes:
    """Fill in the number of segments, then append the digest and the padding.

    Raises:
        ImageError: more segments than the header's byte can count.
    """
    if count > 0xFF:
        raise ImageError(f"The image would have {count} segments; its header can count 255.")
    out = writer.out
    out[1] = count
    if digest:
        out += hashlib.sha256(out).digest()
    if pad_to:
        out += b"\xff" * (-len(out) % pad_to)
    return bytes(out)


def refuse_shared_pages(flash: Sequence[Segment], page: int) -> None:
    """Neighbours in the file cannot be mapped when they start in the same MMU page.

    Raises:
        ImageError: two do.
    """
    for before, after in pairwise(flash):
        if before.addr // page == after.addr // page:
            raise ImageError(
                f"Segment loaded at {after.addr:#010x} lands in same {page // 1024} KB flash "
                f"mapping as segment loaded at {before.addr:#010x}. Can't generate binary. "
                "Suggest changing linker script or ELF to merge sections."
            )


def _name_first(segments: list[Segment], name: str) -> None:
    """The boot loaders look for a descriptor at the very start of the first segment."""
    for i, segment in enumerate(segments):
        if segment.name == name:
            segments.insert(0, segments.pop(i))
            return


def _tail_guard(chip: ChipSpec, page: int) -> Callable[[int, bytes], bytes]:
    """ESP32 cannot map a page of which only the first few bytes are used."""

    def guarded(position: int, data: bytes) -> bytes:
        used = (position + SEGMENT_HEADER_LEN + len(data)) % page
        return data + bytes(max(0, chip.image.tail_guard - used))

    return guarded


def _write_flash_first(
    writer: ImageWriter,
    flash: Sequence[Segment],
    ram: Sequence[Segment],
    page: int,
    guarded: Callable[[int, bytes], bytes],
) -> None:
    """Each flash segment at its place in a page, gaps filled with RAM data, then the other RAM."""
    waiting = list(ram)
    for segment in flash:
        while (gap := _gap(len(writer), segment.addr, page)) is not None:
            if not waiting or gap <= SEGMENT_HEADER_LEN:
                writer.padding(gap, segment.name)
                continue
            filler = waiting.pop(0)
            writer.segment(filler.addr, filler.data[:gap], segment.name)
            if len(filler.data) > gap:
                rest = replace(filler, addr=filler.addr + gap, data=filler.data[gap:])
                waiting.insert(0, rest)
        writer.segment(segment.addr, guarded(len(writer), segment.data), segment.name)
    for segment in waiting:
        writer.segment(segment.addr, segment.data, segment.name)


def _gap(position: int, address: int, page: int) -> int | None:
    """Data bytes of the filling segment that is needed in front, None when none is.

    A gap that is too small for a segment header reaches into the next page.
    """
    distance = page - position % page + address % page - SEGMENT_HEADER_LEN
    if distance in (0, page):
        return None
    filling = distance - SEGMENT_HEADER_LEN
    return filling if filling >= 0 else filling + page


def _write_ram_first(
    writer: ImageWriter,
    ram: Sequence[Segment],
    flash: Sequence[Segment],
    chip: ChipSpec,
    page: int,
    guarded: Callable[[int, bytes], bytes],
) -> None:
    """RAM segments and their checksum, then flash segments that the ROM loader does not see.

    Such an image is flashed at the boot loader's offset, so pages are counted from there.
    """
    for segment in ram:
        writer.segment(segment.addr, segment.data, segment.name)
    writer.checksum()
    offset = chip.flash.bootloader_offset
    for segment in reversed(flash):
        filling = (segment.addr - len(writer) - 2 * SEGMENT_HEADER_LEN) % page
        if filling < offset:
            filling += page
        writer.padding(filling - offset, segment.name, checksummed=False)
        data = guarded(len(writer), segment.data)
        writer.segment(segment.addr, data, segment.name, checksummed=False)


def _pad_for_signature(writer: ImageWriter, layout: Esp32Layout) -> None:
    """A last padding segment, so that image and signature (v1) or image alone (v2) fill pages."""
    after_checksum = DIGEST_LEN + (_V1_SIGNATURE if layout.secure_pad == 1 else 0)
    used = (len(writer) + SEGMENT_HEADER_LEN) % layout.page
    writer.padding((layout.page - used - _CHECKSUM_LINE - after_checksum) % layout.page)
