# SPDX-License-Identifier: Apache-2.0
"""`image-info`: the public tool's lines for sound images, plain words for damaged ones."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from esptool import chips
from esptool.cmds_image import image_info, image_info_data
from esptool.errors import ImageError
from esptool.image.convert import ElfOptions, convert_elf
from esptool.image.hexfile import write_hex
from esptool.image.info import examine, find_images
from esptool.image.regions import Region
from tests.image.conftest import PublicTool
from tests.image.elfmaker import XTENSA, Elf, Part, pattern, ram_program
from tests.image.programs import PROGRAMS


def lines_of(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def small_image(chip: str, **options: object) -> bytes:
    ram = next(r.start for r in chips.get(chip).memory_map if r.kind == "DRAM")
    return convert_elf(ram_program(ram), chip, ElfOptions(**options)).data  # type: ignore[arg-type]


@pytest.mark.oracle
@pytest.mark.parametrize("program", list(PROGRAMS), indirect=True)
def test_compiled_programs_are_described_in_the_public_tools_words(
    program: Path, public_tool: PublicTool, capsys: pytest.CaptureFixture[str]
) -> None:
    chip = PROGRAMS[program.stem].chip
    options = ElfOptions(version=2 if chip == "esp8266" else 1)
    image = convert_elf(program.read_bytes(), chip, options).data
    for asked in (None, chip):
        theirs = public_tool.image_info(image, asked)
        image_info(image, asked)
        assert lines_of(capsys) == theirs


@pytest.mark.oracle
@pytest.mark.parametrize("chip", chips.KEYS)
def test_header_values_of_every_chip_are_described_in_the_public_tools_words(
    chip: str, public_tool: PublicTool, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = chips.get(chip)
    base = small_image(chip, min_rev=2, min_rev_full=104, max_rev_full=399)
    variants = [base, base + b"\xff" * 40]
    for size in set(spec.flash.sizes.values()):
        for freq in set(spec.flash.frequencies.values()):
            variants.append(base[:3] + bytes((size + freq,)) + base[4:])
    for image in variants:
        image_info(image, chip)
        mine = lines_of(capsys)
        theirs = public_tool.image_info(image, chip)
        assert theirs is not None
        wrong = "invalid" in theirs  # the digest of a changed header; we add a list of problems
        assert mine == theirs or (wrong and mine.startswith(theirs))


@pytest.mark.parametrize("chip", chips.KEYS)
def test_the_chip_is_found_in_the_image(chip: str) -> None:
    found = examine(small_image(chip))
    assert found.chip.key == chip
    assert found.detected
    assert found.problems == ()


@pytest.mark.oracle
def test_an_image_for_another_chip_is_named_and_described_in_the_public_tools_words(
    public_tool: PublicTool, capsys: pytest.CaptureFixture[str]
) -> None:
    image = small_image("esp32c3")
    said = "ESP32-C3 image, not one for ESP32-S3. Use --chip esp32c3"
    with pytest.raises(ImageError, match=said):
        examine(image, "esp32s3")
    image_info(image, "esp32s3")
    theirs = public_tool.image_info(image, "esp32s3")
    mine = lines_of(capsys)
    assert theirs is not None
    assert mine.startswith(theirs)
    assert said in mine.removeprefix(theirs)
    (found,) = image_info_data(image, "esp32s3")["images"]
    assert said in found["problems"][0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda i: i[:-40] + bytes((i[-40] ^ 1,)) + i[-39:], "digest does not match"),
        (lambda i: i[:40] + bytes((i[40] ^ 1,)) + i[41:], "the segments give"),
        (lambda i: i[:-10], "digest is cut off: 22 of 32"),
        (lambda i: i[:2] + b"\x09" + i[3:], "Flash mode code 9"),
        (lambda i: i[:3] + b"\xf0" + i[4:], "Flash size code 0xf0"),
        (lambda i: i[:3] + b"\x07" + i[4:], "Flash clock code 0x07"),
    ],
)
def test_a_damaged_field_is_named(
    change: object, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(change)
    image = change(small_image("esp32c3"))
    assert any(says in p for p in examine(image).problems)
    image_info(image)
    assert says in lines_of(capsys)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda i: i[:300], "End of file reading segment 0x3fc80400"),
        (lambda i: i[:26], "End of file reading the header of segment 0"),
        (lambda i: i[:20], "inside its extended header"),
        (lambda i: i[:5], "inside its header"),
        (lambda i: i[:-36], "checksum"),
        (lambda i: i[:28] + b"\xff\xff\xff\xff" + i[32:], "length 4294967295"),
        (lambda i: i[:1] + b"\x11" + i[2:], "End of file"),
        (lambda i: i[:23] + b"\x07" + i[24:], "append_digest"),
        (lambda i: b"", "Image is empty"),
        (lambda i: b"\xff" + i[1:], "invalid magic number: 0xff"),
    ],
)
def test_an_image_that_cannot_be_read_to_its_end_is_an_error_that_says_why(
    change: object, says: str
) -> None:
    assert callable(change)
    with pytest.raises(ImageError, match=says):
        image_info(change(small_image("esp32c3")), "esp32c3")


def test_an_esp8266_image_with_odd_segments_gives_the_public_tools_notes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    elf = Elf([Part(".x", 0x50000000, pattern(8))], XTENSA).build()
    image_info(convert_elf(elf, "esp8266").data, "esp8266")
    assert "Suspicious segment 0x50000000, length 8" in lines_of(capsys)


def test_signature_blocks_behind_an_image_are_noticed() -> None:
    image = small_image("esp32c3", secure_pad_v2=True)
    block = bytearray(1216)
    block[:4] = b"\xe7\x02\0\0"
    struct.pack_into("<I", block, 1196, zlib.crc32(block[:1196]))
    ecdsa = bytearray(1216)
    ecdsa[:4], ecdsa[36] = b"\xe7\x03\0\0", 2
    found = examine(image + block + ecdsa + b"\xff" * (4096 - 2 * 1216)).signatures
    assert [(s.version, s.scheme, s.intact) for s in found] == [
        (2, "RSA-3072", True),
        (2, "ECDSA P-256", False),
    ]
    assert found[0].offset == len(image)
    v1 = small_image("esp32", secure_pad=True) + bytes(4) + pattern(64)
    assert [s.version for s in examine(v1).signatures] == [1]
    assert examine(image).signatures == ()


def test_images_inside_a_flash_dump_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    boot, app = small_image("esp32"), small_image("esp32", flash_size="4MB")
    dump = b"\xff" * 0x1000 + boot.ljust(0x7000, b"\xff") + b"\xaa\x50" + b"\xff" * 0x7FFE + app
    assert [r.address for r in find_images(dump)] == [0x1000, 0x10000]
    image_info(dump)
    text = lines_of(capsys)
    assert "Merged binary image detected. Processing each file individually." in text
    assert f"Processing file 2/2, offset: 0x10000, size: {len(app)} bytes" in text
    assert text.count("Detected image type: ESP32") == 1
    assert text.count("Validation hash: ") == 2


def test_a_merged_binary_that_starts_with_an_image_shows_the_others_after_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    boot = small_image("esp32c3")
    image_info(boot.ljust(0x10000, b"\xff") + boot)
    text = lines_of(capsys)
    assert text.startswith("Image size: ")
    assert "Further image at offset: 0x10000" in text


def test_a_hex_file_is_split_at_its_gaps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = small_image("esp32c3")
    path = tmp_path / "two.hex"
    regions = [Region(0, image), Region(0x8000, b"\xaa\x50" + bytes(30))]
    path.write_bytes(b"".join(write_hex(regions)))
    image_info(str(path))
    text = lines_of(capsys)
    assert f"Processing file 1/2, offset: 0x0, size: {len(image)} bytes" in text
    assert "Error processing file 2/2: This is not a valid image (invalid magic number" in text
    data = image_info_data(str(path))
    assert [i["offset"] for i in data["images"]] == [0, 0x8000]
    assert data["images"][0]["checksum"]["valid"]
    assert "magic" in data["images"][1]["problems"][0]
    path.write_bytes(b"".join(write_hex(regions[:1])))
    image_info(str(path))
    assert lines_of(capsys).startswith(f"Image size: {len(image)} bytes\n")


def test_the_data_form_holds_what_the_text_says() -> None:
    data = image_info_data(small_image("esp32c3", min_rev_full=3, flash_size="4MB"))
    (image,) = data["images"]
    assert (data["schema"], data["file"], image["chip"]) == (1, None, "esp32c3")
    assert image["flash"]["size"] == "4MB"
    assert image["extended_header"]["min_rev_full"] == 3
    assert image["digest"]["valid"] is True
    assert image["segments"][0] == {
        "index": 0,
        "length": 100,
        "load_address": 0x3FC80000,
        "file_offset": 24,
        "memory_types": ["DRAM"],
    }
    assert image["problems"] == []
