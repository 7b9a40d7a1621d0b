# SPDX-License-Identifier: Apache-2.0
"""`esptool ports`, and a board chosen by --serial or --mac: what is told, what is not touched."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import serial

import espefuse
import esptool
from esptool.errors import FatalError
from esptool.transport import bridges, discovery, holders
from esptool.transport.port import PortInfo
from esptool.virtual.board import Board

MACS = {"one": "60:55:f9:aa:00:01", "two": "60:55:f9:aa:00:02"}


@pytest.fixture
def boards() -> dict[str, str]:
    """Two boards that the list of ports shows, the second one behind its own USB."""
    urls = {
        "one": f"virtual://esp32c3?name=one&serial=S-1&mac={MACS['one']}&timing=virtual",
        "two": f"virtual://esp32s3?name=two&serial=S-2&mac={MACS['two']}&timing=virtual",
    }
    opened = [serial.serial_for_url(f"{url}&fault=rename") for url in urls.values()]
    for port in opened:
        port.close()
    return urls


@pytest.fixture(autouse=True)
def only_virtual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ESPTOOL_PORT", raising=False)
    monkeypatch.setattr("serial.tools.list_ports.comports", list)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    esptool.main([*words, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_list_touches_no_line_and_a_probe_tells_who_is_there(
    boards: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []
    for name in ("set_lines", "host_write"):
        kept = getattr(Board, name)

        def spy(self: Board, *args: Any, kept: Any = kept, name: str = name) -> Any:
            touched.append(name)
            return kept(self, *args)

        monkeypatch.setattr(Board, name, spy)
    listed = told(capsys, "ports")["ports"]
    assert [(p["serial"], p["probe"]) for p in listed] == [("S-1", None), ("S-2", None)]
    assert listed[0]["what"] == bridges.describe(0x10C4, 0xEA60)
    assert touched == []
    probed = told(capsys, "ports", "--probe")["ports"]
    assert {p["probe"]["mac"] for p in probed} == set(MACS.values())
    assert [p["probe"]["chip"] for p in probed] == ["esp32c3", "esp32s3"]
    assert {p["probe"]["flash_size"] for p in probed} == {4 << 20}
    assert touched


@pytest.mark.parametrize("words", [["--serial", "s-2"], ["--mac", "6055F9AA0002"]])
def test_a_board_is_chosen_by_what_it_is_called(
    words: list[str], boards: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, *words, "read-mac")["mac"] == MACS["two"]


REFUSED = {
    "no such serial number": (["--serial", "S"], "port_not_found"),
    "no such MAC address": (["--mac", "60:55:f9:00:00:09"], "port_not_found"),
    "no MAC address at all": (["--mac", "60:55"], "usage"),
    "another board": (["--port", "ONE", "--mac", MACS["two"]], "wrong_board"),
    "a port and a serial number": (["--port", "ONE", "--serial", "S-1"], "usage"),
}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--port", "/dev/no-such-port"], "port_not_found"),
        (["--serial", "S"], "port_not_found"),
        (["--mac", MACS["one"]], "usage"),
    ],
)
def test_a_list_of_what_is_not_there_is_an_error(
    words: list[str], code: str, boards: dict[str, str]
) -> None:
    with pytest.raises(FatalError) as failed:
        esptool.main([*words, "ports"])
    assert failed.value.error_code == code


@pytest.mark.parametrize("case", REFUSED)
def test_what_names_no_board_is_refused(case: str, boards: dict[str, str]) -> None:
    words, code = REFUSED[case]
    words = [f"{boards['one']}&fault=rename" if w == "ONE" else w for w in words]
    with pytest.raises(FatalError) as failed:
        esptool.main([*words, "erase-flash"])
    assert failed.value.error_code == code


def test_who_holds_a_port_and_who_may_open_it_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = os.openpty()
    try:
        device = os.ttyname(slave)
        monkeypatch.setattr(discovery, "all_ports", lambda: [PortInfo(device, 0x303A, 0x1001)])
        if os.path.isdir("/proc/self/fd"):
            held = told(capsys, "ports")["ports"][0]["holders"]
            assert os.getpid() in [holder["pid"] for holder in held]
        monkeypatch.setattr(holders, "may_open", lambda device: False)
        esptool.main(["ports"])
        out = capsys.readouterr().out
        assert "not permitted" in out
        assert "USB-Serial/JTAG" in out
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links as Linux has them")
def test_the_driver_is_that_of_the_uart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pnp/drivers/serial", "serial-base/drivers/port", "usb-serial/drivers/ch341"):
        (tmp_path / "bus" / name).mkdir(parents=True)
    core = tmp_path / "devices/00:00/00:00:0/00:00:0.0"
    usb = tmp_path / "devices/1-1/ttyUSB0"
    for place, driver in (
        (core, "serial-base/drivers/port"),
        (core.parent, "serial-base/drivers/port"),
        (core.parent.parent, "pnp/drivers/serial"),
        (usb, "usb-serial/drivers/ch341"),
    ):
        place.mkdir(parents=True, exist_ok=True)
        (place / "driver").symlink_to(tmp_path / "bus" / driver)
    for name, place in (("ttyS0", core), ("ttyUSB0", usb)):
        (tmp_path / "tty" / name).mkdir(parents=True)
        (tmp_path / "tty" / name / "device").symlink_to(place)
    monkeypatch.setattr(holders, "_TTYS", str(tmp_path / "tty"))
    names = ("/dev/ttyS0", "/dev/ttyUSB0", "/dev/no-such-port")
    assert [holders.driver_of(name) for name in names] == ["serial", "ch341", None]


def test_ports_that_come_and_go_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[list[PortInfo]] = [[PortInfo("COM3")], [PortInfo("COM3"), PortInfo("COM4")], []]
    monkeypatch.setattr(discovery, "all_ports", lambda: there[0])

    def step(_seconds: float) -> None:
        there.pop(0)
        if not there:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", step)
    esptool.main(["ports", "--watch", "--events"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    plugs = [(e["change"], e["port"]["port"]) for e in lines if e["event"] == "plug"]
    assert plugs == [("added", "COM4"), ("removed", "COM3"), ("removed", "COM4")] or plugs == [
        ("added", "COM4"),
        ("removed", "COM4"),
        ("removed", "COM3"),
    ]


@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_list_keeps_to_the_width_of_the_terminal(
    columns: str,
    boards: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    esptool.main(["ports"])
    rows = [row for row in capsys.readouterr().out.splitlines() if "virtual:" not in row]
    assert max(map(len, rows)) <= int(columns)


def test_espefuse_works_on_the_board_that_is_named(
    boards: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["--serial", "S-2"], ["--mac", MACS["two"]]):
        espefuse.main([*words, "summary", "MAC", "--json"])
        found = json.loads(capsys.readouterr().out)
        assert found["efuses"]["MAC"]["value"].startswith(MACS["two"])
    port = f"{boards['one']}&fault=rename"
    with pytest.raises(FatalError, match="not 60:55:f9:aa:00:02"):
        espefuse.main(["--port", port, "--mac", MACS["two"], "burn-bit", "BLOCK3", "7"])
    espefuse.main(["--port", port, "--mac", MACS["one"], "summary", "MAC"])
