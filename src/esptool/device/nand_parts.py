# SPDX-License-Identifier: Apache-2.0
"""SPI NAND flash by its id: geometry, and how its status tells of bit errors.

Sources: the makers' data sheets; Linux, drivers/mtd/nand/spi/{winbond,gigadevice,micron,macronix,
toshiba}.c, for ids, geometry, strength and status codes.
"""

from __future__ import annotations

from esptool.records import dataclass

#: What the error correction made of a page, by status bits 4 to 6, two bits for each of their eight
#: values: 0 clean, 1 corrected, 2 corrected at the limit of what is possible, 3 lost.
_PLAIN = 0xF4F4
_LIMIT = 0xB4B4
_MICRON = 0xFB74


@dataclass(frozen=True, slots=True)
class NandPart:
    """A flash that can be driven.

    Attributes:
        name: maker, type and size.
        maker, device: its id; the low byte of `device` does not count where `short_id` says so.
        page, spare: bytes.
        pages: of a block.
        planes: 2 where odd blocks have a cache of their own.
        verdicts: see above.
    """

    name: str
    maker: int
    device: int
    page: int = 2048
    spare: int = 64
    blocks: int = 1024
    planes: int = 1
    verdicts: int = _PLAIN
    short_id: bool = True
    pages: int = 64

    @property
    def block(self) -> int:
        """Bytes of a block."""
        return self.page * self.pages

    @property
    def size(self) -> int:
        """Bytes without the spare areas."""
        return self.block * self.blocks

    @property
    def plane_bit(self) -> int:
        """The bit of a column that names the plane of odd blocks; 0 for one plane."""
        return 2 * self.page if self.planes == 2 else 0

    def is_id(self, maker: int, device: int) -> bool:
        """Whether a flash of this id is this one."""
        if self.short_id:
            return (self.maker, self.device >> 8) == (maker, device >> 8)
        return (self.maker, self.device) == (maker, device)


#: The only one that the public plug-in drives, and what that takes for granted.
W25N01GV = NandPart("Winbond W25N01GV (1Gbit)", 0xEF, 0xAA21, short_id=False)

PARTS = (
    W25N01GV,
    NandPart("Winbond W25N512GV (512Mbit)", 0xEF, 0xAA20, blocks=512, short_id=False),
    NandPart(
        "Winbond W25N01KV (1Gbit)", 0xEF, 0xAE21, spare=96, verdicts=_LIMIT, short_id=False
    ),
    NandPart(
        "Winbond W25N02KV (2Gbit)", 0xEF, 0xAA22,
        spare=128, blocks=2048, verdicts=_LIMIT, short_id=False,
    ),
    NandPart("GigaDevice GD5F1GQ4U (1Gbit)", 0xC8, 0xD100, spare=128, verdicts=_LIMIT),
    NandPart("GigaDevice GD5F2GQ4U (2Gbit)", 0xC8, 0xD200, spare=128, blocks=2048, verdicts=_LIMIT),
    NandPart("Micron MT29F1G01ABAFD (1Gbit)", 0x2C, 0x1400, spare=128, verdicts=_MICRON),
    NandPart(
        "Micron MT29F2G01ABAGD (2Gbit)", 0x2C, 0x2400,
        spare=128, blocks=2048, planes=2, verdicts=_MICRON,
    ),
    NandPart(
        "Micron MT29F4G01ABAFD (4Gbit)", 0x2C, 0x3400,
        page=4096, spare=256, blocks=2048, verdicts=_MICRON,
    ),
    NandPart("Macronix MX35LF1GE4AB (1Gbit)", 0xC2, 0x1200),
    NandPart("Macronix MX35LF2GE4AB (2Gbit)", 0xC2, 0x2200, blocks=2048, planes=2),
    NandPart("Kioxia TC58CVG0S3 (1Gbit)", 0x98, 0xC200, spare=128, verdicts=_LIMIT),
    NandPart(
        "Kioxia TC58CVG2S0 (4Gbit)", 0x98, 0xCD00, page=4096, spare=256, blocks=2048,
        verdicts=_LIMIT,
    ),
)  # fmt: skip


def find(maker: int, device: int) -> NandPart | None:
    """The part of that id."""
    return next((part for part in PARTS if part.is_id(maker, device)), None)
