# SPDX-License-Identifier: Apache-2.0
"""A production line: many chips in one process, a thread each."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from esptool import ops
from esptool.device import connect
from esptool.ops.model import Region
from esptool.virtual.board import NAMED

from .support import firmware, placeholder

CHIPS = ("esp32s3", "esp32c3", "esp32", "esp8266", "esp32c6")
BASE = 0x10000


def test_fifty_chips_get_one_file_at_once_and_it_is_deflated_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = firmware(100_000, seed=50)
    deflated: list[int] = []
    real = zlib.compress

    def counted(content: bytes, *args: int, **kwargs: int) -> bytes:
        if len(content) == len(data):
            deflated.append(len(content))
        return real(content, *args, **kwargs)

    monkeypatch.setattr(zlib, "compress", counted)

    def flash(number: int) -> bool:
        chip = CHIPS[number % len(CHIPS)]
        name = f"fifty-{number}"
        fault = f"flip:1e-5,drop:{30000 + 500 * number}" if number % 3 == 0 else "flip:1e-6"
        where = f"virtual://{chip}?name={name}&stub=model&timing=virtual&fault={fault}"
        try:
            with connect(f"{where}&seed={number}", chip=chip) as s:
                s.run_stub(placeholder(s.spec))
                s.power.change_baud(921_600)
                ops.attach_flash(s)
                ops.write_flash(s, [Region(BASE, data)])
                found = ops.read_flash(s, BASE, len(data))
            return found == data == NAMED[name].nor.cells.read(BASE, len(data))
        finally:
            NAMED.pop(name, None)

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(flash, range(50)))
    assert len(deflated) == 1
