# SPDX-License-Identifier: Apache-2.0
"""What the tool does over a debugger: on every chip, with the stub's machine code executed."""

from __future__ import annotations

import random
import zlib
from pathlib import Path
from typing import Any

import pytest

import esptool
from esptool import chips, cmds
from esptool.device import connect, ext
from esptool.errors import ConnectError, FatalError
from esptool.ops import reset_chip
from esptool.protocol.ext import HashKind
from tests.gdb.support import client_of, serving

CHIPS = [key for key in chips.KEYS if chips.get(key).stub.available]
#: Chips of which no version of the ROM is known, so that they must be named.
UNKNOWN = [key for key in CHIPS if not chips.get(key).debug.rom_values]  # type: ignore[union-attr]
VARIANTS = [*CHIPS, "esp32p4?rev=v1.0"]


@pytest.mark.parametrize("board", VARIANTS)
def test_the_jobs_are_the_same_over_a_debugger(board: str, tmp_path: Path) -> None:
    key = board.partition("?")[0]
    noise = random.Random(board).randbytes(4096 + 100)
    text = b"The same text again and again. " * 140
    with serving(f"virtual://{board}") as server:
        nor = server.board.nor
        esp = cmds.connect_esp(server.url, key if key in UNKNOWN else "auto")
        assert esp.session.spec.key == key
        assert esp.session.is_stub
        quiet: dict[str, Any] = {"flash_mode": "keep", "flash_freq": "keep", "flash_size": "keep"}
        cmds.attach_flash(esp)
        jedec = int.from_bytes(nor.part.jedec, "little")
        assert esp.flash_id() == jedec
        # Packed, plain, and only what differs.
        cmds.write_flash(esp, [(0x10000, text)], **quiet)
        cmds.write_flash(esp, [(0x20000, noise)], compress=False, **quiet)
        assert nor.read(0x10000, len(text)) == text
        assert nor.read(0x20000, len(noise)) == noise
        programmed = nor.log["program"]
        changed = noise[:5] + b"!" + noise[6:]
        cmds.write_flash(esp, [(0x20000, changed)], **quiet)
        assert nor.read(0x20000, len(noise)) == changed
        assert nor.log["program"] - programmed <= 64
        assert cmds.read_flash(esp, 0x20000, len(noise)) == changed
        cmds.verify_flash(esp, [(0x10000, text)], **quiet)
        found = ext.hashes(esp.session, 0x20000, 0x1000, kind=HashKind.CRC32)[0]
        assert int.from_bytes(found, "little") == zlib.crc32(changed[:0x1000])
        cmds.erase_region(esp, 0x20000, 0x1000)
        assert nor.read(0x20000, 0x1000) == b"\xff" * 0x1000
        assert esp.read_status(2) == 0
        assert esp.read_spiflash_sfdp(0, 32) == int.from_bytes(b"SFDP", "little")
        # Registers.
        esp.write_reg(server.board.silicon.uart.clkdiv, 0x123)
        assert esp.read_reg(server.board.silicon.uart.clkdiv) == 0x123
        cmds.reset_chip(esp, "hard-reset")
        assert server.target.in_rom
        esp.session.close()


def test_a_chip_that_must_be_named_says_so() -> None:
    with serving("virtual://esp32h21") as server:
        with pytest.raises(ConnectError, match="not a chip that is known") as caught:
            connect(server.url)
        assert "--chip" in str(caught.value.remedy)


def test_another_chip_than_expected_is_refused_before_anything_is_written() -> None:
    with serving("virtual://esp32c3") as server:
        with pytest.raises(ConnectError, match="This chip is ESP32-C3, not ESP32-C2"):
            connect(server.url, chip="esp32c2")
        assert server.target.read(0x40380000, 64) == bytes(64)


def test_a_program_that_was_paused_goes_on_where_it_was() -> None:
    with serving("virtual://esp32c3") as server:
        with client_of(server) as client:
            # addi a0, a0, 1; sw a0, 0(a1); j back: in RAM that the stub takes.
            loop = bytes.fromhex("1305150023a0a5006ff09fff")
            client.write(0x40380100, loop)
            client.write(0x3FC90000, b"kept" * 64)
            client.write_register(11, 0x3FC8F000)
            client.write_register(32, 0x40380100)
            client.resume()
            client.wait(0.02)
            client.interrupt()
            before = client.read_register(10)
        session = connect(server.url, before="attach")
        assert session.is_stub
        reset_chip(session)
        session.close()
        with client_of(server) as client:
            client.interrupt()
            assert client.read(0x3FC90000, 256) == b"kept" * 64
            assert client.read(0x40380100, 12) == loop
            assert client.read_register(10) >= before
            assert 0x40380100 <= client.read_register(32) < 0x4038010C


def test_a_target_that_runs_something_else_is_reset_first() -> None:
    with serving("virtual://esp32c3") as server:
        with client_of(server) as client:
            client.write(0x40380100, bytes.fromhex("6f000000"))  # j to itself
            client.write_register(32, 0x40380100)
            client.resume()
        with connect(server.url) as session:
            assert session.facts.description.startswith("ESP32-C3")


def run(*words: str) -> None:
    esptool.main(list(words))


def test_the_command_line_takes_the_url(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(random.Random(2).randbytes(5000))
    with serving("virtual://esp32c3") as server:
        port = ("--port", server.url)
        run(*port, "write-flash", "0x1000", str(image))
        run(*port, "read-flash", "0x1000", "5000", str(tmp_path / "out.bin"))
        assert (tmp_path / "out.bin").read_bytes() == image.read_bytes()
        run(*port, "read-mem", "0x60000014")
        assert "0x60000014 = " in capsys.readouterr().out


def test_the_loader_in_rom_cannot_be_asked_for() -> None:
    with serving("virtual://esp32c3") as server, pytest.raises(FatalError, match="no ROM loader"):
        run("--port", server.url, "--no-stub", "flash-id")


def test_efuses_are_read_and_burned_over_a_debugger(capsys: pytest.CaptureFixture[str]) -> None:
    from espefuse import main as espefuse

    with serving("virtual://esp32c3") as server:
        espefuse(["--port", server.url, "--chip", "esp32c3", "summary"])
        assert "MAC (BLOCK1)" in capsys.readouterr().out
        burn = ("burn-efuse", "SOFT_DIS_JTAG", "1")
        espefuse(["--port", server.url, "--do-not-confirm", *burn])
        espefuse(["--port", server.url, "get-custom-mac"])
        assert server.board.soc.efuse is not None
        assert server.board.soc.bus.read_word(0x60008830) >> 16 & 7 == 1


def test_a_program_in_ram_runs_when_the_debugger_has_gone(tmp_path: Path) -> None:
    # addi a0, zero, 77; lui a1, 0x3fc90; sw a0, 0(a1); j to itself.
    code = bytes.fromhex("1305d004b705c93f23a0a5006f000000")
    at = 0x40390000
    header = bytes((0xE9, 1, 2, 0x20)) + at.to_bytes(4, "little")
    extended = bytes((0xEE, 0, 0, 0)) + (5).to_bytes(2, "little") + bytes(10)
    segment = at.to_bytes(4, "little") + len(code).to_bytes(4, "little") + code
    check = 0xEF
    for byte in code:
        check ^= byte
    body = header + extended + segment
    body += bytes(15 - len(body) % 16) + bytes((check,))
    image = tmp_path / "ram.bin"
    image.write_bytes(body)
    with serving("virtual://esp32c3") as server:
        run("--port", server.url, "load-ram", str(image))
        with client_of(server) as client:
            client.interrupt()
            assert client.read_register(10) == 77
            assert client.read_word(0x3FC90000) == 77
