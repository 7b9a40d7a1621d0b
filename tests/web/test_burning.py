# SPDX-License-Identifier: Apache-2.0
"""Burning eFuses from a page: a plan, the word, and nothing of it in a page made without it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page

from esptool.errors import FatalError
from esptool.web import pack
from esptool.web.board import BoardChannel
from esptool.web.engine import Engine
from tests.web.bridge import BoardServer, Cable
from tests.web.conftest import connect_board

BOARD = "virtual://{}?stub=model&timing=virtual"
KEY = bytes(range(1, 33))


def connected(chip: str = "esp32c3") -> Engine:
    page = Engine(lambda event: None)
    page.connect(BoardChannel(BOARD.format(chip)))
    return page


def value(page: Engine, name: str) -> object:
    return next(f["value"] for f in page.efuses()["fields"] if f["name"] == name)


@pytest.mark.parametrize(
    ("chip", "field", "block", "purpose"),
    [
        ("esp32", "DISABLE_DL_DECRYPT", "BLOCK1", ""),
        ("esp32c3", "DIS_FORCE_DOWNLOAD", "BLOCK_KEY0", "HMAC_UP"),
        ("esp32c2", "DIS_PAD_JTAG", "BLOCK_KEY0", "XTS_AES_128_KEY"),
    ],
)
def test_what_was_planned_is_burned_after_the_word(
    chip: str, field: str, block: str, purpose: str
) -> None:
    page = connected(chip)
    assert purpose in (*page.burning.purposes(), "")
    plan = page.burning.plan({field: "1"}, [(block, KEY, purpose)])
    assert any(field in line for line in plan)
    assert any("can never be written again" in line for line in plan)
    assert KEY.hex() not in "".join(plan).replace(" ", "")
    assert value(page, field) in (False, 0)
    done = page.burning.burn("BURN")
    assert any(line.startswith("BURN BLOCK0") for line in done["told"])
    assert KEY.hex() not in "".join(done["told"]).replace(" ", "")
    assert value(page, field) in (True, 1)
    with pytest.raises(FatalError, match="nothing to do"):
        page.burning.plan({field: "1"})


@pytest.mark.parametrize("word", ["", "burn", "BURN IT"])
def test_another_word_burns_nothing_and_the_plan_is_gone(word: str) -> None:
    page = connected()
    page.burning.plan({"DIS_FORCE_DOWNLOAD": "1"})
    with pytest.raises(FatalError, match="Nothing was burned"):
        page.burning.burn(word)
    assert value(page, "DIS_FORCE_DOWNLOAD") is False
    with pytest.raises(FatalError, match="No plan was made"):
        page.burning.burn("BURN")


def test_a_plan_is_not_burned_on_another_board() -> None:
    page = connected()
    page.burning.plan({"DIS_FORCE_DOWNLOAD": "1"})
    page.connect(BoardChannel(BOARD.format("esp32c3")))
    with pytest.raises(FatalError, match="another board"):
        page.burning.burn("BURN")
    assert value(page, "DIS_FORCE_DOWNLOAD") is False


def test_what_cannot_be_is_refused_before_a_plan() -> None:
    page = connected()
    with pytest.raises(FatalError, match="Invalid eFuse name 'NIX'"):
        page.burning.plan({"NIX": "1"})
    with pytest.raises(FatalError, match="Nothing was chosen"):
        page.burning.plan({})
    with pytest.raises(FatalError):
        page.burning.plan({}, [("BLOCK_KEY0", b"short", "HMAC_UP")])


@pytest.mark.parametrize(
    ("chip", "block", "purpose", "told"),
    [
        ("esp32", "BLOCK_KEY0", "", "ESP32 has no key block 'BLOCK_KEY0'"),
        ("esp32", "BLOCK0", "", "ESP32 has no key block 'BLOCK0'"),
        ("esp32c2", "BLOCK_KEY1", "USER", "ESP32-C2 has no key block 'BLOCK_KEY1'"),
        ("esp32c2", "BLOCK_KEY0", "NIX", "'NIX' is no purpose"),
        ("esp32c3", "BLOCK_NO", "USER", "ESP32-C3 has no key block 'BLOCK_NO'"),
        ("esp32c3", "BLOCK1", "USER", "ESP32-C3 has no key block 'BLOCK1'"),
        ("esp32c3", "", "USER", "ESP32-C3 has no key block ''"),
        ("esp32c3", "BLOCK_KEY0", "NIX", "'NIX' is no purpose"),
    ],
)
def test_a_block_or_purpose_that_the_chip_lacks_is_refused_with_those_it_has(
    chip: str, block: str, purpose: str, told: str
) -> None:
    page = connected(chip)
    with pytest.raises(FatalError, match=told) as caught:
        page.burning.plan({}, [(block, KEY, purpose)])
    offered = page.burning.purposes() if purpose == "NIX" else page.burning.blocks()
    assert offered
    for name in offered:
        assert name in str(caught.value.remedy)


@pytest.mark.parametrize("chip", ["esp32", "esp32c2", "esp32c3", "esp32p4"])
def test_every_block_that_is_offered_takes_a_key(chip: str) -> None:
    page = connected(chip)
    purpose = "USER" if page.burning.purposes() else ""
    for block in page.burning.blocks():
        assert page.burning.plan({}, [(block, KEY, purpose)]), block


READS_AND_WISHES = """
from esptool.errors import FatalError
from esptool.web.board import BoardChannel
from esptool.web.engine import Engine
page = Engine(lambda event: None)
page.connect(BoardChannel("virtual://esp32c3?stub=model&timing=virtual"))
print(len(page.efuses()["fields"]) > 50)
try:
    key = ("BLOCK_KEY0", bytes(range(32)), "USER")
    print(page.burning.plan({"DIS_FORCE_DOWNLOAD": "1"}, [key])[0])
    print(page.burning.burn("BURN")["told"][-1])
except FatalError as e:
    print(type(e).__name__)
"""


@pytest.mark.parametrize(
    ("burning", "told"), [(False, ["NotSupportedError"]), (True, ["Plan for", "Reading updated"])]
)
def test_the_engine_of_a_page_made_without_burning_refuses(
    tmp_path: Path, burning: bool, told: list[str]
) -> None:
    """The packed engine by itself: this Python, and nothing else of ours."""
    source = Path(pack.__file__).parents[2]
    with zipfile.ZipFile(io.BytesIO(pack.engine(source, burning=burning))) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-S", "-c", READS_AND_WISHES],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "True"
    assert all(line.startswith(start) for line, start in zip(lines[1:], told, strict=True))


@pytest.mark.xdist_group("browser")
@pytest.mark.timeout(900)
def test_the_blocks_that_are_offered_are_those_of_the_chip(
    bench: Page, server: BoardServer, tmp_path: Path
) -> None:
    (tmp_path / "key.bin").write_bytes(KEY)
    sheet = bench.get_by_role("tabpanel", name="eFuses")
    for chip, first in (("esp32", "BLOCK1"), ("esp32c3", "BLOCK_KEY0")):
        server.offer(Cable(f"virtual://{chip}?name=web-blocks-{chip}"))
        connect_board(bench)
        bench.get_by_role("tab", name="eFuses").click()
        block = sheet.locator("#efuse-block")
        block.locator(f"option:has-text('{first}')").first.wait_for(state="attached")
        assert block.input_value() == first
        sheet.get_by_label("Purpose").locator("option").first.wait_for(state="attached")
        sheet.get_by_label("File with the key").set_input_files(tmp_path / "key.bin")
        sheet.get_by_role("button", name="Show the plan of the key").click()
        assert "can never be" in sheet.get_by_label("The plan").inner_text()
        assert bench.inner_text("#problem") == ""
        sheet.get_by_role("button", name="Cancel").click()


@pytest.mark.xdist_group("browser")
@pytest.mark.timeout(900)
def test_a_field_and_a_key_are_burned_in_the_workbench(
    bench: Page, server: BoardServer, tmp_path: Path
) -> None:
    server.offer(Cable("virtual://esp32c3?name=web-burn"))
    connect_board(bench)
    bench.get_by_role("tab", name="eFuses").click()
    sheet = bench.get_by_role("tabpanel", name="eFuses")
    sheet.get_by_label("Field").fill("DIS_FORCE_DOWNLOAD")
    sheet.get_by_role("button", name="Show the plan", exact=True).click()
    word = sheet.get_by_label("Type BURN")
    assert "DIS_FORCE_DOWNLOAD: 1 bit" in sheet.get_by_label("The plan").inner_text()
    word.fill("burn")
    sheet.get_by_role("button", name="Burn", exact=True).click()
    bench.wait_for_selector("#problem:has-text('Nothing was burned')")
    sheet.get_by_role("button", name="Show the plan", exact=True).click()
    word.fill("BURN")
    bench.keyboard.press("Enter")
    bench.wait_for_selector("#efuse-result:has-text('Burned and proved')")
    row = sheet.get_by_role("row").filter(has_text="DIS_FORCE_DOWNLOAD")
    assert "true" in row.inner_text()
    assert bench.inner_text("#problem") == ""
    (tmp_path / "key.bin").write_bytes(KEY)
    sheet.get_by_label("File with the key").set_input_files(tmp_path / "key.bin")
    sheet.get_by_label("Purpose").select_option("HMAC_UP")
    sheet.get_by_role("button", name="Show the plan of the key").click()
    word.fill("BURN")
    bench.keyboard.press("Enter")
    bench.wait_for_selector("#efuse-result:has-text('Burned and proved')")
    assert "BURN BLOCK4" in sheet.get_by_label("What was said").inner_text()
