# SPDX-License-Identifier: Apache-2.0
"""A test program in RAM: its machine code is executed, and what it prints is judged."""

from __future__ import annotations

import functools
import operator
import struct
from pathlib import Path

import pytest

from esp_station.model import Slot
from esp_station.records import PASS

from .support import run_line, write_job

CODE = 0x403C0000
TEXT = CODE + 0x100
#: lui a0; addi a0; li a1, -7; lui t0; jalr printf(t0); j .
PRINTS = (0x403C0537, 0x10050513, 0xFF900593, 0x400002B7, 0x040280E7, 0x0000006F)

HEAD = """
product = "lamp"
chip = "esp32c3"
[images]
0x0 = "app.bin"
"""
STEPS = """
[[step]]
do = "test-ram"
image = "ram.bin"
expect = ["memory good"]
timeout = 100
[step.values]
volts = { regex = 'rail (-?\\d+)', min = -10, max = 0 }
[[step]]
do = "write"
"""


def ram_program(text: bytes) -> bytes:
    """An image of ESP32-C3 with one segment: code that prints a text."""
    body = struct.pack(f"<{len(PRINTS)}I", *PRINTS).ljust(TEXT - CODE, b"\0") + text + b"\0"
    body = body.ljust(-(-len(body) // 4) * 4, b"\0")
    head = struct.pack("<BBBBI", 0xE9, 1, 0, 0, CODE)
    extended = struct.pack("<B3xHBHH4xB", 0xEE, 5, 0, 0, 0xFFFF, 0)
    image = head + extended + struct.pack("<II", CODE, len(body)) + body
    check = functools.reduce(operator.xor, body, 0xEF)
    return image.ljust((len(image) | 15), b"\0") + bytes((check,))


def test_a_program_in_ram_is_judged_by_what_it_prints(tmp_path: Path) -> None:
    pytest.importorskip("icicle")
    (tmp_path / "ram.bin").write_bytes(ram_program(b"rail %d mV\nmemory good\n"))
    job = write_job(tmp_path, STEPS, HEAD)
    port = "virtual://esp32c3?name=ram-1&mac=02:00:00:00:00:01&stub=emulated"
    [attempt] = run_line(job, [Slot("1", port=port)]).values()
    assert attempt.result == PASS, f"{attempt.reason}\n{attempt.log}"
    assert attempt.measured == {"volts": "-7"}
    assert [s["step"] for s in attempt.steps] == ["connect", "test-ram", "write"]
