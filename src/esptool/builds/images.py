# SPDX-License-Identifier: Apache-2.0
"""What a file is, by its content: boot loader, table, application, OTA data, several merged."""

from __future__ import annotations

from collections.abc import Iterable

from esptool import chips
from esptool.builds.model import FlashWords, Part, Role
from esptool.chips.spec import ChipSpec
from esptool.errors import ImageError, StorageError
from esptool.image.content import Data
from esptool.image.header import (
    EXTENDED_HEADER_LEN,
    HEADER_LEN,
    IMAGE_MAGIC,
    IMAGE_MAGIC_V2,
    MAX_SEGMENTS,
    ExtendedHeader,
)
from esptool.image.info import ImageInfo, examine
from esptool.image.reader import detect_chip
from esptool.records import replace
from esptool.storage.otadata import SIZE as OTADATA_SIZE
from esptool.storage.otadata import OtaData
from esptool.storage.partition import MAGIC as TABLE_MAGIC
from esptool.storage.partitions import LAST_OFFSET, LENGTH, PartitionTable, candidate_offsets

ELF_MAGIC = b"\x7fELF"
#: What MCUboot expects in front of an application (its `struct image_header`).
MCUBOOT_MAGIC = b"\x3d\xb8\xf3\x96"
#: Boot loaders are smaller than this on every chip.
_BOOTLOADER_MAX = 0x20000
_HEAD = LAST_OFFSET + LENGTH


def chip_in(data: Data) -> ChipSpec | None:
    """The chip that an image with an extended header is for; None for all else."""
    head = bytes(data[: HEADER_LEN + EXTENDED_HEADER_LEN])
    if len(head) < HEADER_LEN + EXTENDED_HEADER_LEN or head[0] != IMAGE_MAGIC:
        return None
    extended = ExtendedHeader.unpack(head)
    if extended.append_digest not in (0, 1) or not 0 < head[1] <= MAX_SEGMENTS:
        return None
    return chips.by_chip_id(extended.chip_id)


def is_esp8266(data: Data) -> bool:
    """An image of the chip whose header does not name it."""
    if bytes(data[:1]) not in (bytes((IMAGE_MAGIC,)), bytes((IMAGE_MAGIC_V2,))):
        return False
    try:
        return not detect_chip(bytes(data)).image.extended_header
    except ImageError:
        return False


def image_info(data: Data, chip: str | None = None) -> ImageInfo | None:
    """What an image tells; None where the data are none for `chip`."""
    try:
        return examine(bytes(data), chip)
    except ImageError:
        return None


def damage(info: ImageInfo) -> list[str]:
    """What is wrong with an image in itself, a sentence each."""
    if info.image.fault:
        return [info.image.fault]
    if not info.checksum_valid:
        return ["its checksum is wrong."]
    return ["its SHA-256 digest is wrong."] if info.digest_valid is False else []


def table_in(data: Data) -> PartitionTable | None:
    """The partition table that data begin with; None where they begin with none."""
    head = bytes(data[:LENGTH])
    if head[: len(TABLE_MAGIC)] != TABLE_MAGIC:
        return None
    try:
        return PartitionTable.from_bytes(head)
    except StorageError:
        return None


def is_otadata(data: Data) -> bool:
    """Two sectors with an entry that names a slot, or blank ones."""
    if len(data) != OTADATA_SIZE:
        return False
    found = OtaData.from_bytes(bytes(data))
    return any(entry.intact for entry in found.entries) or found == OtaData.blank()


def merged_offset(data: Data) -> tuple[int, ChipSpec] | None:
    """Where a merged image or a dump of flash belongs, and its chip; None where it is none.

    It begins at the start of flash, or at the boot loader: what tells is the boot loader's image
    at the place that its own chip takes it from, and a table behind it where tables stand.
    """
    for at in (0, 0x1000, 0x2000):
        chip = chip_in(data[at : at + HEADER_LEN + EXTENDED_HEADER_LEN])
        if chip is None:
            continue
        start = chip.flash.bootloader_offset - at
        if start < 0:
            continue
        if at and not bytes(data[:at]).strip(b"\xff"):
            return start, chip
        head = bytes(data[:_HEAD])
        places = (table - start for table in candidate_offsets() if table - start > at)
        if any(table_in(head[place : place + LENGTH]) is not None for place in places):
            return start, chip
    return None


def role_of(part: Part, chip: str | None) -> Part:
    """The part with the role that its content and its place give it."""
    data = part.data
    head = bytes(data[:4])
    if head == ELF_MAGIC:
        return replace(part, role=Role.APP, elf=True)
    if table_in(data) is not None:
        return replace(part, role=Role.TABLE)
    found = chip_in(data)
    if found is not None:
        if merged_offset(data) is not None:
            return replace(part, role=Role.MERGED)
        boot_at = found.flash.bootloader_offset
        stands_there = part.offset == boot_at
        if part.offset in (None, boot_at) and is_bootloader(data, part.name, stands_there):
            return replace(part, role=Role.BOOTLOADER)
        return replace(part, role=Role.APP)
    if merged_offset(data) is not None:
        return replace(part, role=Role.MERGED)
    if head == MCUBOOT_MAGIC or is_esp8266(data):
        return replace(part, role=Role.APP)
    named_ota = part.name.lower().find("ota") >= 0 or "boot_app0" in part.name
    if is_otadata(data) and (named_ota or bytes(data[:4]) != b"\xff" * 4):
        return replace(part, role=Role.OTADATA)
    return part


def is_bootloader(data: Data, name: str, stands_there: bool = False) -> bool:
    """An image is a second-stage boot loader.

    It says so, or maps no flash and is named so or known to stand where the ROM looks for one.
    """
    if len(data) > _BOOTLOADER_MAX:
        return False
    info = image_info(data)
    if info is None or info.app is not None:
        return False
    if info.bootloader is not None:
        return True
    mapped = any({"IROM", "DROM"} & set(segment.memory_types) for segment in info.segments)
    base = name.replace("\\", "/").rpartition("/")[2].lower()
    return not mapped and (stands_there or "bootloader" in base or "mcuboot" in base)


def words_in(data: Data) -> FlashWords:
    """Flash parameters in an image's header; "keep" for what it does not say."""
    info = image_info(data)
    if info is None:
        return FlashWords()
    return FlashWords(
        info.flash_mode or "keep", info.flash_freq or "keep", info.flash_size or "keep"
    )


def chip_of(parts: Iterable[Part]) -> str | None:
    """The chip that boot loader or application name, the first that does."""
    ordered = sorted(parts, key=lambda part: part.role is not Role.BOOTLOADER)
    for part in ordered:
        if part.elf or part.role not in (Role.BOOTLOADER, Role.APP, Role.MERGED):
            continue
        found = chip_in(part.data)
        if part.role is Role.MERGED:
            merged = merged_offset(part.data)
            found = None if merged is None else merged[1]
        if found is not None:
            return found.key
    for part in ordered:
        if part.role is Role.APP and not part.elf and is_esp8266(part.data):
            return detect_chip(bytes(part.data)).key
    return None
