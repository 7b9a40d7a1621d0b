# SPDX-License-Identifier: Apache-2.0
"""What a firmware image is made of once it is in memory. Reading and building are elsewhere."""

from __future__ import annotations

from enum import Enum

from esptool.chips.spec import ChipSpec
from esptool.image.header import CHECKSUM_SEED, ExtendedHeader, Header, xor_checksum
from esptool.records import dataclass, field


class ImageKind(Enum):
    """The four layouts in the field."""

    ESP8266_V1 = "esp8266-v1"
    ESP8266_V2 = "esp8266-v2"
    ESP8266_V3 = "esp8266-v3"  # is written only: when read it looks like version 1
    ESP32 = "esp32"


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes and the bus address where they belong.

    Attributes:
        addr: load address (0 marks padding, or the IROM part of an ESP8266 v2 image).
        data: contents.
        file_offset: where the segment's 8-byte header stands in the file it was read from.
        name: ELF section name, "" where there is none.
        flags, align: as in the ELF section header.
        checksummed: the bytes count for the image's checksum.
    """

    addr: int
    data: bytes
    file_offset: int | None = None
    name: str = ""
    flags: int = 0
    align: int = 4
    checksummed: bool = True

    @property
    def end(self) -> int:
        """The first address after the segment."""
        return self.addr + len(self.data)


@dataclass(frozen=True, slots=True)
class FirmwareImage:
    """An image as it was read, with what was computed over it to compare.

    Attributes:
        offset: where it starts in the data that it was read from.
        length: its bytes, with checksum and digest; padding and signatures after it not counted.
        checksum, stored_digest: as found; None where the image has or reaches none.
        hashed_length: how many bytes the digest covers.
        warnings: odd but tolerated things.
        fault: why reading could not go on, None when the image is whole.
    """

    chip: ChipSpec
    kind: ImageKind
    header: Header
    extended: ExtendedHeader | None
    segments: tuple[Segment, ...]
    offset: int
    length: int
    checksum: int | None = None
    stored_digest: bytes | None = None
    calculated_digest: bytes | None = None
    hashed_length: int | None = None
    warnings: tuple[str, ...] = field(default=())
    fault: str | None = None

    @property
    def append_digest(self) -> bool:
        """The header announces a SHA-256 after the checksum."""
        return self.extended is not None and self.extended.append_digest == 1

    def calculate_checksum(self) -> int:
        """The checksum that the segments call for."""
        value = CHECKSUM_SEED
        for segment in self.segments:
            if segment.checksummed:
                value = xor_checksum(segment.data, value)
        return value
