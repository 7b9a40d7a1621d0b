# SPDX-License-Identifier: Apache-2.0
"""OpenOCD as it is started, understood and ended; the real program, without an adapter."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
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


NO_ANSWER = "the chip behind it does not answer"
#: Lines of OpenOCD as users have reported them or its program holds them, and what is told.
SAID = {
    "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS": "may not be opened by this user",
    "Error: libusb_open() failed with LIBUSB_ERROR_NOT_SUPPORTED": "a driver that OpenOCD cannot",
    "Error: libusb_claim_interface() failed with LIBUSB_ERROR_BUSY": "Another program has",
    "Error: unable to claim interface": "Another program has",
    "Error: esp_usb_jtag: error finding/claiming JTAG interface on device!": "Another program has",
    "Error: esp_usb_jtag: could not find or open device!": "No debugger was found",
    "Error: esp_usb_jtag: device not found!": "No debugger was found",
    "Error: unable to open ftdi device with description '*', serial '*' at bus location '*'": (
        "No debugger was found"
    ),
    "Error: No J-Link device found": "No debugger was found",
    "Error: No device matches the serial string": "No debugger was found",
    "Error: Cannot find ARM-JTAG-EW Interface! Please check connection and permissions.": (
        "may not be opened"
    ),
    "Debug: esp_usb_jtag: usb sent only 0 out of 42 bytes.": "is broken",
    "Error: libusb_bulk_write error: LIBUSB_ERROR_PIPE": "is broken",
    "Error: JTAG scan chain interrogation failed: all ones": NO_ANSWER,
    "Error: JTAG scan chain interrogation failed: all zeroes": NO_ANSWER,
    "Error: esp32.cpu0: IR capture error; saw 0x1f not 0x01": NO_ANSWER,
    "Error: Unsupported DTM version: 14": NO_ANSWER,
    "Error: 1125 1132 target.c:517 target_halt(): Target not examined yet": NO_ANSWER,
    "Warn : JTAG tap: esp32c3.cpu       UNEXPECTED: 0x120034e5 (mfg: 0x272, part: 0x2003)": (
        "is another one"
    ),
    "Error: JTAG tap: esp32c3.cpu  expected 1 of 1: 0x00005c25 (mfg: 0x612)": "is another one",
    "embedded:startup.tcl:26: Error: Can't find board/none.cfg": "does not have the configuration",
    "Error: couldn't bind gdb to socket on port 3333: Address already in use": "cannot listen",
    "Error: The specified adapter driver was not found (esp_usb_jtag)": "does not know the adapter",
    "Error: Debug Adapter has to be specified, see 'adapter driver' command": "does not know",
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


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Error: JTAG scan chain interrogation failed: all zeroes", NO_ANSWER),
        ("Warn : JTAG tap: esp32c3.cpu       UNEXPECTED: 0x120034e5", "is another one"),
    ],
)
def test_a_server_without_a_target_is_none(line: str, told: str) -> None:
    """OpenOCD serves all the same where no chip answers."""
    ready = "Info : Listening on port 4711 for gdb connections"
    text = f"import time; print({line!r}); print({ready!r}, flush=True); time.sleep(600)"
    with pytest.raises(PortError, match=told):
        openocd.OpenOcd(program(text), None)


def test_a_program_that_cannot_be_started_is_told() -> None:
    with pytest.raises(PortError, match="OpenOCD cannot be started") as caught:
        openocd.OpenOcd(["/nowhere/openocd"], None)
    assert "esptool[jtag]" in str(caught.value.remedy)


OWNER = """
import signal, sys
from esptool.transport import openocd
# A suite that a shell has started in the background inherits SIGINT as ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
child = '''
import socket, time
kept = socket.create_connection(("127.0.0.1", NUMBER))
kept.sendall(b"there")
print("Info : Listening on port 4711 for gdb connections", flush=True)
time.sleep(600)
'''
server = openocd.OpenOcd([sys.executable, "-c", child], None, 100.0)
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_behind_whatever_ends_this_program(number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(100)
        text = OWNER.replace("NUMBER", str(listener.getsockname()[1]))
        with subprocess.Popen(
            program(text), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as owner:
            kept, _ = listener.accept()
            with kept:
                assert owner.stdout is not None
                assert owner.stdout.readline() == b"ready\n"
                owner.send_signal(number)
                kept.settimeout(100)
                assert kept.recv(5) == b"there"
                # The connection ends with the program that has it.
                with contextlib.suppress(ConnectionError):
                    assert kept.recv(1) == b""
