# SPDX-License-Identifier: Apache-2.0
"""Files and builds with several applications: all of them are written, or it is said why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import esptool
from esptool.builds.find import find_build
from esptool.errors import UsageError
from tests.builds import shapes
from tests.builds.support import Desk

Capture = pytest.CaptureFixture[str]
TABLE = """\
nvs,data,nvs,0x9000,0x4000
otadata,data,ota,0xd000,0x2000
ota_0,app,ota_0,0x10000,0x20000
ota_1,app,ota_1,0x30000,0x20000
spiffs,data,spiffs,0x50000,0x10000
"""


def images(described: bool) -> dict[int, bytes]:
    """All that a board with two slots holds."""
    return {
        0x0: shapes.image(shapes.boot_elf(described=described), "esp32c3"),
        0x8000: shapes.table(TABLE),
        0x10000: shapes.app(version="1.0"),
        0x30000: shapes.app(version="2.0"),
        0x50000: b"files" * 100,
    }


def hex_file(folder: Path, files: dict[int, bytes]) -> str:
    """The same in one file of Intel HEX, as `merge-bin` makes it."""
    pairs = []
    for at, data in files.items():
        (folder / f"{at:x}.bin").write_bytes(data)
        pairs += [hex(at), str(folder / f"{at:x}.bin")]
    made = str(folder / "all.hex")
    esptool.main(["--chip", "esp32c3", "merge-bin", "--format", "hex", "-o", made, *pairs])
    return made


def assert_written(desk: Desk, files: dict[int, bytes]) -> None:
    for at, data in files.items():
        assert desk.flash(at, len(data)) == data, hex(at)


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("bundled", [True, False])
def test_all_that_a_hex_file_holds_is_written(
    tmp_path: Path, capsys: Capture, described: bool, bundled: bool
) -> None:
    files = images(described)
    what = hex_file(tmp_path, files)
    if bundled:
        esptool.main(["bundle", "-o", str(tmp_path / "all.bundle"), what])
        what = str(tmp_path / "all.bundle")
    desk = Desk(capsys, "esp32c3")
    said = desk("flash", what)
    assert_written(desk, files)
    assert said.count("bootloader ") == 1


def test_several_applications_have_no_target_and_none_stands_in(
    tmp_path: Path, capsys: Capture
) -> None:
    what = hex_file(tmp_path, images(True))
    desk = Desk(capsys, "esp32c3")
    said = desk.refused("flash", what, "--target", "ota_1")
    assert "several applications, at 0x10000, 0x30000" in said
    (tmp_path / "other.bin").write_bytes(shapes.app(version="3.0"))
    with pytest.raises(UsageError, match=r"which of them '.*other.bin' takes the place of"):
        find_build([what, str(tmp_path / "other.bin")])


def test_a_build_writes_a_second_application_and_keeps_it_apart(
    tmp_path: Path, capsys: Capture
) -> None:
    """As boards with a USB boot loader in a partition of its own have it."""
    folder = shapes.platformio_arduino(tmp_path).folder / ".pio" / "build" / "board"
    said = json.loads((folder / "idedata.json").read_text())
    second = shapes.app(find_build([str(folder)]).build.chip or "", version="uf2")
    (folder / "tinyuf2.bin").write_bytes(second)
    listed = said["extra"]["flash_images"]
    listed.append({"offset": "0x2d0000", "path": "/home/someone/tinyuf2.bin"})
    (folder / "idedata.json").write_text(json.dumps(said))
    for words in (
        [str(folder)],
        [str(folder / "firmware.elf")],
        [str(folder), "--target", "ota_1"],
    ):
        found = find_build(words[:1]).build
        assert "tinyuf2.bin" in {Path(part.name).name for part in found.parts}
        desk = Desk(capsys, found.chip or "")
        desk("flash", *words)
        assert_written(desk, {0x2D0000: second})
        where = 0x10000 if len(words) == 1 else 0x50000
        assert desk.flash(where, 1) == b"\xe9"


def test_a_merged_image_without_boot_loader_is_called_that(tmp_path: Path, capsys: Capture) -> None:
    content = images(True)
    del content[0]
    merged = tmp_path / "merged.bin"
    merged.write_bytes(shapes.merged(content))
    said = Desk(capsys, "esp32c3").refused("flash", str(merged))
    assert "has a partition table at 0x8000 and no boot loader" in said
    assert "write-flash 0x0" in said
    merged.write_bytes(b"\xff" * 0x2000 + b"data")
    assert "blank in its first 0x2000 bytes" in Desk(capsys, "esp32c3").refused(
        "flash", str(merged)
    )
    merged.write_bytes(b"\xff" * 0x2000)
    assert "' is blank." in Desk(capsys, "esp32c3").refused("flash", str(merged))


# --- what says itself where it goes, and what nobody says it of -----------------------------------


def test_a_hex_file_beside_a_build_goes_where_it_says_or_nowhere(
    tmp_path: Path, capsys: Capture
) -> None:
    build = shapes.idf(tmp_path / "build")
    new = shapes.app(version="9.0")
    elsewhere, there = tmp_path / "elsewhere", tmp_path / "there"
    for folder, at in ((elsewhere, 0x20000), (there, 0x10000)):
        folder.mkdir()
        hex_file(folder, {at: new})
    desk = Desk(capsys, "esp32c3")
    said = desk.refused("flash", str(build.path), str(elsewhere / "all.hex"))
    assert "says that it goes to 0x20000, and the app of" in said
    assert "stands at 0x10000" in said
    desk("flash", str(build.path), str(there / "all.hex"))
    assert_written(desk, {0x10000: new})


def test_data_in_a_loose_folder_are_named_as_left_out(tmp_path: Path, capsys: Capture) -> None:
    content = images(True)
    names = {0: "bootloader.bin", 0x8000: "partition-table.bin", 0x10000: "app.bin"}
    for at, name in names.items():
        (tmp_path / name).write_bytes(content[at])
    for name in ("littlefs.bin", "nvs.bin"):
        (tmp_path / name).write_bytes(b"files" * 100)
    said = Desk(capsys, "esp32c3")("flash", str(tmp_path))
    assert "where it belongs: 'littlefs.bin', 'nvs.bin'. Write each with" in said
    for name in ("littlefs.bin", "nvs.bin"):
        (tmp_path / name).unlink()
    assert "Left out" not in Desk(capsys, "esp32c3")("flash", str(tmp_path))


@pytest.mark.parametrize("merged", [True, False])
def test_a_program_for_another_processor_in_a_data_partition_is_no_image_for_another_chip(
    merged: bool, tmp_path: Path, capsys: Capture
) -> None:
    """An ESP32-P4 with the firmware of its ESP32-C6 beside its own."""
    csv = "nvs,data,nvs,0x9000,0x6000\nfactory,app,factory,0x10000,1M\nslave,data,0x40,0x110000,1M"
    files = {
        0x2000: shapes.boot("esp32p4"),
        0x8000: shapes.table(csv),
        0x10000: shapes.app("esp32p4"),
        0x110000: shapes.app("esp32c6"),
    }
    if merged:
        what = tmp_path / "merged.bin"
        what.write_bytes(shapes.merged({0: b"\xff", **files}))
    else:
        what = Path(hex_file(tmp_path, files))
    desk = Desk(capsys, "esp32p4")
    desk("flash", str(what))
    assert_written(desk, files)
    files[0x10000] = shapes.app("esp32c6")
    what.write_bytes(shapes.merged({0: b"\xff", **files}))
    if not merged:
        hex_file(tmp_path, files)
    assert "is for ESP32-C6, and this is an ESP32-P4" in desk.refused("flash", str(what))
