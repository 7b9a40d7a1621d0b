# SPDX-License-Identifier: Apache-2.0
"""`esp_virtual_chip` at its command line, and the chip behind our own tool."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import esptool
from esptool import chips
from esptool.virtual.options import parse_url
from esptool.virtual.parts import PARTS
from esptool.virtual.server import TcpServer, running
from tests.support.signals import interruptible
from tests.virtual.support import Client, frame, frames, open_chip


def command(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "esptool.cli.virtual_chip", *args],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_list_shows_chips_and_parts() -> None:
    done = command("--list")
    assert done.returncode == 0
    for key in chips.KEYS:
        assert re.search(rf"^  {key} ", done.stdout, re.MULTILINE)
    for part in PARTS:
        assert f"{part.name} " in done.stdout
        assert part.jedec.hex(" ") in done.stdout


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "Name a chip"),
        (("esp32",), "Choose one of"),
        (("esp32", "--pty", "--tcp", "0"), "Choose one of"),
        (("esp99", "--pty"), "Unknown chip"),
        (("esp32", "--tcp", "here"), "not an address"),
        (("esp32", "--pty", "flash"), "KEY=VALUE"),
        (("esp32", "--pty", "--missing"), "add rom=FILE"),
        (("esp32", "--pty", "flash=7"), "power of two"),
    ],
)
def test_wrong_use_ends_with_code_2_and_says_why(args: tuple[str, ...], text: str) -> None:
    done = command(*args)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_served_chip_keeps_its_flash_when_it_is_stopped(
    number: signal.Signals, tmp_path: Path
) -> None:
    state = tmp_path / "board.bin"
    with subprocess.Popen(
        [sys.executable, "-m", "esptool.cli.virtual_chip", "esp32c3", "--tcp", "127.0.0.1:0",
         f"state={state}", "timing=virtual"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        line = child.stdout.readline()
        match = re.search(r"socket://127\.0\.0\.1:\d+", line)
        assert match, line
        port = open_chip(match[0], timeout=60)
        port.write(frame(b"\0\x08\x24\0\0\0\0\0\x07\x07\x12\x20" + b"\x55" * 32))
        seen = port.read_until(b"\xc0\x01\x08") + port.read_until(b"\xc0")
        assert any(f[:2] == b"\x01\x08" for f in frames(seen))
        port.close()
        child.send_signal(number)
        assert child.wait(60) == 0
        assert "virtual time" in child.stdout.read()
    assert Client(f"virtual://esp32c3?state={state}").board.nor.read(0, 1) == b"\xff"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("virtual://[", "--pty"), "cannot be read as a URL"),
        (("esp32c3", "--pty", "state=."), "is a folder"),
        (("esp32c3", "--pty", "state=no/such/folder/x"), "Cannot write the state file"),
        (("esp32c3", "--tcp", "0:5000"), "is not an address to listen on"),
        (("esp32c3", "--tcp", ""), "is not an address to listen on"),
        (("esp32c3", "--rfc2217", "::1:5000"), "Write [::1]:5000"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(args: tuple[str, ...], text: str) -> None:
    done = command(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_a_terminal_whose_link_is_cut_ends_and_says_so() -> None:
    # The boot log alone is longer than this.
    done = command("esp32c3", "--pty", "fault=drop:20")
    assert done.returncode == 0
    assert "the link was cut" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("chip", chips.KEYS)
def test_our_tool_writes_and_reads_back_through_the_rom_of_every_chip(
    chip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytes(range(256)) * 20
    (tmp_path / "data").write_bytes(data)
    url = f"virtual://{chip}?name={chip}-{tmp_path.name}"
    esptool.main(["--port", url, "--no-stub", "write-flash", "0x10000", str(tmp_path / "data")])
    assert Client(url).board.nor.read(0x10000, len(data)) == data
    assert f"Connected to {chips.get(chip).name} on" in capsys.readouterr().out


def test_time_passes_on_a_virtual_clock_behind_a_socket(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10
    (tmp_path / "data").write_bytes(data)
    # The ROM answers when the flash has been erased: nobody but the server sees that time pass.
    with running(TcpServer(parse_url("virtual://esp32c3?timing=virtual"))) as server:
        words = ["--port", server.url, "--after", "no-reset", "--no-stub"]
        esptool.main([*words, "write-flash", "0x10000", str(tmp_path / "data")])
        assert server.board.nor.read(0x10000, len(data)) == data


def test_a_stub_that_is_not_executed_is_mentioned_at_verbose(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for how, expected in ((["--verbose"], True), ([], False)):
        esptool.main([*how, "--port", "virtual://esp32c3?stub=model", "flash-id"])
        assert ("imitates the flasher stub by a model" in capsys.readouterr().out) is expected
