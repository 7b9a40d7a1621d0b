# SPDX-License-Identifier: Apache-2.0
"""eFuses at register level, watchdog resets, and flash encryption beside the public tool's."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from esptool import chips
from esptool.chips.spec import Op
from esptool.virtual.efuse_map import MAPS
from tests.support import oracle
from tests.virtual.support import Client

WITH_WATCHDOG = [k for k in chips.KEYS if chips.get(k).reset.watchdog is not None]


def client(url: str) -> Client:
    c = Client(url)
    c.sync()
    return c


def program(c: Client, block: int, words: list[int]) -> None:
    """Burn by the sequence of the eFuse chapter: data, code in CONF, command, then read again."""
    layout = MAPS[c.board.spec.key]
    entry = layout.blocks[block]
    window = layout.base + (entry.write or 0)
    for number, word in enumerate(words):
        c.ask(0x09, window + 4 * number, word, 0xFFFFFFFF, 0)
    c.ask(0x09, layout.base + layout.config, 0x5A5A, 0xFFFFFFFF, 0)
    number = 0 if entry.write is not None else block
    c.ask(0x09, layout.base + layout.command, 2 | number << 2, 0xFFFFFFFF, 0)
    c.ask(0x09, layout.base + layout.config, 0x5AA5, 0xFFFFFFFF, 0)
    c.ask(0x09, layout.base + layout.command, 1, 0xFFFFFFFF, 0)


@pytest.mark.parametrize("chip", MAPS)
def test_programming_turns_bits_on_and_never_off(chip: str) -> None:
    c = client(f"virtual://{chip}?boot=download")
    layout = MAPS[chip]
    address = layout.base + layout.blocks[0].read
    high = 8 if chip in ("esp32", "esp32c2") else 24
    program(c, 0, [1 << high])
    program(c, 0, [2 << high])
    assert c.ask(0x0A, address)[0] >> high & 3 == 3
    c.ask(0x09, address, 0, 0xFFFFFFFF, 0)
    assert c.ask(0x0A, address)[0] >> high & 3 == 3


@pytest.mark.parametrize("chip", MAPS)
def test_the_map_agrees_with_the_chips_data(chip: str) -> None:
    spec, layout = chips.get(chip), MAPS[chip]
    assert spec.efuse is not None
    assert layout.base == spec.efuse.base
    if spec.efuse.block1 is not None and chip != "esp32c2":
        # C2's public constant is its ancestor's; the tool does not use it there.
        assert layout.base + layout.blocks[1].read == spec.efuse.block1
    for place, bits in (
        (layout.secure_boot, spec.security.secure_boot),
        (layout.crypt_count, spec.security.crypt_cnt),
    ):
        if place is not None and bits is not None:
            _, word, position, length = place
            assert layout.base + layout.blocks[0].read + 4 * word == bits.address
            assert ((1 << length) - 1) << position == bits.mask


@pytest.mark.parametrize("chip", [k for k in MAPS if k not in ("esp32c2", "esp32")])
def test_a_read_protected_key_reads_as_zero_and_a_locked_block_keeps_its_bits(chip: str) -> None:
    c = client(f"virtual://{chip}?boot=download")
    layout = MAPS[chip]
    key = layout.blocks[4]
    program(c, 4, [0x12345678] * 8)
    assert c.ask(0x0A, layout.base + key.read)[0] == 0x12345678
    assert key.write_disable_bit is not None
    program(c, 0, [1 << key.write_disable_bit, 1])
    assert c.ask(0x0A, layout.base + key.read)[0] == 0
    program(c, 4, [0xFFFFFFFF] * 8)
    assert c.board.soc.efuse.word(4, 0) == 0x12345678


@pytest.mark.parametrize("chip", WITH_WATCHDOG)
def test_the_published_watchdog_recipe_resets_the_chip(chip: str) -> None:
    c = client(f"virtual://{chip}")
    c.board.lines.change(True, False)
    c.board._boot_by_strap(True)
    c.sync()
    recipe = c.board.spec.reset.watchdog
    assert recipe is not None
    for step in recipe.steps:
        assert step.op is Op.WRITE
        assert c.ask(0x09, step.address, step.value, 0xFFFFFFFF, 0)[1][0] == 0
    deadline = time.monotonic() + 5
    while c.board.in_loader and time.monotonic() < deadline:
        c.port.read(2000)
    assert not c.board.in_loader


def test_a_locked_watchdog_does_not_bite() -> None:
    c = client("virtual://esp32c3?boot=download")
    recipe = c.board.spec.reset.watchdog
    assert recipe is not None
    for step in recipe.steps[1:]:
        c.ask(0x09, step.address, step.value, 0xFFFFFFFF, 0)
    time.sleep(0.12)
    assert len(c.sync()) == 8


@pytest.mark.oracle
def test_esp32_encrypts_as_the_public_tool_does(tmp_path: Path) -> None:
    from esptool.virtual.crypt import encrypt

    key, plain = os.urandom(32), os.urandom(512)
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "plain").write_bytes(plain)
    for config in (0xF, 0x3, 0x8):
        done = oracle.run(
            "espsecure", "encrypt-flash-data", "--keyfile", tmp_path / "key", "--address",
            "0x123450", "--flash-crypt-conf", hex(config), "--output", tmp_path / "cipher",
            tmp_path / "plain",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        soc = Client(f"virtual://esp32?boot=download&efuse=0x3FF5A014:{config << 28}").board.soc
        assert encrypt(soc, key, 0x123450, plain) == (tmp_path / "cipher").read_bytes()
