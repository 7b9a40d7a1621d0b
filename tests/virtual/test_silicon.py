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
from esptool.virtual.board import Board
from esptool.virtual.options import parse_url
from esptool.virtual.silicon.check import problems
from esptool.virtual.silicon.spec import Silicon, locks
from tests.virtual.stub_client import StubClient

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


@pytest.mark.parametrize(
    ("url", "head"),
    [
        ("esp8266?crystal=40", b"\r\n ets Jan  8 2013,rst cause:2, boot mode:(1,6)"),
        ("esp32?", b"ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_"),
        ("esp32?rev=1.0", b"ets Jun  8 2016 00:22:57\r\n"),
        ("esp32s2?", b"ESP-ROM:esp32s2-rc4-20191025\r\nBuild:Oct 25 2019\r\nrst:0x1 (POWERON),"),
        ("esp32c2?crystal=40", b"ESP-ROM:esp8684-api2-20220127\r\nBuild:Jan 27 2022\r\n"),
        ("esp32c3?rev=0.2", b"ESP-ROM:esp32c3-20200918\r\nBuild:Sep 18 2020\r\n"),
        ("esp32c3?rev=1.1", b"ESP-ROM:esp32c3-eco7-20230720\r\nBuild:Jul 20 2023\r\n"),
        ("esp32c6?", b"ESP-ROM:esp32c6-20220919\r\nBuild:Sep 19 2022\r\n"),
        ("esp32p4?rev=3.1", b"ESP-ROM:esp32p4-eco5-20250430\r\nBuild:Apr 30 2025\r\n"),
    ],
)
def test_the_boot_log_is_that_of_the_rom(url: str, head: bytes) -> None:
    separator = "" if url.endswith("?") else "&"
    board = Board(parse_url(f"virtual://{url}{separator}boot=download"))
    assert board.take().startswith(head)


#: What the ROMs call a reset by software and one by the watchdog.
CAUSES = {
    "esp32s2": ("RTC_SW_SYS_RST", "RTCWDT_RTC_RST"),
    "esp32c3": ("RTC_SW_SYS_RST", "RTCWDT_RTC_RST"),
    "esp32c6": ("LP_SW_HPSYS", "LP_WDT_SYS"),
    "esp32h2": ("LP_SW_HPSYS", "LP_WDT_SYS"),
    "esp32c5": ("RTC_SW_HPSYS", "RTC_WDT_SYS"),
    "esp32c61": ("RTC_SW_HPSYS", "RTC_WDT_SYS"),
    "esp32p4": ("SW_SYS_RESET", "CHIP_LP_WDT_RESET"),
    "esp32s31": ("SW_SYS_RESET", "CHIP_LP_WDT_RESET"),
}


@pytest.mark.parametrize("chip", CAUSES)
def test_the_boot_log_tells_the_cause_in_the_words_of_the_rom(chip: str) -> None:
    board = Board(parse_url(f"virtual://{chip}?boot=download"))
    board.take()
    software, watchdog = CAUSES[chip]
    board.soc.reboot()
    assert f"rst:0x3 ({software})".encode() in board.take()
    board._watchdog_bites()
    assert f"rst:0x10 ({watchdog})".encode() in board.take()


@pytest.mark.parametrize(
    ("chip", "revision", "lock", "place", "locked"),
    [
        # USB_PHY_SEL, before and after ESP32-P4's third revision
        ("esp32p4", "1.3", 30, 57, True),
        ("esp32p4", "3.0", 30, 57, False),
        # DCDC_VSET
        ("esp32p4", "1.3", 8, 155, False),
        ("esp32p4", "3.0", 8, 155, True),
        # PVT_GLITCH_EN
        ("esp32h4", "0.0", 2, 50, True),
        # JTAG_SEL_ENABLE
        ("esp32c3", "0.4", 2, 47, True),
    ],
)
def test_a_lock_keeps_the_fields_of_this_revision(
    chip: str, revision: str, lock: int, place: int, locked: bool
) -> None:
    efuse = Board(parse_url(f"virtual://{chip}?rev={revision}")).soc.efuse
    assert efuse is not None
    layout = efuse.layout

    def program(bit: int) -> None:
        for word in range(layout.blocks[0].words):
            efuse.write(layout.window + 4 * word, 1 << bit - 32 * word if bit // 32 == word else 0)
        efuse.write(layout.config, 0x5A5A)
        efuse.write(layout.command, 2)

    program(lock)
    program(place)
    assert efuse.bits(((0, place, 1, 0),)) == (not locked)


def test_block_10_of_esp32h21_can_be_hidden() -> None:
    efuse = Board(parse_url("virtual://esp32h21")).soc.efuse
    assert efuse is not None
    efuse.burn(10, b"\x55" * 32)
    efuse.refresh()
    place = ((10, 0, 32, 0),)
    assert efuse.shown(place) == 0x55555555
    efuse.burn_bits(efuse.layout.fields["read_disable"], 1 << 6)
    efuse.refresh()
    assert efuse.shown(place) == 0


@pytest.mark.parametrize(
    ("chip", "revision"),
    [("esp32c3", "0.2"), ("esp32c3", "0.3"), ("esp32c3", "1.1"), ("esp32p4", "3.0")],
)
def test_the_stub_asks_the_rom_of_the_revision_for_security_info(chip: str, revision: str) -> None:
    pytest.importorskip("icicle")
    client = StubClient(chip, "emulated", f"&rev={revision}")
    answer = client.plain(0x14)
    assert answer.status == 0
    assert answer.fields[12:16] == client.board.silicon.chip_id.to_bytes(4, "little")
    assert client.board.soc.notes == []
