# SPDX-License-Identifier: Apache-2.0
"""Data for RAM arrive whole over bad lines, whatever the loader refuses on the way."""

from __future__ import annotations

import random

import pytest

from esptool.device import connect
from esptool.device.ram import RAM_BLOCK
from esptool.virtual.board import NAMED

SIZE = 3 * RAM_BLOCK + 77


@pytest.mark.parametrize("kind", ["flip", "lose", "repeat"])
@pytest.mark.parametrize("chip", ["esp8266", "esp32", "esp32c3", "esp32s3"])
def test_every_byte_gets_to_ram_over_a_line_that_damages_one_in_ten_thousand(
    chip: str, kind: str
) -> None:
    name = f"load-ram-{chip}-{kind}"
    url = f"virtual://{chip}?name={name}&boot=download&timing=virtual&fault={kind}:1e-4&seed=7"
    data = random.Random(name).randbytes(SIZE)
    with connect(url, chip=chip, before="no-reset") as session:
        address = next(r.start for r in session.spec.memory_map if r.kind == "DRAM")
        session.ram.load(data, address)
        assert NAMED[name].soc.bus.read(address, SIZE) == data
    NAMED.pop(name)
