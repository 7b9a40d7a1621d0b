# SPDX-License-Identifier: Apache-2.0
"""SPI NAND flash parts that a virtual board can have, by their data sheets.

Ids, sizes and strength of the error correction are also in Linux' tables
(drivers/mtd/nand/spi/{winbond,gigadevice,micron,macronix,toshiba}.c).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from esptool.errors import UsageError


def _plain(flips: int, strength: int) -> int:
    """1: corrected, 2: lost."""
    return 0 if not flips else 1 if flips <= strength else 2


def _limit(flips: int, strength: int) -> int:
    """Also 3: corrected, and no more could have been."""
    return 3 if flips == strength else _plain(flips, strength)


def _micron(flips: int, strength: int) -> int:
    """1, 3, 5: up to 3, 6 and 8 bits."""
    if flips > strength:
        return 2
    return 0 if not flips else 1 if flips <= 3 else 3 if flips <= 6 else 5


@dataclass(frozen=True, slots=True)
class NandPart:
    """One part.

    Attributes:
        id: what READ ID gives.
        page, spare: bytes.
        pages: of a block.
        strength: bits in 512 bytes that the part corrects.
        verdict: value of the status' bits 4 to 6 for so many wrong bits.
        protection, config: registers 0xA0 and 0xB0 after power-on.
        buffered: has bit 3 of its configuration: 0 reads on from page to page.
        read_s: the array to the cache; program_s and erase_s typical and longest.
    """

    name: str
    id: bytes
    page: int
    spare: int
    blocks: int
    strength: int
    verdict: Callable[[int, int], int]
    pages: int = 64
    planes: int = 1
    protection: int = 0x7C
    config: int = 0x10
    buffered: bool = False
    read_s: float = 60e-6
    program_s: tuple[float, float] = (250e-6, 700e-6)
    erase_s: tuple[float, float] = (2e-3, 10e-3)

    @property
    def size(self) -> int:
        """Bytes without the spare areas."""
        return self.page * self.pages * self.blocks


def _winbond(name: str, device: int, spare: int, blocks: int, strength: int) -> NandPart:
    verdict = _plain if strength == 1 else _limit
    return NandPart(
        name, bytes((0xEF, device >> 8, device & 0xFF)), 2048, spare, blocks, strength, verdict,
        config=0x18, buffered=True,
    )  # fmt: skip


def _gigadevice(name: str, device: int, blocks: int) -> NandPart:
    return NandPart(
        name, bytes((0xC8, device)), 2048, 128, blocks, 8, _limit,
        protection=0x38, read_s=80e-6, program_s=(400e-6, 700e-6), erase_s=(3e-3, 5e-3),
    )  # fmt: skip


def _made_by_micron(name: str, device: int, page: int, blocks: int, planes: int) -> NandPart:
    return NandPart(
        name, bytes((0x2C, device)), page, page // 16, blocks, 8, _micron, planes=planes,
        read_s=46e-6, program_s=(220e-6, 600e-6),
    )  # fmt: skip


def _macronix(name: str, device: int, blocks: int, planes: int) -> NandPart:
    return NandPart(
        name, bytes((0xC2, device)), 2048, 64, blocks, 4, _plain, planes=planes,
        protection=0x38, read_s=70e-6, program_s=(320e-6, 600e-6), erase_s=(1e-3, 3.5e-3),
    )  # fmt: skip


def _kioxia(name: str, device: int, page: int, blocks: int) -> NandPart:
    return NandPart(
        name, bytes((0x98, device)), page, page // 16, blocks, 8, _limit,
        protection=0x38, read_s=70e-6, program_s=(360e-6, 600e-6), erase_s=(2e-3, 7e-3),
    )  # fmt: skip


PARTS = {
    part.name: part
    for part in (
        _winbond("W25N512GV", 0xAA20, 64, 512, 1),
        _winbond("W25N01GV", 0xAA21, 64, 1024, 1),
        _winbond("W25N01KV", 0xAE21, 96, 1024, 4),
        _winbond("W25N02KV", 0xAA22, 128, 2048, 8),
        _gigadevice("GD5F1GQ4U", 0xD1, 1024),
        _gigadevice("GD5F2GQ4U", 0xD2, 2048),
        _made_by_micron("MT29F1G01ABAFD", 0x14, 2048, 1024, 1),
        _made_by_micron("MT29F2G01ABAGD", 0x24, 2048, 2048, 2),
        _made_by_micron("MT29F4G01ABAFD", 0x34, 4096, 2048, 1),
        _macronix("MX35LF1GE4AB", 0x12, 1024, 1),
        _macronix("MX35LF2GE4AB", 0x22, 2048, 2),
        _kioxia("TC58CVG0S3", 0xC2, 2048, 1024),
        _kioxia("TC58CVG2S0", 0xCD, 4096, 2048),
    )
}


def find(name: str) -> NandPart:
    """The part of that name.

    Raises:
        UsageError: there is none.
    """
    part = PARTS.get(name.upper())
    if part is None:
        raise UsageError(
            f"No NAND flash part is called '{name}'.", remedy=f"Parts are: {', '.join(PARTS)}."
        )
    return part
