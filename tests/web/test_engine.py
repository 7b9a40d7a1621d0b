# SPDX-License-Identifier: Apache-2.0
"""What a page asks the engine for, without a page: on simulated boards, through the same port."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from esptool.errors import FatalError, ImageError, OtherChipError, PortError, UsageError
from esptool.storage import nvs
from esptool.storage.fs import build_image
from esptool.storage.partitions import PartitionTable
from esptool.transport.browser import BrowserPort
from esptool.virtual import emulator
from esptool.web import first
from esptool.web.board import BoardChannel
from esptool.web.engine import Cancelled, Engine
from tests.support.apps import app

TABLE = PartitionTable.from_csv(
    "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,,0x2000\n"
    "ota_0,app,ota_0,0x10000,64K\nota_1,app,ota_1,,64K\n"
).to_bytes()


def board(url: str) -> BoardChannel:
    return BoardChannel(f"virtual://{url}{'&' if '?' in url else '?'}stub=model&timing=virtual")


def engine(told: list[dict[str, Any]] | None = None) -> Engine:
    return Engine(([] if told is None else told).append)


@pytest.mark.parametrize("chip", ["esp8266", "esp32", "esp32c3", "esp32s3", "esp32p4"])
def test_what_is_installed_is_read_back_and_an_update_sends_a_sector(chip: str) -> None:
    page, channel = engine(), board(chip)
    facts = page.connect(channel, 921600)
    assert facts["chip"] == chip
    data = bytearray(random.Random(1).randbytes(50_000))
    page.install([(0x10000, bytes(data), "app.bin")])
    data[0x2000] ^= 1
    result = page.install([(0x10000, bytes(data), "app.bin")])
    assert result["sent"] == 4096
    assert result["files"][0]["action"] == "delta"
    assert page.read(0x10000, len(data)) == data
    page.verify([(0x10000, bytes(data), "app.bin")])
    page.erase(0x10000, 0x1000)
    assert channel.board.nor.cells.read(0x10000, 0x1001) == b"\xff" * 0x1000 + data[0x1000:0x1001]


def test_a_cable_that_stays_pulled_is_told_with_what_to_do() -> None:
    channel = board("esp32c3?fault=drop:40000,away:100000")
    # So that a board that is away does not make the test wait.
    channel.open = _not_there(channel.open, channel)  # type: ignore[method-assign]
    page = engine()
    page.connect(channel)
    with pytest.raises(FatalError, match="did not come back within") as caught:
        page.install([(0x10000, app("esp32c3", size=200_000), "app.bin")])
    assert "Check cable" in str(caught.value.remedy)


def _not_there(open_it: Any, channel: BoardChannel) -> Any:
    def opened(baud: int) -> None:
        if channel.board.lost:
            raise OSError("the device is not there")
        open_it(baud)

    return opened


def test_work_ends_at_its_next_step_when_the_person_wishes() -> None:
    told: list[dict[str, Any]] = []
    page = engine(told)
    page.connect(board("esp32s3"))
    page.stopped = True
    with pytest.raises(Cancelled):
        page.erase()
    assert page.facts()["chip"] == "esp32s3"  # the board is still there


def test_a_stop_that_comes_too_late_does_not_end_the_work_after_it() -> None:
    page = engine()
    page.connect(board("esp32s3"))
    page.stopped = True  # when the work was done
    page.begin()
    page.erase()
    assert not page.stopped


def test_an_application_that_is_brought_goes_where_the_table_of_the_board_says() -> None:
    channel = board("esp32c3")
    channel.board.nor.cells.program(0, app("esp32c3", described=False))
    channel.board.nor.cells.program(0x8000, TABLE)
    page = engine()
    new = app("esp32c3", version="7")
    taken = page.take([("new.bin", new)])
    assert taken["chip"] == "ESP32-C3"
    page.connect(channel)
    assert any("0x00010000" in line for line in page.plan())
    page.install_taken()
    assert channel.board.nor.cells.read(0x10000, len(new)) == new
    uses = {p["name"]: p["describe"] for p in page.partitions()["partitions"]}
    assert "demo 7" in uses["ota_0"]


def test_files_for_another_chip_are_refused() -> None:
    page = engine()
    page.take([("new.bin", app("esp32c6"))])
    page.connect(board("esp32c3"))
    with pytest.raises(FatalError, match="ESP32-C6"):
        page.plan()


@pytest.mark.parametrize(
    ("chip", "at", "other"),
    [
        ("esp32c3", 0x10000, "esp32"),
        ("esp32c3", 0, "esp32c6"),
        ("esp32", 0x10000, "esp32c3"),
        ("esp8266", 0x10000, "esp32"),
    ],
)
def test_parts_with_firmware_of_another_chip_are_refused_unless_wanted_anyway(
    chip: str, at: int, other: str
) -> None:
    channel, page = board(chip), engine()
    page.connect(channel)
    data = app(other)
    parts = [(at, data, "app.bin")]
    with pytest.raises(OtherChipError, match="is for ESP32") as caught:
        page.install(parts, erase=True)
    told = page.failure(caught.value)
    assert told["kind"] == "OtherChipError"
    assert "--" not in told["error"] + told["remedy"]
    assert channel.board.nor.cells.read(at, 16) == b"\xff" * 16
    page.install(parts, anyway=True)
    assert channel.board.nor.cells.read(at + 16, len(data) - 16) == data[16:]


def test_a_merged_image_is_judged_by_its_boot_loader() -> None:
    merged = bytearray(b"\xff" * 0x20000)
    for at, part in ((0x1000, app("esp32", described=False)), (0x8000, TABLE)):
        merged[at : at + len(part)] = part
    page = engine()
    page.connect(board("esp32c3"))
    with pytest.raises(OtherChipError, match="is for ESP32, and this is an ESP32-C3"):
        page.install([(0, bytes(merged), "merged.bin")])


def test_firmware_for_a_second_processor_may_lie_in_a_partition_for_data() -> None:
    table = PartitionTable.from_csv("slave,data,0x40,0x110000,128K\n").to_bytes()
    page = engine()
    page.connect(board("esp32p4"))
    page.install([(0x8000, table, "table.bin"), (0x110000, app("esp32c6"), "slave.bin")])
    with pytest.raises(OtherChipError):
        page.install([(0x8000, table, "table.bin"), (0x140000, app("esp32c6"), "slave.bin")])


def test_words_of_the_page_name_files_as_the_visitor_does_and_no_options() -> None:
    told: list[dict[str, Any]] = []
    page = engine(told)
    page.take([("mine.bin", app("esp32"))])
    page.connect(board("esp32c3"))
    failures = []
    for wish in (
        page.plan,
        lambda: page.take([("notes.txt", b"not firmware")]),
        lambda: page.install([(0x3FF000, bytes(0x2000), "big.bin")]),
    ):
        with pytest.raises(FatalError) as caught:
            wish()
        failures.append(page.failure(caught.value))
    assert failures[0]["error"].startswith("'mine.bin' is for ESP32,")
    assert "'notes.txt'" in failures[1]["error"]
    assert "big.bin" in failures[2]["error"]
    said = "\n".join(
        [e["text"] for e in told if "text" in e]
        + [part for f in failures for part in (f["error"], f["remedy"])]
    )
    for word in (tempfile.gettempdir(), "esptool-page", "--", "pip install", "argument"):
        assert word not in said


def test_a_virtual_board_of_a_page_tells_of_no_emulator_that_could_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emulator, "engines", tuple)
    told: list[dict[str, Any]] = []
    channel = board("esp32c3")
    channel.board.nor.cells.program(0, app("esp32c3", described=False))
    page = engine(told)
    page.connect(channel)
    page.reset()
    remarks = " ".join([m.text for m in channel.remarks] + [e.get("text", "") for e in told])
    assert "imitates the flasher stub by a model: in a page there is no emulator" in remarks
    assert "pip install" not in remarks


def test_what_is_no_firmware_is_refused() -> None:
    with pytest.raises(FatalError):
        engine().take([("notes.txt", b"not firmware")])
    with pytest.raises(UsageError, match="No board is connected"):
        engine().read(0, 1)


def test_files_that_were_taken_go_with_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    page = engine()
    page.take([("new.bin", app("esp32c6"))])
    assert len(list(tmp_path.iterdir())) == 1
    del page
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_all_efuses_are_read() -> None:
    page = engine()
    page.connect(board("esp32c3"))
    fields = {f["name"]: f for f in page.efuses()["fields"]}
    assert fields["MAC"]["value"].startswith("60:55:f9:05:00:01")


KEYS = bytes(range(1, 65))
HMAC = bytes(range(32))
#: Without the libraries that are compiled code, as in a browser.
IN_A_PAGE = """
import sys
sys.modules["cryptography"] = sys.modules["littlefs"] = None
from esptool.web.board import BoardChannel
from esptool.web.engine import Engine
from esptool.errors import FatalError
page = Engine(lambda event: None)
board = BoardChannel("virtual://esp32c3?stub=model&timing=virtual")
with open(sys.argv[1], "rb") as file:
    board.board.nor.cells.program(0, file.read())
page.connect(board)
for name, keys in (("nvs", KEYS), ("nvs2", HMAC)):
    print([e["value"] for e in page.nvs(name, keys)["entries"]])
try:
    page.nvs("nvs", bytes(64 * [1]) + bytes(4))
except FatalError as e:
    print(e.message)
try:
    page.nvs("nvs")
except FatalError as e:
    print(e.message)
for name in ("spiffs", "fat", "lfs"):
    found = page.files(name)
    print(found["type"], [e["path"] for e in found["entries"]], page.file(name, "index.htm"))
"""


def test_encrypted_settings_and_all_file_systems_are_read_without_libraries(
    tmp_path: Path,
) -> None:
    table = PartitionTable.from_csv(
        "nvs,data,nvs,0x9000,0x4000\nnvs2,data,nvs,,0x4000\nspiffs,data,spiffs,0x20000,64K\n"
        "fat,data,fat,,256K\nlfs,data,spiffs,,64K\n"
    )
    rows = nvs.read_table(
        "key,type,encoding,value\nstore,namespace,,\nname,data,string,kitchen\n",
        "nvs.csv",
        lambda _name: b"",
    ).rows
    image = bytearray(b"\xff" * 0x80000)

    def put(at: int, data: bytes) -> None:
        image[at : at + len(data)] = data

    put(0x8000, table.to_bytes())
    put(0x9000, nvs.build(rows, 0x4000, keys=nvs.NvsKeys(KEYS)))
    put(0xD000, nvs.build(rows, 0x4000, keys=nvs.NvsKeys.from_hmac(HMAC)))
    for name, kind in (("spiffs", "spiffs"), ("fat", "fat"), ("lfs", "littlefs")):
        part = table[name]
        put(part.offset, build_image(kind, part.size, {"index.htm": b"<p>hello"}))
    (tmp_path / "flash.bin").write_bytes(image)
    code = f"KEYS, HMAC = {KEYS!r}, {HMAC!r}\n{IN_A_PAGE}"
    command = [sys.executable, "-c", code, str(tmp_path / "flash.bin")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["['kitchen']"] * 2
    assert "checksum of the NVS keys is wrong" in lines[2]
    assert "the NVS is encrypted" in lines[3]
    for line, kind in zip(lines[4:], ("spiffs", "fat", "littlefs"), strict=True):
        assert line.lower() == f"{kind} ['index.htm'] b'<p>hello'"


def test_the_terminal_explains_what_the_chip_says() -> None:
    page = engine()
    page.console(board("esp32c3"), reset=True)
    pieces: list[dict[str, str]] = []
    for _ in range(20):
        pieces += page.heard(0.1)
    assert "ESP-ROM:esp32c3" in "".join(piece.get("text", "") for piece in pieces)
    assert any("no boot loader" in piece.get("note", "") for piece in pieces)


def test_a_board_that_does_not_answer_is_examined() -> None:
    found = engine().diagnose(board("esp32c3?fault=lose:1"))
    assert found
    assert {"level", "text", "remedy"} == set(found[0])
    assert any(f["level"] == "problem" and f["remedy"] for f in found)
    # Nor is anyone sent to options of a command line.
    assert not any("--" in f["remedy"] for f in found)


def test_a_port_of_a_page_that_was_closed_is_told_as_that() -> None:
    port = BrowserPort(board("esp32"))
    with pytest.raises(PortError, match="closed"):
        port.send(b"x")
    port.open()
    port.close()
    with pytest.raises(PortError):
        port.open()


def test_nothing_is_imported_that_a_browser_lacks() -> None:
    code = """
import sys
from esptool.web.board import BoardChannel
from esptool.web.engine import Engine
page = Engine(lambda event: None)
page.connect(BoardChannel("virtual://esp32c3?stub=model&timing=virtual"))
page.install([(0, bytes(100_000), "zeros")])
page.efuses()
lacking = {"termios", "fcntl", "socket", "select", "serial", "subprocess", "click", "rich",
           "cryptography", "multiprocessing", "asyncio"}
print(sorted(lacking & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


MANIFEST_FAULTS = {
    "[]": "not a JSON object",
    "{": "not JSON",
    '{"builds": []}': "no builds",
    '{"builds": 5}': "builds of the manifest is not a list",
    '{"builds": [{"chipFamily": "ESP32"}]}': r"builds\[0\].parts",
    '{"builds": [{"chipFamily": "Z80", "parts": []}]}': "no build for a chip that is known",
    '{"builds": [{"chipFamily": "ESP32", "parts": [{"path": "a", "offset": -1}]}]}': "beyond",
    '{"builds": [{"chipFamily": "ESP32", "parts": [{"path": 1, "offset": 0}]}]}': "path",
}


@pytest.mark.parametrize(("text", "told"), MANIFEST_FAULTS.items())
def test_a_manifest_that_is_wrong_is_told_where(text: str, told: str) -> None:
    with pytest.raises(ImageError, match=told):
        first.manifest(text)
