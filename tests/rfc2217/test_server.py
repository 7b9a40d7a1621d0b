# SPDX-License-Identifier: Apache-2.0
"""The remote server with a virtual board behind it, as clients and an operator see it."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

import esptool
from esp_rfc2217_server.server import Bridge
from esptool.errors import PortError
from esptool.transport import open_port, reset
from esptool.virtual.options import parse_url
from esptool.virtual.server import PtyServer, running
from tests.rfc2217.latency import Relay
from tests.support.signals import interruptible

# pyserial's RFC 2217 client calls a deprecated method of threads.
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge("virtual://esp32c3", port=0)
    thread = threading.Thread(target=bridge.serve, daemon=True)
    thread.start()
    yield bridge
    bridge.stop()
    thread.join(100)
    assert not thread.is_alive()
    bridge.close()


def url(port: int) -> str:
    return f"rfc2217://127.0.0.1:{port}?ign_set_control&timeout=60"


def test_our_client_writes_and_reads_flash_through_it(bridge: Bridge, tmp_path: Path) -> None:
    data = random.randbytes(6000)
    image = tmp_path / "in.bin"
    image.write_bytes(data)
    back = tmp_path / "out.bin"
    port = url(bridge.address[1])
    esptool.main(["--port", port, "--no-stub", "write-flash", "0x1000", str(image)])
    esptool.main(["--port", port, "--no-stub", "read-flash", "0x1000", "6000", str(back)])
    assert back.read_bytes() == data


@pytest.mark.parametrize("query", ["", "?ign_set_control"])
def test_a_reset_reaches_download_mode_over_50_ms_of_latency(bridge: Bridge, query: str) -> None:
    board: Any = bridge.port.serial.board  # type: ignore[attr-defined]
    assert not board.in_loader
    relay = Relay(bridge.address, 0.05)
    try:
        far = open_port(f"rfc2217://127.0.0.1:{relay.port}{query}")
        reset.play(far, reset.classic())
        deadline = time.monotonic() + 100
        while not board.in_loader and time.monotonic() < deadline:
            time.sleep(0.01)
        assert board.in_loader
        far.close()
    finally:
        relay.close()


def test_a_change_of_the_rate_is_one_request_and_a_wait_is_none(bridge: Bridge) -> None:
    """pyserial's client sends all settings, twice a change, and waits 50 ms for each answer."""
    port = open_port(url(bridge.address[1]))
    client: Any = port.serial
    asked: list[bytes] = []
    send = client.rfc2217_send_subnegotiation

    def note(option: bytes, value: bytes = b"") -> None:
        asked.append(value)
        send(option, value)

    client.rfc2217_send_subnegotiation = note
    port.baud = 460_800
    assert (port.baud, bridge.port.baud) == (460_800, 460_800)
    for seconds in (0.0, 0.01, 0.05, 0.001):
        port.receive(seconds)
    assert asked == [(460_800).to_bytes(4, "big")]
    with pytest.raises(PortError, match="Failed to set baud rate 0"):
        port.baud = 0
    port.close()
    with pytest.raises(PortError, match="is closed"):
        port.receive(0.1)


def test_pyserials_own_client_sees_the_boot_log(bridge: Bridge) -> None:
    with serial.serial_for_url(url(bridge.address[1]), 115200, timeout=60) as port:
        port.dtr = False
        port.rts = True
        port.rts = False
        seen = port.read_until(b"boot:", 500)
    assert b"boot:" in seen


def test_a_client_that_only_knocks_does_no_harm(bridge: Bridge) -> None:
    for _ in range(3):
        socket.create_connection(bridge.address).close()
    with esptool.connect_esp(port=url(bridge.address[1]), chip="esp32c3") as esp:
        assert esp.CHIP_NAME == "ESP32-C3"


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_a_port_without_lines_is_lent_too() -> None:
    with running(PtyServer(parse_url("virtual://esp32c3"))) as chip:
        bridge = Bridge(chip.url, port=0)
        thread = threading.Thread(target=bridge.serve, daemon=True)
        thread.start()
        try:
            with esptool.connect_esp(port=url(bridge.address[1]), chip="esp32c3") as esp:
                assert esp.read_mac()[0] == 0x60  # type: ignore[index]
        finally:
            bridge.stop()
            thread.join(100)
            bridge.close()


def test_a_taken_address_is_said_in_a_line() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(esptool.FatalError, match="Cannot listen on"),
    ):
        Bridge("virtual://esp32", port=taken.getsockname()[1])


def run_server(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "esp_rfc2217_server", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with run_server("-p", "0", "virtual://esp32") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert re.search(r"on 127\.0\.0\.1:\d+", lines[1])
        assert "rfc2217://127.0.0.1:" in lines[2]
        process.send_signal(number)
        rest, errors = process.communicate(timeout=100)
    assert (process.returncode, rest, errors) == (0, "Ended.\n", "")


def test_an_absent_port_is_said_without_traceback() -> None:
    with run_server("/dev/does-not-exist") as process:
        _, errors = process.communicate(timeout=100)
    assert process.returncode == 2
    assert "Could not open /dev/does-not-exist" in errors
    assert "Traceback" not in errors


def test_a_busy_port_is_said() -> None:
    pty = pytest.importorskip("pty")
    main, other = pty.openpty()
    name = os.ttyname(other)
    with serial.Serial(name, exclusive=True), run_server("-p", "0", name) as process:
        _, errors = process.communicate(timeout=100)
    os.close(main)
    os.close(other)
    assert process.returncode == 2
    assert "busy" in errors
