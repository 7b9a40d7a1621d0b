# SPDX-License-Identifier: Apache-2.0
"""The public tool, in its own environment, works against virtual chips as against boards."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from esptool import chips
from esptool.virtual.options import parse_url
from esptool.virtual.server import PtyServer, Rfc2217Server, Server, TcpServer, running
from tests.support import oracle

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(240)]

Tool = Callable[..., str]
DATA = random.Random(1).randbytes(5000) + bytes(9000) + b"\xff" * 4096 + b"firmware" * 1500


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    """One long-lived process of the public tool."""
    driver = Path(__file__).with_name("oracle_driver.py")
    with oracle.driver(driver, oracle.patient_environment()) as child:
        yield child


@pytest.fixture
def tool(process: subprocess.Popen[str]) -> Tool:
    """Runs one command line and gives its standard output; a failure fails the test."""

    def run(*args: object) -> str:
        code, out, err = oracle.ask(process, [str(a) for a in args])
        assert code == 0, f"{args}: {err}\n{out}"
        return str(out)

    return run


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    """A file to write."""
    path = tmp_path / "firmware.bin"
    path.write_bytes(DATA)
    return path


def the_jobs(tool: Tool, server: Server, firmware: Path, *how: str) -> None:
    """Every command of the ROM loader that a chip of this kind has."""
    board = server.board
    flash = board.nor
    loader = board.silicon.loader
    run: Tool = lambda *a: tool("--port", server.url, "--no-stub", *how, *a)  # noqa: E731

    out = run("flash-id")
    assert f"Connected to {board.silicon.name} on" in out
    assert "Manufacturer: 20\nDevice: 4016\nDetected flash size: 4MB" in out
    assert "MAC:" in run("read-mac")
    run("write-flash", "0x10000", firmware)
    assert flash.read(0x10000, len(DATA)) == DATA
    run("write-flash", "--no-compress", "0x40000", firmware)
    assert flash.read(0x40000, len(DATA)) == DATA
    assert "0x53 0x46 0x44 0x50" in run("read-flash-sfdp", "0", "4")
    run("write-flash-status", "--bytes", "2", "0x0200")
    assert "0x0200" in run("read-flash-status", "--bytes", "2")
    address = next(r.start for r in board.silicon.memory if r.kind == "dram") + 0x8000
    run("write-mem", hex(address), "0x12345678")
    assert "0x12345678" in run("read-mem", hex(address))
    run("dump-mem", hex(address), "16", firmware.with_name("dump"))
    assert firmware.with_name("dump").read_bytes()[:4] == b"\x78\x56\x34\x12"
    if loader.flash_commands:
        assert "successful" in run("verify-flash", "0x10000", firmware)
        run("read-flash", "0x10100", "0x300", firmware.with_name("read"))
        assert firmware.with_name("read").read_bytes() == DATA[0x100:0x400]
        run("erase-region", "0x41000", "0x1000")
        assert flash.read(0x41000, 0x1000) == b"\xff" * 0x1000
        assert flash.read(0x40000, 0x1000) == DATA[:0x1000]
    if loader.security_info:
        assert "Secure Boot: Disabled" in run("get-security-info")


@pytest.mark.parametrize("chip", chips.KEYS)
def test_over_a_socket_every_chip_is_known_and_flashed(
    chip: str, tool: Tool, firmware: Path
) -> None:
    options = parse_url(f"virtual://{chip}")
    with running(TcpServer(options)) as server:
        the_jobs(tool, server, firmware)


@pytest.mark.parametrize("chip", ["esp8266", "esp32", "esp32s2", "esp32p4"])
def test_over_a_terminal_with_a_change_of_rate(chip: str, tool: Tool, firmware: Path) -> None:
    options = parse_url(f"virtual://{chip}")
    with running(PtyServer(options)) as server:
        the_jobs(
            tool,
            server,
            firmware,
            "--before",
            "no-reset",
            "--after",
            "no-reset",
            "--baud",
            "460800",
        )


def test_over_rfc_2217_it_resets_the_chip_into_download_mode(tool: Tool) -> None:
    with running(Rfc2217Server(parse_url("virtual://esp32c3"))) as server:
        out = tool("--port", server.url, "--no-stub", "--after", "hard-reset", "flash-id")
        assert "Detected flash size: 4MB" in out


@pytest.mark.parametrize("chip", ["esp8266", "esp32", "esp32c3", "esp32s3", "esp32p4"])
def test_with_its_stub_imitated_it_does_the_main_job(chip: str, tool: Tool, firmware: Path) -> None:
    options = parse_url(f"virtual://{chip}?stub=public")
    with running(TcpServer(options)) as server:
        tool("--port", server.url, "--baud", "921600", "write-flash", "0x10000", firmware)
        flash = server.board.nor
        assert flash.read(0x10000, len(DATA)) == DATA
        tool("--port", server.url, "write-flash", "-u", "0x30004", firmware)
        assert flash.read(0x30004, len(DATA)) == DATA
        tool("--port", server.url, "read-flash", "0x10000", len(DATA), firmware.with_name("back"))
        assert firmware.with_name("back").read_bytes() == DATA
        tool("--port", server.url, "erase-flash")
        assert flash.cells.used() == 0


def test_encrypted_writes_store_what_its_own_encryption_gives(tool: Tool, tmp_path: Path) -> None:
    key = bytes(range(32))
    plain = DATA[: 4096 + 512]
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "plain").write_bytes(plain)
    done = oracle.run(
        "espsecure", "encrypt-flash-data", "--aes-xts", "--keyfile", tmp_path / "key",
        "--address", "0x10000", "--output", tmp_path / "cipher", tmp_path / "plain",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    options = parse_url("virtual://esp32c3?efuse=purpose0:4,crypt_count:1")
    with running(TcpServer(options)) as server:
        assert server.board.soc.efuse is not None
        server.board.soc.efuse.burn(4, key[::-1])
        tool(
            "--port", server.url, "--no-stub", "write-flash", "--encrypt", "0x10000",
            tmp_path / "plain",
        )  # fmt: skip
        assert server.board.nor.read(0x10000, len(plain)) == (tmp_path / "cipher").read_bytes()
