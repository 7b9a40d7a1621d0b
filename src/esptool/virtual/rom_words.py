# SPDX-License-Identifier: Apache-2.0
"""A word of each chip's ROM, by which debuggers tell chips: its address and value.

Source: the ROMs' ELF files of the vendor (esp-rom-elfs), of the newest version that each has.
"""

from __future__ import annotations

ROM_WORDS: dict[str, tuple[int, int]] = {
    "esp8266": (0x40001000, 0xFFF0C101),
    "esp32": (0x40001000, 0x00F01D83),
    "esp32s2": (0x40001000, 0x000007C6),
    "esp32s3": (0x40001000, 0x00000009),
    "esp32c2": (0x40001000, 0x7C41A06F),
    "esp32c3": (0x40001000, 0x4361606F),
    "esp32c5": (0x40001000, 0x5FD1406F),
    "esp32c6": (0x40001000, 0x2CE0806F),
    "esp32c61": (0x40001000, 0x7211606F),
    "esp32h2": (0x40001000, 0xD7B73E80),
    "esp32p4": (0x4FC01000, 0x00260713),
    "esp32s31": (0x2F801000, 0x5023006F),
}
