# SPDX-License-Identifier: Apache-2.0
"""The SFDP tables of a part, made of what the catalogue knows of it, by JESD216B."""

from __future__ import annotations

import struct

from esptool.virtual.parts import FlashPart, Times


def sfdp(part: FlashPart) -> bytes:
    """The part's SFDP table by JESD216B: one basic table of 16 words and a vendor's header."""
    if not part.sfdp:
        return b""
    header = b"SFDP" + bytes((6, 1, 1, 0xFF))
    basic = struct.pack("<BBBB", 0x00, 6, 1, 16) + (0x30).to_bytes(3, "little") + b"\xff"
    vendor = bytes((part.jedec[0], 0, 1, 2)) + (0x70).to_bytes(3, "little") + b"\xff"
    table = (header + basic + vendor).ljust(0x30, b"\xff")
    return table + struct.pack("<16I", *_basic_table(part)) + bytes((0x00, 0x36, 0x00, 0x27)) * 2


def _basic_table(part: FlashPart) -> list[int]:
    address_mode = 1 if part.four_byte else 0
    t = part.times
    return [
        # erase 4 KiB everywhere (0x20), 3-byte addresses, dual and quad reads
        0xFF800000 & ~(3 << 17) | address_mode << 17 | 0x710000 | 0x20 << 8 | 0xE5,
        part.size * 8 - 1 if part.size <= 1 << 28 else 0x80000000 | 31,
        0x6B08EB44,
        0xBB423B08,
        0xFFFFFFFE,
        0xFFFF0000 | 0xFF,
        0xEB44FFFF,
        0x520F200C,  # erase types 1 and 2: 4 KiB by 0x20, 32 KiB by 0x52
        0x0000D810,  # erase type 3: 64 KiB by 0xD8
        _erase_times(t),
        _program_times(t),
        0xFEF4AC80,
        0x757A757A,
        0x5CD5B3F7,
        0xFF << 24 | part.quad_enable << 20 | 0x0F5FF,
        0xF8 << 24 | (0x21 << 16 if part.four_byte else 0) | 0x80 | 1,
    ]


def _erase_times(times: Times) -> int:
    """DWORD 10: multiplier of the maximum, then a 5-bit count and 2-bit unit an erase type."""
    ratio = max(2, round(times.sector[1] / times.sector[0]))
    word = min(15, max(0, ratio // 2 - 1))
    for place, (typical, _) in zip(
        (4, 11, 18), (times.sector, times.block32, times.block64), strict=True
    ):
        word |= _coded(typical, (0.001, 0.016, 0.128, 1.0)) << place
    return word


def _program_times(times: Times) -> int:
    """DWORD 11: multiplier, page size 2**8, page time, chip erase time."""
    ratio = max(2, round(times.page[1] / times.page[0]))
    word = min(15, max(0, ratio // 2 - 1)) | 8 << 4
    unit = 1 if times.page[0] > 32 * 8e-6 else 0
    count = min(31, max(0, round(times.page[0] / (64e-6 if unit else 8e-6)) - 1))
    word |= count << 8 | unit << 13
    word |= _coded(times.chip[0], (0.016, 0.256, 4.0, 64.0)) << 24
    return word


def _coded(seconds: float, units: tuple[float, ...]) -> int:
    for number, unit in enumerate(units):
        count = round(seconds / unit)
        if count <= 32:
            return number << 5 | max(0, count - 1)
    return 3 << 5 | 31
