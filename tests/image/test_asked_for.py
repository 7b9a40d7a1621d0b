# SPDX-License-Identifier: Apache-2.0
"""What was asked for and is not done is refused or named: elf2image, merge-bin, image-info."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

import pytest

import esptool
from esptool.errors import FatalError, ImageError
from esptool.image.convert import convert_elf
from tests.image.elfmaker import C3_ELF
from tests.support import oracle


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("elf2image --elf-sha256-offset 0x9000 -o o app.elf", "lies in no segment"),
        ("elf2image --elf-sha256-offset -5 -o o app.elf", "lies in no segment"),
        ("elf2image --elf-sha256-offset 10 -o o app.elf", "lies in no segment"),
        ("elf2image --elf-sha256-offset 0 -o o app.elf", "lies in no segment"),
        ("merge-bin -o o --pad-to-size 256KB 0 app.img 0x40000 kb.bin", "beyond the 256KB"),
        ("merge-bin -o o -t 0x41000 --pad-to-size 256KB 0x41000 kb.bin", "beyond the 256KB"),
    ],
)
@pytest.mark.oracle
def test_what_has_no_effect_is_named_and_the_file_is_the_public_tools(
    words: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--chip", "esp32c3", *words.split()]
    esptool.main(args)
    assert said in capsys.readouterr().err
    ours = (folder / "o").read_bytes()
    (folder / "o").unlink()
    assert oracle.run("esptool", *args, cwd=folder).returncode == 0
    assert ours == (folder / "o").read_bytes()


def test_what_cannot_be_done_is_refused(folder: Path) -> None:
    before = set(folder.iterdir())
    words = "--chip esp32c3 elf2image --min-rev-full 300 --max-rev-full 100 app.elf"
    with pytest.raises(FatalError, match="No chip could run"):
        esptool.main(words.split())
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize("option", ["--min-rev-full", "--max-rev-full", "--min-rev"])
def test_a_revision_out_of_range_is_a_usage_error(option: str, folder: Path) -> None:
    with pytest.raises(SystemExit):
        esptool.main(["--chip", "esp32c3", "elf2image", option, "65536", "app.elf"])
    asked: dict[str, Any] = {option[2:].replace("-", "_"): 65536}
    with pytest.raises(FatalError, match=f"{option} is a number from 0 to"):
        esptool.elf2image(C3_ELF, "esp32c3", **asked)


@pytest.mark.parametrize(
    ("chip", "words", "option"),
    [
        ("esp8266", "elf2image -e 2 --secure-pad old.elf", "--secure-pad"),
        ("esp8266", "elf2image --pad-to-size 1MB old.elf", "--pad-to-size"),
        ("esp8266", "elf2image --ram-only-header old.elf", "--ram-only-header"),
        ("esp8266", "elf2image -e 3 --dont-append-digest old.elf", "--dont-append-digest"),
        ("esp8266", "elf2image --min-rev-full 3 old.elf", "--min-rev-full"),
        ("esp32c3", "elf2image --secure-pad app.elf", "--secure-pad"),
        ("esp32c3", "elf2image --version 2 app.elf", "--version"),
        ("esp32c3", "merge-bin -o o -f hex --pad-to-size 1MB 0 app.img", "--pad-to-size"),
        ("esp32c3", "merge-bin -o o -f uf2 -t 0 --pad-to-size 1MB 0 app.img", "--pad-to-size"),
        ("esp32c3", "merge-bin -o o --md5-disable 0 app.img", "--md5-disable"),
        ("esp32c3", "merge-bin -o o --chunk-size 64 0 app.img", "--chunk-size"),
        ("esp32c3", "merge-bin -o o -f hex -t 0x10 0x10 app.img", "--target-offset"),
        ("esp32c3", "merge-bin -o o -fm dio 0x1000 app.img", "Flash parameters"),
    ],
)
def test_an_option_without_effect_is_named(
    chip: str, words: str, option: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    esptool.main(["--chip", chip, *words.split()])
    shown = capsys.readouterr()
    (line,) = [x for x in shown.err.splitlines() if "no effect" in x]
    assert option in line
    assert "Image has only RAM segments visible" not in shown.out


def test_options_with_effect_are_not_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for chip, words in (
        ("esp32", "elf2image --secure-pad --min-rev-full 3 app.elf"),
        ("esp32c3", "merge-bin -o o -t 0x0 --pad-to-size 1MB -fm dio 0 app.img"),
        ("esp32c3", "merge-bin -o o -f uf2 --chunk-size 64 --md5-disable 0 app.img"),
    ):
        esptool.main(["--chip", chip, *words.split()])
    assert "no effect" not in capsys.readouterr().err


def test_segments_are_used_without_a_table_of_sections() -> None:
    stripped = bytearray(C3_ELF)
    struct.pack_into("<I", stripped, 32, 0)  # e_shoff
    struct.pack_into("<HHH", stripped, 46, 0, 0, 0)
    with pytest.raises(FatalError, match="section"):
        esptool.elf2image(bytes(stripped), "esp32c3")
    built = esptool.elf2image(bytes(stripped), "esp32c3", use_segments=True)
    assert isinstance(built, bytes)
    assert built[1] >= 1


def test_headers_that_multiply_a_file_are_refused_at_once() -> None:
    """1000 sections of 1 MB each, all the same megabyte."""
    count, size = 1000, 1 << 20
    elf = bytearray(C3_ELF[:52]) + bytes(size)
    struct.pack_into("<I", elf, 32, len(elf))
    struct.pack_into("<HHH", elf, 46, 40, count + 1, count)
    for n in range(count):
        elf += struct.pack("<10I", 0, 1, 3, 0x3FC80000 + n, 52, size, 0, 0, 4, 0)
    elf += struct.pack("<10I", 0, 3, 0, 0, 52, 100, 0, 0, 1, 0)
    started = time.process_time()
    with pytest.raises(ImageError, match="claim more than it holds"):
        convert_elf(bytes(elf), "esp32c3")
    assert time.process_time() - started < 10


# --- image-info --------------------------------------------------------------------------------

GOOD = convert_elf(C3_ELF, "esp32c3").data


def changed(at: int, value: int) -> bytes:
    return GOOD[:at] + bytes((value,)) + GOOD[at + 1 :]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff" * 100, "invalid magic number: 0xff"),
        (b"plain text", "invalid magic number"),
        (b"", "Image is empty"),
        (changed(12, 99), "names the unknown chip 99"),
        (changed(13, 1), "names the unknown chip 261"),
        (changed(23, 7), "digest flag is 7"),
        (GOOD[:12], "ends after 12 bytes"),
        (b"\xe9\x01" + bytes(20), "End of file reading|inside its extended header"),
    ],
)
def test_what_is_no_image_of_a_known_chip_is_not_called_one(
    data: bytes, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "x").write_bytes(data)
    with pytest.raises(FatalError, match=said):
        esptool.main(["image-info", "x"])
    assert "ESP8266" not in capsys.readouterr().out
    for words in (["image-info", "--json", "x"], ["-s", "image-info", "--json", "x"]):
        with pytest.raises(FatalError):
            esptool.main(words)
        found = json.loads(capsys.readouterr().out)
        assert found["images"][0]["problems"]


def test_an_image_cut_behind_its_chip_number_is_that_chips() -> None:
    with pytest.raises(FatalError, match="inside its extended header"):
        esptool.image_info(GOOD[:20])


def test_naming_the_chip_reads_an_image_that_does_not_tell_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    esptool.image_info(changed(12, 99), "esp32c3")
    assert "Segments Information" in capsys.readouterr().out


@pytest.mark.parametrize("version", [1, 2, 3])
def test_images_of_esp8266_are_still_told(
    version: int, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    esptool.main(f"--chip esp8266 elf2image -e {version} -o i old.elf".split())
    name = "i0x00000.bin" if version == 1 else "i"
    esptool.main(["image-info", name])
    assert "Detected image type: ESP8266" in capsys.readouterr().out


# --- what flash cannot use ---------------------------------------------------------------------


@pytest.mark.parametrize("start", [C3_ELF, b"UF2\n\x57\x51\x5d\x9e" + bytes(504)])
def test_an_elf_or_uf2_file_is_not_written_to_flash_unless_forced(
    start: bytes, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "firmware").write_bytes(start)
    with pytest.raises(FatalError, match=r"is an? (ELF|UF2) file(?s:.*)--force"):
        esptool.main(["-p", "virtual://esp32c3?stub=model", "write-flash", "0", "firmware"])
    assert "Connected" not in capsys.readouterr().out
    esptool.main(
        ["-p", "virtual://esp32c3?stub=model", "write-flash", "--force", "0x10000", "firmware"]
    )


def test_the_plan_is_pure_json_also_when_nothing_else_is_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-p", "virtual://esp32c3?stub=model"]
    for extra in ([], ["-s"], ["-v"]):
        esptool.main([*words, *extra, "write-flash", "--dry-run", "--json", "0", "app.img"])
        assert json.loads(capsys.readouterr().out)
