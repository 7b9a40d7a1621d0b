# SPDX-License-Identifier: Apache-2.0
"""The fixed headers of a firmware image, as values that pack and unpack. No segments, no files.

Layout: Espressif "Firmware Image Format"; all numbers little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from esptool.chips.spec import ChipSpec, frozen
from esptool.errors import ImageError, UsageError
from esptool.records import dataclass

IMAGE_MAGIC = 0xE9
IMAGE_MAGIC_V2 = 0xEA  # first header of an ESP8266 "version 2" image
V2_SEGMENT_COUNT = 4  # constant in that header, not a number of segments
CHECKSUM_SEED = 0xEF
HEADER_LEN = 8
EXTENDED_HEADER_LEN = 16
SEGMENT_HEADER_LEN = 8
DIGEST_LEN = 32
MAX_SEGMENTS = 16
SEGMENT_LIMIT = 0x1000000
WP_PIN_DISABLED = 0xEE
APPEND_DIGEST_OFFSET = 23
REVISION_ANY = 0xFFFF
KEEP = "keep"  # in place of a flash parameter: leave what the image has

FLASH_MODES: Mapping[str, int] = frozen({"qio": 0, "qout": 1, "dio": 2, "dout": 3})

_XOR_BLOCK = 4096
_COMMON = struct.Struct("<BBBBI")
_EXTENDED = struct.Struct("<BBBBHBHH4sB")


@dataclass(frozen=True, slots=True)
class Header:
    """The first 8 bytes. In `flash_size_freq` the high half is the size, the low one the clock."""

    segment_count: int
    flash_mode: int
    flash_size_freq: int
    entry: int
    magic: int = IMAGE_MAGIC

    def pack(self) -> bytes:
        """8 bytes.

        Raises:
            ImageError: a value does not fit its field.
        """
        try:
            return _COMMON.pack(
                self.magic, self.segment_count, self.flash_mode, self.flash_size_freq, self.entry
            )
        except struct.error as e:
            raise ImageError(f"Image header cannot hold {self}: {e}.") from e

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Header:
        """Read 8 bytes at `offset`.

        Raises:
            ImageError: the data end inside the header.
        """
        if len(data) < offset + HEADER_LEN:
            raise ImageError(
                f"Image ends inside its header: {HEADER_LEN} bytes expected at offset "
                f"{offset:#x}, {max(0, len(data) - offset)} present."
            )
        magic, count, mode, size_freq, entry = _COMMON.unpack_from(data, offset)
        return cls(count, mode, size_freq, entry, magic)


@dataclass(frozen=True, slots=True)
class ExtendedHeader:
    """The 16 bytes that follow on every chip but ESP8266.

    Drive strengths are 4-bit values; revisions are `major * 100 + minor`; a `max_rev_full` of 0
    means that the field is not used, 65535 any revision. `append_digest` is kept as read.
    """

    chip_id: int
    min_rev: int = 0
    min_rev_full: int = 0
    max_rev_full: int = 0
    append_digest: int = 1
    wp_pin: int = WP_PIN_DISABLED
    clk_drv: int = 0
    q_drv: int = 0
    d_drv: int = 0
    cs_drv: int = 0
    hd_drv: int = 0
    wp_drv: int = 0
    reserved: bytes = bytes(4)

    def pack(self) -> bytes:
        """16 bytes.

        Raises:
            ImageError: a value does not fit its field.
        """
        try:
            return _EXTENDED.pack(
                self.wp_pin,
                _nibbles(self.clk_drv, self.q_drv),
                _nibbles(self.d_drv, self.cs_drv),
                _nibbles(self.hd_drv, self.wp_drv),
                self.chip_id,
                self.min_rev,
                self.min_rev_full,
                self.max_rev_full,
                self.reserved,
                self.append_digest,
            )
        except struct.error as e:
            raise ImageError(f"Extended image header cannot hold {self}: {e}.") from e

    @classmethod
    def unpack(cls, data: bytes, offset: int = HEADER_LEN) -> ExtendedHeader:
        """Read 16 bytes at `offset`.

        Raises:
            ImageError: the data end inside the header.
        """
        if len(data) < offset + EXTENDED_HEADER_LEN:
            raise ImageError(
                f"Image ends inside its extended header: {EXTENDED_HEADER_LEN} bytes expected at "
                f"offset {offset:#x}, {max(0, len(data) - offset)} present."
            )
        wp, clk_q, d_cs, hd_wp, chip_id, rev, rev_min, rev_max, reserved, digest = (
            _EXTENDED.unpack_from(data, offset)
        )
        return cls(
            chip_id=chip_id,
            min_rev=rev,
            min_rev_full=rev_min,
            max_rev_full=rev_max,
            append_digest=digest,
            wp_pin=wp,
            clk_drv=clk_q & 0xF,
            q_drv=clk_q >> 4,
            d_drv=d_cs & 0xF,
            cs_drv=d_cs >> 4,
            hd_drv=hd_wp & 0xF,
            wp_drv=hd_wp >> 4,
            reserved=reserved,
        )


def _nibbles(low: int, high: int) -> int:
    return (low & 0xF) | (high & 0xF) << 4


def xor_checksum(data: bytes, seed: int = CHECKSUM_SEED) -> int:
    """Exclusive or of all bytes and `seed`; blocks as integers are 100 times faster than bytes."""
    total = 0
    for start in range(0, len(data), _XOR_BLOCK):
        total ^= int.from_bytes(data[start : start + _XOR_BLOCK], "little")
    size = _XOR_BLOCK
    while size > 1:
        size //= 2
        total = (total >> 8 * size) ^ (total & ((1 << 8 * size) - 1))
    return total ^ seed


def flash_mode_code(mode: str) -> int:
    """Header value of a flash mode.

    Raises:
        UsageError: no such mode.
    """
    try:
        return FLASH_MODES[mode]
    except KeyError:
        raise UsageError(
            f"Flash mode '{mode}' does not exist. Supported modes: {', '.join(FLASH_MODES)}"
        ) from None


def flash_size_code(chip: ChipSpec, size: str) -> int:
    """Header value of a flash size, in the high half of the byte.

    Raises:
        UsageError: the chip has no such size.
    """
    try:
        return chip.flash.sizes[size]
    except KeyError:
        raise UsageError(
            f"Flash size '{size}' is not supported by this chip type. "
            f"Supported sizes: {', '.join(chip.flash.sizes)}"
        ) from None


def flash_freq_code(chip: ChipSpec, freq: str | None) -> int:
    """Header value of a flash clock; None means the chip's default, which is coded 0 everywhere.

    Raises:
        UsageError: the chip has no such clock.
    """
    if freq is None:
        return 0
    try:
        return chip.flash.frequencies[freq]
    except KeyError:
        raise UsageError(
            f"Flash frequency '{freq}' is not supported by this chip type. "
            f"Supported frequencies: {', '.join(chip.flash.frequencies)}"
        ) from None


def label_of(table: Mapping[str, int], code: int) -> str | None:
    """The first word in `table` that has this code."""
    return next((label for label, value in table.items() if value == code), None)
