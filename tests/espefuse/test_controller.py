# SPDX-License-Identifier: Apache-2.0
"""The engine on a register-level controller, with its faults, does what it does on `--virt`."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import pytest

from espefuse import plan, schema
from espefuse.apply import apply
from espefuse.efuse_interface import get_esp
from tests.espefuse.sequences import key_files, sequence, with_files
from tests.espefuse.support import CHIPS, ControllerDevice, commands_on, quietly, run

KEY = bytes(range(1, 33))
PURPOSE_CHIPS = [c for c in CHIPS if schema.load(c).purposes]


def shown(device: ControllerDevice) -> list[int]:
    """All blocks as the read registers show them."""
    return [
        device.controller.read(b.read_addr - device.table.base + 4 * i)
        for b in device.table.blocks
        for i in range(b.words)
    ]


@pytest.mark.parametrize("chip", CHIPS)
def test_sequences_give_the_same_registers_as_the_virtual_memory(
    chip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_files(tmp_path)
    monkeypatch.setattr(ControllerDevice, "get_chip_revision", lambda _self: 0)
    for seed in range(0, 12, 2):
        device = ControllerDevice(chip)
        memory = tmp_path / f"m{seed}"
        codes = []
        for command in (with_files(c, tmp_path) for c in sequence(chip, seed)):
            base: list[str | Path] = [
                "--chip",
                chip,
                "--virt",
                "--do-not-confirm",
                "--path-efuse-file",
                memory,
            ]
            expected, _, _ = run(*base, *command)
            code = run_on(device, command)
            codes.append((command, expected, code))
            assert code == expected, codes
        virtual = get_esp(chip=chip, virt=True, virt_efuse_file=str(memory))
        expected_words = [
            virtual.read_reg(b.read_addr + 4 * i)
            for b in virtual.table.blocks
            for i in range(b.words)
        ]
        assert shown(device) == expected_words, codes


def run_on(device: ControllerDevice, command: list[str]) -> int:
    """The command line on a device."""
    import espefuse

    def action() -> None:
        espefuse.main(["--chip", device.table.key, "--do-not-confirm", *command], esp=device)

    try:
        _, _, failure = quietly(action)
    except SystemExit as e:
        return int(e.code or 0)
    return 2 if failure else 0


def burn_key(device: ControllerDevice) -> tuple[str, str, Exception | None]:
    """Burn a flash encryption key with all its protections."""
    commands = commands_on(device)
    file = io.BytesIO(KEY)
    if not device.table.purposes:
        return quietly(lambda: commands.burn_key(["flash_encryption"], [file]))
    return quietly(lambda: commands.burn_key(["BLOCK_KEY0"], [file], ["XTS_AES_128_KEY"]))


@pytest.mark.parametrize("chip", ["esp32", "esp32c2", "esp32c3", "esp32p4"])
def test_a_plan_finishes_whatever_access_the_link_was_lost_at(chip: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    planner = ControllerDevice(chip)
    commands = commands_on(planner)
    commands.efuses.before_burn = lambda: plan.show_or_save(commands.efuses, str(path))
    file = io.BytesIO(KEY)
    if planner.table.purposes:
        quietly(lambda: commands.burn_key(["BLOCK_KEY0"], [file], ["XTS_AES_128_KEY"]))
    else:
        quietly(lambda: commands.burn_key(["flash_encryption"], [file]))
    assert not any(map(any, planner.blocks()))

    whole = ControllerDevice(chip)
    burn_key(whole)
    complete = whole.blocks()
    accesses = whole.accesses
    for step in range(1, accesses + 1, max(1, accesses // 90)):
        device = ControllerDevice(chip)
        device.fail_at = step
        try:
            first = commands_on(device)
        except Exception:
            assert not any(map(any, device.blocks()))
            continue
        _, _, failure = quietly(partial(apply, first.efuses, str(path)))
        if failure is None:
            assert device.blocks() == complete
            continue
        if any(map(any, device.blocks())):
            assert "broke off" in str(failure)
        device.fail_at = None
        again = commands_on(device)
        _, _, failure = quietly(partial(apply, again.efuses, str(path)))
        assert failure is None, (step, failure)
        assert device.blocks() == complete, step


def test_a_plan_applied_twice_burns_nothing_the_second_time(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    device = ControllerDevice("esp32s3")
    commands = commands_on(device)
    commands.efuses.before_burn = lambda: plan.show_or_save(commands.efuses, str(path))
    quietly(lambda: commands.burn_efuse({"DIS_ICACHE": 1, "SECURE_VERSION": 3}))
    assert path.stat().st_mode & 0o777 == 0o600
    quietly(lambda: apply(commands_on(device).efuses, str(path)))
    burned = device.blocks()
    programs: list[int] = []
    device.controller._program = programs.append  # type: ignore[method-assign,assignment]
    out, _, failure = quietly(lambda: apply(commands_on(device).efuses, str(path)))
    assert failure is None
    assert "burned already" in out
    assert device.blocks() == burned
    assert programs == []


def test_a_plan_is_refused_on_another_state_or_chip(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    device = ControllerDevice("esp32c3")
    commands = commands_on(device)
    commands.efuses.before_burn = lambda: plan.show_or_save(commands.efuses, str(path))
    quietly(lambda: commands.burn_efuse({"DIS_ICACHE": 1}))
    other = ControllerDevice("esp32c6")
    _, _, failure = quietly(lambda: apply(commands_on(other).efuses, str(path)))
    assert "is for esp32c3" in str(failure)
    other_mac = ControllerDevice("esp32c3")
    other_mac.controller.burn(1, b"\1")
    other_mac.controller.refresh()
    _, _, failure = quietly(lambda: apply(commands_on(other_mac).efuses, str(path)))
    assert "another chip" in str(failure)
    device.controller.burn(0, bytes(8) + b"\4")
    device.controller.refresh()
    _, _, failure = quietly(lambda: apply(commands_on(device).efuses, str(path)))
    assert "differs from the plan" in str(failure)


@pytest.mark.parametrize("chip", PURPOSE_CHIPS)
def test_a_weak_burn_is_repeated_until_all_bits_hold(chip: str) -> None:
    device = ControllerDevice(chip)
    index = device.table.block("BLOCK_KEY0").index
    device.controller.weak = {index: 0xFF << 40 | 0xF << 200}
    out, _, failure = burn_key(device)
    assert failure is None
    assert "re-burn it again" in out or "Repeat burning" in out
    assert device.blocks()[index] == KEY[::-1]


def test_errors_of_a_half_burned_key_are_told_and_mended() -> None:
    device = ControllerDevice("esp32c3")
    burn_key(device)
    block = device.controller.check[4]
    check = bytes(block)
    for i in range(3):
        block[i] &= 0x0F
    device.controller.burned[0][4] = 0
    device.controller.refresh()
    commands = commands_on(device)
    out, _, failure = quietly(lambda: commands.check_error())
    assert "Error(s) were detected in eFuses." in str(failure)
    assert "Error(s) in BLOCK4" in out
    _, _, failure = quietly(lambda: commands.check_error(recovery=True))
    # The key block is write-protected by now: nothing can mend it, and the tool says so.
    assert "Error(s) were detected" in str(failure)
    device.controller.burned[0][:4] = bytes(4)
    device.controller.refresh()
    commands = commands_on(device)
    out, _, failure = quietly(lambda: commands.check_error(recovery=True))
    assert failure is None
    assert bytes(device.controller.check[4]) == check


def test_the_link_in_secure_download_mode_is_refused_with_a_way_out() -> None:
    device = ControllerDevice("esp32c3")
    device.secure_download_mode = True  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="Secure Download Mode") as caught:
        commands_on(device)
    assert "--token" in str(caught.value)
