# SPDX-License-Identifier: Apache-2.0
"""The doctor: every finding it can make, on boards with just that wrong, and nothing changed."""

from __future__ import annotations

import io
import os
import string
from contextlib import redirect_stdout
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import serial

import esptool
from esptool.device import Session, adapters
from esptool.device.flash import Flash
from esptool.errors import FatalError, LinkTimeoutError, StorageError
from esptool.ops import doctor
from esptool.ops.doctor import inside
from esptool.ops.doctor.boot_log import read_log
from esptool.ops.doctor.words import FINDINGS, LEVELS
from esptool.storage.partitions import PartitionTable
from esptool.transport import Settings, discovery, holders, open_port
from esptool.transport.port import PortInfo
from tests.support.apps import app

TABLE = PartitionTable.from_csv(
    "nvs,data,nvs,,16K\notadata,data,ota,,8K\nota_0,app,ota_0,0x10000,64K\n"
)
HEALTHY = (
    *("port_ok", "boots", "connected", "flash_ok", "stub_ok", "line_ok"),
    *("boot_loader_ok", "table_ok", "app_ok"),
)


def content(**changed: bytes) -> bytes:
    """A flash with boot loader, table and application; `at_OFFSET=bytes` changes some of it."""
    image = app("esp32c3", version="1.0")
    flash = bytearray(b"\xff" * 0x40000)
    parts = {0: image, 0x8000: TABLE.to_bytes(), 0x10000: image}
    parts |= {int(name.removeprefix("at_"), 16): data for name, data in changed.items()}
    for at, data in parts.items():
        flash[at : at + len(data)] = data
    return bytes(flash)


def board(
    folder: Path, options: str = "", flash: bytes | None = None, *, made_with: str = ""
) -> str:
    """URL of a board with that flash; `made_with` are options that the factory needs."""
    url = f"virtual://esp32c3?state={folder / 'board'}&flash=1MB&timing=virtual{made_with}"
    with serial.serial_for_url(url) as port:
        port.board.nor.cells.load((flash or content()).ljust(1 << 20, b"\xff"))  # type: ignore[attr-defined]
    return url + options


def codes(url: str | None, **more: Any) -> list[str]:
    return [finding.code for finding in doctor.diagnose(url, **more)]


BLANK = b"\xff" * 0x1000
WRONG_SUM = bytearray(app("esp32c3", version="1.0", digest=False))
WRONG_SUM[200] ^= 1
BOARDS: dict[str, tuple[str, dict[str, bytes], tuple[str, ...]]] = {
    "nothing": ("", {}, HEALTHY),
    "a boot strap that is held high": ("&fault=strap-high", {}, ("boots", "boot_mode")),
    "a boot strap that is held low": ("&fault=strap-low", {}, ("held_in_download", "app_ok")),
    "no line to EN": ("&fault=no-reset,reset-loop", {}, ("no_reset",)),
    "nothing from the chip": ("&fault=mute", {}, ("quiet", "silent")),
    "nothing to the chip": ("&fault=deaf", {}, ("boots", "deaf")),
    "a line that bears nothing": ("&fault=baud:1", {}, ("garbled",)),
    "a line of one rate": ("&fault=baud:200000", {}, ("line_loses", "app_ok")),
    "a weak supply": ("&fault=brownout-loop", {}, ("brown_out", "connected", "app_ok")),
    "a watchdog": ("&fault=reset-loop", {}, ("reset_loop", "connected", "app_ok")),
    "a crash": ("&fault=panic-loop", {}, ("panic", "connected", "app_ok")),
    "a flash that does not answer": ("&fault=dead-flash", {}, ("connected", "flash_silent")),
    "a flash that is protected": ("&fault=protect", {}, ("flash_protected", "app_ok")),
    "RAM that runs no code": ("&fault=no-stub", {}, ("flash_ok", "stub_fails")),
    "secure download mode": ("&secure_download=1", {}, ("connected", "secure_download")),
    "its own USB": ("&link=usb-jtag", {}, ("line_usb", "app_ok")),
    "encryption": ("&efuse=0x60008834:0x40000", {}, ("encrypted",)),
    "a blank flash": ("", {"at_0": BLANK}, ("no_program", "boot_loader_missing")),
    "a damaged boot loader": ("", {"at_0": bytes(WRONG_SUM)}, ("checksum", "boot_loader_damaged")),
    "another chip's boot loader": ("", {"at_0": app("esp32c6")}, ("boot_loader_other_chip",)),
    "no table": ("", {"at_8000": BLANK}, ("boot_loader_ok", "table_bad")),
    "no application": ("", {"at_10000": BLANK}, ("table_ok", "app_missing")),
    "a damaged application": ("", {"at_10100": b"\1\2\3\4"}, ("table_ok", "app_damaged")),
}
#: What a board is made with, or never gets.
FROM_FACTORY = {"a flash that is protected", "secure download mode", "encryption"}
ELSEWHERE = {
    *("manual", "line_bad", "wrong_chip"),
    *("no_port", "port_not_found", "port_permission", "port_busy", "port_fails", "choose_port"),
    *("log_at_other_rate", "crystal", "no_answer", "flash_unsteady", "stub_off"),
    "contents_unread",
}


@pytest.mark.parametrize("wrong", BOARDS)
def test_what_is_wrong_with_a_board_is_found_and_its_flash_stays_as_it_was(
    wrong: str, tmp_path: Path
) -> None:
    options, changed, expected = BOARDS[wrong]
    made_with = options if wrong in FROM_FACTORY else ""
    url = board(tmp_path, flash=content(**changed), made_with=made_with)
    options = "" if made_with else options
    before = (tmp_path / "board").read_bytes()
    found = doctor.diagnose(url + options)
    seen = [finding.code for finding in found]
    assert [code for code in seen if code in expected] == list(expected), seen
    if wrong == "nothing":
        assert doctor.worst(found) == "ok"
    assert (tmp_path / "board").read_bytes()[0x1000:] == before[0x1000:]
    for finding in found:
        assert not set("{}") & set(finding.text + finding.remedy)


def test_each_finding_is_looked_for_here() -> None:
    tested = {code for _, _, expected in BOARDS.values() for code in expected} | ELSEWHERE
    assert tested == set(FINDINGS)
    for words in FINDINGS.values():
        assert words.level in LEVELS
        assert words.remedy or words.level in ("ok", "note")
        for text in (words.text, words.remedy):
            assert all(
                name is None or name.isidentifier()
                for _, name, _, _ in string.Formatter().parse(text)
            )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("virtual://esp8266?timing=virtual", "log_at_other_rate"),
        ("virtual://esp32?timing=virtual&crystal=33", "crystal"),
    ],
)
def test_a_crystal_is_heard_and_measured(url: str, expected: str) -> None:
    assert expected in codes(url)


def test_ports_that_cannot_be_used_are_told_by_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(discovery, "all_ports", list)
    assert codes(None) == ["no_port"]
    assert codes("/dev/no-such-port") == ["port_not_found"]
    (tmp_path / "file").write_bytes(b"")
    assert codes(str(tmp_path / "file")) == ["port_fails"]
    url = "virtual://esp32c3?timing=virtual&fault=mute"
    monkeypatch.setattr(discovery, "all_ports", lambda: [PortInfo(url), PortInfo("zzz")])
    assert codes(None)[:2] == ["choose_port", "port_ok"]
    master, slave = os.openpty()
    try:
        name = os.ttyname(slave)
        monkeypatch.setattr(holders, "holders_of", lambda _device: (holders.Holder(7, "minicom"),))
        found = doctor.diagnose(name)
        assert [finding.code for finding in found] == ["port_busy"]
        assert "minicom (process 7)" in found[0].text
        monkeypatch.setattr(holders, "may_open", lambda _device: False)
        assert codes(name) == ["port_permission"]
    finally:
        os.close(master)
        os.close(slave)


def test_a_chip_that_was_brought_into_download_mode_by_hand(tmp_path: Path) -> None:
    url = board(tmp_path, "&fault=no-lines&boot=download")
    assert codes(url, before="no-reset")[:3] == ["port_ok", "manual", "connected"]


def test_another_chip_than_the_one_named_is_not_taken_for_a_fault_of_the_line(
    tmp_path: Path,
) -> None:
    assert codes(board(tmp_path), chip="esp32") == ["port_ok", "boots", "wrong_chip"]


def test_a_port_with_nothing_behind_it_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(holders, "holders_of", lambda _device: None)
    master, slave = os.openpty()
    try:
        hasty = Settings(sync_timeout=0.01)
        found = codes(os.ttyname(slave), before="no-reset", settings=hasty)
        assert found == ["port_ok", "no_answer"]
    finally:
        os.close(master)
        os.close(slave)


def test_a_flash_that_answers_now_this_and_now_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = cycle((0x164020, 0x164000))
    monkeypatch.setattr(Flash, "id", lambda self: next(answers))
    assert codes(board(tmp_path))[-1] == "flash_unsteady"

    def lost(_self: Flash) -> int:
        raise LinkTimeoutError("No serial data received.")

    monkeypatch.setattr(Flash, "id", lost)
    assert codes(board(tmp_path))[-1] == "line_bad"


def test_a_chip_without_a_stub_and_contents_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(self: Session, *_args: Any, **_more: Any) -> None:
        self.stub_disabled = True

    def fail(*_args: Any) -> None:
        raise StorageError("It is gone.")

    monkeypatch.setattr(Session, "run_stub", none)
    monkeypatch.setattr(inside, "_contents", fail)
    assert codes(board(tmp_path))[-2:] == ["stub_off", "contents_unread"]


def test_the_line_is_tried_afresh_and_what_is_found_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(adapters.VARIABLE, str(tmp_path / "adapters.json"))
    url = board(tmp_path)
    port = open_port(url)
    port.close()
    adapters.learn(port, rate=230_400)
    assert "line_ok" in codes(url)
    assert adapters.recall(port).rate > 460_800


def test_any_bytes_are_a_boot_log() -> None:
    assert read_log(b"") == read_log(b"")
    log = read_log(b"ESP-ROM:esp32c3-api1\r\nrst:0xf (BROWNOUT_RST),boot:0xc (SPI_FAST_FLASH_BOOT)")
    assert (log.chip, log.brown_out, log.by_lines, log.text) == ("esp32c3", True, False, True)
    old = read_log(b"\r\n ets Jan  8 2013,rst cause:2, boot mode:(1,6)\r\n")
    assert (old.chip, old.waits, old.by_lines) == ("esp8266", True, True)
    assert read_log(bytes(range(128, 256))).garbled


@pytest.mark.parametrize("columns", ["40", "80"])
def test_the_command_ends_by_its_verdict_and_keeps_to_the_width(
    columns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("ESPTOOL_PORT", "/dev/another-port")  # a word of the command line counts
    out = io.StringIO()
    with redirect_stdout(out):
        esptool.main(["doctor", board(tmp_path)])
        with pytest.raises(FatalError) as failed:
            esptool.main(["doctor", board(tmp_path, "&fault=strap-high")])
    assert failed.value.error_code == "boot_mode"
    assert "GPIO9" in failed.value.message
    rows = [row for row in out.getvalue().splitlines() if "virtual:" not in row]
    assert max(map(len, rows)) <= int(columns)
    assert any(row.startswith("PROBLEM") for row in rows)
