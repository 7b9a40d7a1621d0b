# SPDX-License-Identifier: Apache-2.0
"""The records of silicon: each is sound, and one that is not is found out by key and value."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esptool.virtual import silicon
from esptool.virtual.silicon.check import problems
from esptool.virtual.silicon.spec import Silicon, locks

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from generate.files import FactError, chips  # noqa: E402
from generate.silicon import outputs  # noqa: E402

KEYS = chips(ROOT / "facts", "silicon")


@pytest.mark.parametrize("key", KEYS)
def test_each_chip_has_a_sound_record(key: str) -> None:
    record = silicon.of(key)
    assert record.key == key
    assert problems(record) == []


def test_chip_ids_are_unique() -> None:
    ids = [silicon.of(key).chip_id for key in KEYS]
    known = [number for number in ids if number is not None]
    assert len(known) == len(set(known)) == len(KEYS) - 1


def broken(**changes: Any) -> Silicon:
    """ESP32-C3 with parts exchanged: `uart={"clkdiv": 1}`."""
    good = silicon.of("esp32c3")
    return replace(good, **{k: replace(getattr(good, k), **v) for k, v in changes.items()})


@pytest.mark.parametrize(
    ("record", "key"),
    [
        (broken(uart={"clkdiv": 0x60043014}), "uart0.clkdiv"),
        (broken(uart={"fifo": (0x60001000,)}), "uart0.fifo"),
        (broken(spi={"w0": 0x6000305A}), "spi1.w0"),
        (broken(spi={"base": 0x60000000, "hold": None}), "spi1.base"),
        (broken(watchdog={"wprotect": 0x60009048}), "wdt.wprotect"),
        (broken(watchdog={"feed": 0x60008090}), "wdt"),
        (broken(watchdog={"key": 0}), "wdt.wkey"),
        (broken(loader={"security_info": False}), "loader.security_info"),
        (broken(efuse={"command": 0x1CC}), "efuse.cmd"),
        (broken(efuse={"blocks": silicon.of("esp32c3").efuse.blocks[1:]}), "efuses ("),  # type: ignore[union-attr]
        (replace(silicon.of("esp32c3"), memory=()), "mem"),
        (replace(silicon.of("esp32c3"), roms=silicon.of("esp32s3").roms[:0]), "rom"),
        (replace(silicon.of("esp32c3"), usb_jtag=0x60043001), "usj.base"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_record_that_cannot_be_right_is_found_out(record: Silicon, key: str) -> None:
    found = problems(record)
    assert any(where.startswith(key) for where, _, _ in found), found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("wdt.wprotect", "0x60009048"),
        ("uart0.clkdiv", "a register"),
        ("arch", "sparc"),
        ("loader.status_bytes", 3),
    ],
)
def test_the_generator_names_file_key_and_value(tmp_path: Path, key: str, value: object) -> None:
    raw = json.loads((ROOT / "facts/esp32c3/silicon.json").read_text(encoding="utf-8"))
    raw["values"][key]["v"] = value
    (tmp_path / "esp32c3").mkdir()
    (tmp_path / "esp32c3/silicon.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(FactError) as caught:
        outputs(tmp_path)
    said = str(caught.value)
    assert "esp32c3/silicon.json" in said
    assert key in said
    assert str(value) in said


@pytest.mark.parametrize(
    ("key", "revision", "security", "tag"),
    [
        ("esp32c3", 0, 0x4004B13E, "esp32c3-20200918"),
        ("esp32c3", 2, 0x4004B13E, "esp32c3-20200918"),
        ("esp32c3", 3, 0x4004B9DA, "esp32c3-api1-20210207"),
        ("esp32c3", 4, 0x4004B9DA, "esp32c3-api1-20210207"),
        ("esp32c3", 101, 0x4004D51E, "esp32c3-eco7-20230720"),
        ("esp32p4", 103, 0x4FC000BC, "esp32p4-20230811"),
        ("esp32p4", 301, 0x4FC000BC, "esp32p4-eco5-20250430"),
    ],
)
def test_the_rom_is_that_of_the_revision(key: str, revision: int, security: int, tag: str) -> None:
    rom = silicon.of(key).rom(revision)
    assert rom.calls is not None
    assert (rom.calls.security, rom.boot.tag) == (security, tag)


def test_locks_of_esp32p4_are_those_of_the_revision() -> None:
    efuse = silicon.of("esp32p4").efuse
    assert efuse is not None
    before, after = dict(locks(efuse, 103).write), dict(locks(efuse, 300).write)
    usb_phy = 1 << 57
    assert before[30] & usb_phy
    assert 30 not in after
