# SPDX-License-Identifier: Apache-2.0
"""OpenOCD as it is started, understood and ended; the real program, without an adapter."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from esptool import chips
from esptool.errors import PortError, UsageError
from esptool.transport import openocd


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def children() -> set[int]:
    """Processes that this one has started and that are still there."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                found.add(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine starts programs slowly."""
    monkeypatch.setattr(openocd.OpenOcd.__init__, "__defaults__", (100.0,))


CHIPS = [
    key
    for key in chips.KEYS
    if chips.get(key).stub.available and key != "esp8266"  # it has no JTAG that OpenOCD knows
]


@pytest.mark.parametrize("chip", CHIPS)
def test_each_chip_has_a_configuration_that_openocd_reads(chip: str) -> None:
    before = children()
    with pytest.raises(PortError, match="No debugger was found on USB") as caught:
        openocd.start("jtag://", chip)
    assert caught.value.remedy is not None
    assert "USB" in caught.value.remedy
    assert children() <= before


def test_the_serial_number_is_handed_on() -> None:
    told = openocd.arguments("jtag://60:55:F9:12:34:56", "esp32c3")
    assert told[-2:] == ["-c", "adapter serial 60:55:F9:12:34:56"]
    with pytest.raises(PortError, match="No debugger was found on USB"):
        openocd.start("jtag://60:55:F9:12:34:56", "esp32c3")


def test_a_configuration_that_is_not_there_is_told() -> None:
    with pytest.raises(PortError, match="does not have the configuration") as caught:
        openocd.start("jtag://board/none.cfg", None)
    assert "scripts" in str(caught.value.remedy)


def test_without_a_chip_a_configuration_is_asked_for() -> None:
    with pytest.raises(UsageError, match="the chip must be named"):
        openocd.arguments("jtag://", None)


@pytest.mark.parametrize("serial", ["a;exit", "a b", '"', "$x", "[exit]"])
def test_a_serial_number_is_no_command(serial: str) -> None:
    with pytest.raises(UsageError):
        openocd.arguments(f"jtag://{serial}", "esp32c3")


SAID = {
    "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS": "may not be opened by this user",
    "Error: esp_usb_jtag: could not find or open device!": "No debugger was found",
    "Error: JTAG scan chain interrogation failed: all ones": "the chip behind it does not answer",
    "Error: couldn't bind gdb to socket on port 3333: Address already in use": "cannot listen",
    "Error: something else entirely": "something else entirely",
}


def program(text: str) -> list[str]:
    return [sys.executable, "-c", text]


@pytest.mark.parametrize("line", SAID)
def test_what_openocd_says_becomes_advice(line: str) -> None:
    with pytest.raises(PortError, match=SAID[line]) as caught:
        openocd.OpenOcd(program(f"import sys; print({line!r}, file=sys.stderr)"), None)
    assert caught.value.remedy


def test_it_is_ended_when_it_serves_and_when_it_hangs() -> None:
    ready = "print('Info : Listening on port 4711 for gdb connections', flush=True)"
    server = openocd.OpenOcd(program(f"import time; {ready}; time.sleep(600)"), None)
    assert (server.host, server.port) == ("127.0.0.1", 4711)
    assert server.is_alive
    server.stop()
    assert not server.is_alive
    before = children()
    with pytest.raises(PortError, match="not ready"):
        openocd.OpenOcd(program("import time; time.sleep(600)"), None, 0.2)
    assert children() <= before


def test_a_missing_openocd_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openocd, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("IDF_TOOLS_PATH", "/nowhere")
    with pytest.raises(UsageError, match="no OpenOCD") as caught:
        openocd.find()
    assert "esptool[jtag]" in str(caught.value.remedy)
