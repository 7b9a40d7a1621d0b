# SPDX-License-Identifier: Apache-2.0
"""Small programs as a chip's ROM finds them in flash, good ones and damaged ones, made by hand."""

from __future__ import annotations

import hashlib
import struct

from esptool.virtual import silicon
from esptool.virtual.silicon.spec import Arch

#: An instruction that jumps to itself.
_LOOP = {Arch.RISCV: b"\x6f\0\0\0", Arch.XTENSA: b"\x06\xff\xff\0", Arch.LX106: b"\x06\xff\xff\0"}
#: Where code and data go: RAM that no loader needs while it loads.
PLACES = {
    "esp8266": (0x40100000, 0x3FFE8000),
    "esp32": (0x40080400, 0x3FFF0040),
    "esp32s2": (0x4004A000, 0x3FFE5110),
    "esp32s3": (0x403C8700, 0x3FCE2820),
    "esp32c2": (0x403AC370, 0x3FCD5C80),
    "esp32c3": (0x403CBF10, 0x3FCD5830),
    "esp32c5": (0x4084BBA0, 0x408556C0),
    "esp32c6": (0x4086B910, 0x40875720),
    "esp32c61": (0x4083B970, 0x40845790),
    "esp32h2": (0x4083A390, 0x40844180),
    "esp32p4": (0x4FF28ED0, 0x4FF33CE0),
    "esp32s31": (0x2F06A2B0, 0x2F0740C0),
}
#: What may be wrong with a program.
DAMAGES = (
    "checksum", "hash", "no hash", "chip", "magic", "segments", "no segments", "truncated",
    "revision", "blank",
)  # fmt: skip


def program(key: str, damage: str = "", mode: int = 2, clock: int = 0) -> bytes:
    """An image of two segments for the chip `key`, damaged as one of `DAMAGES` says."""
    chip = silicon.of(key)
    low = min(span.start for span in chip.memory if span.kind == "iram")
    text, data = PLACES.get(key, (low, low + 0x1000))
    segments = [
        (data, b"what is said\n".ljust(32, b".")),
        (text, _LOOP[chip.arch].ljust(16, b"\0")),
    ]
    count = {"segments": 17, "no segments": 0}.get(damage, len(segments))
    magic = 0xE8 if damage == "magic" else 0xE9
    out = struct.pack("<BBBBI", magic, count, mode, 0x20 | clock, text)
    extended = chip.loader.extended_header
    if extended:
        number = 0x1234 if damage == "chip" else chip.chip_id
        least = 999 if damage == "revision" else 0
        hashed = damage != "no hash"
        out += struct.pack("<BBBBHBHH4xB", 0xEE, 0, 0, 0, number, 0, least, 0xFFFF, hashed)
    check = 0xEF
    for address, contents in segments:
        out += struct.pack("<II", address, len(contents)) + contents
        for byte in contents:
            check ^= byte
    out += bytes(15 - len(out) % 16) + bytes([check ^ (damage == "checksum")])
    if damage == "truncated":
        return out[:60]
    if damage == "blank":
        return b""
    if extended and damage != "no hash":
        digest = hashlib.sha256(out).digest()
        out += bytes([digest[0] ^ (damage == "hash")]) + digest[1:]
    return out
