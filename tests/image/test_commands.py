# SPDX-License-Identifier: Apache-2.0
"""The image commands as processes run them: output names, exit codes, one line for an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import esptool
from esptool.errors import FatalError
from esptool.image.convert import convert_elf
from tests.image.elfmaker import C3_ELF, pattern


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ("--chip esp32c3 elf2image app.elf", ["app.bin"]),
        ("--chip esp32c3 elf2image app.elf -o x.bin", ["x.bin"]),
        ("-c esp32c3 elf2image -fs 4MB -fm dio -ff 40m --min-rev-full 3 app.elf", ["app.bin"]),
        ("--chip esp32c3 elf2image --flash_size 4MB --dont_append_digest app.elf", ["app.bin"]),
        ("--chip esp32c6 elf2image --flash-mmu-page-size 32KB app.elf", ["app.bin"]),
        ("--chip esp32s31 elf2image --flash-mmu-page-size 256KB app.elf", ["app.bin"]),
        ("--chip esp8266 elf2image old.elf", ["old.elf-0x00000.bin", "old.elf-0x10000.bin"]),
        ("--chip esp8266 elf2image -e 2 old.elf", ["old-0x10000.bin"]),
        ("--chip esp8266 elf2image --version 3 old.elf", ["old.bin"]),
        ("--chip esp8266 elf2image -o p- old.elf", ["p-0x00000.bin", "p-0x10000.bin"]),
        ("--chip esp32c3 merge-bin -o m.bin 0 app.img 0x10000 kb.bin", ["m.bin"]),
        ("--chip esp32c3 merge_bin -o m.bin -t 0x1000 4096 app.img 0x10_000 kb.bin", ["m.bin"]),
        ("--chip esp32c3 merge-bin 0 app.img -o m.bin --format uf2 --chunk-size 256", ["m.bin"]),
        ("--chip esp32c3 merge-bin 0 app.img -f hex -o m.hex --flash-mode dout", ["m.hex"]),
        ("--chip esp32c3 merge-bin 0 app.img -o m.bin --fill-flash-size 1MB", ["m.bin"]),
    ],
)
def test_files_are_made(
    words: str, made: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(folder.iterdir())
    esptool.main(words.split())
    assert {p.name for p in set(folder.iterdir()) - before} == set(made)
    out = capsys.readouterr().out
    assert "Successfully created" in out or "ready to" in out


@pytest.mark.parametrize(
    "words",
    [
        "--chip esp32c3 elf2image missing.elf",
        "--chip esp32c3 elf2image dir",
        "--chip esp32c3 elf2image empty",
        "--chip esp32c3 elf2image text.elf",
        "--chip esp32c3 elf2image pc.elf",
        "--chip esp32c3 elf2image app.elf -o dir",
        "--chip esp32c3 elf2image app.elf -o dir/none/x.bin",
        "--chip esp32c3 elf2image app.elf -fs 256KB",
        "--chip esp32c3 elf2image app.elf -fs 3MB",
        "--chip esp32c3 elf2image app.elf -ff 26m -fm xio",
        "--chip esp32c3 elf2image app.elf -ff 48m",
        "--chip esp32c3 elf2image app.elf --pad-to-size 5",
        "--chip esp32c3 elf2image app.elf --pad-to-size 4096MB",
        "--chip esp32c6 elf2image app.elf --flash-mmu-page-size 256KB",
        "--chip esp32c3 elf2image app.elf --min-rev-full 65536",
        "--chip esp32c3 elf2image app.elf --max-rev-full 70000",
        "--chip esp32c3 elf2image app.elf --elf-sha256-offset x",
        "--chip esp32c3 elf2image app.elf --secure-pad-v2 --dont-append-digest",
        "--chip esp99 elf2image app.elf",
        "elf2image app.elf",
        "elf2image",
        "merge-bin -o m.bin 0 app.img",
        "--chip esp32c3 merge-bin 0 app.img",
        "--chip esp32c3 merge-bin -o m.bin",
        "--chip esp32c3 merge-bin -o m.bin 0",
        "--chip esp32c3 merge-bin -o m.bin 0xzero app.img",
        "--chip esp32c3 merge-bin -o m.bin 0 missing.bin",
        "--chip esp32c3 merge-bin -o m.bin 0 dir",
        "--chip esp32c3 merge-bin -o m.bin 0 bad.hex",
        "--chip esp32c3 merge-bin -o m.bin 0 app.img 0x100 kb.bin",
        "--chip esp32c3 merge-bin -o m.bin 0 app.img 0xf00 kb.bin",
        "--chip esp32c3 merge-bin -o m.bin -t 0x1000 0 app.img",
        "--chip esp32c3 merge-bin -o m.bin 0x100000000 kb.bin",
        "--chip esp32c3 merge-bin -f uf2 -o m.bin 0xfffffff0 kb.bin",
        "--chip esp32c3 merge-bin -f uf2 --chunk-size 6 -o m.bin 0 kb.bin",
        "--chip esp32c3 merge-bin -f uf2 --chunk-size 500 -o m.bin 0 kb.bin",
        "--chip esp32c3 merge-bin -o m.bin 0 app.img -fs 512KB",
        "--chip esp32c3 merge-bin -o dir 0 app.img",
        "image-info missing.bin",
        "image-info dir",
        "image-info empty",
        "image-info kb.bin",
        "image-info bad.hex",
    ],
)
def test_bad_input_is_one_error_and_leaves_no_file(
    words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises((FatalError, SystemExit)) as error:
        esptool.main(words.split())
    if isinstance(error.value, SystemExit):
        assert error.value.code == 2
        assert "Error: " in capsys.readouterr().err
    else:
        assert str(error.value)
        assert "\n" not in str(error.value)
    assert sorted(folder.rglob("*")) == before


def test_a_failed_conversion_leaves_the_former_image(folder: Path) -> None:
    (folder / "app.bin").write_bytes(b"former")
    with pytest.raises(FatalError):
        esptool.main(["--chip", "esp32c3", "elf2image", "-fs", "256KB", "app.elf"])
    assert (folder / "app.bin").read_bytes() == b"former"


def test_json_is_all_that_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    esptool.main(["image-info", "--json", "app.img"])
    data = json.loads(capsys.readouterr().out)
    assert data["images"][0]["chip"] == "esp32c3"
    assert data["file"] == "app.img"
    (folder / "cut.img").write_bytes((folder / "app.img").read_bytes()[:200])
    with pytest.raises(FatalError, match="End of file"):
        esptool.main(["image-info", "--json", "cut.img"])
    data = json.loads(capsys.readouterr().out)
    assert "End of file" in data["images"][0]["fault"]


@pytest.mark.parametrize(
    "words",
    [
        "--chip esp32c3 elf2image -o app.elf app.elf",
        "--chip esp32c3 elf2image -o link.elf app.elf",
        "--chip esp32c3 elf2image plain.bin",  # the default name is that of the input
        "--chip esp32c3 merge-bin -o app.img 0 app.img 0x10000 kb.bin",
        "--chip esp32c3 merge-bin -o ./kb.bin 0 app.img 0x10000 kb.bin",
    ],
)
def test_an_output_that_is_an_input_is_refused_and_keeps_its_content(
    words: str, folder: Path
) -> None:
    (folder / "link.elf").symlink_to("app.elf")
    (folder / "plain.bin").write_bytes(C3_ELF)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    with pytest.raises(FatalError, match="is the input"):
        esptool.main(words.split())
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


@pytest.mark.parametrize("output", ["no/dir/x", "/dev/full", "dir"])
@pytest.mark.parametrize(
    "words", ["elf2image app.elf -o", "merge-bin 0 app.img -o", "--chip esp8266 elf2image -e2 -o"]
)
def test_success_is_said_only_when_the_file_is_there(
    words: str, output: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*words.split(), output, *(["old.elf"] if "-e2" in words else [])]
    with pytest.raises(FatalError, match="Cannot write"):
        esptool.main(line if "--chip" in line else ["--chip", "esp32c3", *line])
    out = capsys.readouterr().out
    assert "Successfully" not in out
    assert "Wrote" not in out


def test_an_open_file_reads_what_a_command_wrote_into_it(folder: Path) -> None:
    with (folder / "held.bin").open("w+b") as held:
        esptool.main(["--chip", "esp32c3", "elf2image", "app.elf", "-o", "held.bin"])
        assert held.read() == convert_elf(C3_ELF, "esp32c3").data
        esptool.main(
            ["--chip", "esp32c3", "merge-bin", "0x1000", "kb.bin", "-t", "0x1000", "-o", "held.bin"]
        )
        held.seek(0)
        assert held.read() == pattern(1024)
