# SPDX-License-Identifier: Apache-2.0
"""eFuses at register level, watchdog resets, and flash encryption beside the public tool's."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from esptool import chips
from esptool.chips.spec import Op
from esptool.device import connect
from esptool.virtual import find_board, silicon
from esptool.virtual.crypt import encrypt, find_key, xts_by_blocks
from esptool.virtual.silicon.spec import Efuse
from tests.support import oracle
from tests.virtual.support import Client

WITH_WATCHDOG = [k for k in chips.KEYS if chips.get(k).reset.watchdog is not None]
WITH_USB_JTAG = [k for k in chips.KEYS if chips.get(k).usb.serial_jtag]
WITH_EFUSES = [k for k in chips.KEYS if silicon.of(k).efuse is not None]


def layout_of(chip: str) -> Efuse:
    layout = silicon.of(chip).efuse
    assert layout is not None
    return layout


def client(url: str) -> Client:
    c = Client(url)
    c.sync()
    return c


def program(c: Client, block: int, words: list[int]) -> None:
    """Burn by the sequence of the eFuse chapter: data, code in CONF, command, then read again."""
    layout = layout_of(c.board.silicon.key)
    entry = layout.blocks[block]
    window = layout.base + (entry.write or 0)
    for number, word in enumerate(words):
        c.ask(0x09, window + 4 * number, word, 0xFFFFFFFF, 0)
    c.ask(0x09, layout.base + layout.config, 0x5A5A, 0xFFFFFFFF, 0)
    number = 0 if entry.write is not None else block
    c.ask(0x09, layout.base + layout.command, 2 | number << 2, 0xFFFFFFFF, 0)
    c.ask(0x09, layout.base + layout.config, 0x5AA5, 0xFFFFFFFF, 0)
    c.ask(0x09, layout.base + layout.command, 1, 0xFFFFFFFF, 0)


@pytest.mark.parametrize("chip", WITH_EFUSES)
def test_programming_turns_bits_on_and_never_off(chip: str) -> None:
    c = client(f"virtual://{chip}?boot=download")
    layout = layout_of(chip)
    address = layout.base + layout.blocks[0].read
    high = 8 if chip in ("esp32", "esp32c2") else 24
    program(c, 0, [1 << high])
    program(c, 0, [2 << high])
    assert c.ask(0x0A, address)[0] >> high & 3 == 3
    c.ask(0x09, address, 0, 0xFFFFFFFF, 0)
    assert c.ask(0x0A, address)[0] >> high & 3 == 3


@pytest.mark.parametrize("chip", [k for k in WITH_EFUSES if k not in ("esp32c2", "esp32")])
def test_a_read_protected_key_reads_as_zero_and_a_locked_block_keeps_its_bits(chip: str) -> None:
    c = client(f"virtual://{chip}?boot=download")
    layout = layout_of(chip)
    key = layout.blocks[4]
    program(c, 4, [0x12345678] * 8)
    assert c.ask(0x0A, layout.base + key.read)[0] == 0x12345678
    assert key.write_disable is not None
    program(c, 0, [1 << key.write_disable, 1])
    assert c.ask(0x0A, layout.base + key.read)[0] == 0
    program(c, 4, [0xFFFFFFFF] * 8)
    assert c.board.soc.efuse.word(4, 0) == 0x12345678


@pytest.mark.parametrize("size", [32, 64])
def test_flash_encryption_takes_a_key_that_was_never_burned(size: int) -> None:
    key, tweak, data = random.randbytes(size), random.randbytes(16), random.randbytes(128)
    known = Cipher(algorithms.AES(key), modes.XTS(tweak)).encryptor().update(data)
    assert xts_by_blocks(key, tweak, data) == known
    board = Client("virtual://esp32c3?boot=download&efuse=purpose0:4,crypt_count:1").board
    found = find_key(board.soc)
    assert found == bytes(32)
    assert encrypt(board.soc, found, 0x1000, data) != data


def strapped_once(chip: str) -> Client:
    """In download mode until any reset, which starts the application.

    By the wall clock a slow host would still be sending a recipe when the chip resets.
    """
    c = client(f"virtual://{chip}?timing=virtual")
    c.board.lines.change(True, False)
    c.board._boot_by_strap(True)
    c.sync()
    return c


def pass_bite(c: Client) -> None:
    """By the board's clock, so long that a watchdog that was enabled has bitten."""
    c.board.pass_time(1.0)


@pytest.mark.parametrize("chip", WITH_WATCHDOG)
def test_the_published_watchdog_recipe_resets_the_chip(chip: str) -> None:
    c = strapped_once(chip)
    recipe = chips.get(chip).reset.watchdog
    assert recipe is not None
    for step in recipe.steps:
        assert step.op is Op.WRITE
        assert c.ask(0x09, step.address, step.value, 0xFFFFFFFF, 0)[1][0] == 0
    assert c.board.in_loader
    pass_bite(c)
    assert not c.board.in_loader


def test_a_locked_watchdog_does_not_bite() -> None:
    c = strapped_once("esp32c3")
    recipe = chips.get("esp32c3").reset.watchdog
    assert recipe is not None
    for step in recipe.steps[1:]:
        c.ask(0x09, step.address, step.value, 0xFFFFFFFF, 0)
    pass_bite(c)
    assert c.board.in_loader
    assert len(c.sync()) == 8


@pytest.mark.parametrize("chip", WITH_USB_JTAG)
def test_connecting_over_usb_jtag_quiets_both_watchdogs(chip: str) -> None:
    with connect(f"virtual://{chip}?name=quiet-{chip}&link=usb-jtag"):
        dog = find_board(f"quiet-{chip}").watchdog
        assert dog is not None
        assert dog.quiet
        dog.reset()
        assert not dog.quiet


@pytest.mark.oracle
def test_esp32_encrypts_as_the_public_tool_does(tmp_path: Path) -> None:
    from esptool.virtual.crypt import encrypt

    key, plain = random.randbytes(32), random.randbytes(512)
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
