# SPDX-License-Identifier: Apache-2.0
"""On which chips a stub runs, and which: told by the revision of a virtual board."""

from __future__ import annotations

import pytest

from esptool.device import connect
from esptool.device.stub_loader import stub_name, why_no_stub

#: (chip, revision of the board, why no stub runs there, or its name)
CASES = [
    ("esp32c2", "0.0", "not supported on ESP32-C2 v0.0"),
    ("esp32c2", "0.1", "esp32c2"),
    ("esp32c2", "1.0", "esp32c2"),
    ("esp32p4", "0.0", "esp32p4-rev1"),
    ("esp32p4", "1.3", "esp32p4-rev1"),
    ("esp32p4", "2.99", "esp32p4-rev1"),
    ("esp32p4", "3.0", "esp32p4"),
    ("esp32p4", "3.1", "esp32p4"),
    ("esp32", "0.0", "esp32"),
]


@pytest.mark.parametrize(("chip", "revision", "expected"), CASES)
def test_a_stub_is_chosen_by_the_revision(chip: str, revision: str, expected: str) -> None:
    with connect(f"virtual://{chip}?rev={revision}", chip=chip) as session:
        assert (why_no_stub(session) or stub_name(session)) == expected
