# SPDX-License-Identifier: Apache-2.0
"""Programs in the RAM of a virtual chip, and a chip without a program, as a host hears them."""

from __future__ import annotations

import struct
import time

import pytest
import serial

import esptool
from esptool.virtual import register
from esptool.virtual.board import Board
from esptool.virtual.emulator.printf import render
from esptool.virtual.options import parse_url
from esptool.virtual.ramcode import start
from esptool.virtual.server import Rfc2217Server, running

register()
CODE = 0x403C0000
TEXT = CODE + 0x100


def jump_back(distance: int) -> int:
    """RISC-V `j` so many bytes back."""
    imm = -distance
    bits = (imm >> 20 & 1) << 19 | (imm >> 1 & 0x3FF) << 9 | (imm >> 11 & 1) << 8
    return (bits | imm >> 12 & 0xFF) << 12 | 0x6F


#: lui a0; addi a0; li a1, -7; lui t0; jalr printf(t0); j
PRINTS = (0x403C0537, 0x10050513, 0xFF900593, 0x400002B7, 0x040280E7, jump_back(20))
#: lui t0; lw t1, 32(t0); j
READS = (0x600002B7, 0x0202A303, jump_back(4))


def load(board: Board, code: tuple[int, ...], text: bytes = b"") -> None:
    pytest.importorskip("icicle")
    body = struct.pack(f"<{len(code)}I", *code).ljust(TEXT - CODE, b"\0") + text + b"\0"
    body = body.ljust(-len(body) % 4 + len(body), b"\0")
    board.soc.bus.write(CODE, body)
    board.soc.loaded.append((CODE, len(body)))
    start(board, CODE)


def test_a_program_that_prints_without_end_is_heard_at_the_rate_of_the_line() -> None:
    url = "virtual://esp32c3?boot=download&stub=emulated"
    port = serial.serial_for_url(url, 115200, timeout=60)
    port.read(port.in_waiting)
    load(port.board, PRINTS, b"%d of %s\n")  # type: ignore[attr-defined]
    heard = port.read(6000)
    assert heard.startswith(b"-7 of ")
    assert heard.count(b"\r\n") > 100
    # 11.5 kB/s at 115200 baud; a chip that were not paced would give millions.
    port.timeout = 0.5
    begin = time.monotonic()
    count = len(port.read(100_000))
    assert count < 11_520 * (time.monotonic() - begin) + 6000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"%08x|%-4d|%3u", b"0000001f|2   |  3"),
        (b"%d%%", b"31%"),
        (b"%c%X\n", b"\x1f2\r\n"),
        (b"%q", b"%q"),
    ],
)
def test_printf_fills_in_values(text: bytes, shown: bytes) -> None:
    assert render(text, (0x1F, 2, 3), lambda _a: b"") == shown


def test_a_chip_without_a_program_starts_again_and_again() -> None:
    port = serial.serial_for_url("virtual://esp32c3?timing=virtual", 115200, timeout=2)
    log = port.read(4000)
    assert log.count(b"RTCWDT_RTC_RST") >= 2
    assert log.count(b"invalid header: 0xffffffff") >= 9


@pytest.mark.filterwarnings("ignore:set:DeprecationWarning")
def test_reset_lines_reach_a_served_chip_that_computes_without_end() -> None:
    with running(Rfc2217Server(parse_url("virtual://esp32c3?stub=emulated"))) as server:
        assert isinstance(server, Rfc2217Server)
        server.board.soc.slice_s = 0.02
        load(server.board, READS)
        with esptool.connect_esp(port=server.url, chip="esp32c3") as esp:
            assert esp.read_mac() == (0x60, 0x55, 0xF9, 0x05, 0x00, 0x01)
