# SPDX-License-Identifier: Apache-2.0
"""The lines that a chip's ROM prints when it starts, and those before an application runs."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the chip starts: number and name on ESP32 and later, number on ESP8266."""

    number: int
    name: str
    esp8266: int


POWER_ON = Cause(1, "POWERON", 2)
SOFTWARE = Cause(3, "SW_RESET", 4)
WATCHDOG = Cause(0x10, "RTCWDT_RTC_RESET", 1)
BROWNOUT = Cause(0xF, "BROWNOUT_RST", 1)

#: What the ROM says, with a number behind it, when it finds no program in the flash.
NO_PROGRAM = b"invalid header: "

_DATES = {
    "esp32": "Jul 29 2019 12:21:46",
    "esp32s2": "Oct 25 2019",
    "esp32s3": "Mar 27 2021",
    "esp32c3": "Feb  7 2021",
    "esp32c2": "Jan 27 2022",
    "esp32c6": "Sep 19 2022",
    "esp32h2": "Jan 24 2023",
    "esp32p4": "Sep 17 2023",
}


def baud(soc: Soc) -> int:
    """Rate of the boot log: 115200, or what ESP8266 makes of it with a 26 MHz crystal."""
    if soc.spec.key == "esp8266":
        return 115200 * soc.crystal_mhz // 40
    return 115200


def banner(soc: Soc, cause: Cause, download: bool) -> bytes:
    """What comes first: who it is, why it started and where it boots from."""
    if soc.spec.key == "esp8266":
        mode = "(1,6)" if download else "(3,6)"
        return f"\r\n ets Jan  8 2013,rst cause:{cause.esp8266}, boot mode:{mode}\r\n\r\n".encode()
    old = soc.spec.key == "esp32"
    head = "ets " + _DATES["esp32"] + "\r\n\r\n" if old else _modern_head(soc)
    if download:
        mode = "DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2)" if old else "DOWNLOAD(USB/UART0)"
        value = 0x3 if old else 0x0
        tail = "waiting for download\r\n"
    else:
        mode, tail = "SPI_FAST_FLASH_BOOT", ""
        value = 0x13 if old else 0x8
    name = f"{cause.name}_RESET" if old and cause is POWER_ON else cause.name
    return f"{head}rst:0x{cause.number:x} ({name}),boot:0x{value:x} ({mode})\r\n{tail}".encode()


def _modern_head(soc: Soc) -> str:
    key = soc.spec.key
    short = key.replace("esp32", "esp32", 1)
    date = _DATES.get(key, "Jan  1 2025").replace(" ", "").replace("2021", "2021")
    return f"ESP-ROM:{short}-{date}\r\nBuild:{_DATES.get(key, 'Jan  1 2025')}\r\n"


def application(soc: Soc) -> bytes:
    """What follows when booting from flash: the segments loaded, or why there is no program."""
    offset = soc.spec.flash.bootloader_offset
    header = soc.nor.read(offset, 24)
    if header[0] not in (0xE9, 0xEA):
        if soc.spec.key == "esp8266":
            return b""
        word = struct.unpack_from("<I", header)[0]
        return (NO_PROGRAM + f"0x{word:x}\r\n".encode()) * 3
    lines = []
    at = offset + (24 if soc.spec.image.extended_header else 8)
    for _ in range(min(header[1], 16)):
        address, length = struct.unpack("<II", soc.nor.read(at, 8))
        if length > 0x1000000:
            break
        lines.append(f"load:0x{address:08x},len:0x{length:x}")
        at += 8 + length
    lines.append(f"entry 0x{struct.unpack_from('<I', header, 4)[0]:08x}")
    if soc.options.app:
        lines.append(soc.options.app)
    return ("\r\n".join(lines) + "\r\n").encode()
