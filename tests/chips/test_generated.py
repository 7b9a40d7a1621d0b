# SPDX-License-Identifier: Apache-2.0
"""What is made of `facts/` is what stands in the repository, and bad facts are refused by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from esptool import chips
from esptool.chips.check import problems, shared_problems

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from generate import efuse, files, host  # noqa: E402

FACTS = ROOT / "facts"


def test_generated_files_equal_a_fresh_generation() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "gen.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_chip_has_problems() -> None:
    found = {key: problems(chips.get(key)) for key in chips.KEYS}
    assert found == {key: [] for key in chips.KEYS}
    assert shared_problems([chips.get(key) for key in chips.KEYS]) == []


def test_every_chip_of_the_facts_is_there() -> None:
    assert sorted(chips.KEYS) == files.chips(FACTS)


#: A wrong fact of ESP32-C3 (path, value), and what the error must name besides its file.
WRONG: list[tuple[str, Any, str]] = [
    ("uart.clkdiv_reg", "0x6000001", "uart.clkdiv_reg"),
    ("uart.clkdiv_reg", "6000-14", "uart.clkdiv_reg"),
    ("uart.date_reg", "0x6010007C", "uart.date_reg"),
    ("uart.date_rag", "0x6010007C", "uart.date_rag"),
    ("spi.usr1_offs", 24, "spi.usr1_offs"),
    ("rom.status_bytes", 3, "rom.status_bytes"),
    ("rom.status_bytes", True, "rom.status_bytes"),
    ("rom.baud", "slow", "rom.baud"),
    ("arch", "arm", "arch"),
    ("image_chip_id", 0x10000, "image_chip_id"),
    ("flash.sizes.4MB", 48, "flash.sizes.4MB"),
    ("identity.fields.pkg", [["0x60008850", 30, 3]], "identity.fields.pkg"),
    ("identity.fields.pkg", [["0x60009850", 21, 3]], "identity.fields.pkg"),
    ("identity.mac.word0", "0x60009850", "identity.mac"),
    ("security.secure_boot", ["0x60009850", 1], "security.secure_boot"),
    ("security.purpose_fields", [["0x60008834", 24, 4]], "security.purpose_fields"),
    ("efuse.block1", "0x60009850", "efuse.block1"),
    ("reset.quick.strap_ms", 20, "reset.quick.strap_ms"),
    ("registers.EFUSE_SECURE_BOOT_EN_REG", "0x60008834", "registers.EFUSE_SECURE_BOOT_EN_REG"),
    ("registers.RTC_CNTL_SWD_CONF_REG", "0x600080A8", "registers.RTC_CNTL_SWD_CONF_REG"),
    ("reset.quiet_watchdogs", [["write", "0x600080A8", 1]], "reset.quiet_watchdogs"),
    ("stub.layouts.esp32c3.bss_start", "0x3FE84000", "stub.layouts.esp32c3.bss_start"),
    ("position", 60, "position"),
]


@pytest.mark.parametrize(("path", "value", "named"), WRONG, ids=[f"{w[0]}={w[1]}" for w in WRONG])
def test_a_wrong_fact_is_refused_by_file_key_and_value(
    path: str, value: Any, named: str, tmp_path: Path
) -> None:
    for key in files.chips(FACTS):
        (tmp_path / key).mkdir()
        (tmp_path / key / "host.json").write_bytes((FACTS / key / "host.json").read_bytes())
    shutil.copytree(FACTS / "shared", tmp_path / "shared")
    facts = tmp_path / "esp32c3" / "host.json"
    data = json.loads(facts.read_text())
    *parents, last = path.split(".")
    place = data
    for name in parents:
        place = place[name]
    place[last] = {"v": value, "src": "made up"}
    facts.write_text(json.dumps(data))
    with pytest.raises(files.FactError) as caught:
        host.specs(tmp_path)
    text = str(caught.value)
    assert "host.json" in text
    assert named in text


#: (what to replace in ESP32-C3's eFuse table, by what, what the error must name)
WRONG_EFUSES = [
    ('"DIS_ICACHE", 0, 1, 8,', '"DIS_ICACHE", 0, 1, 9,', "DIS_USB_JTAG"),
    ('"DIS_ICACHE", 0, 1, 8, "bool", 2', '"DIS_ICACHE", 0, 1, 8, "bool", 32', "DIS_ICACHE"),
    ('"MAC", 1, 0, 0, "bytes:6", 20', '"MAC", 1, 0, 0, "bytes:6", 21', "MAC"),
    ('"BLOCK_KEY5", 9, 0, 0, "bytes:32"', '"BLOCK_KEY5", 9, 1, 0, "bytes:32"', "BLOCK_KEY5"),
    ('"FLASH_VENDOR", 1, 4, 0, "uint:3"', '"FLASH_VENDOR", 1, 4, 0, "uint:2"', "FLASH_VENDOR"),
    ('"BLOCK_KEY5",\n', '"BLOCK_KEY6",\n', "BLOCK_KEY6"),
    ('"position"', '"positron"', "position"),
    ('"base"', '"basis"', "base"),
]


@pytest.mark.parametrize(("old", "new", "named"), WRONG_EFUSES, ids=[w[1] for w in WRONG_EFUSES])
def test_a_wrong_efuse_table_is_refused_by_name(
    old: str, new: str, named: str, tmp_path: Path
) -> None:
    text = (FACTS / "esp32c3" / "efuse.json").read_text()
    assert old in text
    (tmp_path / "esp32c3").mkdir()
    (tmp_path / "esp32c3" / "efuse.json").write_text(text.replace(old, new, 1))
    with pytest.raises(files.FactError, match=rf"efuse\.json.*{named}"):
        efuse.outputs(tmp_path)


def test_a_fact_without_a_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "host.json").write_text('{"uart": {"src": "x", "a": 1}, "name": "X"}')
    with pytest.raises(files.FactError, match=r'made/host\.json: name: "X".*source'):
        files.load(tmp_path, "made", "host")
