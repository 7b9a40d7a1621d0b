# SPDX-License-Identifier: Apache-2.0
"""`esptool fs`: on a device and in files, and what is refused."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
import serial
from bench.file_systems import BOUND, one_file, trees
from bench.lib.trees import read_tree, write_tree

import esptool
from esptool.errors import FatalError
from esptool.storage.fs import Rewrite, build_image, open_image
from esptool.storage.fs.opening import KINDS, Shape
from esptool.storage.partitions import PartitionTable

CSV = """\
nvs,data,nvs,,24K
factory,app,factory,,64K
lfs,data,littlefs,,256K
vol,data,fat,,256K
web,data,spiffs,,256K
"""
TABLE = PartitionTable.from_csv(CSV)
PLACES = {"littlefs": "lfs", "fat": "vol", "spiffs": "web"}
TREE: dict[str, bytes | None] = {
    "index.html": b"<html>" * 1000,
    "conf/wifi.json": b"{}",
    "conf/größe.txt": b"x" * 300,
    "empty": b"",
}


class Bench:
    """A virtual board in a state file that is a dump to other commands, and a folder of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "board"
        self.url = f"virtual://esp32s3?state={self.state}&stub=model&timing=virtual"
        write_tree(folder / "tree", TREE)
        with serial.serial_for_url(self.url) as port:
            cells = port.board.nor.cells  # type: ignore[attr-defined]
            content = bytearray(cells.read(0, 0x200000))
            content[0x8000:0x8C00] = TABLE.to_bytes()
            for kind, name in PLACES.items():
                part = TABLE[name]
                image = build_image(kind, part.size, TREE, Shape(fats=1, root_entries=128))
                content[part.offset : part.offset + part.size] = image
            cells.load(bytes(content))

    def __call__(self, *words: str, device: bool = False) -> None:
        if device:
            esptool.main(["--port", self.url, "fs", *words])
        else:
            esptool.main(["fs", *words, "--file", str(self.state)])

    def bytes(self, name: str) -> bytes:
        with serial.serial_for_url(self.url) as port:
            return bytes(port.board.nor.cells.read(TABLE[name].offset, TABLE[name].size))  # type: ignore[attr-defined]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path)


def found(bench: Bench, kind: str) -> dict[str, bytes]:
    fs = open_image(bench.bytes(PLACES[kind]))
    assert fs.kind == kind
    return {e.path: fs.read(e.path) for e in fs.entries() if not e.is_dir}


@pytest.mark.parametrize("device", [True, False], ids=["device", "file"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_command_on_every_file_system(
    kind: str, device: bool, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    name = PLACES[kind]
    bench("ls", name, device=device)
    shown = capsys.readouterr().out
    for path, data in TREE.items():
        assert f"{len(data or b''):,}  {path}\n" in shown
    bench("get", name, "conf/wifi.json", device=device)
    assert Path("wifi.json").read_bytes() == b"{}"
    bench("extract", name, "out", device=device)
    assert read_tree(Path("out")) == TREE
    bench("put", name, "wifi.json", "conf/new.json", device=device)
    assert "1 sector changed" in capsys.readouterr().out or kind != "spiffs"
    Path("big").write_bytes(b"b" * 20_000)
    bench("put", name, "big", device=device)
    bench("put", name, "tree/conf", "more/", device=device)
    bench("rm", name, "index.html", "empty", device=device)
    expected = {
        "conf/wifi.json": b"{}",
        "conf/größe.txt": TREE["conf/größe.txt"],
        "conf/new.json": b"{}",
        "big": b"b" * 20_000,
        "more/wifi.json": b"{}",
        "more/größe.txt": TREE["conf/größe.txt"],
    }
    assert found(bench, kind) == expected
    bench("rm", name, "conf", "--recursive", device=device)
    expected = {k: v for k, v in expected.items() if not k.startswith("conf/")}
    assert found(bench, kind) == expected
    bench("build", name, "tree", device=device)
    assert found(bench, kind) == TREE


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_already_is_not_written_again(
    kind: str, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bench.state.read_bytes()
    bench("put", PLACES[kind], "tree")
    assert f"Put 4 files into partition '{PLACES[kind]}': nothing had to change." in (
        capsys.readouterr().out
    )
    assert bench.state.read_bytes() == before


@pytest.mark.parametrize("kind", ["littlefs", "fat"])
def test_one_small_file_takes_a_tenth_of_the_time_of_the_image(kind: str) -> None:
    whole, took, sectors = one_file(kind)
    assert took <= BOUND * whole
    assert sectors <= 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_rom_loader_does_it_too(kind: str, bench: Bench) -> None:
    Path("new").write_bytes(b"n" * 1000)
    esptool.main(["--port", bench.url, "--no-stub", "fs", "put", PLACES[kind], "new"])
    assert found(bench, kind) == {**TREE, "new": b"n" * 1000}


@pytest.mark.parametrize("fault", ["reset:13000", "reset:19000", "flip:1e-4", "lose:1e-4", "cut"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_line_or_supply_is_worked_on_until_it_is_right(
    kind: str, fault: str, bench: Bench
) -> None:
    Path("new").write_bytes(random.randbytes(9000))
    place = TABLE[PLACES[kind]]
    image = bench.bytes(PLACES[kind])
    fs = open_image(image)
    fs.write("new", Path("new").read_bytes())
    if fault == "cut":
        first = next(step for step in fs.steps() if isinstance(step, Rewrite))
        fault = f"powercut:{place.offset + first.offset:#x}"
    esptool.main(["--port", f"{bench.url}&fault={fault}", "fs", "put", PLACES[kind], "new"])
    assert bench.bytes(PLACES[kind]) == fs.image()


def test_ls_for_programs(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench("ls", "lfs", "conf", "--json")
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["type"] == "littlefs"
    assert told["where"] == "partition 'lfs'"
    assert told["total"] == told["used"] + told["free"] == 256 << 10
    assert told["parameters"]["block_size"] == 4096
    assert told["entries"] == [
        {"path": "conf", "type": "folder", "size": 0},
        {"path": "conf/größe.txt", "type": "file", "size": 300},
        {"path": "conf/wifi.json", "type": "file", "size": 2},
    ]


def test_an_image_without_device_or_table(bench: Bench) -> None:
    for number, (words, kind) in enumerate(
        [
            (["--type", "littlefs", "--preset", "micropython"], "littlefs"),
            (["--type", "littlefs", "--preset", "esp8266", "--disk-version", "2.1"], "littlefs"),
            (["--type", "fat", "--wear-levelling", "safe", "--fats", "1"], "fat"),
            (["--type", "fat", "--preset", "micropython", "--root-entries", "128"], "fat"),
            (["--type", "spiffs", "--preset", "esp8266"], "spiffs"),
            (["--type", "spiffs", "--page-size", "512", "--block-size", "16k"], "spiffs"),
        ]
    ):
        output = f"image{number}"
        esptool.main(["fs", "build", "x", "tree", "-o", output, "--size", "256k", *words])
        assert os.path.getsize(output) == 256 << 10
        esptool.main(["fs", "extract", "x", f"out{number}", "-f", output])
        assert read_tree(Path(f"out{number}")) == TREE
        esptool.main(["fs", "rm", "x", "index.html", "-f", output])
        assert open_image(Path(output).read_bytes()).kind == kind


def test_spiffs_without_magic_numbers(bench: Bench) -> None:
    words = ["--type", "spiffs", "--no-magic"]
    esptool.main(["fs", "build", "x", "tree", "-o", "i", "--size", "64k", *words])
    esptool.main(["fs", "put", "x", "tree/empty", "more", "-f", "i", *words])
    esptool.main(["fs", "extract", "x", "out", "-f", "i", *words])
    assert read_tree(Path("out")) == {**TREE, "more": b""}


@pytest.mark.parametrize("kind", KINDS)
def test_random_trees_come_back_from_a_device(kind: str) -> None:
    files, _ = trees(kind, range(1000, 1006))
    assert files


#: What is refused, each with exit code 2 and nothing changed: words, what is said.
WRONG = [
    (["ls", "nothing"], "no partition 'nothing'|nothing"),
    (["ls", "factory"], "no file system"),
    (["ls", "lfs", "nowhere"], "There is no 'nowhere'"),
    (["ls", "lfs", "--type", "fat"], "is not a FAT"),
    (["get", "lfs", "index.htm"], "Did you mean index.html"),
    (["get", "lfs", "conf"], "is a folder"),
    (["get", "vol", "../x"], "not a path inside"),
    (["put", "factory", "tree"], "is not one for files"),
    (["put", "nvs", "tree"], "is not one for files"),
    (["put", "lfs", "huge"], "does not fit"),
    (["put", "vol", "huge"], "does not fit"),
    (["put", "web", "huge"], "does not fit"),
    (["put", "web", "tree/empty", "a/very/long/path/of/many/folders"], "too long for SPIFFS"),
    (["put", "vol", "tree/empty", "a:b"], "FAT cannot hold"),
    (["put", "lfs", "tree/empty", "index.html/x"], "is a file"),
    (["put", "lfs", "fifo"], "neither file nor folder"),
    (["rm", "lfs", "index.html", "nothing"], "There is no 'nothing'"),
    (["rm", "vol", "conf"], "is not empty"),
    (["rm", "web", "conf"], "There is no 'conf'"),
    (["extract", "lfs", "tree/empty"], "file|directory"),
    (["build", "factory", "tree"], "is not one for files"),
    (["build", "lfs", "tree", "--size", "4k"], "--size is for a file"),
    (["build", "lfs", "tree", "--block-size", "100"], "not a valid size for LittleFS"),
    (["build", "web", "tree", "--page-size", "100"], "SPIFFS page of 100"),
    (["build", "web", "tree", "--preset", "micropython", "--type", "spiffs"], "no SPIFFS in micro"),
    (["put", "web", "tree", "--page-size", "512"], "of these parameters: its blocks lack"),
    (["put", "web", "tree", "--type", "spiffs", "--no-magic"], "have magic numbers"),
    (["put", "vol", "tree", "--type", "spiffs", "--no-magic"], "contradict each other"),
    (["put", "lfs", "tree", "--type", "spiffs", "--no-magic"], "contradict each other"),
    (["build", "lfs", "tree", "--output", "tree/image"], "would hold itself"),
    (["build", "vol", "tree", "--root-entries", "7"], "do not fill whole sectors"),
    (["build", "vol", "tree", "--sector-size", "512"], "has other sectors"),
]


@pytest.mark.parametrize(("words", "says"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_what_is_wrong_is_said_once_and_nothing_changes(
    words: list[str], says: str, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("huge").write_bytes(bytes(200_000) * 2)
    os.mkfifo("fifo")
    before = bench.state.read_bytes()
    with pytest.raises((FatalError, SystemExit)) as caught:
        bench(*words)
    told = str(caught.value) + capsys.readouterr().err
    assert re.search(says, told), told
    assert bench.state.read_bytes() == before


@pytest.mark.parametrize(("size", "says"), [(0, "is empty"), (100, "no file system")])
def test_files_that_hold_nothing(size: int, says: str, bench: Bench) -> None:
    Path("held.bin").write_bytes(bytes(size))
    with pytest.raises(FatalError, match=says):
        esptool.main(["fs", "ls", "held.bin"])


def test_a_damaged_file_system_is_not_changed_and_nothing_is_extracted(bench: Bench) -> None:
    image = bytearray(bench.bytes("web"))
    at = image.index(b"<html>")
    image[at - 5 : at] = bytes(5)  # the header of a page of index.html
    Path("web.bin").write_bytes(image)
    for words in (["put", "web", "tree/empty", "x"], ["extract", "web", "out"], ["rm", "web", "x"]):
        with pytest.raises(FatalError, match=r"index.html.*damaged|damaged.*index.html"):
            esptool.main(["fs", *words, "-f", "web.bin"])
    assert Path("web.bin").read_bytes() == image
    assert not Path("out").exists()
    esptool.main(["fs", "get", "web", "conf/wifi.json", "-f", "web.bin"])


@pytest.mark.parametrize("name", ["../../evil", "a/../../evil", "..", "a\\..\\evil"])
def test_names_that_lead_out_of_the_folder_are_refused(name: str, bench: Bench) -> None:
    # SPIFFS takes any text for a name.
    image = bytearray(build_image("spiffs", 0x10000, {"x" * len(name): b"1"}))
    at = image.index(b"/" + b"x" * len(name))
    image[at + 1 : at + 1 + len(name)] = name.encode()
    Path("evil.bin").write_bytes(image)
    with pytest.raises(FatalError, match="not safe to write here"):
        esptool.main(["fs", "extract", "web", "deep/er/out", "-f", "evil.bin"])
    assert not Path("deep").exists()


def test_a_link_in_the_folder_does_not_lead_out_of_it(bench: Bench) -> None:
    Path("elsewhere").mkdir()
    Path("out").mkdir()
    Path("out/conf").symlink_to("../elsewhere")
    with pytest.raises(FatalError, match="by a link in it"):
        bench("extract", "lfs", "out")
    assert not list(Path("elsewhere").iterdir())
