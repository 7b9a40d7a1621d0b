# SPDX-License-Identifier: Apache-2.0
"""Reads firmware images of every kind from bytes, as far as they are whole. Opens no files."""

from __future__ import annotations

import hashlib
import struct

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.errors import ImageError
from esptool.image.header import (
    DIGEST_LEN,
    EXTENDED_HEADER_LEN,
    HEADER_LEN,
    IMAGE_MAGIC,
    IMAGE_MAGIC_V2,
    MAX_SEGMENTS,
    SEGMENT_HEADER_LEN,
    V2_SEGMENT_COUNT,
    ExtendedHeader,
    Header,
)
from esptool.image.model import FirmwareImage, ImageKind, Segment

# ESP8266: a loaded segment outside these bounds is likely a sign of a wrong offset.
_SUSPICIOUS_BELOW = 0x3FFE0000
_SUSPICIOUS_ABOVE = 0x40200000
_SUSPICIOUS_SIZE = 0x10000
_CHIP_ID_AT = 4  # in the extended header


class _Cursor:
    """Where the reader stands, and what it has gathered."""

    def __init__(self, data: bytes, start: int, pos: int) -> None:
        self.data = data
        self.start = start
        self.pos = pos
        self.segments: list[Segment] = []
        self.warnings: list[str] = []

    def segment(self, *, checksummed: bool = True) -> Segment:
        start = self.pos
        if len(self.data) < start + SEGMENT_HEADER_LEN:
            raise ImageError(
                f"End of file reading the header of segment {len(self.segments)} at offset "
                f"{start:#x} (file length {len(self.data)})"
            )
        addr, size = struct.unpack_from("<II", self.data, start)
        body = start + SEGMENT_HEADER_LEN
        present = len(self.data) - body
        if present < size:
            raise ImageError(
                f"End of file reading segment {addr:#x}, length {size} (actual length {present})"
            )
        self.pos = body + size
        contents = self.data[body : body + size]
        if addr and size % 4:  # the boot loaders copy whole words
            contents += bytes(-size % 4)
        segment = Segment(addr, contents, start, checksummed=checksummed)
        self.segments.append(segment)
        return segment

    def checksum(self) -> int:
        """The byte that closes the 16-byte line which the segments ended in."""
        at = self.start + ((self.pos - self.start) | 15)
        if at >= len(self.data):
            raise ImageError(
                f"End of file reading the checksum at offset {at:#x} (file length {len(self.data)})"
            )
        self.pos = at + 1
        return self.data[at]

    def image(
        self,
        kind: ImageKind,
        chip: ChipSpec,
        header: Header,
        checksum: int | None,
        fault: str | None,
    ) -> FirmwareImage:
        """What was gathered, as an image without an extended header."""
        return FirmwareImage(
            chip=chip,
            kind=kind,
            header=header,
            extended=None,
            segments=tuple(self.segments),
            offset=self.start,
            length=min(self.pos, len(self.data)) - self.start,
            checksum=checksum,
            warnings=tuple(self.warnings),
            fault=fault,
        )


def read_image(data: bytes, chip: ChipSpec | str, offset: int = 0) -> FirmwareImage:
    """Read the image for `chip` that starts at `offset`. Checksum and digest are not judged.

    Raises:
        ImageError: it is not an image, ends too early, or has fields out of range.
    """
    image = scan_image(data, chip, offset)
    if image.fault is not None:
        raise ImageError(image.fault)
    return image


def scan_image(data: bytes, chip: ChipSpec | str, offset: int = 0) -> FirmwareImage:
    """Like `read_image`, but a damaged image gives what could be read, with `fault` set.

    Raises:
        ImageError: there is not even a header with the right magic byte.
    """
    spec = chips.get(chip) if isinstance(chip, str) else chip
    header = Header.unpack(data, offset)
    if spec.image.extended_header:
        return _scan_esp32(data, spec, header, offset)
    if header.magic == IMAGE_MAGIC_V2:
        return _scan_esp8266_v2(data, spec, header, offset)
    return _scan_esp8266_v1(data, spec, header, offset)


def _scan_esp32(data: bytes, chip: ChipSpec, header: Header, offset: int) -> FirmwareImage:
    _expect_magic(header)
    cursor = _Cursor(data, offset, offset + HEADER_LEN + EXTENDED_HEADER_LEN)
    extended: ExtendedHeader | None = None
    checksum = hashed = None
    stored = calculated = None
    fault = None
    try:
        extended = ExtendedHeader.unpack(data, offset + HEADER_LEN)
        if extended.append_digest not in (0, 1):
            raise ImageError(
                f"Invalid value for append_digest field ({extended.append_digest:#04x}). "
                "Should be 0 or 1."
            )
        checksum = _loaded_part(cursor, header)
        if extended.append_digest:
            hashed = cursor.pos - offset
            stored = data[cursor.pos : cursor.pos + DIGEST_LEN]
            calculated = hashlib.sha256(memoryview(data)[offset : cursor.pos]).digest()
            cursor.pos += len(stored)
    except ImageError as e:
        fault = e.message
    return FirmwareImage(
        chip=chip,
        kind=ImageKind.ESP32,
        header=header,
        extended=extended,
        segments=tuple(cursor.segments),
        offset=offset,
        length=min(cursor.pos, len(data)) - offset,
        checksum=checksum,
        stored_digest=stored,
        calculated_digest=calculated,
        hashed_length=hashed,
        warnings=tuple(cursor.warnings),
        fault=fault,
    )


def _scan_esp8266_v1(data: bytes, chip: ChipSpec, header: Header, offset: int) -> FirmwareImage:
    _expect_magic(header)
    cursor = _Cursor(data, offset, offset + HEADER_LEN)
    checksum = None
    fault = None
    try:
        checksum = _loaded_part(cursor, header, suspicious=True)
    except ImageError as e:
        fault = e.message
    return cursor.image(ImageKind.ESP8266_V1, chip, header, checksum, fault)


def _scan_esp8266_v2(data: bytes, chip: ChipSpec, first: Header, offset: int) -> FirmwareImage:
    """First header, IROM part, then a version 1 image whose header is the one that counts."""
    cursor = _Cursor(data, offset, offset + HEADER_LEN)
    header = first
    checksum = None
    fault = None
    if first.segment_count != V2_SEGMENT_COUNT:
        cursor.warnings.append(
            f'V2 header has unexpected "segment" count {first.segment_count} '
            f"(usually {V2_SEGMENT_COUNT})"
        )
    try:
        irom = cursor.segment(checksummed=False)
        cursor.segments[-1] = Segment(0, irom.data, irom.file_offset, checksummed=False)
        header = Header.unpack(data, cursor.pos)
        _expect_magic(header)
        cursor.pos += HEADER_LEN
        cursor.warnings += _v2_disagreements(first, header)
        checksum = _loaded_part(cursor, header, suspicious=True)
        cursor.pos += 4  # CRC-32 of all that stands before
    except ImageError as e:
        fault = e.message
    return cursor.image(ImageKind.ESP8266_V2, chip, header, checksum, fault)


def _loaded_part(cursor: _Cursor, header: Header, *, suspicious: bool = False) -> int:
    """All segments that `header` counts, then the checksum byte."""
    for _ in range(header.segment_count):
        segment = cursor.segment()
        size = len(segment.data)
        outside = not _SUSPICIOUS_BELOW <= segment.addr <= _SUSPICIOUS_ABOVE
        if suspicious and (outside or size > _SUSPICIOUS_SIZE):
            cursor.warnings.append(f"Suspicious segment {segment.addr:#x}, length {size}")
    checksum = cursor.checksum()
    if len(cursor.segments) > MAX_SEGMENTS:
        raise ImageError(too_many_segments(len(cursor.segments)))
    return checksum


def _v2_disagreements(first: Header, second: Header) -> list[str]:
    rows = (
        ("Flash mode value", first.flash_mode, second.flash_mode, "#04x"),
        ("Flash size/freq value", first.flash_size_freq, second.flash_size_freq, "#04x"),
        ("Entrypoint address", first.entry, second.entry, "#010x"),
    )
    return [
        f"{what} in first header ({a:{form}}) disagrees with second ({b:{form}}). "
        "Using second value."
        for what, a, b, form in rows
        if a != b
    ]


def _expect_magic(header: Header) -> None:
    if header.magic != IMAGE_MAGIC:
        raise ImageError(f"Invalid firmware image magic={header.magic:#x}")


def too_many_segments(count: int) -> str:
    """The text for an image or ELF with more segments than the ROM can load."""
    return (
        f"Invalid segment count {count} (max {MAX_SEGMENTS}). "
        "Usually this indicates a linker script problem."
    )


def detect_chip(data: bytes, offset: int = 0) -> ChipSpec:
    """The chip that an image is for, by the chip number in its extended header.

    An ESP8266 image has no such number: it is told by where its first segment is loaded.

    Raises:
        ImageError: empty, the first byte is not an image's, or nothing tells the chip.
    """
    if len(data) <= offset:
        raise ImageError("Image is empty.")
    if data[offset] not in (IMAGE_MAGIC, IMAGE_MAGIC_V2):
        raise ImageError(f"This is not a valid image (invalid magic number: {data[offset]:#x}).")
    esp8266 = chips.get("esp8266")
    if data[offset] == IMAGE_MAGIC_V2:
        return esp8266
    why = f"it ends after {len(data) - offset} bytes"
    at = offset + HEADER_LEN + _CHIP_ID_AT
    if len(data) >= at + 2:
        named = int.from_bytes(data[at : at + 2], "little")
        chip, why = chips.by_chip_id(named), f"it names the unknown chip {named}"
        flag = data[offset + HEADER_LEN + EXTENDED_HEADER_LEN - 1 :][:1] or b"\0"
        if flag > b"\1":
            chip, why = None, f"its digest flag is {flag[0]}, neither 0 nor 1"
        if chip is not None:
            return chip
    if _may_be_esp8266(data, esp8266, offset):
        return esp8266
    raise ImageError(
        f"The image does not tell which chip it is for: {why}.",
        remedy="Is it whole? Name the chip with --chip to have it read anyway.",
    )


def _may_be_esp8266(data: bytes, chip: ChipSpec, offset: int) -> bool:
    if len(data) < offset + HEADER_LEN + SEGMENT_HEADER_LEN:
        return False
    address = int.from_bytes(data[offset + HEADER_LEN : offset + HEADER_LEN + 4], "little")
    if chip.memory_kind(address):
        return True
    image = _scan_esp8266_v1(data, chip, Header.unpack(data, offset), offset)
    return image.fault is None and image.checksum == image.calculate_checksum()
