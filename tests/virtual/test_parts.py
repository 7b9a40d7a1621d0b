# SPDX-License-Identifier: Apache-2.0
"""The flash catalogue beside independent sources: flashrom's ids, and JESD216's own reading."""

from __future__ import annotations

import struct

import pytest

from esptool.chips import nor
from esptool.virtual.clock import Clock, Timing
from esptool.virtual.faults import FaultPlan
from esptool.virtual.nor import Nor
from esptool.virtual.parts import PARTS, FlashPart, find
from esptool.virtual.sfdp import sfdp

#: Manufacturer and device ids as flashrom's `include/flashchips.h` names them, for parts in both.
FLASHROM = {
    "W25Q80DV": (0xEF, 0x4014),  # WINBOND_NEX_W25Q80_V
    "W25Q16JV": (0xEF, 0x4015),  # WINBOND_NEX_W25Q16_V
    "W25Q32JV": (0xEF, 0x4016),  # WINBOND_NEX_W25Q32_V
    "W25Q64JV": (0xEF, 0x4017),  # WINBOND_NEX_W25Q64_V
    "W25Q128JV": (0xEF, 0x4018),  # WINBOND_NEX_W25Q128_V
    "W25Q256JV": (0xEF, 0x4019),  # WINBOND_NEX_W25Q256_V
    "GD25Q40C": (0xC8, 0x4013),  # GIGADEVICE_GD25Q40
    "GD25Q16C": (0xC8, 0x4015),
    "GD25Q32C": (0xC8, 0x4016),
    "GD25Q64C": (0xC8, 0x4017),
    "GD25Q128E": (0xC8, 0x4018),
    "GD25Q256E": (0xC8, 0x4019),  # GIGADEVICE_GD25Q256D
    "XM25QH32C": (0x20, 0x4016),
    "XM25QH64C": (0x20, 0x4017),
    "XM25QH128C": (0x20, 0x4018),
    "MX25L3233F": (0xC2, 0x2016),  # MACRONIX_MX25L3205
    "MX25L6433F": (0xC2, 0x2017),  # MACRONIX_MX25L6405
    "MX25L12833F": (0xC2, 0x2018),  # MACRONIX_MX25L12805D
    "MX25L25645G": (0xC2, 0x2019),  # MACRONIX_MX25L25635F
    "IS25LP032D": (0x9D, 0x6016),
    "IS25LP064A": (0x9D, 0x6017),
    "IS25LP128F": (0x9D, 0x6018),
    "BY25Q128AS": (0x68, 0x4018),  # BOYA_BOHONG_B_25Q128AS
    "P25Q32H": (0x85, 0x6016),  # PUYA_P25D32SH
    "FM25Q32": (0xA1, 0x4016),  # FUDAN_FM25Q32
    "EN25QH64A": (0x1C, 0x7017),  # EON_EN25QH64
    "AT25SF321B": (0x1F, 0x8701),  # ATMEL_AT25SF321
}


@pytest.mark.parametrize(("name", "ids"), FLASHROM.items())
def test_ids_are_those_that_flashrom_knows(name: str, ids: tuple[int, int]) -> None:
    jedec = find(name, None).jedec
    assert (jedec[0], jedec[1] << 8 | jedec[2]) == ids


def test_the_catalogue_is_wide_and_without_doubles() -> None:
    assert len(PARTS) >= 15
    assert len({p.vendor for p in PARTS}) >= 8
    assert len({p.name for p in PARTS}) == len(PARTS)
    assert len({p.jedec for p in PARTS}) == len(PARTS)


def decode_basic_table(data: bytes) -> dict[str, object]:
    """JESD216B, sections 6.2 to 6.4, read word by word."""
    assert data[:4] == b"SFDP"
    minor, major, last = data[4:7]
    assert (major, minor) == (1, 6)
    assert last >= 0
    identity, length = data[8], data[11]
    assert identity == 0x00
    assert length == 16
    pointer = int.from_bytes(data[12:15], "little")
    w = (0, *struct.unpack_from("<16I", data, pointer))
    density = (w[2] & 0x7FFFFFFF) + 1 if not w[2] >> 31 else 1 << (w[2] & 0x7FFFFFFF)
    erases = {}
    units = (0.001, 0.016, 0.128, 1.0)
    for number in range(4):
        pair = w[8 + number // 2] >> 16 * (number % 2) & 0xFFFF
        if pair & 0xFF:
            field = w[10] >> (4 + 7 * number) & 0x7F
            erases[1 << (pair & 0xFF)] = (pair >> 8, ((field & 31) + 1) * units[field >> 5])
    page_field = w[11] >> 8 & 0x3F
    page_time = ((page_field & 31) + 1) * (64e-6 if page_field >> 5 else 8e-6)
    chip_field = w[11] >> 24 & 0x7F
    chip_time = ((chip_field & 31) + 1) * (0.016, 0.256, 4.0, 64.0)[chip_field >> 5]
    return {
        "size": density // 8,
        "erases": erases,
        "erase_ratio": 2 * ((w[10] & 15) + 1),
        "erase_4k_opcode": w[1] >> 8 & 0xFF,
        "address_bytes": w[1] >> 17 & 3,
        "page": 1 << (w[11] >> 4 & 15),
        "page_time": page_time,
        "chip_time": chip_time,
        "quad_enable": w[15] >> 20 & 7,
    }


@pytest.mark.parametrize("part", PARTS, ids=lambda p: p.name)
def test_sfdp_says_what_the_data_sheet_says(part: FlashPart) -> None:
    table = decode_basic_table(sfdp(part))
    assert table["size"] == part.size
    assert table["page"] == 256
    assert table["erase_4k_opcode"] == 0x20
    assert table["address_bytes"] == (1 if part.size > 1 << 24 else 0)
    assert table["quad_enable"] == part.quad_enable
    erases = table["erases"]
    assert isinstance(erases, dict)
    assert {k: v[0] for k, v in erases.items()} == {0x1000: 0x20, 0x8000: 0x52, 0x10000: 0xD8}
    t = part.times
    for size, time in ((0x1000, t.sector), (0x8000, t.block32), (0x10000, t.block64)):
        assert erases[size][1] == pytest.approx(time[0], rel=0.25)
    assert table["page_time"] == pytest.approx(t.page[0], rel=0.15)
    # Above 8 s the table counts in steps of 4 s, above 128 s in steps of 64 s.
    assert table["chip_time"] == pytest.approx(t.chip[0], rel=0.25, abs=0.008)


@pytest.mark.parametrize("part", PARTS, ids=lambda p: p.name)
def test_times_are_ordered_and_the_size_follows_from_the_id(part: FlashPart) -> None:
    t = part.times
    for typical, maximum in (t.page, t.sector, t.block32, t.block64, t.chip, t.status):
        assert 0 < typical <= maximum
    assert t.page[0] < t.sector[0] <= t.block32[0] <= t.block64[0] <= t.chip[0]
    code = part.jedec[2]
    sizes = {0x20: 26, 0x21: 27}
    if part.vendor != "Adesto":
        assert part.size == 1 << sizes.get(code, code)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_tool_reads_the_size_of_every_part_from_its_id(part: FlashPart) -> None:
    assert nor.bytes_of(int.from_bytes(part.jedec, "little")) == part.size


@pytest.mark.parametrize(("name", "takes"), [("W25Q64JV", True), ("MX25L6433F", False)])
def test_a_part_takes_only_its_own_quad_program_command(name: str, takes: bool) -> None:
    nor = Nor(find(name, None), Clock(Timing.FAST), FaultPlan())
    nor.transfer(0x06, None, 0, b"", 0)
    nor.transfer(0x32, 0x1000, 3, b"\x12\x34", 0, lanes=4)
    assert (nor.read(0x1000, 2) == b"\x12\x34") is takes
