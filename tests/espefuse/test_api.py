# SPDX-License-Identifier: Apache-2.0
"""The documented Python interface: batch mode, fields, and who closes the port."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import espefuse
import espsecure
from espefuse import plan, schema
from espefuse.efuse_interface import SUPPORTED_COMMANDS
from espefuse.virt import VirtualEfuses
from esptool import FatalError
from esptool.errors import UsageError
from esptool.events import Event, Message
from tests.espefuse.support import CHIPS, ControllerDevice, commands_on, quietly

KEY = bytes(range(32))


def virtual(chip: str, **kwargs: Any) -> Any:
    found: list[Any] = []
    quietly(
        lambda: found.append(
            espefuse.init_commands(chip=chip, virt=True, do_not_confirm=True, **kwargs)
        )
    )
    return found[0]


def test_fields_read_as_documented() -> None:
    efuses = virtual("esp32").efuses
    assert efuses["JTAG_DISABLE"].get() is False
    assert efuses["MAC"].get_meaning() == "00:00:00:00:00:00 (CRC 0x00 OK)"
    assert efuses["MAC_FACTORY"].name == "MAC"
    assert efuses["BLOCK1"].is_readable()
    assert efuses["BLOCK1"].is_writeable()
    assert efuses["ADC_VREF"].get() == 1100
    assert efuses["CODING_SCHEME"].get_meaning() == "NONE (BLK1-3 len=256 bits)"
    with pytest.raises(KeyError):
        efuses["NOTHING"]


@pytest.mark.parametrize("chip", ["esp32", "esp32c2", "esp32c3"])
def test_names_that_a_chip_lacks_are_refused_in_every_command(chip: str) -> None:
    commands = virtual(chip)
    purposes = [["USER"]] if commands.efuses.table.purposes else []
    wishes = [
        lambda: commands.burn_key(["NIX"], [io.BytesIO(KEY)], *purposes),
        lambda: commands.burn_bit("NIX", [0]),
        lambda: commands.burn_block_data(["NIX"], [io.BytesIO(KEY)]),
        lambda: commands.burn_efuse({"NIX": 1}),
        lambda: commands.read_protect_efuse(["NIX"]),
        lambda: commands.write_protect_efuse(["NIX"]),
    ]
    for wish in wishes:
        assert "'NIX'" in str(quietly(wish)[2])


def test_batch_mode_burns_at_the_end() -> None:
    commands = virtual("esp32", batch_mode=True)
    quietly(lambda: commands.burn_efuse({"JTAG_DISABLE": "1", "CONSOLE_DEBUG_DISABLE": 1}))
    file = io.BytesIO(KEY)
    quietly(lambda: commands.burn_key(["flash_encryption"], [file], no_protect_key=True))
    quietly(lambda: commands.burn_custom_mac(b"\xaa\xcd\xef\x11\x22\x33"))
    assert commands.efuses["JTAG_DISABLE"].get() is False
    quietly(commands.burn_all)
    assert commands.efuses["JTAG_DISABLE"].get() is True
    assert commands.efuses["BLOCK1"].get_meaning() == KEY[::-1].hex(" ")
    assert commands.efuses["CUSTOM_MAC"].get_meaning() == "aa:cd:ef:11:22:33 (CRC 0x63 OK)"


def test_batch_mode_nests_over_one_chip() -> None:
    outer = virtual("esp32c3", batch_mode=True)
    quietly(lambda: outer.burn_efuse({"WR_DIS": "2"}))
    inner = commands_on(outer.esp, batch_mode=True)
    quietly(lambda: inner.burn_custom_mac("aa:cd:ef:11:22:33"))
    quietly(inner.burn_all)
    assert outer.efuses["WR_DIS"].get() == 0
    quietly(outer.burn_all)
    assert outer.efuses["WR_DIS"].get() == 2
    assert outer.efuses["CUSTOM_MAC"].get() == "aa:cd:ef:11:22:33 (OK)"


def test_only_the_port_opened_here_is_closed() -> None:
    closed = []

    class Port:
        def close(self) -> None:
            closed.append(True)

    device = ControllerDevice("esp32c3")
    device._port = Port()  # type: ignore[attr-defined]
    with commands_on(device):
        pass
    assert closed == []
    commands = commands_on(device)
    commands.external_esp = False
    with commands:
        pass
    assert closed == [True]


def test_a_summary_is_in_its_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    with path.open("w") as file:
        quietly(lambda: virtual("esp32c3").summary(format="json", file=file))
        assert json.loads(path.read_text())


def test_commands_without_a_chip_know_the_table() -> None:
    table = virtual("esp32c3", skip_connect=False).efuses.table
    assert table.key == "esp32c3"
    assert espefuse.SUPPORTED_CHIPS["linux"].name == "esp32s3"
    with pytest.raises(FatalError, match="Unsupported chip"):
        espefuse.get_esp(chip="esp99", virt=True)


def test_main_works_on_a_given_chip_several_times() -> None:
    device = ControllerDevice("esp32c3")
    args = ["--do-not-confirm", "burn-bit", "BLOCK0", "40"]
    quietly(lambda: espefuse.main(args, esp=device))
    out, _, _ = quietly(lambda: espefuse.main(["summary", "DIS_ICACHE"], esp=device))
    assert "= True R/W (0b1)" in out


@pytest.mark.parametrize("value", [-1, "-1", "-0x10", 4, 1 << 80])
def test_a_value_out_of_range_is_refused_and_stages_nothing(value: object) -> None:
    commands = virtual("esp32c3")
    _, _, failure = quietly(lambda: commands.burn_efuse({"DIS_TWAI": 1, "WDT_DELAY_SEL": value}))
    assert "allowed range is [0, 3]" in str(failure)
    assert not any(block.pending for block in commands.efuses.blocks)


BITS = st.sets(st.integers(0, 191), min_size=1, max_size=12)


def words(device: VirtualEfuses) -> int:
    return device._data(device.table.blocks[0])


@given(st.sampled_from([c for c in CHIPS if schema.load(c).blocks[0].words == 6]), BITS, BITS)
@settings(max_examples=40, deadline=None)
def test_no_bit_is_ever_cleared_and_planned_bits_are_burned_bits(
    chip: str, first: set[int], second: set[int]
) -> None:
    device = VirtualEfuses(chip)
    before = 0
    for bits in (first, second):
        commands = commands_on(device)
        commands.efuses.blocks[0].stage(sum(1 << b for b in bits))
        planned = plan.make(commands.efuses)
        _, _, failure = quietly(commands.burn_all)
        after = words(device)
        assert after & before == before
        added = {int(bit.partition(":")[0]) for row in planned["blocks"] for bit in row["bits"]}
        assert {b for b in range(192) if (after & ~before) >> b & 1} - added == set()
        # A bit that the first burn locked makes the second one fail, and that is said.
        assert failure is not None or all(after >> b & 1 for b in added)
        before = after


@pytest.mark.parametrize("port", [None, "/dev/no-such-port"])
def test_skip_connect_opens_no_port(port: str | None) -> None:
    commands = espefuse.init_commands(port=port, chip="esp32c3", skip_connect=True)
    assert commands.esp.CHIP_NAME == "ESP32-C3"
    assert any(field.name == "DIS_ICACHE" for field in commands.efuses.efuses)


def listened(said: list[str]) -> Any:
    def listen(event: Event) -> None:
        if isinstance(event, Message):
            said.append(event.text)

    return listen


#: A call of each command that prints something.
CALLS: dict[str, Callable[[Any, Path], object]] = {
    "read_protect_efuse": lambda c, _: c.read_protect_efuse(["BLOCK_SYS_DATA2"]),
    "write_protect_efuse": lambda c, _: c.write_protect_efuse(["WDT_DELAY_SEL"]),
    "burn_efuse": lambda c, _: c.burn_efuse({"DIS_TWAI": 1}),
    "burn_block_data": lambda c, _: c.burn_block_data(["BLOCK3"], [io.BytesIO(KEY)]),
    "burn_bit": lambda c, _: c.burn_bit("BLOCK3", [7]),
    "burn_key": lambda c, _: c.burn_key(["BLOCK_KEY0"], [io.BytesIO(KEY)], ["USER"]),
    "burn_key_digest": lambda c, path: c.burn_key_digest(
        ["BLOCK_KEY1"], [(path / "key.pem").open("rb")], ["SECURE_BOOT_DIGEST0"]
    ),
    "burn_custom_mac": lambda c, _: c.burn_custom_mac("aa:cd:ef:11:22:33"),
    "set_flash_voltage": lambda c, _: c.set_flash_voltage("3.3V"),
    "summary": lambda c, _: c.summary(),
    "dump": lambda c, _: c.dump(),
    "get_custom_mac": lambda c, _: c.get_custom_mac(),
    "adc_info": lambda c, _: c.adc_info(),
    "check_error": lambda c, _: c.check_error(),
}


def test_each_command_speaks_to_its_listener_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(CALLS) == set(SUPPORTED_COMMANDS)
    espsecure.generate_signing_key("2", "rsa3072", str(tmp_path / "key.pem"))
    capsys.readouterr()
    for name, call in CALLS.items():
        said: list[str] = []
        chip = "esp32s3" if name == "set_flash_voltage" else "esp32c3"
        with espefuse.init_commands(
            chip=chip, virt=True, do_not_confirm=True, listener=listened(said)
        ) as commands:
            said.clear()
            call(commands, tmp_path)
        assert said, name
        assert capsys.readouterr() == ("", ""), name


def test_boards_in_threads_speak_to_their_own_listeners(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(bit: int) -> list[str]:
        said: list[str] = []
        with espefuse.init_commands(
            "virtual://esp32c3?stub=model&timing=virtual",
            do_not_confirm=True,
            listener=listened(said),
        ) as commands:
            commands.burn_bit("BLOCK3", [bit])
            commands.summary()
        return said

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    assert capsys.readouterr() == ("", "")
    for bit, said in enumerate(found):
        assert f"BLOCK 3   : 0x{1 << bit:064x}" in said
        assert said.count("Successful.") == 1
        assert any(line.startswith("Detecting chip type...") for line in said)


def test_a_mistyped_keyword_is_refused_before_a_chip_is_called() -> None:
    with pytest.raises(UsageError, match="Did you mean 'do_not_confirm'"):
        espefuse.init_commands("/dev/nothing", do_not_confrim=True)  # type: ignore[call-arg]
