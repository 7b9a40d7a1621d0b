# SPDX-License-Identifier: Apache-2.0
"""ESP32-P4's flash is powered by the steps of the public tool, for every revision and state."""

from __future__ import annotations

import json
import random
import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from esptool import chips
from esptool.device.power import Power
from esptool.device.requests import Requester
from esptool.protocol.opcodes import Cmd
from tests.support import oracle

P4 = chips.get("esp32p4")
REVISIONS = (0, 100, 103, 300, 301, 302, 303)


class Registers:
    """Registers in a table, and what is done with them: what `Power` needs of a session."""

    spec = P4
    is_stub = False
    secure_download = False
    run_steps = Requester.run_steps

    def __init__(self, words: dict[int, int]) -> None:
        self.words = dict(words)
        self.done: list[list[Any]] = []
        self.link = SimpleNamespace(sleep=lambda s: self.done.append(["sleep", round(s * 1e6)]))

    def read_reg(self, address: int) -> int:
        return self.words.get(address, 0)

    def request(self, _what: str, opcode: int, data: bytes) -> None:
        assert opcode == Cmd.WRITE_REG
        for address, value, mask, delay_us in struct.iter_unpack("<4I", data):
            assert not delay_us
            self.words[address] = (self.read_reg(address) & ~mask) | (value & mask)
            self.done.append([address, self.words[address]])


def cases() -> list[tuple[int, dict[int, int]]]:
    """Revisions, with registers that are blank, full and random."""
    assert P4.flash_power_on is not None
    used = {step.address for step in P4.flash_power_on.steps if step.address}
    used.add(P4.flash_power_on.skip_when_all_set.address)
    rng = random.Random(1)
    fills = [lambda: 0, lambda: 0xFFFFFFFF, *[lambda: rng.getrandbits(32)] * 6]
    return [(r, {a: fill() for a in sorted(used)}) for r in REVISIONS for fill in fills]


def ours(revision: int, words: dict[int, int]) -> list[list[Any]]:
    registers = Registers(words)
    facts = SimpleNamespace(revision=revision, usb_mode="")
    Power(registers, facts, None).prepare()  # type: ignore[arg-type]
    return registers.done


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
