# SPDX-License-Identifier: Apache-2.0
"""The workbench in a browser; what of it and of the installer people with a keyboard or a screen
reader get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page

from esptool.storage import nvs
from esptool.storage.fs import build_image
from esptool.storage.partitions import PartitionTable
from esptool.virtual import find_board
from esptool.virtual.board import open_board
from tests.support.apps import app
from tests.web.bridge import BoardServer, Cable
from tests.web.conftest import connect_board, serious, tab_to

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(900)]

TABLE = PartitionTable.from_csv(
    "nvs,data,nvs,0x9000,0x4000\nfactory,app,factory,0x10000,64K\nwww,data,spiffs,,64K\n"
    "lfs,data,spiffs,,64K\nfat,data,fat,,256K\nsafe,data,nvs,,0x4000\n"
)
KEYS = bytes(range(1, 65))
TABS = ("Board", "Partitions", "Flash", "eFuses", "Image", "Terminal")
ROWS = ["key,type,encoding,value", "store,namespace,,", "name,data,string,kitchen"]


@pytest.fixture
def board(bench: Page, server: BoardServer, request: pytest.FixtureRequest) -> Page:
    """A board with something in its flash, connected to."""
    name = request.node.name
    server.offer(Cable(f"virtual://esp32c3?name={name}"))
    cells = open_board(f"virtual://esp32c3?name={name}").nor.cells
    cells.program(0x8000, TABLE.to_bytes())
    rows = nvs.read_table("\n".join(ROWS), "nvs.csv", lambda _name: b"").rows
    cells.program(0x9000, nvs.build(rows, 0x4000))
    safe = nvs.build(rows, 0x4000, keys=nvs.NvsKeys(KEYS))
    cells.program(TABLE["safe"].offset, safe)
    cells.program(0x10000, app("esp32c3", version="2.5"))
    for name_, kind in (("www", "spiffs"), ("lfs", "littlefs"), ("fat", "fat")):
        part = TABLE[name_]
        content = {"index.htm": b"<p>" + kind.encode()}
        cells.program(part.offset, build_image(kind, part.size, content))
    connect_board(bench)
    return bench


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def test_partitions_settings_and_files_of_a_board_are_shown_and_saved(
    board: Page, tmp_path: Path
) -> None:
    tab(board, "Partitions")
    board.get_by_role("button", name="Read the table").click()

    def rows(text: str) -> Locator:
        return board.get_by_role("row").filter(has_text=text)

    assert "demo 2.5" in rows("factory").inner_text()
    board.get_by_role("row").filter(has_text="0x009000").get_by_role(
        "button", name="Settings"
    ).click()
    board.wait_for_selector("td:has-text('kitchen')")
    for name, kind in (("www", "spiffs"), ("lfs", "littlefs"), ("fat", "fat")):
        rows(name).get_by_role("button", name="Files").click()
        board.wait_for_selector(f"h3:has-text('Files in {name}')")
        with board.expect_download() as saved:
            rows("index.htm").get_by_role("button", name="Save").click()
        assert Path(saved.value.path()).read_bytes() == b"<p>" + kind.encode()
    assert board.inner_text("#problem") == ""


def test_settings_that_are_encrypted_need_the_file_of_their_keys(
    board: Page, tmp_path: Path
) -> None:
    tab(board, "Partitions")
    board.get_by_role("button", name="Read the table").click()
    settings = board.get_by_role("row").filter(has_text="safe").get_by_role("button", name="Sett")
    settings.click()
    board.wait_for_selector("#problem:has-text('the NVS is encrypted')")
    (tmp_path / "keys.bin").write_bytes(KEYS)
    board.get_by_label("Keys of an encrypted NVS").set_input_files(tmp_path / "keys.bin")
    settings.click()
    board.wait_for_selector("h3:has-text('Settings in safe')")
    board.wait_for_selector("td:has-text('kitchen')")
    # Neither the keys nor the values are in the log.
    log = board.locator("#log").text_content() or ""
    assert "kitchen" not in log
    assert KEYS.hex() not in log
    board.get_by_label("Keys of an encrypted NVS").set_input_files([])


def test_a_file_is_written_compared_and_read_back(board: Page, tmp_path: Path) -> None:
    data = app("esp32c3", version="3", size=20_000)
    file = tmp_path / "new.bin"
    file.write_bytes(data)
    tab(board, "Flash")
    sheet = board.get_by_role("tabpanel", name="Flash")
    sheet.get_by_label("File").set_input_files(file)
    sheet.get_by_label("Address").fill("0x20000")
    sheet.get_by_role("button", name="Write").click()
    board.wait_for_selector("text=Written and verified")
    sheet.get_by_role("button", name="Compare").click()
    board.wait_for_selector("text=Flash holds what is in the file")
    sheet.get_by_label("From").fill("0x20000")
    sheet.get_by_label("Bytes").fill(str(len(data)))
    with board.expect_download() as saved:
        sheet.get_by_role("button", name="Read", exact=True).click()
    assert Path(saved.value.path()).read_bytes() == data
    sheet.get_by_label("Address").fill("0x10001")
    sheet.get_by_role("button", name="Compare").click()
    board.wait_for_selector("#problem:has-text('Different')")


def test_firmware_of_another_chip_is_refused_until_it_is_wished_for_once_more(
    board: Page, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    right, wrong = app("esp32c3", size=8000), app("esp32", size=8000)
    (tmp_path / "right.bin").write_bytes(right)
    (tmp_path / "wrong.bin").write_bytes(wrong)
    tab(board, "Flash")
    sheet = board.get_by_role("tabpanel", name="Flash")
    sheet.get_by_label("File").set_input_files(tmp_path / "right.bin")
    sheet.get_by_label("Address").fill("0x20000")
    sheet.get_by_role("button", name="Write", exact=True).click()
    sheet.get_by_text("Written and verified").wait_for()
    sheet.get_by_label("File").set_input_files(tmp_path / "wrong.bin")
    sheet.get_by_role("button", name="Write", exact=True).click()
    board.wait_for_selector("#problem:has-text(\"'wrong.bin' is for ESP32, and this is\")")
    # What was said of the file before is not said of this one.
    assert sheet.get_by_text("Written and verified").count() == 0
    cells = find_board(request.node.name).nor.cells
    assert cells.read(0x20000, len(right)) == right
    sheet.get_by_role("button", name="Write it anyway").click()
    sheet.get_by_text("Written and verified").wait_for()
    assert cells.read(0x20000, len(wrong)) == wrong
    assert sheet.get_by_role("button", name="Write it anyway").count() == 0


def test_a_board_that_is_connected_while_the_terminal_listens_stays_connected(
    board: Page, server: BoardServer
) -> None:
    tab(board, "Terminal")
    board.get_by_role("button", name="Start the board and listen").click()
    board.wait_for_selector("#terminal[data-text*='ESP-ROM:esp32c3']")
    connect_board(board)
    assert board.get_by_role("button", name="Stop", exact=True).last.is_disabled()
    tab(board, "Partitions")
    board.get_by_role("button", name="Read the table").click()
    board.get_by_role("row").filter(has_text="factory").wait_for()
    assert board.inner_text("#problem") == ""
    # The table of this board, with its buttons, is gone when the next one is connected.
    server.offer(Cable("virtual://esp32?name=web-next"))
    board.get_by_role("button", name="Connect a board").click()
    board.get_by_role("row").filter(has_text="factory").wait_for(state="detached")
    board.wait_for_selector(r"text=/ESP32-D.*, at \d+ baud/")


def test_efuses_images_and_the_terminal(board: Page, tmp_path: Path) -> None:
    tab(board, "eFuses")
    board.get_by_role("button", name="Read all").click()
    board.wait_for_selector("td:has-text('60:55:f9:05:00:01')")
    file = tmp_path / "app.bin"
    file.write_bytes(app("esp32c3"))
    tab(board, "Image")
    board.get_by_role("tabpanel", name="Image").get_by_label("File").set_input_files(file)
    board.wait_for_selector("td:has-text('ESP32-C3')")
    sheet = board.get_by_role("tabpanel", name="Image").inner_text()
    assert "load address 0x3c000020" in sheet
    assert "null" not in sheet
    tab(board, "Terminal")
    board.get_by_role("button", name="Start the board and listen").click()
    board.wait_for_selector("#terminal[data-text*='ESP-ROM:esp32c3']")
    board.wait_for_selector("#terminal[data-text*='no boot loader']")
    board.get_by_role("button", name="Stop", exact=True).last.click()
    board.wait_for_selector("text=No board is connected.")
    assert board.complaints == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_workbench(bench: Page, axe: str, scheme: Any) -> None:
    bench.emulate_media(color_scheme=scheme)
    for name in TABS:
        tab(bench, name)
        assert serious(bench, axe) == [], name


def test_nothing_of_the_workbench_is_wider_than_a_phone(board: Page, tmp_path: Path) -> None:
    before = board.viewport_size
    (tmp_path / "app.bin").write_bytes(app("esp32c3"))
    board.set_viewport_size({"width": 390, "height": 844})
    try:
        for name in TABS:
            tab(board, name)
            if name == "Partitions":
                board.get_by_role("button", name="Read the table").click()
                row = board.get_by_role("row").filter(has_text="factory")
                box = row.get_by_role("button", name="Read").bounding_box()
                # Without scrolling the table.
                assert box is not None
                assert box["x"] + box["width"] <= 390
            if name == "Image":
                sheet = board.get_by_role("tabpanel", name="Image")
                sheet.get_by_label("File").set_input_files(tmp_path / "app.bin")
                cut = sheet.locator(".scroll")
                assert cut.evaluate("e => e.scrollWidth - e.clientWidth") == 0
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert board.evaluate(wide) == 0, name
    finally:
        assert before is not None
        board.set_viewport_size(before)


def test_an_installation_by_keyboard_alone_with_nothing_that_axe_finds(
    page: Page, axe: str
) -> None:
    def press(name: str) -> None:
        tab_to(page, name)
        page.keyboard.press("Enter")

    def reached(step: str) -> None:
        page.wait_for_selector(f"body[data-step={step}]")
        assert serious(page, axe) == [], step

    reached("intro")
    press("Try it on a virtual board")
    reached("virtual")
    press("Connect")
    reached("offer")
    # The heading of a new step has the focus, so that a screen reader reads it.
    assert page.evaluate("document.activeElement.id") == "step-title"
    press("Install")
    reached("done")
