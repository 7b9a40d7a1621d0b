# SPDX-License-Identifier: Apache-2.0
"""`-` is standard input and output: the same bytes as with files, and no text among them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import esptool
from esptool.errors import FatalError
from esptool.logger import log
from esptool.storage.partitions import PartitionTable
from tests.image.elfmaker import ram_program
from tests.support.apps import app

CSV = "nvs,data,nvs,,16K\nlfs,data,littlefs,,64K\n"
BOARD = "--port virtual://esp32c3?flash=1MB&timing=virtual"
#: Command line that writes the file `out`, with and without a file to read.
WRITING = {
    "read-flash": f"{BOARD} read-flash 0x1000 0x2000 out",
    "dump-mem": f"{BOARD} dump-mem 0x3ff00000 64 out",
    "merge-bin": "--chip esp32c3 merge-bin -o out 0 IN 0x10000 app.bin",
    "merge-bin as HEX": "--chip esp32c3 merge-bin --format hex --output=out 0 IN",
    "elf2image": "--chip esp32c3 elf2image ELF -o out",
    "partitions build": "partitions build CSV out",
    "nvs build": "nvs build NVS out 0x3000",
    "nvs get": "nvs get NVSBIN store name -o out",
    "fs get": "fs get lfs a.txt out --file DUMP",
    "fs build": "fs build lfs tree -o out --size 0x10000 --type littlefs",
}
READING = {
    "image-info": "image-info APP",
    "partitions": "partitions --file DUMP",
    "partitions check": "partitions check CSV",
    "nvs list": "nvs list NVSBIN",
    "nvs diff": "nvs diff nvs.bin NVSBIN",
    "fs ls": "fs ls lfs --file DUMP",
    "verify-flash": f"{BOARD} verify-flash 0 BLANK",
    "write-flash": f"{BOARD} write-flash 0 IN",
    "flash": f"{BOARD} flash APP --partition-table apps.csv --force",
    "flash with a table": f"{BOARD} flash app.bin --partition-table APPS --force",
}
FILES = {
    "IN": "in.bin", "ELF": "ram.elf", "CSV": "table.csv", "NVS": "nvs.csv", "NVSBIN": "nvs.bin",
    "DUMP": "dump.bin", "APP": "app.bin", "BLANK": "blank",
    "APPS": "apps.csv",
}  # fmt: skip
Run = Callable[..., bytes]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ESPTOOL_PORT", raising=False)
    dump = bytearray(b"\xff" * 0x40000)
    dump[0x8000:0x8C00] = PartitionTable.from_csv(CSV).to_bytes()
    for name, data in {
        "in.bin": bytes(range(256)) * 20,
        "ram.elf": ram_program(0x3FC88000),
        "table.csv": CSV.encode(),
        "nvs.csv": b"key,type,encoding,value\nstore,namespace,,\nname,data,string,board\n",
        "app.bin": app("esp32c3"),
        "apps.csv": b"nvs,data,nvs,,16K\nfactory,app,factory,,128K\n",
        "blank": b"\xff" * 0x1000,
        "dump.bin": bytes(dump),
    }.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.txt").write_bytes(b"hello")
    log.set_verbosity("silent")
    esptool.main(["nvs", "build", "nvs.csv", "nvs.bin", "0x3000"])
    esptool.main(["fs", "build", "lfs", "tree", "--type", "littlefs", "--file", "dump.bin"])
    log.set_verbosity("auto")
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line with standard input; what it wrote to standard output, as bytes."""

    def call(words: str, data: bytes = b"") -> bytes:
        out = io.TextIOWrapper(io.BytesIO(), write_through=True)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        monkeypatch.setattr("sys.stdout", out)
        esptool.main(words.split())
        written: io.BytesIO = out.buffer
        return written.getvalue()

    return call


def split(words: str, folder: Path) -> tuple[str, str, bytes]:
    """The line with names of files, with '-' for the file that is read, and what that holds."""
    named = dashed = words
    data = b""
    for word in words.split():
        if word in FILES:
            named = named.replace(f" {word}", f" {FILES[word]}")
            dashed = dashed.replace(f" {word}", " -")
            data = (folder / FILES[word]).read_bytes()
    return named, dashed, data


@pytest.mark.parametrize("case", WRITING)
def test_what_goes_to_standard_output_is_what_a_file_gets(
    case: str, run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named, dashed, data = split(WRITING[case], folder)
    run(named)
    expected = (folder / "out").read_bytes()
    (folder / "out").unlink()
    before = {path.name for path in folder.iterdir()}
    for end in ("=", " "):
        dashed = dashed.replace(f"{end}out", f"{end}-")
    assert run(dashed, data) == expected
    assert run(f"--silent {dashed}", data) == expected
    capsys.readouterr()
    assert run(f"{dashed} --json", data) == expected
    document = json.loads(capsys.readouterr().err)
    assert document["ok"]
    assert document.get("file", "standard output") == "standard output"
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.parametrize("case", READING)
def test_what_comes_from_standard_input_counts_as_what_is_in_a_file(
    case: str, run: Run, folder: Path
) -> None:
    named, dashed, data = split(READING[case], folder)
    text = run(f"{named} --json").decode()
    for name in set(named.split()) - set(dashed.split()):
        text = text.replace(f"'{name}'", "'standard input'")
    expected = json.loads(text)
    found = json.loads(run(f"{dashed} --json", data))
    for document in (expected, found):
        for name in ("file", "where", "seconds"):
            document.pop(name, None)
        for region in document.get("regions", ()):
            region["file"] = region["seconds"] = None
        for part in document.get("parts", ()):
            part["name"] = None
        document.get("build", {}).pop("source", None)
    assert found == expected
    assert run(dashed, data)


REFUSED = {
    "a file that a command changes": "fs rm lfs a.txt --file -",
    "an NVS that a command changes": "nvs delete - store",
    "an image without a name": "--chip esp32c3 elf2image -",
    "two files": "--chip esp8266 elf2image - -o -",
    "a log of what is shown there": f"{BOARD} monitor --timeout 1 --log -",
    "what is not an image": f"{BOARD} flash -",
    "a boot loader that is none": f"{BOARD} flash app.bin --bootloader -",
    "a file without a name": "fs put lfs - --file dump.bin",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    case: str, run: Run, folder: Path
) -> None:
    data = (folder / ("ram.elf" if "elf2image" in REFUSED[case] else "nvs.bin")).read_bytes()
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(FatalError, match=r"[Ss]tandard (in|out)put"):
        run(REFUSED[case], data)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_nothing_comes_out_of_a_command_that_fails(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    monkeypatch.setattr("sys.stdout", out)
    with pytest.raises(FatalError):
        esptool.main(f"{BOARD} read-flash 0xff000 0x2000 -".split())
    written: io.BytesIO = out.buffer
    assert written.getvalue() == b""
    assert "Connected to" in capsys.readouterr().err
