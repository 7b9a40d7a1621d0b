# SPDX-License-Identifier: Apache-2.0
"""`merge-bin`: raw, UF2 and HEX output equal the public tool's for every chip and option."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import pytest

from esptool import chips
from esptool.errors import FatalError, ImageError, UsageError
from esptool.events import Level
from esptool.image import uf2
from esptool.image.convert import ElfOptions, convert_elf
from esptool.image.merge import MergeOptions, merge_regions
from esptool.image.reader import read_image
from esptool.image.regions import Region, refuse_overlap
from tests.image.conftest import PublicTool
from tests.image.elfmaker import pattern, ram_program


def boot_loader(chip: str, **options: Any) -> bytes:
    """A small image for the boot loader's offset."""
    ram = next(r.start for r in chips.get(chip).memory_map if r.kind == "DRAM")
    return convert_elf(ram_program(ram), chip, ElfOptions(**options)).data


def merged(pairs: list[tuple[int, bytes]], chip: str, **options: Any) -> bytes | None:
    regions = [Region(a, d) for a, d in pairs]
    try:
        return b"".join(merge_regions(regions, chip, MergeOptions(**options)))
    except FatalError:
        return None


@pytest.mark.oracle
@pytest.mark.parametrize("chip", chips.KEYS)
def test_every_chip_and_format_gives_the_public_tools_bytes(
    chip: str, tmp_path: Path, public_tool: PublicTool
) -> None:
    spec = chips.get(chip)
    boot = spec.flash.bootloader_offset
    pairs = [(boot + 0x10000, pattern(5000)), (boot, boot_loader(chip)), (0x8000, pattern(3072, 5))]
    size = next(s for s in reversed([*spec.flash.sizes]) if "-" not in s)
    freq = list(spec.flash.frequencies)[-1]
    for options in (
        {},
        {"flash_mode": "dout", "flash_size": size, "flash_freq": freq},
        {"target_offset": boot, "flash_size": size},
        {"pad_to_size": "1MB"},
        {"pad_to_size": "256KB", "target_offset": boot},
        {"pad_to_size": "256KB", "target_offset": 0x9000},
    ):
        assert merged(pairs, chip, **options) == public_tool.merge_bin(pairs, chip, options)
    output = tmp_path / "out"
    for options in (
        {"format": "uf2"},
        {"format": "uf2", "chunk_size": 256, "flash_mode": "qout"},
        {"format": "uf2", "md5_disable": True},
        {"format": "uf2", "md5_disable": True, "chunk_size": 476},
        {"format": "hex"},
        {"format": "hex", "flash_size": size},
    ):
        theirs = public_tool.merge_bin(pairs, chip, options, output)
        assert theirs is not None
        assert merged(pairs, chip, **options) == theirs, options


@pytest.mark.oracle
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xe9",
        b"\xe9\x01\x02\x20",
        b"\xe9" + bytes(7),
        b"\xe9\x01" + bytes(60),
        bytes(range(100)),
        b"\xe9\x03" + bytes(range(90)),
    ],
    ids=lambda d: f"{len(d)}-{d[:2].hex()}",
)
def test_what_is_no_image_keeps_its_bytes_at_the_boot_loaders_offset(
    data: bytes, public_tool: PublicTool
) -> None:
    for chip in ("esp8266", "esp32", "esp32c3"):
        boot = chips.get(chip).flash.bootloader_offset
        options = {"flash_size": "1MB", "flash_mode": "dio"}
        assert merged([(boot, data)], chip, **options) == public_tool.merge_bin(
            [(boot, data)], chip, options
        )


@pytest.mark.oracle
def test_an_image_without_digest_or_with_data_behind_it_is_patched_alike(
    public_tool: PublicTool,
) -> None:
    for image in (
        boot_loader("esp32c3", append_digest=False),
        boot_loader("esp32c3") + b"\xff" * 100,
        boot_loader("esp32c3", pad_to_size="8KB"),
        boot_loader("esp32c3")[:-20],
    ):
        options = {"flash_size": "4MB", "flash_freq": "40m"}
        theirs = public_tool.merge_bin([(0, image)], "esp32c3", options)
        assert merged([(0, image)], "esp32c3", **options) == theirs


def test_new_flash_parameters_renew_the_digest_and_nothing_else() -> None:
    image = boot_loader("esp32c3")
    out = merged([(0, image)], "esp32c3", flash_size="4MB", flash_mode="dout", flash_freq="20m")
    assert out is not None
    assert out[2:4] == b"\x03\x22"
    assert out[4:-32] == image[4:-32]
    assert out[-32:] == hashlib.sha256(out[:-32]).digest()
    assert read_image(out, "esp32c3").stored_digest == out[-32:]


@pytest.mark.parametrize(
    ("pairs", "options", "says"),
    [
        ([], {}, "No input data"),
        ([(0, b"ab"), (1, b"c")], {}, r"\(0x1-0x1\) overlaps with data \(0x0-0x1\)"),
        ([(0, bytes(9)), (4, b""), (8, b"c")], {}, "overlap"),
        ([(0x10, b"ab")], {"target_offset": 0x20}, "before this"),
        ([(-1, b"ab")], {}, "negative"),
        ([(0, b"ab")], {"target_offset": -1}, "negative"),
        ([(0x10000000, b"ab")], {}, "out of range"),
        ([(0xFFFFFFFF, b"ab")], {"format": "uf2"}, "out of range"),
        ([(0, b"ab")], {"format": "elf"}, "Invalid format"),
        ([(0, b"ab")], {"format": "uf2", "chunk_size": 500}, "Chunk size"),
        ([(0, b"ab")], {"format": "uf2", "chunk_size": 0}, "Chunk size"),
        ([(0, b"ab")], {"pad_to_size": "4"}, "Unknown size"),
        ([(0, b"\xe9" + bytes(30))], {"flash_size": "3MB"}, None),
    ],
)
def test_bad_input_is_refused(
    pairs: list[tuple[int, bytes]], options: dict[str, Any], says: str | None
) -> None:
    regions = [Region(a, d) for a, d in pairs]
    if says is None:
        image = boot_loader("esp32c3")
        regions, says = [Region(0, image)], "not supported by this chip"
    with pytest.raises((ImageError, UsageError), match=says):
        b"".join(merge_regions(regions, "esp32c3", MergeOptions(**options)))


@pytest.mark.oracle
def test_flash_parameters_for_another_chips_image_are_set_with_a_warning(
    public_tool: PublicTool,
) -> None:
    image = boot_loader("esp32s3")
    events: list[Any] = []
    options = MergeOptions(flash_size="4MB")
    out = b"".join(merge_regions([Region(0, image)], "esp32c3", options, events.append))
    assert out == public_tool.merge_bin([(0, image)], "esp32c3", {"flash_size": "4MB"})
    warned = [e.text for e in events if e.level is Level.WARNING]
    assert any("is an ESP32-S3 image, not one for ESP32-C3" in text for text in warned)
    assert merged([(0, image)], "esp32c3") == image


def test_files_that_share_a_flash_sector_overlap_but_regions_of_one_file_may() -> None:
    one, two = Region(0, bytes(10), "a"), Region(0x800, bytes(10), "b")
    with pytest.raises(ImageError, match=r"'b' \(0x800-0x809\) overlaps with 'a' \(0x0-0x9\)"):
        refuse_overlap([two, one], 0x1000)
    refuse_overlap([one, two])
    refuse_overlap([one, Region(0x800, bytes(10), "a")], 0x1000)
    refuse_overlap([one, Region(0x1000, bytes(10), "b")], 0x1000)
    # Written one after the other, even two of one file would erase each other.
    with pytest.raises(UsageError, match="Detected overlap at address: 0x800 for file: 'a'"):
        refuse_overlap(
            [one, Region(0x800, bytes(10), "a")], 0x1000, together=False, error=UsageError
        )


@pytest.mark.parametrize("md5", [True, False])
@pytest.mark.parametrize("size", [0, 1, 452, 453, 1000])
def test_uf2_blocks_hold_the_data_in_order(size: int, md5: bool) -> None:
    data = pattern(size)
    blocks = list(uf2.encode_file(0x1000, data, 0xD42BA06C, md5=md5))
    found = b""
    for number, block in enumerate(blocks):
        head = struct.unpack_from("<8I", block)
        assert len(block) == 512
        assert head[:2] == (0x0A324655, 0x9E5D5157)
        assert head[2] == 0x2000 | (0x4000 if md5 else 0)
        assert head[3] == 0x1000 + len(found)
        assert head[5:] == (number, len(blocks), 0xD42BA06C)
        assert block[-4:] == (0x0AB16F30).to_bytes(4, "little")
        chunk = block[32 : 32 + head[4]]
        if md5:
            record = block[32 + head[4] : 56 + head[4]]
            assert record == struct.pack("<II", *head[3:5]) + hashlib.md5(chunk).digest()
        found += chunk
    assert found == data
