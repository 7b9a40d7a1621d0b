# SPDX-License-Identifier: Apache-2.0
"""Builds that are damaged, incomplete or ambiguous: one clear error each, and nothing written."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import esptool
from esptool.builds import find_build
from esptool.errors import FatalError
from tests.builds import shapes
from tests.builds.shapes import OTA, app, app_elf, boot, put, table

Change = Callable[..., object]


def text(name: str, old: str, new: str) -> Change:
    """A file with other words in it."""

    def change(folder: Path) -> None:
        found = (folder / name).read_text()
        assert re.search(old, found)
        (folder / name).write_text(re.sub(old, new, found))

    return change


def whole(name: str, data: bytes | str) -> Change:
    """A file with other content."""
    return lambda folder: put(folder, {name: data})


def gone(name: str) -> Change:
    """A file that is missing."""
    return lambda folder: (folder / name).unlink()


def flipped(name: str, at: int = -40) -> Change:
    """A file with a damaged byte."""

    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at] ^= 0x55
        (folder / name).write_bytes(data)

    return change


def cut(name: str, size: int) -> Change:
    """A file that ends too early."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


IDF = "flasher_args.json"
ENV = ".pio/build/board"
RUN = "zephyr/runners.yaml"

WRONG: list[tuple[str, Change, str]] = [
    ("idf_simple", whole(IDF, "{"), "is not JSON"),
    ("idf_simple", whole(IDF, "[]"), "no JSON object"),
    ("idf_simple", whole(IDF, b"\xff\xfe{\0}\0"), "UTF-16"),
    ("idf_simple", whole(IDF, "{}"), "names no files to flash"),
    ("idf_simple", text(IDF, '"0x8000": ', '"over there": '), "'over there' is not a flash offset"),
    ("idf_simple", text(IDF, '"0x8000": ', '"0x10000": '), "says '0x10000' twice"),
    ("idf_simple", text(IDF, '"0x8000": ', '"65536": '), "two files at one offset"),
    ("idf_simple", text(IDF, '"0x8000": ', '"-4096": '), "is not a flash offset"),
    ("idf_simple", text(IDF, '"demo.bin"', '"$<TARGET_PROPERTY:x>.bin"'), "is not finished"),
    ("idf_simple", text(IDF, '"esp32c3"', '"esp64"'), "'esp64', which is not a known chip"),
    (
        "idf_simple",
        text(IDF, r'"flash_settings": \{[^}]*\}', '"flash_settings": 3'),
        "is not a JSON",
    ),
    ("idf_simple", gone("demo.bin"), "'demo.bin', which is not there"),
    ("idf_simple", whole("demo.bin", b""), "is empty"),
    ("idf_simple", flipped("demo.bin"), "'demo.bin' is damaged"),
    ("idf_simple", cut("demo.bin", 5000), "'demo.bin' is damaged"),
    ("idf_simple", flipped("bootloader/bootloader.bin"), "bootloader.bin' is damaged"),
    ("idf_simple", flipped("partition_table/partition-table.bin", 40), "partition table is damag"),
    ("platformio_arduino", whole(f"{ENV}/idedata.json", "nope"), "is not JSON"),
    ("platformio_arduino", whole(f"{ENV}/idedata.json", "[1]"), "no JSON object"),
    ("platformio_arduino", whole(f"{ENV}/idedata.json", '{"extra": 5}'), "'extra' is not a JSON"),
    (
        "platformio_arduino",
        text(f"{ENV}/idedata.json", '"0x8000"', '"far"'),
        "is not a flash offset",
    ),
    ("platformio_arduino", text(f"{ENV}/idedata.json", '"offset"', '"o"'), "'flash_images' holds"),
    ("platformio_arduino", gone(f"{ENV}/partitions.bin"), "which is not there"),
    ("platformio_arduino", whole(f"{ENV}/bootloader.bin", b""), "is empty"),
    ("platformio_arduino", flipped(f"{ENV}/firmware.bin"), "'firmware.bin' is damaged"),
    ("platformio_arduino", gone(f"{ENV}/firmware.bin"), "no firmware.bin"),
    ("platformio_arduino", put, "several builds"),
    (
        "platformio_idf",
        whole(f"{ENV}/partitions.bin", b"no table" * 400),
        "is not a partition table",
    ),
    ("platformio_idf", whole(f"{ENV}/firmware.bin", b""), "is empty"),
    ("arduino_3", gone("Blink.ino.bootloader.bin"), "no Blink.ino.bootloader.bin"),
    ("arduino_3", gone("Blink.ino.partitions.bin"), "no Blink.ino.partitions.bin"),
    ("arduino_3", whole("Other.ino.bin", app()), "several sketches"),
    ("arduino_3", whole("Blink.ino.bin", b"not an image"), "is not an application"),
    ("arduino_3", whole("Blink.ino.bin", b""), "is empty"),
    ("arduino_3", whole("Blink.ino.partitions.bin", b"CSV, perhaps"), "is not a partition table"),
    ("arduino_3", flipped("Blink.ino.bin"), "is damaged"),
    ("arduino_3", flipped("Blink.ino.bootloader.bin"), "is damaged"),
    ("arduino_3", text("flash_args", "0x1000[^$]*", "0x1000"), "ends behind '0x1000'"),
    ("arduino_3", text("flash_args", "0x8000", "'0x8000"), "cannot be read"),
    ("arduino_merged", cut("Blink.ino.merged.bin", 0x300), "is damaged"),
    ("zephyr_with_bootloader", whole(RUN, ""), "no runner 'esp32'"),
    ("zephyr_with_bootloader", whole(RUN, "args:\n  jlink:\n    - --x\n"), "it has: jlink"),
    ("zephyr_with_bootloader", text(RUN, "esp-boot-address=0x1000", "esp-boot-address=x"), "offs"),
    ("zephyr_with_bootloader", whole(RUN, b"\0\xff"), "UTF-8"),
    ("zephyr_with_bootloader", gone("zephyr/zephyr.bin"), "which is not there"),
    ("zephyr_with_bootloader", gone("zephyr/esp-idf/partitions.bin"), "which is not there"),
    ("zephyr_with_bootloader", flipped("zephyr/zephyr.bin"), "is damaged"),
    ("zephyr_sysbuild", gone("mcuboot/zephyr/runners.yaml"), "runners.yaml is missing"),
    ("zephyr_sysbuild", whole("domains.yaml", "x: y\n"), "names no domains"),
    ("zephyr_sysbuild", text("domains.yaml", "name: mcuboot", "name: ../mcuboot"), "that is none"),
    ("zephyr_sysbuild", gone("hello/zephyr/zephyr.signed.bin"), "which is not there"),
    ("nuttx_simple", whole("nuttx.bin", b""), "is empty"),
    ("nuttx_simple", flipped("nuttx.bin", 60), "is damaged"),
    ("nuttx_legacy", flipped("bootloader-esp32.bin"), "is damaged"),
    (
        "nuttx_legacy",
        text(".config", "TABLE_OFFSET=0x8000", "TABLE_OFFSET=x"),
        "not a flash offset",
    ),
    ("nuttx_legacy", flipped("partition-table-esp32.bin", 40), "partition table is damaged"),
    ("nuttx_legacy", whole(".config", b"\xff\xff"), "UTF-8"),
    ("nuttx_merged", gone("nuttx.merged.bin"), "is for MCUboot"),
    ("nuttx_merged", whole("nuttx.merged.bin", b""), "is empty"),
]


@pytest.mark.parametrize(("shape", "change", "says"), WRONG)
def test_a_wrong_build_is_refused_in_words(
    shape: str, change: Change, says: str, tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    made = shapes.SHAPES[shape](folder)
    if change is put:
        other = folder / ".pio" / "build" / "other"
        put(other, {"firmware.bin": app("esp32"), "partitions.bin": table()})
        (folder / "platformio.ini").write_text("[env:board]\n[env:other]\n")
    else:
        change(folder)
    refused(tmp_path, [made.path], says)


def refused(tmp_path: Path, what: list[str], says: str, **options: Any) -> None:
    """Neither found nor bundled, with one error that says so and names what is meant."""
    output = tmp_path / "out.zip"
    with pytest.raises(FatalError) as caught:
        esptool.make_bundle(what, output, listener=lambda _event: None, **options)
    message = str(caught.value)
    assert says in message
    assert len(message.splitlines()) <= 2
    assert "Traceback" not in message
    assert not output.exists()


FILES: dict[str, bytes | str] = {
    "app.bin": app(),
    "app6.bin": app("esp32c6"),
    "boot.bin": boot(),
    "boot6.bin": boot("esp32c6"),
    "table.bin": table(OTA),
    "app.elf": app_elf(),
    "x86.elf": b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\x3e\0" + bytes(60),
    "cut.elf": app_elf()[:700],
    "some.uf2": b"UF2\n" + bytes(508),
    "packed.gz": b"\x1f\x8b" + bytes(100),
    "zeros.bin": bytes(5000),
    "blank.bin": b"\xff" * 5000,
    "text.txt": "hello\n",
    "empty.bin": b"",
    "cut.bin": app()[:20],
    "wrong.csv": "a,data,nvs,,24K\na,data,fat,,\n",
    "bad.hex": ":10000000FF\n",
    "sub/none": "",
    "dump.bin": shapes.merged({0: boot(), 0x8000: table(OTA), 0x10000: app()}),
}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("nothing-here", "no file or folder"),
        ("sub", "nothing to flash in"),
        ("x86.elf", "does not appear to be"),
        ("cut.elf", "section header"),
        ("some.uf2", "is a UF2 file"),
        ("packed.gz", "unpack it first"),
        ("zeros.bin", "neither a program nor an image"),
        ("blank.bin", "is blank"),
        ("text.txt", "neither a program nor an image"),
        ("empty.bin", "is empty"),
        ("cut.bin", "damaged, or cut off"),
        ("wrong.csv", "'"),
        ("bad.hex", "'"),
        ("app.bin", "cannot be told where"),
        ("app.elf", "Nothing says which chip"),
        ("app.bin app.elf", "second app"),
        ("boot.bin table.bin app6.bin", "different chips"),
        ("dump.bin app.bin", "one merged image"),
        ("dump.bin app6.bin", "for ESP32-C6"),
        ("dump.bin dump.bin", "builds of their own"),
    ],
)
def test_wrong_files_are_refused_in_words(words: str, says: str, tmp_path: Path) -> None:
    put(tmp_path, FILES)
    refused(tmp_path, [str(tmp_path / word) for word in words.split()], says)


@pytest.mark.parametrize("word", ["", "a\0b", "x" * 5000])
def test_words_that_name_nothing_are_refused_in_words(word: str, tmp_path: Path) -> None:
    refused(tmp_path, [word], "no file or folder")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bootloader": "text.txt"}, "is not a boot loader"),
        ({"bootloader": "gone.bin"}, "No such file"),
        ({"partition_table": "text.txt"}, "text.txt"),
        ({"partition_table": "zeros.bin"}, "zeros.bin"),
        ({"chip": "esp32"}, "not for ESP32"),
        ({"bootloader": "boot6.bin"}, "is for ESP32-C6"),
    ],
)
def test_wrong_companions_are_refused_in_words(
    options: dict[str, str], says: str, tmp_path: Path
) -> None:
    put(tmp_path, FILES)
    shapes.idf(tmp_path / "build")
    given_files = {
        key: str(tmp_path / value) if key != "chip" else value for key, value in options.items()
    }
    refused(tmp_path, [str(tmp_path / "build")], says, **given_files)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_damage_gives_a_build_or_one_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    name = data.draw(st.sampled_from(["idf_simple", "zephyr_sysbuild", "platformio_arduino"]))
    shapes.SHAPES[name](folder)
    files = sorted(
        p for p in folder.rglob("*") if p.suffix in (".json", ".yaml", ".ini") and p.is_file()
    )
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.sampled_from(list(b'{}[]",:- \n0x9aZ\xff')))
    path.write_bytes(content)
    with contextlib.suppress(FatalError):
        build = find_build([str(folder)]).build
        assert build.parts
        json.dumps([build.kind, build.chip, build.words.mode])
