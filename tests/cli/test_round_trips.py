# SPDX-License-Identifier: Apache-2.0
"""How many requests a command costs: each is a round trip, 16 ms on a badly set bridge."""

from __future__ import annotations

from pathlib import Path

import pytest

import esptool
from esptool import chips
from esptool.protocol.ext import Ext
from esptool.protocol.opcodes import Cmd
from tests.support.requests import sent_requests

WITH_STUB = [key for key in chips.KEYS if chips.get(key).stub.available]


@pytest.mark.parametrize("chip", WITH_STUB)
def test_flash_id_takes_fifteen_requests_at_most(
    chip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sent_requests(monkeypatch) as opcodes:
        esptool.main(["-p", f"virtual://{chip}", "flash-id"])
    assert Cmd.SYNC in opcodes
    assert len(opcodes) <= 15, [hex(o) for o in opcodes]


@pytest.mark.parametrize("chip", WITH_STUB)
def test_a_write_takes_twenty_requests_at_most_before_its_first_block(
    chip: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image = tmp_path / "data.bin"
    image.write_bytes(bytes(range(256)) * 256)
    with sent_requests(monkeypatch) as opcodes:
        esptool.main(["-p", f"virtual://{chip}", "write-flash", "0x10000", str(image)])
    before = opcodes.index(Ext.WRITE_DATA)
    assert before <= 20, [hex(o) for o in opcodes[:before]]
