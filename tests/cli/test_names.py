# SPDX-License-Identifier: Apache-2.0
"""Names of partitions wherever an address goes, on the command line and in Python."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import serial

import esptool
from esptool.errors import FatalError
from esptool.protocol.ext import Ext
from esptool.protocol.opcodes import Cmd
from esptool.storage.partitions import PartitionTable
from tests.support.requests import sent_requests

CSV = """\
nvs,data,nvs,,24K
otadata,data,ota,,8K
factory,app,factory,,64K
ota_0,app,ota_0,,64K
log,data,0x40,,16K
"""
TABLE = PartitionTable.from_csv(CSV)
NVS, OTA_0, LOG = (TABLE[name].offset for name in ("nvs", "ota_0", "log"))


class Bench:
    """A virtual board in a state file, and files of known bytes beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "board"
        self.url = f"virtual://esp32s3?state={self.state}&stub=model"
        for name, size in (("a.bin", 0x1800), ("page.bin", 0x1000), ("big.bin", 0x10001)):
            (folder / name).write_bytes(bytes(range(1, 252)) * (size // 250) + bytes(size % 250))
            (folder / name).write_bytes((folder / name).read_bytes()[:size])
        (folder / "table.bin").write_bytes(TABLE.to_bytes())
        (folder / "table.csv").write_text(CSV)
        damaged = TABLE.to_bytes().replace(b"nvs", b"nvt", 1)
        (folder / "damaged.bin").write_bytes(damaged)
        moved = CSV.replace("ota_0,app,ota_0,,64K", "ota_0,app,ota_0,0x80000,64K")
        (folder / "moved.bin").write_bytes(PartitionTable.from_csv(moved).to_bytes())

    def __call__(self, *words: str) -> None:
        known = {p.name for p in self.folder.iterdir()}
        args = [str(self.folder / w) if w in known else w for w in words]
        esptool.main(["--port", self.url, *args])

    def flash(self, address: int, size: int) -> bytes:
        with serial.serial_for_url(self.url) as port:
            return bytes(port.board.nor.cells.read(address, size))  # type: ignore[attr-defined]

    def load(self, address: int, data: bytes) -> None:
        with serial.serial_for_url(self.url) as port:
            cells = port.board.nor.cells  # type: ignore[attr-defined]
            content = bytearray(cells.read(0, 0x100000))
            content[address : address + len(data)] = data
            cells.load(bytes(content))

    def bytes(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    made = Bench(tmp_path)
    made.load(0x8000, TABLE.to_bytes())
    return made


@pytest.mark.parametrize("mode", [(), ("--no-stub",)], ids=["stub", "rom"])
def test_a_name_stands_for_its_partition_in_every_command(
    mode: tuple[str, ...], bench: Bench
) -> None:
    bench(
        *mode, "write-flash", "ota_0", "a.bin", "0x70000", "page.bin", "log[-0x1000:]", "page.bin"
    )
    assert bench.flash(OTA_0, 0x1800) == bench.bytes("a.bin")
    assert bench.flash(0x70000, 0x1000) == bench.bytes("page.bin")
    assert bench.flash(LOG, 0x3000) == b"\xff" * 0x3000
    assert bench.flash(LOG + 0x3000, 0x1000) == bench.bytes("page.bin")
    bench(*mode, "verify-flash", "ota_0", "a.bin", "0x70000", "page.bin")
    bench(*mode, "read-flash", "log", "log.out")
    assert bench.bytes("log.out") == b"\xff" * 0x3000 + bench.bytes("page.bin")
    bench(*mode, "read-flash", "ota_0[0x10:]", "0x20", "part.out", "--no-progress")
    assert bench.bytes("part.out") == bench.bytes("a.bin")[0x10:0x30]
    bench(*mode, "erase-region", "log[-4K:]")
    assert bench.flash(LOG, 0x4000) == b"\xff" * 0x4000
    bench(*mode, "erase-region", "ota_0", "4K")
    assert bench.flash(OTA_0, 0x1800) == b"\xff" * 0x1000 + bench.bytes("a.bin")[0x1000:]


def test_python_takes_the_same_names(bench: Bench) -> None:
    with esptool.detect_chip(bench.url) as rom:
        esp = rom.run_stub()
        esptool.attach_flash(esp)
        data = bench.bytes("a.bin")
        esptool.write_flash(esp, [("ota_0", data), (0x70000, b"abcd")])
        assert esptool.read_flash(esp, "ota_0[:0x1800]", None) == data
        assert esptool.read_flash(esp, "ota_0", 4) == data[:4]
        assert esptool.read_flash(esp, 0x70000, 4) == b"abcd"
        esptool.verify_flash(esp, [("ota_0", data)])
        esptool.erase_region(esp, "ota_0", None)
        blank = esptool.read_flash(esp, "ota_0", -1)
        assert blank == b"\xff" * 0x10000
        own = str(bench.folder / "moved.bin")
        esptool.write_flash(esp, [("ota_0", data)], partition_table=own)
        assert esptool.read_flash(esp, 0x80000, len(data)) == data
        with pytest.raises(FatalError, match="How many bytes"):
            esptool.read_flash(esp, 0x1000, None)
        with pytest.raises(FatalError, match="NOR flash only"):
            esptool.write_flash(esp, [("ota_0", data)], flash_type="nand")


def table_of(bench: Bench, name: str) -> None:
    bench.load(0x8000, bench.bytes(name).ljust(0x1000, b"\xff"))


@pytest.mark.parametrize(
    "words",
    [
        ["partition-table", "moved.bin", "ota_0", "a.bin"],
        ["ota_0", "a.bin", "partition_table", "moved.bin"],
        ["0x8000", "moved.bin", "ota_0", "a.bin"],
        ["ota_0", "a.bin", "0x0", "merged.bin"],
    ],
)
def test_a_table_that_the_same_command_writes_is_the_one_that_counts(
    words: Sequence[str], bench: Bench
) -> None:
    merged = b"\0" * 0x8000 + bench.bytes("moved.bin")
    (bench.folder / "merged.bin").write_bytes(merged)
    bench("write-flash", *words)
    assert bench.flash(0x80000, 0x1800) == bench.bytes("a.bin")
    assert bench.flash(OTA_0, 0x1800) == b"\xff" * 0x1800
    assert bench.flash(0x8000, 0xC00) == bench.bytes("moved.bin")


@pytest.mark.parametrize(
    "words",
    [
        ["--encrypt", "partition-table", "moved.bin", "ota_0", "a.bin"],
        ["--encrypt-files", "partition-table", "moved.bin", "ota_0", "a.bin", "--"],
        ["0x70000", "a.bin", "--encrypt-files", "0x8000", "moved.bin", "ota_0", "a.bin"],
    ],
)
def test_encrypted_writes_take_names_and_their_own_table(
    words: Sequence[str], bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    words = ["0x70000", "a.bin", *words[:-1]] if words[-1] == "--" else words
    bench("write-flash", "--ignore-flash-enc-efuse", "--dry-run", "--json", *words)
    planned = {r["address"]: r["encrypted"] for r in json.loads(capsys.readouterr().out)["regions"]}
    assert planned[0x80000]
    assert planned[0x8000]


def test_boot_loader_and_table_have_names_on_a_blank_flash(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.url = f"virtual://esp32?state={bench.state}&stub=model"
    bench("write-flash", "bootloader", "a.bin", "partition-table", "table.bin")
    assert bench.flash(0x1000, 0x1800) == bench.bytes("a.bin")
    assert bench.flash(0x8000, 0xC00) == bench.bytes("table.bin")
    with pytest.raises(FatalError, match="does not fit partition 'bootloader'"):
        bench("write-flash", "bootloader", "big.bin")


def test_hex_files_under_a_name_must_lie_within_it(bench: Bench) -> None:
    inside, outside = bench.folder / "in.hex", bench.folder / "out.hex"
    inside.write_text(":02000004000" + "2F8\n:0400100041424344E2\n:00000001FF\n")
    base = OTA_0 >> 16
    line = f"020000040{base >> 8 & 0xF:X}{base & 0xFF:02X}"
    text = f"{line}{-sum(bytes.fromhex(line)) & 0xFF:02X}"
    inside.write_text(f":{text}\n:0400100041424344E2\n:00000001FF\n")
    outside.write_text(":0400100041424344E2\n:00000001FF\n")
    bench("write-flash", "ota_0", "in.hex")
    assert bench.flash(OTA_0 + 0x10, 4) == b"ABCD"
    with pytest.raises(FatalError, match="does not fit partition 'ota_0'"):
        bench("write-flash", "ota_0", "out.hex")


WRONG = [
    (["write-flash", "ota_0", "big.bin"], "does not fit partition 'ota_0', which has 65536 bytes"),
    (["write-flash", "factory", "a.bin", "ota_0", "big.bin"], "does not fit partition 'ota_0'"),
    (["write-flash", "log[0x3000:]", "a.bin"], "does not fit 'log"),
    (["write-flash", "oat_0", "a.bin"], "Did you mean 'ota_0'?"),
    (["write-flash", "ota_1", "a.bin"], "There is no partition 'ota_1'"),
    (["write-flash", "log[0x4000:]", "a.bin"], "does not lie within the partition"),
    (["write-flash", "log[0x2000:0x1000]", "a.bin"], "does not lie within the partition"),
    (["write-flash", "ota_0", "a.bin", "0x20000", "a.bin", "ota_0[0x1000:]", "a.bin"], "overlap"),
    (["write-flash", "0x8000", "damaged.bin", "ota_0", "a.bin"], "damaged: its MD5"),
    (["write-flash", "partition-table", "a.bin", "ota_0", "a.bin"], "is not a partition table"),
    (["read-flash", "log", "0x4001", "x"], "more than partition 'log' has"),
    (["erase-region", "log[1:]"], "multiple of 4096"),
    (["write-flash", "ota_0", "a.bin", "--partition-table-offset", "0x9000"], "no partition table"),
    (["write-flash", "ota_0", "a.bin", "--partition-table", "a.bin"], "not UTF-8 text"),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG)
def test_what_cannot_be_meant_is_refused_before_anything_changes(
    words: list[str], sentence: str, bench: Bench
) -> None:
    before = bench.flash(0, 0x100000)
    with pytest.raises(FatalError, match=re.escape(sentence)):
        bench(*words)
    assert bench.flash(0, 0x100000) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["write-flash", "a.bin", "0x1000"], 'Address "'),
        (["write-flash", "0x12x", "a.bin"], 'Address "0x12x" must be a number.'),
        (["write-flash", "", "a.bin"], 'Address "" must be a number.'),
        (["write-flash", "ota_0[1", "a.bin"], "is not a name of a partition"),
        (["write-flash", "log[x:]", "a.bin"], "is not a valid number"),
        (["write-flash", "ota_0", "missing.bin"], "No such file or directory"),
        (["write-flash", "ota_0"], "Must be pairs"),
        (["read-flash", "0x9000", "x"], "is not a valid integer"),
        (["read-flash", "nvs"], "Missing argument 'OUTPUT'"),
        (["read-flash", "nvs", "0x1000"], "Missing argument 'OUTPUT'"),
        (["erase-region", "0x9000"], "Missing argument 'SIZE'"),
        (["erase-region", "-1"], ""),
    ],
)
def test_words_that_are_neither_number_nor_name_end_before_the_port_is_opened(
    words: list[str], sentence: str, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.url = "/dev/no-such-port"
    with pytest.raises(SystemExit) as ended:
        bench(*words)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_the_files_of_diff_with_are_told_from_names_behind_them(bench: Bench) -> None:
    bench("write-flash", "--diff-with", "page.bin", "skip", "ota_0", "a.bin", "0x70000", "a.bin")
    assert bench.flash(OTA_0, 0x1800) == bench.bytes("a.bin")


def test_a_dry_run_of_names_shows_addresses_and_writes_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bench.flash(0, 0x100000)
    capsys.readouterr()
    bench("write-flash", "--dry-run", "--json", "ota_0", "a.bin")
    assert json.loads(capsys.readouterr().out)["regions"][0]["address"] == OTA_0
    assert bench.flash(0, 0x100000) == before


def locked(bench: Bench, setting: str) -> None:
    """The board is another one from now on, which came out of the factory with that setting."""
    bench.state = bench.folder / "locked"
    bench.url = f"virtual://esp32s3?state={bench.state}&stub=model&{setting}"


def test_secure_download_mode_writes_by_a_table_that_is_given(bench: Bench) -> None:
    locked(bench, "secure_download=yes")
    bench.load(0x8000, TABLE.to_bytes())
    with pytest.raises(FatalError, match="cannot be read in secure download mode") as refused:
        bench("write-flash", "ota_0", "a.bin")
    assert "--partition-table FILE" in str(refused.value)
    bench("write-flash", "ota_0", "a.bin", "--partition-table", "table.csv")
    assert bench.flash(OTA_0, 0x1800) == bench.bytes("a.bin")
    bench("write-flash", "0x8000", "moved.bin", "ota_0", "a.bin")
    assert bench.flash(0x80000, 0x1800) == bench.bytes("a.bin")


def test_an_encrypted_table_is_called_that(bench: Bench) -> None:
    locked(bench, "efuse=crypt_count:1")
    bench.load(0x8000, bytes(range(256)) * 16)
    with pytest.raises(FatalError, match="is encrypted, as flash encryption is on"):
        bench("read-flash", "nvs", "x.out")
    bench("read-flash", "nvs", "x.out", "--partition-table", "table.csv")
    assert bench.bytes("x.out").startswith(b"\xff")


def opcodes_of(bench: Bench, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[int]:
    with sent_requests(monkeypatch) as opcodes:
        bench(*words)
    return opcodes


def test_numbers_read_no_table_and_names_read_it_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = (Ext.READ_BEGIN, Cmd.READ_FLASH)
    flash = ("0x70000", "a.bin", "0x90000", "a.bin")
    numbers = opcodes_of(bench, monkeypatch, "write-flash", *flash)
    named = opcodes_of(bench, monkeypatch, "write-flash", "ota_0", "a.bin", "log", "page.bin")
    assert sum(o in reads for o in numbers) == 0
    assert sum(o in reads for o in named) == 1


def test_names_cost_at_most_a_few_requests_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    flash = (hex(OTA_0), "a.bin", hex(LOG), "page.bin")
    bench("write-flash", *flash)
    numbers = opcodes_of(bench, monkeypatch, "write-flash", *flash)
    named = opcodes_of(bench, monkeypatch, "write-flash", "ota_0", "a.bin", "log", "page.bin")
    assert len(named) - len(numbers) <= 4


def test_numbers_load_nothing_that_only_names_need(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(100))
    script = (
        "import sys, esptool; esptool.main(['-p', 'virtual://esp32c3?stub=model', 'write-flash', "
        "'0x1000', 'a.bin']); "
        "print([m for m in sys.modules if m.startswith(('esptool.storage', 'esptool.ops.places'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("mode", [(), ("--no-stub",)], ids=["stub", "rom"])
def test_looking_for_a_table_shows_no_bars(
    mode: tuple[str, ...], bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.load(0x8000, b"\xff" * 0xC00)
    with pytest.raises(FatalError, match="no partition table from 0x8000 to 0x20000"):
        bench(*mode, "read-flash", "nvs", "out.bin")
    assert "Reading from" not in capsys.readouterr().out
