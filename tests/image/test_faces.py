# SPDX-License-Identifier: Apache-2.0
"""The Python interface: helpers for flashing, v5 functions and v5 image classes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from esptool import bin_image, chips
from esptool.cmds_image import elf2image, image_info, merge_bin
from esptool.errors import FatalError, ImageError
from esptool.events import Event, Level, Message
from esptool.image.app import (
    incompatibility,
    load_for_ram,
    parse_header,
    patch_flash_params,
)
from esptool.image.convert import convert_elf
from esptool.image.header import ExtendedHeader
from esptool.image.hexfile import write_hex
from esptool.image.reader import read_image
from esptool.image.regions import Region
from esptool.uf2_writer import UF2Writer
from tests.image.elfmaker import C3_ELF, ELF_8266, pattern

C3_IMAGE = convert_elf(C3_ELF, "esp32c3").data


# --- helpers for flashing ----------------------------------------------------------------------


def test_headers_are_read_without_the_rest() -> None:
    headers = parse_header(C3_IMAGE[:24])
    assert headers.header.entry == 0x3FC80404
    assert headers.extended is not None
    assert headers.extended.chip_id == 5
    assert parse_header(C3_IMAGE[:23]).extended is None
    with pytest.raises(ImageError, match="magic"):
        parse_header(b"\xea" + C3_IMAGE[1:])


def test_patching_says_what_it_does_and_leaves_other_data_alone() -> None:
    events: list[Event] = []
    out = patch_flash_params(C3_IMAGE, "esp32c3", flash_size="8MB", notify=events.append)
    assert [e.text for e in events if isinstance(e, Message)] == [
        "Flash parameters set to 0x0030.",
        "SHA digest in image updated.",
    ]
    assert read_image(out, "esp32c3").stored_digest == out[-32:]
    for data, address in ((C3_IMAGE, 0x10000), (b"", 0), (b"\xe9", 0)):
        assert patch_flash_params(data, "esp32c3", "dio", address=address) is data
    assert patch_flash_params(C3_IMAGE, "esp32c3") is C3_IMAGE
    events.clear()
    assert patch_flash_params(bytes(64), "esp32c3", "dio", notify=events.append) == bytes(64)
    (event,) = events
    assert isinstance(event, Message)
    assert event.level is Level.WARNING
    assert "doesn't look like an image file" in event.text


def test_a_ram_load_gets_the_segments_in_file_order() -> None:
    program = load_for_ram(C3_IMAGE, "esp32c3")
    assert program.entry == 0x3FC80404
    assert [s.addr for s in program.segments] == [0x3FC80000, 0x3FC80400]
    with pytest.raises(ImageError):
        load_for_ram(C3_IMAGE[:100], "esp32c3")


@pytest.mark.parametrize(
    ("fields", "revision", "says"),
    [
        ({"min_rev_full": 3, "max_rev_full": 199}, 103, None),
        ({"min_rev_full": 104, "max_rev_full": 199}, 103, "in range v1.4 - v1.99"),
        ({"min_rev_full": 104, "max_rev_full": 65535}, 103, "v1.4 or higher"),
        ({"min_rev_full": 0, "max_rev_full": 99}, 103, "v0.99 or lower"),
        ({"min_rev": 3}, 103, None),
        ({"min_rev": 4}, 103, "revision 4 or higher (this chip is revision 3)"),
        ({"min_rev": 4, "max_rev_full": 65535}, 103, "revision 4 or higher"),
        ({"chip_id": 9}, 103, "is not an ESP32-C3 image"),
    ],
)
def test_an_image_that_does_not_suit_the_chip_says_why(
    fields: dict[str, Any], revision: int, says: str | None
) -> None:
    extended = ExtendedHeader(**{"chip_id": 5, **fields})
    found = incompatibility(extended, chips.get("esp32c3"), revision, "app.bin")
    assert found is None if says is None else says in str(found)


# --- v5 functions ------------------------------------------------------------------------------


def test_elf2image_takes_paths_bytes_and_open_files(tmp_path: Path) -> None:
    path = tmp_path / "app.elf"
    path.write_bytes(C3_ELF)
    with open(path, "rb") as file:
        assert elf2image(file, "esp32c3") == C3_IMAGE
        assert file.tell() == 0
    assert elf2image(io.BytesIO(C3_ELF), "esp32c3") == C3_IMAGE
    assert elf2image(C3_ELF, "esp32c3") == elf2image(str(path), "esp32c3") == C3_IMAGE
    assert elf2image(path, "esp32c3", "auto") is None
    assert (tmp_path / "app.bin").read_bytes() == C3_IMAGE
    assert elf2image(path, "esp32c3", str(tmp_path / "x.bin")) is None
    assert (tmp_path / "x.bin").read_bytes() == C3_IMAGE


@pytest.mark.parametrize("version", [1, "1"])
def test_elf2image_gives_a_pair_for_esp8266_version_1(version: Any, tmp_path: Path) -> None:
    result = elf2image(ELF_8266, "esp8266", version=version)
    assert isinstance(result, tuple)
    assert result[0] == pattern(70) + bytes(2)
    elf2image(ELF_8266, "esp8266", str(tmp_path / "fw-"), version=version)
    assert (tmp_path / "fw-0x00000.bin").read_bytes() == result[1]
    assert (tmp_path / "fw-0x10000.bin").read_bytes() == result[0]


def test_merge_bin_returns_bytes_or_writes_and_takes_hex_files(tmp_path: Path) -> None:
    path = tmp_path / "b.hex"
    path.write_bytes(b"".join(write_hex([Region(0x20, b"yy"), Region(0x30, b"z")])))
    pairs: list[Any] = [(0x10, b"xx"), (0, str(path))]
    expected = b"xx" + b"\xff" * 14 + b"yy" + b"\xff" * 14 + b"z"
    assert merge_bin(pairs, "esp32", target_offset=0x10) == expected
    assert merge_bin(pairs, "esp32", str(tmp_path / "o"), target_offset=0x10) is None
    assert (tmp_path / "o").read_bytes() == expected
    with pytest.raises(FatalError, match="Output file must be specified"):
        merge_bin(pairs, "esp32", format="hex")


@pytest.mark.parametrize(
    "call",
    [
        lambda: elf2image(C3_ELF, "esp99"),
        lambda: elf2image(C3_ELF, "auto"),
        lambda: elf2image(C3_ELF, "esp32c3", colour="red"),  # type: ignore[call-arg]
        lambda: elf2image("/nonexistent/a.elf", "esp32c3"),
        lambda: elf2image(5, "esp32c3"),  # type: ignore[arg-type]
        lambda: elf2image(io.StringIO("text"), "esp32c3"),  # type: ignore[arg-type]
        lambda: elf2image(ELF_8266, "esp8266", version=4),
        lambda: merge_bin([], "esp32"),
        lambda: merge_bin([(0, b"a")], "esp99"),
        lambda: image_info(b""),
        lambda: image_info("/"),
        lambda: image_info(C3_IMAGE, "esp99"),
    ],
)
def test_bad_calls_raise_fatal_errors(call: Any) -> None:
    with pytest.raises(FatalError):
        call()


def test_image_info_takes_a_list_of_offsets_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    image_info([(0, C3_IMAGE), (0x8000, b"\xaa\x50")])
    captured = capsys.readouterr()
    assert f"Processing file 1/2, offset: 0x0, size: {len(C3_IMAGE)} bytes" in captured.out
    assert "Detected image type: ESP32-C3" in captured.out
    assert "Probably not a valid firmware image" in captured.err


# --- v5 classes --------------------------------------------------------------------------------


def test_a_loaded_image_has_the_documented_attributes(tmp_path: Path) -> None:
    path = tmp_path / "i.bin"
    path.write_bytes(C3_IMAGE)
    image = bin_image.LoadFirmwareImage("ESP32-C3", str(path))
    assert isinstance(image, bin_image.ESP32FirmwareImage)
    assert type(image).__name__ == "ESP32C3FirmwareImage"
    assert image.entrypoint == 0x3FC80404
    assert image.checksum == image.calculate_checksum()
    assert image.append_digest is True
    assert image.stored_digest == image.calc_digest == C3_IMAGE[-32:]
    assert image.data_length == len(C3_IMAGE) - 32
    assert [(s.addr, len(s.data), s.file_offs) for s in image.segments] == [
        (0x3FC80000, 100, 24),
        (0x3FC80400, 200, 132),
    ]
    assert repr(image.segments[0]) == "len 0x00064 load 0x3fc80000 file_offs 0x00000018"
    assert image.segments[0].get_memory_type(image) == ["DRAM"]
    assert (image.chip_id, image.version, image.flash_mode) == (5, 1, 0)
    assert image.save(None) == C3_IMAGE


def test_an_image_put_together_by_hand_is_saved_like_a_converted_one(tmp_path: Path) -> None:
    elf = bin_image.ELFFile(C3_ELF)
    image = bin_image.image_class("esp32c3")()
    assert isinstance(image, bin_image.ESP32FirmwareImage)
    image.entrypoint = elf.entrypoint
    image.segments = elf.sections
    image.max_rev_full = 65535
    image.merge_adjacent_segments()
    image.verify()
    image.save(str(tmp_path / "o.bin"))
    assert (tmp_path / "o.bin").read_bytes() == C3_IMAGE
    assert elf.get_section(".iram").addr == 0x3FC80400
    with pytest.raises(ValueError, match="No section"):
        elf.get_section(".none")


def test_esp8266_images_are_loaded_by_their_magic_byte() -> None:
    one = bin_image.ESP8266ROMFirmwareImage()
    two = bin_image.ESP8266V2FirmwareImage()
    for image in (one, two):
        image.segments = bin_image.ELFFile(ELF_8266).sections
    pair = one.save(None)
    assert pair is not None
    data = two.save(None)
    assert data is not None
    assert int.from_bytes(data[-4:], "little") == bin_image.esp8266_crc32(data[:-4])
    loaded = bin_image.LoadFirmwareImage("esp8266", data)
    assert isinstance(loaded, bin_image.ESP8266V2FirmwareImage)
    assert loaded.segments[0].addr == 0
    assert loaded.checksum == loaded.calculate_checksum()
    assert isinstance(
        bin_image.LoadFirmwareImage("esp8266", pair[1]), bin_image.ESP8266ROMFirmwareImage
    )
    assert two.default_output_name("a/b.elf") == "a/b-0x10000.bin"
    with pytest.raises(FatalError, match="Invalid image magic number: 0"):
        bin_image.LoadFirmwareImage("esp8266", bytes(50))


def test_segments_can_be_split_padded_and_merged() -> None:
    segment = bin_image.ImageSegment(0x40080000, b"abcde")
    assert segment.data == b"abcde\0\0\0"
    front = segment.split_image(4)
    assert (front.addr, front.data, segment.addr, segment.data) == (
        0x40080000,
        b"abcd",
        0x40080004,
        b"e\0\0\0",
    )
    assert segment.end_addr_if_aligned(16) == 0x40080010
    segment.pad_until_addr(0x40080010)
    assert len(segment.data) == 12
    image = bin_image.ESP32FirmwareImage()
    image.segments = [segment, front]
    image.sort_segments()
    image.merge_adjacent_segments()
    assert image.segments == [front]
    assert front.data == b"abcde" + bytes(11)


@pytest.mark.parametrize("chip", chips.KEYS)
def test_every_chip_has_its_image_class(chip: str) -> None:
    cls = bin_image.image_class(chip)
    assert cls.rules.key == chip
    assert getattr(bin_image, cls.__name__) is cls
    for size in cls.MMU_PAGE_SIZE_CONF:
        image = cls()
        image.set_mmu_page_size(size)
        assert size == image.IROM_ALIGN
    if cls.MMU_PAGE_SIZE_CONF:
        with pytest.raises(FatalError, match="not a valid"):
            cls().set_mmu_page_size(4096)


def test_hex_files_become_temporary_files_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.hex"
    path.write_bytes(b"".join(write_hex([Region(0x10, b"one"), Region(0x100, b"two")])))
    parts = bin_image.intel_hex_to_bin(open(path, "rb"))  # noqa: SIM115
    assert [a for a, _ in parts] == [0x10, 0x100]
    for (_, part), expected in zip(parts, (b"one", b"two"), strict=True):
        assert part.read() == expected
        part.close()
        Path(part.name).unlink()
    path = tmp_path / "x.bin"
    path.write_bytes(b":")
    with open(path, "rb") as file:
        assert bin_image.intel_hex_to_bin(file, 0x20) == [(0x20, file)]


def test_the_uf2_writer_keeps_its_v5_name(tmp_path: Path) -> None:
    with UF2Writer(0x1C5F21B0, str(tmp_path / "o.uf2"), None) as writer:
        writer.add_file(0x1000, pattern(1000))
    assert len((tmp_path / "o.uf2").read_bytes()) == 3 * UF2Writer.UF2_BLOCK_SIZE
