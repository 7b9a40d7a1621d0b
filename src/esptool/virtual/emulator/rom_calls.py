# SPDX-License-Identifier: Apache-2.0
"""Functions of the ROMs that a stub may call, as the vendor's public linker scripts name them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RomCalls:
    """Addresses of functions in one chip's ROM.

    Attributes:
        attach: connect the SPI controller to the flash's pins (pins, legacy).
        restart: software reset.
        delay: wait so many microseconds.
        encrypt: program through the flash encryption (address, data, length).
        quiet: other functions without an effect here, answered with 0.
        security: copies the security information to its third argument.
        printf: prints to the console (format, up to three values).
    """

    attach: int
    restart: int
    delay: int
    encrypt: int = 0
    quiet: tuple[int, ...] = ()
    security: tuple[int, ...] = ()
    printf: int = 0


CALLS: dict[str, RomCalls] = {
    "esp8266": RomCalls(0x40004644, 0x4000264C, 0x40002ECC, quiet=(0x40003F58,), printf=0x400024CC),
    "esp32": RomCalls(
        0x40062A6C, 0x4000824C, 0x40008534, 0x40062E78, (0x40008658,), printf=0x40007D54
    ),
    "esp32s2": RomCalls(
        0x40017004,
        0x40010068,
        0x4000D888,
        0x400177E0,
        (0x4000E4A0,),
        (0x40012098,),
        printf=0x4000FEE0,
    ),
    "esp32s3": RomCalls(
        0x40000AEC,
        0x400006D8,
        0x40000600,
        0x4000096C,
        (0x40001F74,),
        (0x40048174,),
        printf=0x400005D0,
    ),
    "esp32c2": RomCalls(
        0x40000178, 0x40000088, 0x40000044, 0x40000100, (), (0x400000B0,), printf=0x40000034
    ),
    "esp32c3": RomCalls(
        0x40000164,
        0x40000090,
        0x40000050,
        0x40000110,
        (0x4000071C,),
        (0x4004B13E, 0x4004B9DA, 0x4004D51E),
        printf=0x40000040,
    ),
    "esp32c5": RomCalls(
        0x400001F0, 0x40000094, 0x4000003C, 0x40000124, (), (0x400000C0,), printf=0x40000024
    ),
    "esp32c6": RomCalls(
        0x400001DC, 0x40000090, 0x40000040, 0x40000114, (), (0x400000BC,), printf=0x40000028
    ),
    "esp32c61": RomCalls(
        0x400001F0, 0x40000094, 0x4000003C, 0x40000124, (), (0x400000C0,), printf=0x40000024
    ),
    "esp32h2": RomCalls(
        0x400001D4, 0x40000090, 0x40000040, 0x4000010C, (), (0x400000BC,), printf=0x40000028
    ),
    "esp32h21": RomCalls(
        0x400001D4, 0x40000090, 0x40000040, 0x4000010C, (), (0x400000BC,), printf=0x40000028
    ),
    "esp32h4": RomCalls(
        0x400001E4, 0x40000094, 0x4000003C, 0x40000118, (), (0x400000BC,), printf=0x40000024
    ),
    "esp32p4": RomCalls(
        0x4FC001E8, 0x4FC00094, 0x4FC0003C, 0x4FC0011C, (), (0x4FC000BC,), printf=0x4FC00024
    ),
    "esp32s31": RomCalls(
        0x2F800200, 0x2F800094, 0x2F80003C, 0x2F800130, (), (0x2F8000C4,), printf=0x2F800024
    ),
}
