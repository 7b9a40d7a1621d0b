# SPDX-License-Identifier: Apache-2.0
"""ESP32-P4's flash is powered by the steps of the public tool, for every revision and state."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from esptool import chips
from tests.support import oracle
from tests.support.registers import Registers

P4 = chips.get("esp32p4")
REVISIONS = (0, 100, 103, 300, 301, 302, 303)


def cases() -> list[tuple[int, dict[int, int]]]:
    """Revisions, with registers that are blank, full and random."""
    assert P4.flash_power_on is not None
    used = {step.address for step in P4.flash_power_on.steps if step.address}
    used.add(P4.flash_power_on.skip_when_all_set.address)
    rng = random.Random(1)
    fills = [lambda: 0, lambda: 0xFFFFFFFF, *[lambda: rng.getrandbits(32)] * 6]
    return [(r, {a: fill() for a in sorted(used)}) for r in REVISIONS for fill in fills]


def ours(revision: int, words: dict[int, int]) -> list[list[Any]]:
    session = Registers(P4, words)
    session.facts.revision, session.facts.usb_mode = revision, ""
    session.power.prepare()
    return session.done


@pytest.mark.oracle
def test_the_flash_is_powered_as_by_the_public_tool() -> None:
    lines = "".join(json.dumps({"revision": r, "words": w}) + "\n" for r, w in cases())
    driver = Path(__file__).with_name("power_oracle.py")
    done = subprocess.run(
        [oracle.python(), driver], input=lines, capture_output=True, text=True, check=True
    )
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    for (revision, words), expected in zip(cases(), theirs, strict=True):
        assert ours(revision, words) == expected, (revision, words)
