# SPDX-License-Identifier: Apache-2.0
"""A catalogue of real SPI NOR flashes: JEDEC id, size, SFDP, and times of their data sheets.

Times are seconds, typical then maximum, under each part's AC characteristics (symbols tPP, tSE,
tBE1, tBE2, tCE, tW). Ids agree with flashrom's; times were not compared with every edition of a
sheet, so take them for the class of the part. SFDP is made from the same values, by JESD216B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from esptool.errors import UsageError

Time = tuple[float, float]

#: Quad page program commands and their forms with addresses of 4 bytes.
_QUAD_PROGRAMS = {0x32: 0x34, 0x38: 0x3E}


@dataclass(frozen=True, slots=True)
class Times:
    """How long the flash is busy: (typical, maximum) in seconds."""

    page: Time = (0.0004, 0.003)
    sector: Time = (0.045, 0.4)
    block32: Time = (0.12, 1.6)
    block64: Time = (0.15, 2.0)
    chip: Time = (10.0, 50.0)
    status: Time = (0.010, 0.015)


@dataclass(frozen=True, slots=True)
class FlashPart:
    """One part.

    Attributes:
        jedec: three bytes as read by 0x9F, the manufacturer first.
        size: bytes.
        source: data sheet that the times come from.
        bp_bits: how many block-protect bits follow WIP and WEL in status register 1.
        status_bytes: how many status registers it has.
        quad_enable: JESD216 code of how quad mode is switched on (DWORD 15, bits 22:20).
        sfdp: it has an SFDP table.
        quad_from_factory: it is sold with quad mode switched on (Winbond's ordering option Q).
        quad_program: command that takes a page on four lines: 0x32 with the address on one, 0x38
            with it on four as well (Macronix).
    """

    name: str
    vendor: str
    jedec: bytes
    size: int
    times: Times
    source: str
    bp_bits: int = 3
    status_bytes: int = 3
    quad_enable: int = 4
    sfdp: bool = True
    quad_from_factory: bool = False
    quad_program: int = 0x32

    @property
    def programs(self) -> frozenset[int]:
        """The commands that program a page, those with addresses of 4 bytes included."""
        return frozenset({0x02, 0x12, self.quad_program, _QUAD_PROGRAMS[self.quad_program]})

    @property
    def four_byte(self) -> bool:
        """Over 16 MiB: has 4-byte address commands and modes."""
        return self.size > 1 << 24


def _times(*ms: float) -> Times:
    """Pairs in milliseconds: page, sector, 32 KiB, 64 KiB, chip, status."""
    pairs = [(a / 1000, b / 1000) for a, b in zip(ms[::2], ms[1::2], strict=True)]
    return Times(*pairs)


_MB = 1 << 20
_W = "Winbond"
_G = "GigaDevice"
_X = "XMC"
_M = "Macronix"
_I = "ISSI"


def _part(
    name: str, vendor: str, jedec: str, size: int, times: Times, source: str, **more: Any
) -> FlashPart:
    return FlashPart(name, vendor, bytes.fromhex(jedec), size, times, source, **more)


PARTS: tuple[FlashPart, ...] = (
    _part(
        "W25Q80DV",
        _W,
        "EF4014",
        _MB,
        _times(0.7, 3, 45, 400, 120, 800, 150, 1000, 2000, 6000, 10, 15),
        "Winbond W25Q80DV/DL, AC Electrical Characteristics",
    ),
    _part(
        "W25Q16JV",
        _W,
        "EF4015",
        2 * _MB,
        _times(0.4, 3, 45, 400, 120, 1600, 150, 2000, 5000, 25000, 10, 15),
        "Winbond W25Q16JV, AC Electrical Characteristics",
        quad_from_factory=True,
    ),
    _part(
        "W25Q32JV",
        _W,
        "EF4016",
        4 * _MB,
        _times(0.4, 3, 45, 400, 120, 1600, 150, 2000, 10000, 50000, 10, 15),
        "Winbond W25Q32JV, AC Electrical Characteristics",
        quad_from_factory=True,
    ),
    _part(
        "W25Q64JV",
        _W,
        "EF4017",
        8 * _MB,
        _times(0.4, 3, 45, 400, 120, 1600, 150, 2000, 20000, 100000, 10, 15),
        "Winbond W25Q64JV, AC Electrical Characteristics",
        quad_from_factory=True,
    ),
    _part(
        "W25Q128JV",
        _W,
        "EF4018",
        16 * _MB,
        _times(0.4, 3, 45, 400, 120, 1600, 150, 2000, 40000, 200000, 10, 15),
        "Winbond W25Q128JV, AC Electrical Characteristics",
        quad_from_factory=True,
    ),
    _part(
        "W25Q256JV",
        _W,
        "EF4019",
        32 * _MB,
        _times(0.7, 3, 50, 400, 120, 1600, 150, 2000, 80000, 400000, 10, 15),
        "Winbond W25Q256JV, AC Electrical Characteristics",
        bp_bits=4,
        quad_from_factory=True,
    ),
    _part(
        "W25Q512JV",
        _W,
        "EF4020",
        64 * _MB,
        _times(0.7, 3.5, 50, 400, 120, 1600, 150, 2000, 150000, 1000000, 10, 15),
        "Winbond W25Q512JV, AC Electrical Characteristics",
        bp_bits=4,
        quad_from_factory=True,
    ),
    _part(
        "W25Q01JV",
        _W,
        "EF4021",
        128 * _MB,
        _times(0.7, 3.5, 50, 400, 120, 1600, 150, 2000, 300000, 1000000, 10, 15),
        "Winbond W25Q01JV, AC Electrical Characteristics",
        bp_bits=4,
    ),
    _part(
        "GD25Q40C",
        _G,
        "C84013",
        _MB // 2,
        _times(0.6, 2.4, 50, 300, 150, 600, 250, 1000, 2500, 6000, 5, 30),
        "GigaDevice GD25Q40C, AC Characteristics",
        bp_bits=5,
        status_bytes=2,
    ),
    _part(
        "GD25Q16C",
        _G,
        "C84015",
        2 * _MB,
        _times(0.6, 2.4, 50, 300, 150, 600, 250, 1000, 7000, 15000, 5, 30),
        "GigaDevice GD25Q16C, AC Characteristics",
        bp_bits=5,
        status_bytes=2,
    ),
    _part(
        "GD25Q32C",
        _G,
        "C84016",
        4 * _MB,
        _times(0.6, 2.4, 50, 300, 150, 600, 250, 1000, 15000, 30000, 5, 30),
        "GigaDevice GD25Q32C, AC Characteristics",
        bp_bits=5,
    ),
    _part(
        "GD25Q64C",
        _G,
        "C84017",
        8 * _MB,
        _times(0.6, 2.4, 50, 300, 150, 600, 200, 1000, 25000, 60000, 5, 30),
        "GigaDevice GD25Q64C, AC Characteristics",
        bp_bits=5,
    ),
    _part(
        "GD25Q128E",
        _G,
        "C84018",
        16 * _MB,
        _times(0.5, 2, 45, 300, 150, 1200, 250, 1600, 60000, 120000, 5, 30),
        "GigaDevice GD25Q128E, AC Characteristics",
        bp_bits=5,
    ),
    _part(
        "GD25Q256E",
        _G,
        "C84019",
        32 * _MB,
        _times(0.25, 2, 45, 400, 150, 800, 250, 1600, 80000, 150000, 5, 30),
        "GigaDevice GD25Q256E, AC Characteristics",
        bp_bits=4,
    ),
    _part(
        "XM25QH32C",
        _X,
        "204016",
        4 * _MB,
        _times(0.5, 3, 40, 300, 120, 800, 150, 1000, 10000, 40000, 10, 50),
        "XMC XM25QH32C, AC Characteristics",
        bp_bits=5,
    ),
    _part(
        "XM25QH64C",
        _X,
        "204017",
        8 * _MB,
        _times(0.5, 3, 40, 300, 120, 800, 150, 1000, 20000, 80000, 10, 50),
        "XMC XM25QH64C, AC Characteristics",
        bp_bits=5,
    ),
    _part(
        "XM25QH128C",
        _X,
        "204018",
        16 * _MB,
        _times(0.5, 3, 40, 300, 120, 800, 150, 1000, 40000, 160000, 10, 50),
        "XMC XM25QH128C, AC Characteristics",
        bp_bits=5,
    ),
    _part(
        "MX25L3233F",
        _M,
        "C22016",
        4 * _MB,
        _times(0.33, 1.2, 25, 200, 140, 600, 250, 1000, 10000, 20000, 10, 40),
        "Macronix MX25L3233F, AC Characteristics",
        bp_bits=4,
        status_bytes=1,
        quad_enable=2,
        quad_program=0x38,
    ),
    _part(
        "MX25L6433F",
        _M,
        "C22017",
        8 * _MB,
        _times(0.33, 1.2, 25, 200, 140, 600, 250, 1000, 20000, 50000, 10, 40),
        "Macronix MX25L6433F, AC Characteristics",
        bp_bits=4,
        status_bytes=1,
        quad_enable=2,
        quad_program=0x38,
    ),
    _part(
        "MX25L12833F",
        _M,
        "C22018",
        16 * _MB,
        _times(0.33, 1.2, 25, 200, 140, 600, 250, 1000, 40000, 100000, 10, 40),
        "Macronix MX25L12833F, AC Characteristics",
        bp_bits=4,
        status_bytes=1,
        quad_enable=2,
        quad_program=0x38,
    ),
    _part(
        "MX25L25645G",
        _M,
        "C22019",
        32 * _MB,
        _times(0.25, 0.75, 25, 240, 140, 650, 200, 1500, 110000, 180000, 10, 40),
        "Macronix MX25L25645G, AC Characteristics",
        bp_bits=4,
        status_bytes=1,
        quad_enable=2,
        quad_program=0x38,
    ),
    _part(
        "IS25LP032D",
        _I,
        "9D6016",
        4 * _MB,
        _times(0.2, 0.8, 70, 300, 100, 500, 150, 1000, 8000, 23000, 2, 15),
        "ISSI IS25LP032D, AC Characteristics",
        bp_bits=4,
        status_bytes=1,
        quad_enable=2,
    ),
    _part(
        "IS25LP064A",
        _I,
        "9D6017",
        8 * _MB,
        _times(0.2, 0.8, 45, 300, 130, 500, 200, 1000, 16000, 46000, 2, 15),
        "ISSI IS25LP064A, AC Characteristics",
        bp_bits=4,
        status_bytes=1,
        quad_enable=2,
    ),
    _part(
        "IS25LP128F",
        _I,
        "9D6018",
        16 * _MB,
        _times(0.2, 0.8, 100, 300, 140, 500, 170, 1000, 45000, 90000, 2, 15),
        "ISSI IS25LP128F, AC Characteristics",
        bp_bits=4,
        status_bytes=1,
        quad_enable=2,
    ),
    _part(
        "BY25Q32BS",
        "Boya",
        "684016",
        4 * _MB,
        _times(0.6, 2.4, 50, 300, 150, 1600, 250, 2000, 15000, 30000, 5, 30),
        "Boya BY25Q32BS, AC Characteristics",
        bp_bits=5,
    ),
    _part(
        "BY25Q128AS",
        "Boya",
        "684018",
        16 * _MB,
        _times(0.6, 2.4, 50, 300, 150, 1600, 250, 2000, 60000, 120000, 5, 30),
        "Boya BY25Q128AS, AC Characteristics",
        bp_bits=5,
    ),
    _part(
        "P25Q16H",
        "Puya",
        "856015",
        2 * _MB,
        _times(1.5, 2, 8, 12, 8, 12, 8, 12, 8, 12, 8, 12),
        "Puya P25Q16H, AC Characteristics",
        bp_bits=5,
    ),
    _part(
        "P25Q32H",
        "Puya",
        "856016",
        4 * _MB,
        _times(2, 3, 16, 20, 16, 20, 16, 20, 16, 20, 8, 12),
        "Puya P25Q32H, AC Characteristics",
        bp_bits=5,
    ),
    _part(
        "ZB25VQ32B",
        "Zbit",
        "5E4016",
        4 * _MB,
        _times(0.4, 3, 45, 400, 120, 1600, 150, 2000, 10000, 50000, 10, 15),
        "Zbit ZB25VQ32B, AC Electrical Characteristics",
    ),
    _part(
        "ZB25VQ64B",
        "Zbit",
        "5E4017",
        8 * _MB,
        _times(0.4, 3, 45, 400, 120, 1600, 150, 2000, 20000, 100000, 10, 15),
        "Zbit ZB25VQ64B, AC Electrical Characteristics",
    ),
    _part(
        "FM25Q32",
        "Fudan",
        "A14016",
        4 * _MB,
        _times(0.7, 3, 60, 300, 300, 800, 500, 1000, 20000, 40000, 10, 15),
        "Fudan FM25Q32, AC Electrical Characteristics",
        status_bytes=2,
    ),
    _part(
        "EN25QH64A",
        "EON",
        "1C7017",
        8 * _MB,
        _times(0.5, 3, 40, 300, 120, 800, 200, 1000, 30000, 70000, 10, 50),
        "EON EN25QH64A, AC Characteristics",
        bp_bits=4,
        status_bytes=2,
        quad_enable=0,
    ),
    _part(
        "AT25SF321B",
        "Adesto",
        "1F8701",
        4 * _MB,
        _times(0.4, 2.5, 50, 300, 120, 1200, 200, 2000, 15000, 40000, 5, 15),
        "Renesas (Adesto) AT25SF321B, Program and Erase Characteristics",
    ),
)

#: The part that is fitted when only a size is asked for.
_BY_SIZE = {
    _MB // 2: "GD25Q40C",
    _MB: "W25Q80DV",
    2 * _MB: "W25Q16JV",
    4 * _MB: "XM25QH32C",
    8 * _MB: "GD25Q64C",
    16 * _MB: "W25Q128JV",
    32 * _MB: "W25Q256JV",
    64 * _MB: "W25Q512JV",
    128 * _MB: "W25Q01JV",
}


def find(name: str | None, size: int | None) -> FlashPart:
    """The part of that name, or a common one of that size (4 MB when neither is said).

    Raises:
        UsageError: no such part, no part of that size, or the two contradict each other.
    """
    if name is None:
        wanted = size if size is not None else 4 * _MB
        if wanted not in _BY_SIZE:
            raise UsageError(
                f"The catalogue has no flash of {wanted:#x} bytes.",
                remedy=f"Sizes are: {', '.join(f'{s // 1024}KB' for s in _BY_SIZE)}.",
            )
        name = _BY_SIZE[wanted]
    for part in PARTS:
        if part.name.lower() == name.lower():
            if size is not None and size != part.size:
                raise UsageError(f"{part.name} has {part.size // 1024}KB, not {size // 1024}KB.")
            return part
    raise UsageError(
        f"The catalogue has no flash '{name}'.",
        remedy=f"Parts are: {', '.join(p.name for p in PARTS)}.",
    )


# --- SFDP --------------------------------------------------------------------------------------
