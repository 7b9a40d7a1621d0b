# SPDX-License-Identifier: Apache-2.0
"""The lines that a chip's ROM prints when it starts.

How the first lines are set differs between three generations of ROMs; the words are data of the
silicon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.records import dataclass
from esptool.virtual.silicon.spec import Arch, LoaderBaud

if TYPE_CHECKING:
    from esptool.virtual.silicon.spec import Silicon
    from esptool.virtual.soc import Soc


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the chip starts: its number on ESP32 and later, and on ESP8266."""

    number: int
    esp8266: int

    def told(self, silicon: Silicon) -> int:
        """The number that this chip has for it."""
        return self.esp8266 if silicon.arch is Arch.LX106 else self.number


POWER_ON = Cause(1, 2)
SOFTWARE = Cause(3, 4)
WATCHDOG = Cause(0x10, 1)
BROWNOUT = Cause(0xF, 1)


def baud(soc: Soc) -> int:
    """Rate of the boot log: 115200, or what a ROM makes of it that believes in 40 MHz."""
    if soc.silicon.arch is Arch.LX106 or soc.silicon.loader.baud is LoaderBaud.C2_26MHZ:
        return 115200 * soc.crystal_mhz // 40
    return 115200


def banner(soc: Soc, cause: Cause, download: bool) -> bytes:
    """What comes first: who it is, why it started and where it boots from."""
    boot = soc.rom.boot
    if soc.silicon.arch is Arch.LX106:
        mode = "(1,6)" if download else "(3,6)"
        start = (
            f"\r\n ets {boot.build},rst cause:{cause.told(soc.silicon)}, boot mode:{mode}\r\n\r\n"
        )
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
