# SPDX-License-Identifier: Apache-2.0
"""Examines firmware images: everything `image-info` tells, as data. Lays out no text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.errors import ImageError
from esptool.image.descriptors import (
    AppDescription,
    BootloaderDescription,
    app_description,
    bootloader_description,
)
from esptool.image.header import (
    EXTENDED_HEADER_LEN,
    FLASH_MODES,
    HEADER_LEN,
    IMAGE_MAGIC,
    IMAGE_MAGIC_V2,
    MAX_SEGMENTS,
    ExtendedHeader,
    label_of,
)
from esptool.image.model import FirmwareImage, ImageKind
from esptool.image.reader import detect_chip, scan_image
from esptool.image.regions import Region
from esptool.image.signatures import SignatureBlock, find_signatures
from esptool.records import dataclass

_FLASH_GRID = 0x1000
_SMALLEST_BOOT_DESCRIPTION = 80


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A row of the segment table."""

    index: int
    length: int
    address: int
    file_offset: int
    memory_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """All that can be said of one image without a chip.

    Attributes:
        size: bytes of the file or region that holds it.
        detected: the chip was taken from the image, not from the caller.
        flash_size, flash_freq, flash_mode: words, None for codes that the chip does not know.
        calculated_checksum: None when the image ends before its checksum.
        problems: what is wrong, one sentence a field.
    """

    image: FirmwareImage
    size: int
    detected: bool
    flash_size: str | None
    flash_freq: str | None
    flash_mode: str | None
    segments: tuple[SegmentInfo, ...]
    calculated_checksum: int | None
    app: AppDescription | None
    bootloader: BootloaderDescription | None
    signatures: tuple[SignatureBlock, ...]
    problems: tuple[str, ...]

    @property
    def chip(self) -> ChipSpec:
        """The chip that the image was read for."""
        return self.image.chip

    @property
    def version(self) -> int:
        """The layout's version: 2 for the ESP8266 SDK boot loader's, else 1."""
        return 2 if self.image.kind is ImageKind.ESP8266_V2 else 1

    @property
    def checksum_valid(self) -> bool:
        """The checksum is present and right."""
        stored = self.image.checksum
        return stored is not None and stored == self.calculated_checksum

    @property
    def digest_valid(self) -> bool | None:
        """The digest is right; None where there is none."""
        if self.image.calculated_digest is None:
            return None
        return self.image.calculated_digest == self.image.stored_digest


def examine(
    data: bytes,
    chip: ChipSpec | str | None = None,
    name: str | None = None,
    *,
    other_chips: bool = False,
) -> ImageInfo:
    """Examine the image that `data` start with, for `chip` or for the one that it names itself.

    A damaged image gives what could be read, and `problems`. With `other_chips` so does one that
    is for another chip.

    Raises:
        ImageError: the data do not begin with an image, or with one for another chip.
    """
    asked = chips.get(chip) if isinstance(chip, str) else chip
    try:
        found = detect_chip(data)
    except ImageError:
        if asked is None or data[:1] not in (bytes((IMAGE_MAGIC,)), bytes((IMAGE_MAGIC_V2,))):
            raise
        found = asked
    spec = asked or found
    foreign = found is not spec and found.image.extended_header and spec.image.extended_header
    if foreign and not other_chips:
        raise ImageError(_for_another(found, spec, "This" if name is None else f"'{name}'"))
    image = scan_image(data, spec)
    calculated = None if image.checksum is None else image.calculate_checksum()
    app, bootloader = _descriptions(image)
    return ImageInfo(
        image=image,
        size=len(data),
        detected=chip is None,
        flash_size=label_of(spec.flash.sizes, image.header.flash_size_freq & 0xF0),
        flash_freq=label_of(spec.flash.frequencies, image.header.flash_size_freq & 0x0F),
        flash_mode=label_of(FLASH_MODES, image.header.flash_mode),
        segments=tuple(_segments(image)),
        calculated_checksum=calculated,
        app=app,
        bootloader=bootloader,
        signatures=()
        if image.fault
        else find_signatures(data, image.length, v1=spec.image.secure_pad_v1),
        problems=tuple(_problems(image, calculated)),
    )


def _for_another(found: ChipSpec, asked: ChipSpec, what: str) -> str:
    return (
        f"{what} is an {found.name} image, not one for {asked.name}. "
        f"Use --chip {found.key}, or leave the option out."
    )


def _segments(image: FirmwareImage) -> Iterator[SegmentInfo]:
    for index, segment in enumerate(image.segments):
        assert segment.file_offset is not None
        yield SegmentInfo(
            index=index,
            length=len(segment.data),
            address=segment.addr,
            file_offset=segment.file_offset,
            memory_types=image.chip.memory_kind(segment.addr),
        )


def _descriptions(
    image: FirmwareImage,
) -> tuple[AppDescription | None, BootloaderDescription | None]:
    """The first DROM segment of an application, or the last DRAM segment of a boot loader."""
    app_data = boot_data = None
    for segment in image.segments:
        kinds = image.chip.memory_kind(segment.addr)
        if "DROM" in kinds and app_data is None:
            app_data = segment.data
        elif "DRAM" in kinds and len(segment.data) >= _SMALLEST_BOOT_DESCRIPTION:
            boot_data = segment.data
    if app_data:
        return app_description(app_data), None
    return None, bootloader_description(boot_data) if boot_data else None


def _problems(image: FirmwareImage, calculated: int | None) -> Iterator[str]:
    if image.fault:
        yield image.fault
    if image.checksum is not None and image.checksum != calculated:
        yield f"Checksum is {image.checksum:#04x}, but the segments give {calculated:#04x}."
    if image.calculated_digest != image.stored_digest:
        stored = image.stored_digest or b""
        if len(stored) < len(image.calculated_digest or b""):
            yield f"The SHA-256 digest is cut off: {len(stored)} of 32 bytes present."
        else:
            yield "The SHA-256 digest does not match the image."
    header, flash = image.header, image.chip.flash
    if label_of(flash.sizes, header.flash_size_freq & 0xF0) is None:
        yield f"Flash size code {header.flash_size_freq & 0xF0:#04x} is not one of this chip's."
    if label_of(flash.frequencies, header.flash_size_freq & 0x0F) is None:
        yield f"Flash clock code {header.flash_size_freq & 0x0F:#04x} is not one of this chip's."
    if label_of(FLASH_MODES, header.flash_mode) is None:
        yield f"Flash mode code {header.flash_mode} does not exist."
    extended = image.extended
    if extended is not None and extended.chip_id != image.chip.image_chip_id:
        owner = chips.by_chip_id(extended.chip_id)
        if owner is None:
            yield f"Chip ID {extended.chip_id} is not that of {image.chip.name}."
        else:
            yield _for_another(owner, image.chip, "This")


# --- merged binaries ---------------------------------------------------------------------------


def find_images(data: bytes, start: int = 0) -> list[Region]:
    """Whole images with a right checksum on the 4 KiB grid of a flash dump, from `start` on.

    Only images with an extended header are looked for: those of ESP8266 are too easily mimicked.
    """
    found: list[Region] = []
    at = -(-start // _FLASH_GRID) * _FLASH_GRID
    while at < len(data):
        image = _plausible_image(data, at)
        if image is None:
            at += _FLASH_GRID
            continue
        found.append(Region(at, data[at : at + image.length]))
        at = -(-(at + image.length) // _FLASH_GRID) * _FLASH_GRID
    return found


def _plausible_image(data: bytes, at: int) -> FirmwareImage | None:
    if data[at] != IMAGE_MAGIC or len(data) < at + HEADER_LEN + EXTENDED_HEADER_LEN:
        return None
    extended = ExtendedHeader.unpack(data, at + HEADER_LEN)
    if extended.append_digest not in (0, 1) or not 0 < data[at + 1] <= MAX_SEGMENTS:
        return None
    chip = chips.by_chip_id(extended.chip_id)
    if chip is None:
        return None
    image = scan_image(data, chip, at)
    whole = image.fault is None and image.checksum == image.calculate_checksum()
    return image if whole else None


# --- data for machines -------------------------------------------------------------------------


def to_json(info: ImageInfo, offset: int | None = None) -> dict[str, Any]:
    """One entry of the JSON list `images`; the schema is in docs/firmware-image-format.md."""
    image, header, extended = info.image, info.image.header, info.image.extended
    result: dict[str, Any] = {
        "offset": offset,
        "size": info.size,
        "image_length": image.length,
        "chip": info.chip.key,
        "chip_name": info.chip.name,
        "chip_detected": info.detected,
        "image_version": info.version,
        "entry_point": header.entry,
        "flash": {
            "mode": info.flash_mode,
            "mode_code": header.flash_mode,
            "size": info.flash_size,
            "size_code": header.flash_size_freq & 0xF0,
            "freq": info.flash_freq,
            "freq_code": header.flash_size_freq & 0x0F,
        },
        "extended_header": None if extended is None else _extended_json(extended),
        "segments": [
            {
                "index": s.index,
                "length": s.length,
                "load_address": s.address,
                "file_offset": s.file_offset,
                "memory_types": list(s.memory_types),
            }
            for s in info.segments
        ],
        "checksum": {
            "stored": image.checksum,
            "calculated": info.calculated_checksum,
            "valid": info.checksum_valid,
        },
        "digest": _digest_json(info),
        "application": None if info.app is None else _app_json(info.app),
        "bootloader": None
        if info.bootloader is None
        else {
            "version": info.bootloader.version,
            "idf_version": info.bootloader.idf_version,
            "compile_time": info.bootloader.date_time,
        },
        "signatures": [
            {"version": s.version, "offset": s.offset, "scheme": s.scheme, "intact": s.intact}
            for s in info.signatures
        ],
        "warnings": list(image.warnings),
        "problems": list(info.problems),
        "fault": image.fault,
    }
    return result


def _extended_json(extended: ExtendedHeader) -> dict[str, Any]:
    owner = chips.by_chip_id(extended.chip_id)
    return {
        "wp_pin": extended.wp_pin,
        "drive": {
            "clk": extended.clk_drv,
            "q": extended.q_drv,
            "d": extended.d_drv,
            "cs0": extended.cs_drv,
            "hd": extended.hd_drv,
            "wp": extended.wp_drv,
        },
        "chip_id": extended.chip_id,
        "chip_id_name": None if owner is None else owner.name,
        "min_rev": extended.min_rev,
        "min_rev_full": extended.min_rev_full,
        "max_rev_full": extended.max_rev_full,
        "append_digest": extended.append_digest,
    }


def _digest_json(info: ImageInfo) -> dict[str, Any]:
    stored, calculated = info.image.stored_digest, info.image.calculated_digest
    return {
        "appended": info.image.append_digest,
        "stored": None if stored is None else stored.hex(),
        "calculated": None if calculated is None else calculated.hex(),
        "valid": info.digest_valid,
    }


def _app_json(app: AppDescription) -> dict[str, Any]:
    return {
        "project_name": app.project_name,
        "version": app.version,
        "compile_date": app.date,
        "compile_time": app.time,
        "elf_sha256": app.elf_sha256.hex(),
        "idf_version": app.idf_version,
        "min_efuse_block_revision": app.min_efuse_block_revision,
        "max_efuse_block_revision": app.max_efuse_block_revision,
        "mmu_page_size": app.mmu_page_size,
        "secure_version": app.secure_version,
    }
