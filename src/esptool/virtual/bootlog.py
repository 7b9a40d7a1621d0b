# SPDX-License-Identifier: Apache-2.0
"""The lines that a chip's ROM prints when it starts, and those before an application runs.

How the first lines are set differs between three generations of ROMs; the words are data of the
silicon.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from esptool.records import dataclass
from esptool.virtual.silicon.spec import Arch

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the chip starts: its number on ESP32 and later, and on ESP8266."""

    number: int
    esp8266: int


POWER_ON = Cause(1, 2)
SOFTWARE = Cause(3, 4)
WATCHDOG = Cause(0x10, 1)
BROWNOUT = Cause(0xF, 1)

#: What the ROM says, with a number behind it, when it finds no program in the flash.
NO_PROGRAM = b"invalid header: "
#: What it says of a program that it does not start, with both checksums behind it.
DAMAGED = b"Checksum failure. "

#: Names by the byte of the image's header, and the divider of 80 MHz by half a byte of it.
_MODES = {0: "QIO", 1: "QOUT", 2: "DIO", 3: "DOUT"}
_DIVIDERS = {0: 2, 1: 3, 2: 4, 0xF: 1}


def baud(soc: Soc) -> int:
    """Rate of the boot log: 115200, or what ESP8266 makes of it with a 26 MHz crystal."""
    if soc.silicon.arch is Arch.LX106:
        return 115200 * soc.crystal_mhz // 40
    return 115200


def banner(soc: Soc, cause: Cause, download: bool) -> bytes:
    """What comes first: who it is, why it started and where it boots from."""
    boot = soc.rom.boot
    if soc.silicon.arch is Arch.LX106:
        mode = "(1,6)" if download else "(3,6)"
        start = f"\r\n ets {boot.build},rst cause:{cause.esp8266}, boot mode:{mode}\r\n\r\n"
        return start.encode()
    if boot.tag:
        head = f"ESP-ROM:{boot.tag}\r\nBuild:{boot.build}\r\n"
        value = _straps(soc, download)
    else:
        head = f"ets {boot.build}\r\n\r\n"
        value = 0x3 if download else 0x13
    mode = boot.download if download else "SPI_FAST_FLASH_BOOT"
    tail = "waiting for download\r\n" if download else ""
    name = dict(boot.causes)[cause.number]
    return f"{head}rst:0x{cause.number:x} ({name}),boot:0x{value:x} ({mode})\r\n{tail}".encode()


def _straps(soc: Soc, download: bool) -> int:
    """What the strapping pins show with IO0 low and high."""
    shape = soc.silicon.shape
    if shape is None:
        return 0x0 if download else 0x8
    return shape.strap_download if download else shape.strap_flash


def application(soc: Soc) -> bytes:
    """What follows when booting from flash: the segments loaded, or why there is no program."""
    loader = soc.silicon.loader
    header = soc.nor.read(loader.bootloader_offset, 24)
    if header[0] not in (0xE9, 0xEA):
        if soc.silicon.arch is Arch.LX106:
            return b""
        word = struct.unpack_from("<I", header)[0]
        return (NO_PROGRAM + f"0x{word:x}\r\n".encode()) * 3
    stops = soc.rom.boot.stops
    lines = []
    if stops:
        mode, clock = _MODES.get(header[2], "UNKNOWN"), _DIVIDERS.get(header[3] & 0xF, 2)
        lines += [f"SPIWP:0x{header[8]:x}", f"mode:{mode}, clock div:{clock}"]
    at = loader.bootloader_offset + (24 if loader.extended_header else 8)
    check = 0xEF
    for _ in range(min(header[1], 16)):
        address, length = struct.unpack("<II", soc.nor.read(at, 8))
        if length > 0x1000000:
            break
        lines.append(f"load:0x{address:08x},len:0x{length:x}")
        if stops:
            for byte in soc.nor.read(at + 8, length):
                check ^= byte
        at += 8 + length
    if stops:
        end = (at - loader.bootloader_offset | 15) + 1
        image = soc.nor.read(loader.bootloader_offset, end + 32)
        if image[end - 1] != check:
            lines.append(f"{DAMAGED.decode()}Calculated 0x{check:x} stored 0x{image[end - 1]:x}")
            return ("\r\n".join([*lines, stops]) + "\r\n").encode()
        # The ROM compares a hash that is not there as well.
        digest = hashlib.sha256(image[:end]).hexdigest()
        if image[end:].hex() != digest:
            lines += [
                "SHA-256 comparison failed:",
                f"Calculated: {digest}",
                f"Expected: {image[end:].hex()}",
                "Attempting to boot anyway...",
            ]
    lines.append(f"entry 0x{struct.unpack_from('<I', header, 4)[0]:08x}")
    if soc.options.app:
        lines.append(soc.options.app)
    return ("\r\n".join(lines) + "\r\n").encode()
