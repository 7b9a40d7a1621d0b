# SPDX-License-Identifier: Apache-2.0
"""Firmware images by their v5 names: mutable objects over `esptool.image`."""

from __future__ import annotations

import os
from typing import IO, Any, ClassVar

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.errors import ImageError
from esptool.faces.base import LOADERS
from esptool.faces.segments import ImageSegment, thawed
from esptool.files import write_atomic
from esptool.image import esp32, esp8266
from esptool.image.convert import BuiltImage, adjacent_runs
from esptool.image.header import (
    DIGEST_LEN,
    IMAGE_MAGIC,
    IMAGE_MAGIC_V2,
    MAX_SEGMENTS,
    SEGMENT_HEADER_LEN,
    V2_SEGMENT_COUNT,
    WP_PIN_DISABLED,
    ExtendedHeader,
    Header,
    xor_checksum,
)
from esptool.image.model import FirmwareImage, ImageKind, Segment
from esptool.image.reader import read_image, too_many_segments
from esptool.image.writer import ElfDigest
from esptool.logger import log


class RomLoader:
    """The chip's loader class; `esptool.targets` fills the table."""

    def __get__(self, instance: object, owner: type[BaseFirmwareImage]) -> Any:
        return LOADERS.get(owner.rules.key)


class BaseFirmwareImage:
    """What images of all kinds have in common.

    Class attribute `rules` is the chip whose memory map and flash codes count.
    """

    SEG_HEADER_LEN = SEGMENT_HEADER_LEN
    SHA256_DIGEST_LEN = DIGEST_LEN
    IROM_ALIGN = 0
    MMU_PAGE_SIZE_CONF: tuple[int, ...] = ()
    ROM_LOADER = RomLoader()

    rules: ClassVar[ChipSpec]
    version = 1

    def __init__(self) -> None:
        self.segments: list[ImageSegment] = []
        self.entrypoint = 0
        self.flash_mode = 0
        self.flash_size_freq = 0
        self.checksum = 0
        self.elf_sha256: bytes | None = None
        self.elf_sha256_offset = 0
        self.pad_to_size = 0

    def verify(self) -> None:
        """Make sure that the ROM can load so many segments.

        Raises:
            FatalError: it cannot.
        """
        if len(self.segments) > MAX_SEGMENTS:
            raise ImageError(too_many_segments(len(self.segments)))

    def calculate_checksum(self) -> int:
        """The checksum that the segments call for."""
        value = xor_checksum(b"")
        for segment in self.segments:
            if segment.include_in_checksum:
                value = xor_checksum(segment.data, value)
        return value

    def is_irom_addr(self, addr: int) -> bool:
        """ESP8266: the address lies in the flash window."""
        low, high = chips.get("esp8266").image.irom
        return low <= addr < high

    def get_irom_segment(self) -> ImageSegment | None:
        """ESP8266: the one segment that runs from flash.

        Raises:
            FatalError: there are several.
        """
        found = [s for s in self.segments if self.is_irom_addr(s.addr)]
        if len(found) > 1:
            raise ImageError(f"Found {len(found)} segments that could be irom0. Bad ELF file?")
        return found[0] if found else None

    def get_non_irom_segments(self) -> list[ImageSegment]:
        """ESP8266: the others."""
        irom = self.get_irom_segment()
        return [s for s in self.segments if s is not irom]

    def sort_segments(self) -> None:
        """Order the segments by address."""
        self.segments = sorted(self.segments, key=lambda s: s.addr)

    def merge_adjacent_segments(self) -> None:
        """Join neighbours that touch and lie in the same kinds of memory."""
        heads = []
        for run in adjacent_runs(self._frozen(), self.rules):
            head = self.segments[run.start]
            head.data = b"".join(self.segments[i].data for i in run)
            heads.append(head)
        self.segments = heads

    def set_mmu_page_size(self, size: int) -> None:
        """Choose the MMU page size, where the chip allows it (else a warning is shown).

        Raises:
            FatalError: the chip has no such page size.
        """
        if not self.MMU_PAGE_SIZE_CONF and size != self.IROM_ALIGN:
            log.warning(
                f"Changing MMU page size is not supported on {self.rules.name}! "
                f"Defaulting to {self.IROM_ALIGN // 1024}KB."
            )
        elif self.MMU_PAGE_SIZE_CONF and size not in self.MMU_PAGE_SIZE_CONF:
            valid = ", ".join(f"{s // 1024}KB" for s in self.MMU_PAGE_SIZE_CONF)
            raise ImageError(
                f"{size} bytes is not a valid {self.rules.name} page size, select from {valid}."
            )
        else:
            self.IROM_ALIGN = size

    def _header(self) -> Header:
        return Header(0, self.flash_mode, self.flash_size_freq, self.entrypoint)

    def _digest(self) -> ElfDigest | None:
        if self.elf_sha256 is None or not self.elf_sha256_offset:
            return None
        return ElfDigest(self.elf_sha256, self.elf_sha256_offset)

    def _frozen(self) -> list[Segment]:
        return [s.frozen() for s in self.segments]

    def _load(self, file: IO[bytes], chip: ChipSpec, magic: int) -> FirmwareImage:
        """Read the image that starts at the file's position, and leave the file behind it."""
        start = file.tell()
        data = file.read()
        if data and data[0] != magic:
            raise ImageError(f"Invalid firmware image magic={data[0]:#x}")
        image = read_image(data, chip)
        file.seek(start + image.length)
        for warning in image.warnings:
            log.warning(warning)
        self.segments = [thawed(s, start) for s in image.segments]
        self.entrypoint = image.header.entry
        self.flash_mode = image.header.flash_mode
        self.flash_size_freq = image.header.flash_size_freq
        self.checksum = image.checksum or 0
        return image


def _write(filename: str | os.PathLike[str] | None, data: bytes) -> bytes | None:
    if filename is None:
        return data
    write_atomic(filename, data)
    return None


class ESP8266ROMFirmwareImage(BaseFirmwareImage):
    """ESP8266 version 1: loaded by the ROM."""

    rules = chips.get("esp8266")

    def __init__(self, load_file: IO[bytes] | None = None) -> None:
        super().__init__()
        if load_file is not None:
            self._load(load_file, self.rules, IMAGE_MAGIC)

    def default_output_name(self, input_file: str) -> str:
        """The beginning of the two output names."""
        return BuiltImage(ImageKind.ESP8266_V1, b"").default_output(input_file)

    def save(self, filename: str | None) -> tuple[bytes | None, bytes] | None:
        """Write two files whose names start with `filename`; None gives (IROM, main) back.

        Raises:
            FatalError: the segments make no image.
        """
        built = esp8266.build_v1(self._frozen(), self.rules, self._header(), self._digest())
        if filename is None:
            return built.irom, built.main
        image = BuiltImage(ImageKind.ESP8266_V1, built.main, built.irom, built.irom_offset)
        for name, data in image.files(filename):
            write_atomic(name, data)
        return None


class ESP8266V2FirmwareImage(BaseFirmwareImage):
    """ESP8266 version 2: loaded by the SDK's boot loader or rBoot."""

    IMAGE_V2_MAGIC = IMAGE_MAGIC_V2
    IMAGE_V2_SEGMENT = V2_SEGMENT_COUNT
    version = 2
    rules = chips.get("esp8266")

    def __init__(self, load_file: IO[bytes] | None = None) -> None:
        super().__init__()
        if load_file is not None:
            self._load(load_file, self.rules, IMAGE_MAGIC_V2)

    def default_output_name(self, input_file: str) -> str:
        """The output name, which tells the flash offset."""
        offset = esp8266.irom_offset(self._frozen(), self.rules)
        return BuiltImage(ImageKind.ESP8266_V2, b"", offset=offset).default_output(input_file)

    def save(self, filename: str | None) -> bytes | None:
        """Write the image to a file; None gives its bytes back.

        Raises:
            FatalError: the segments make no image.
        """
        image = esp8266.build_v2(self._frozen(), self.rules, self._header(), self._digest())
        return _write(filename, image)


class ESP32FirmwareImage(BaseFirmwareImage):
    """An image with the extended header; each chip has a subclass of its own."""

    IROM_ALIGN = 0x10000
    WP_PIN_DISABLED = WP_PIN_DISABLED
    rules = chips.get("esp32")

    def __init__(
        self,
        load_file: IO[bytes] | None = None,
        append_digest: bool = True,
        ram_only_header: bool = False,
    ) -> None:
        super().__init__()
        self.secure_pad: str | None = None
        self.append_digest = append_digest
        self.ram_only_header = ram_only_header
        self.data_length: int | None = None
        self._set_extended(ExtendedHeader(0))
        if load_file is not None:
            image = self._load(load_file, self.rules, IMAGE_MAGIC)
            assert image.extended is not None
            self._set_extended(image.extended)
            self.append_digest = image.append_digest
            if image.append_digest:
                self.stored_digest = image.stored_digest
                self.calc_digest = image.calculated_digest
                self.data_length = image.hashed_length

    def _set_extended(self, extended: ExtendedHeader) -> None:
        self.wp_pin = extended.wp_pin
        self.clk_drv, self.q_drv = extended.clk_drv, extended.q_drv
        self.d_drv, self.cs_drv = extended.d_drv, extended.cs_drv
        self.hd_drv, self.wp_drv = extended.hd_drv, extended.wp_drv
        self.chip_id = extended.chip_id
        self.min_rev = extended.min_rev
        self.min_rev_full = extended.min_rev_full
        self.max_rev_full = extended.max_rev_full

    def _extended(self) -> ExtendedHeader:
        chip_id = self.rules.image_chip_id
        return ExtendedHeader(
            chip_id=0 if chip_id is None else chip_id,
            min_rev=self.min_rev,
            min_rev_full=self.min_rev_full,
            max_rev_full=self.max_rev_full,
            wp_pin=self.wp_pin,
            clk_drv=self.clk_drv,
            q_drv=self.q_drv,
            d_drv=self.d_drv,
            cs_drv=self.cs_drv,
            hd_drv=self.hd_drv,
            wp_drv=self.wp_drv,
        )

    def is_flash_addr(self, addr: int) -> bool:
        """The address is mapped from flash."""
        return esp32.is_flash_mapped(self.rules, addr)

    def default_output_name(self, input_file: str) -> str:
        """The output name."""
        return BuiltImage(ImageKind.ESP32, b"").default_output(input_file)

    def save(self, filename: str | None) -> bytes | None:
        """Write the image to a file; None gives its bytes back.

        Raises:
            FatalError: the segments make no image.
        """
        layout = esp32.Esp32Layout(
            page=self.IROM_ALIGN,
            append_digest=self.append_digest,
            secure_pad=None if self.secure_pad is None else int(self.secure_pad),
            ram_only=self.ram_only_header,
            pad_to=self.pad_to_size,
        )
        image = esp32.build_esp32(
            self._frozen(), self.rules, self._header(), self._extended(), layout, self._digest()
        )
        return _write(filename, image)


class ESP8266V3FirmwareImage(ESP32FirmwareImage):
    """ESP8266 version 3: for the RTOS SDK, which follows ESP32 in its flash codes."""

    def is_flash_addr(self, addr: int) -> bool:
        """The address is mapped from flash."""
        return esp8266.is_v3_flash(chips.get("esp8266"), addr)

    def save(self, filename: str | None) -> bytes | None:
        """Write the image to a file; None gives its bytes back.

        Raises:
            FatalError: the segments make no image.
        """
        image = esp8266.build_v3(
            self._frozen(),
            chips.get("esp8266"),
            self._header(),
            self.IROM_ALIGN,
            self._digest(),
            append_digest=self.append_digest,
        )
        return _write(filename, image)


def _image_class(chip: ChipSpec) -> type[ESP32FirmwareImage]:
    name = f"{chip.key.upper()}FirmwareImage"
    namespace = {
        "__doc__": f"An image for {chip.name}.",
        "__module__": __name__,
        "rules": chip,
        "MMU_PAGE_SIZE_CONF": chip.image.mmu_page_sizes,
    }
    return type(name, (ESP32FirmwareImage,), namespace)


CLASSES: dict[str, type[ESP32FirmwareImage]] = {ESP32FirmwareImage.rules.key: ESP32FirmwareImage}
for _chip in map(chips.get, chips.KEYS):
    if _chip.image.extended_header and _chip.key not in CLASSES:
        CLASSES[_chip.key] = _image_class(_chip)
        globals()[CLASSES[_chip.key].__name__] = CLASSES[_chip.key]
