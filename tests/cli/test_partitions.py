# SPDX-License-Identifier: Apache-2.0
"""`partitions`, `ota` and names in `merge-bin` on the command line: what they show and refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import esptool
from esptool.errors import FatalError
from esptool.storage.partitions import PartitionTable
from tests.support.apps import app

CSV = """\
nvs,data,nvs,,24K
otadata,data,ota,,8K
factory,app,factory,,64K
ota_0,app,ota_0,,64K
ota_1,app,ota_1,,64K
storage,data,littlefs,,64K,encrypted
"""
TABLE = PartitionTable.from_csv(CSV)
DAMAGED = TABLE.to_bytes().replace(b"nvs", b"nvt", 1)


class Desk:
    """A folder with files, and the command line as a program would call it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        for name, data in {
            "table.csv": CSV.encode(),
            "table.bin": TABLE.to_bytes(),
            "old.bin": app(version="old"),
            "new.bin": app(version="new"),
            "other.bin": app("esp32c3"),
            "text.bin": b"just text",
            "empty.bin": b"",
            "wrong.csv": b"a,data,nvs,,24K\na,data,fat,,64K\n",
            "blank.bin": b"\xff" * 0x40000,
            "elf.bin": b"\x7fELF" + bytes(60),
            "damaged.bin": DAMAGED,
            # A sound one further on may be a leftover.
            "two.bin": (b"\xff" * 0x8000 + DAMAGED).ljust(0x9000, b"\xff") + TABLE.to_bytes(),
        }.items():
            (folder / name).write_bytes(data)
        dump = bytearray(b"\xff" * 0x60000)
        dump[0x8000 : 0x8000 + 0xC00] = TABLE.to_bytes()
        at = TABLE["factory"].offset
        dump[at : at + len(app(version="old"))] = app(version="old")
        at = TABLE["storage"].offset
        dump[at : at + 16] = b"\1\0\0\0\xf0\x0f\xff\xf7littlefs"
        (folder / "dump.bin").write_bytes(dump)

    def __call__(self, *words: str) -> str:
        known = {p.name for p in self.folder.iterdir()}
        self._capsys.readouterr()
        esptool.main([str(self.folder / w) if w in known else w for w in words])
        return self._capsys.readouterr().out

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ESPTOOL_PORT", raising=False)
    return Desk(tmp_path, capsys)


def board(desk: Desk, **options: str) -> str:
    """A board with the content of the dump."""
    more = "".join(f"&{key}={value}" for key, value in options.items())
    url = f"virtual://esp32s3?state={desk.folder}/board&stub=model{more}"
    desk("--port", url, "write-flash", "0", "dump.bin")
    return url


def test_build_and_csv_are_each_others_inverse(desk: Desk) -> None:
    desk("partitions", "build", "table.csv", "made.bin")
    assert (desk.folder / "made.bin").read_bytes() == TABLE.to_bytes()
    csv = desk("partitions", "--csv", "--file", "made.bin")
    assert csv == TABLE.to_csv()
    assert desk("--port", board(desk), "partitions", "--csv") == csv
    desk("partitions", "build", "table.csv", "made.bin", "--no-md5")
    assert (desk.folder / "made.bin").read_bytes() == TABLE.to_bytes(md5=False)


def test_a_table_with_a_boot_loader_needs_to_know_where_it_is(desk: Desk) -> None:
    (desk.folder / "boot.csv").write_text("bootloader,bootloader,primary,,\nnvs,data,nvs,,24K\n")
    with pytest.raises(FatalError, match="needs the boot loader's offset"):
        desk("partitions", "build", "boot.csv", "made.bin")
    desk("--chip", "esp32", "partitions", "build", "boot.csv", "made.bin")
    table = PartitionTable.from_bytes((desk.folder / "made.bin").read_bytes())
    assert (table["bootloader"].offset, table["bootloader"].size) == (0x1000, 0x7000)


def test_own_names_of_subtypes(desk: Desk) -> None:
    (desk.folder / "own.csv").write_text("a,app,mine,,64K\nb,data,yours,,4K\n")
    options = ("--extra-subtype", "app,mine,0x33", "--extra-subtype", "1, yours ,0x77")
    desk("partitions", "build", "own.csv", "made.bin", *options)
    table = PartitionTable.from_bytes((desk.folder / "made.bin").read_bytes())
    assert [p.subtype for p in table] == [0x33, 0x77]


@pytest.mark.parametrize("where", ["dump", "stub", "rom"])
def test_the_map_is_the_same_of_a_dump_and_a_device(where: str, desk: Desk) -> None:
    source = ["--file", "dump.bin"] if where == "dump" else ["--port", board(desk)]
    if where == "rom":
        source.append("--no-stub")
    found = desk.json("partitions", *source)
    assert found["table_offset"] == 0x8000
    uses = {p["name"]: p["use"] for p in found["partitions"]}
    assert uses == {
        **dict.fromkeys(("nvs", "otadata", "ota_0", "ota_1"), "blank"),
        "factory": "image",
        "storage": "data",
    }
    [factory] = [p for p in found["partitions"] if p["name"] == "factory"]
    assert (factory["boots"], factory["content"]["app"]["version"]) == (True, "old")
    [storage] = [p for p in found["partitions"] if p["name"] == "storage"]
    assert storage["remark"] == "LittleFS"
    assert storage["flags"] == ["encrypted"]
    if where != "rom":
        assert storage["used"] == 0x1000
    text = desk("partitions", *source)
    assert re.search(r"^factory +app +factory +0x00020000 +64K +demo old, boots$", text, re.M)


def test_partitions_beyond_the_flash_are_said_and_not_read(desk: Desk) -> None:
    large = PartitionTable.from_csv(CSV + "more,data,fat,,1M\n")
    (desk.folder / "large.bin").write_bytes(large.to_bytes())
    url = f"virtual://esp32s3?state={desk.folder}/small&stub=model&flash=512KB"
    desk("--port", url, "write-flash", "0x8000", "large.bin")
    found = desk.json("--port", url, "partitions")
    assert [p["use"] for p in found["partitions"]][-2:] == ["blank", "beyond the flash"]
    assert any(p["fatal"] and "ends at" in p["text"] for p in found["problems"])


def test_what_the_chip_encrypts_is_called_that(desk: Desk) -> None:
    url = board(desk, efuse="crypt_count:1")
    found = desk.json("--port", url, "partitions", "--partition-table", "table.csv")
    uses = {p["name"]: p["use"] for p in found["partitions"]}
    assert [uses[n] for n in ("nvs", "factory", "storage")] == ["blank", "encrypted", "encrypted"]


def test_ota_on_a_dump_and_on_a_device(desk: Desk) -> None:
    for source in (("--file", "dump.bin"), ("--port", board(desk))):
        assert desk.json("ota", "status", *source)["boots"] == "factory"
        assert desk.json("ota", "write", "new.bin", *source)["boots"] == "ota_0"
        desk("ota", "write", "new.bin", *source)
        assert "'ota_1' boots" in desk("ota", "status", *source)
        desk("ota", "boot", "0", *source)
        desk("ota", "boot", "factory", *source)
        found = desk.json("ota", "erase", *source)
        assert found["boots"] == "factory"
        assert all(entry["blank"] for entry in found["otadata"]["entries"])


def test_check_says_whether_a_table_is_valid(desk: Desk) -> None:
    for name in ("table.csv", "table.bin", "dump.bin"):
        assert "valid: 6 partitions" in desk("partitions", "check", name)
        assert desk.json("partitions", "check", name)["valid"] is True
    assert "valid: 6 partitions" in desk("--port", board(desk), "partitions", "check")


DUMP = ("--file", "dump.bin")
WRONG = [
    (["partitions", "check", "wrong.csv"], "2 partitions have the name 'a'"),
    (["partitions", "check", "table.csv", "--flash-size", "256KB"], "'ota_1' ends at"),
    (["partitions", "check", "text.bin"], "has no partition table"),
    (["partitions", "check", "empty.bin"], "has no partition table"),
    (["partitions", "check", "blank.bin"], "has no partition table from 0x8000"),
    (["partitions", "check", "table.csv", *DUMP], "Name the table once"),
    (["partitions", "build", "wrong.csv", "out.bin"], "2 partitions have the name 'a'"),
    (["partitions", "build", "table.bin", "out.bin"], "is a binary partition table already"),
    (["partitions", "build", "dump.bin", "out.bin"], "UTF-8|not text"),
    (["partitions", "build", "table.csv", "table.csv"], "is the input"),
    (["partitions", "build", "table.csv", "no/such/folder"], "No such file"),
    (["partitions", "build", "table.csv", "out.bin", "--extra-subtype", "x"], "is not a subtype"),
    (["partitions", "build", "table.csv", "out.bin", "--flash-size", "128k"], "ends at"),
    (["partitions", "--file", "text.bin"], "has no partition table"),
    (["partitions", "--json", "--csv", *DUMP], "exclude each other"),
    (["partitions", *DUMP, "check"], "--file has no effect in front of 'check'"),
    (["partitions", "--partition-table-offset", "0x9000", *DUMP], "does not begin with AA 50"),
    (["ota", "status", "--file", "table.bin"], "is a partition table: no partitions are in it"),
    (["ota", "status", "--file", "blank.bin"], "has no partition table"),
    (["partitions", "check", "table.bin", "--extra-subtype", "x"], "is not a subtype"),
    (["partitions", "check", "damaged.bin"], "damaged.bin': .* damaged: its MD5"),
    (["partitions", "--partition-table", "damaged.bin", *DUMP], "damaged.bin': .* its MD5"),
    (["partitions", "--file", "two.bin"], "two.bin' at 0x8000: .* damaged"),
    (["ota", "write", "text.bin", *DUMP], "text.bin': This is not a valid image"),
    (["ota", "write", "elf.bin", *DUMP], "is an ELF file"),
    (["ota", "write", "empty.bin", *DUMP], "empty"),
    (["ota", "boot", "7", *DUMP], "There is no slot '7'"),
    (["ota", "boot", "ota_1", *DUMP], "it is blank"),
    (["ota", "boot", "", *DUMP], "There is no slot ''"),
    (["--port", "/dev/no-such", "ota", "status"], "Could not open /dev/no-such"),
    (
        ["--chip", "esp32s3", "merge-bin", "-o", "out.bin", "ota_0", "new.bin"],
        "Names need a partition table",
    ),
    (
        ["-c", "esp32s3", "merge-bin", "-o", "o", "ota_9", "new.bin", "0x8000", "table.bin"],
        "Did you mean",
    ),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG)
def test_what_is_wrong_is_said_and_nothing_written(
    words: list[str], sentence: str, desk: Desk
) -> None:
    before = {p.name: p.read_bytes() for p in desk.folder.iterdir()}
    with pytest.raises(FatalError, match=sentence):
        desk(*words)
    assert {p.name: p.read_bytes() for p in desk.folder.iterdir()} == before


@pytest.mark.parametrize(
    "words",
    [["partitions", "build", "table.csv"], ["partitions", "nonsense"], ["ota", "boot"], ["ota"]],
)
def test_a_line_that_is_no_command_ends_with_2(words: list[str], desk: Desk) -> None:
    with pytest.raises(SystemExit) as ended:
        desk(*words)
    assert ended.value.code == 2


def test_merge_bin_takes_names(desk: Desk) -> None:
    pairs = ("partition-table", "table.bin", "ota_0", "new.bin", "0x0", "old.bin")
    desk("--chip", "esp32s3", "merge-bin", "-o", "merged.bin", *pairs)
    merged = (desk.folder / "merged.bin").read_bytes()
    new = app(version="new")
    assert merged[TABLE["ota_0"].offset :] == new
    assert merged[0x8000 : 0x8000 + 0xC00] == TABLE.to_bytes()
    desk(
        *("--chip", "esp32s3", "merge-bin", "-o", "merged.bin", "ota_0", "new.bin"),
        *("--partition-table", "table.csv"),
    )
    assert (desk.folder / "merged.bin").read_bytes()[TABLE["ota_0"].offset :] == new


def test_the_offset_of_the_table_may_stand_in_the_configuration(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = bytearray(b"\xff" * 0x60000)
    moved[0x30000 : 0x30000 + 0xC00] = TABLE.to_bytes()  # further up than it is looked for
    (desk.folder / "moved.bin").write_bytes(moved)
    config = desk.folder / "esptool.cfg"
    config.write_text("[esptool]\npartition_table_offset = 0x30000\n")
    monkeypatch.setenv("ESPTOOL_CFGFILE", str(config))
    assert desk.json("partitions", "--file", "moved.bin")["table_offset"] == 0x30000
    url = f"virtual://esp32s3?state={desk.folder}/moved&stub=model"
    desk("--port", url, "write-flash", "0", "moved.bin")
    desk("--port", url, "read-flash", "nvs", "nvs.out")
    assert (desk.folder / "nvs.out").read_bytes() == b"\xff" * 0x6000


def test_the_slots_keep_to_eighty_columns(desk: Desk) -> None:
    long = app(version="v1.2.3-4567-g0123456789abcdef-d")
    (desk.folder / "dump.bin").write_bytes(
        (desk.folder / "dump.bin").read_bytes()[: TABLE["ota_0"].offset] + long
    )
    lines = desk("ota", "status", *DUMP).splitlines()
    shown = [line for line in lines if not line.startswith("'")]
    assert max(map(len, shown)) <= 80
    assert "v1.2.3-4567-g0123456789abcdef-d" in " ".join(shown)


def test_a_file_that_no_flash_holds_is_refused_unread(desk: Desk) -> None:
    with open(desk.folder / "huge.bin", "wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(FatalError, match="larger than 128 MB: no flash holds that much"):
        desk("ota", "write", "huge.bin", *DUMP)
