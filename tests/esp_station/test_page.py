# SPDX-License-Identifier: Apache-2.0
"""The operator page in a real browser: keyboard alone, and nothing for strangers."""

from __future__ import annotations

import csv
import io
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esp_station.job import read_job
from esp_station.model import Slot
from esp_station.page.guard import Guard
from esp_station.page.server import served
from esp_station.records import Records
from esp_station.station import Station
from esptool.errors import FatalError
from esptool.transport.settings import Settings

from .support import mac_of, slots_of, write_job

BROWSER = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
#: What a busy machine may take for anything.
PATIENCE_MS = 100_000
#: Where pictures are kept, for who wants to look at them.
PICTURES = os.environ.get("ESP_STATION_PICTURES")


@contextmanager
def running(path: Path, slots: list[Slot]) -> Iterator[tuple[Station, str]]:
    """A station whose slots are called for boards, with its page's address."""
    job = read_job(str(path), slots)
    book = Records(job.records)
    station = Station(
        job, book, name="line", listener=lambda _event: None, settings=Settings(connect_attempts=2)
    )
    with ExitStack() as stack:
        stack.callback(book.close)
        address = stack.enter_context(served(station, "127.0.0.1:0"))
        thread = threading.Thread(target=station.run)
        thread.start()
        stack.callback(thread.join)
        stack.callback(station.stop, now=True)
        yield station, address.url


def test_strangers_are_refused(tmp_path: Path) -> None:
    with running(write_job(tmp_path), slots_of([1], "strangers")) as (_station, url):
        base = url.rstrip("/").rpartition("/")[0]
        own = {"origin": base}
        evil = {"origin": "http://evil.example"}
        cases = [
            ("GET", url, {}, 200),
            ("GET", f"{url}page.js", {}, 200),
            ("GET", f"{url}history", own, 200),
            ("GET", f"{base}/", {}, 403),
            ("GET", f"{base}/history", {}, 403),
            ("GET", f"{base}/wrong-token/history", {}, 403),
            ("GET", f"{url}history", evil, 403),
            ("GET", f"{url}history", {"origin": "null"}, 403),
            ("GET", f"{url}history", {"host": "evil.example"}, 403),
            ("GET", f"{url}page.html", {}, 404),
            ("GET", f"{url}attempt/999", {}, 404),
            ("POST", f"{url}start", {}, 403),
            ("POST", f"{url}start", evil, 403),
            ("POST", f"{url}start", {**own, "content-type": "text/plain"}, 400),
        ]
        with httpx.Client(trust_env=False, timeout=100) as client:
            for method, where, headers, code in cases:
                answer = client.request(method, where, headers=headers)
                assert answer.status_code == code, (method, where, headers, answer.text)
            answer = client.get(url)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"


@given(st.text(), st.dictionaries(st.sampled_from(["host", "origin"]), st.text()))
def test_no_path_and_no_header_gets_in_without_the_token(
    path: str, headers: dict[str, str]
) -> None:
    guard = Guard("the-token", "127.0.0.1")
    if path.strip("/").partition("/")[0] != "the-token":
        assert guard.why_not("GET", path, headers) is not None
    guard.why_not("GET", f"/the-token/{path}", headers)


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with running(write_job(tmp_path), slots_of([1], "taken")) as (station, url):
        port = url.split(":")[2].partition("/")[0]
        with (
            pytest.raises(FatalError, match="Cannot serve the page"),
            served(station, f"127.0.0.1:{port}"),
        ):
            pass


@pytest.mark.skipif(BROWSER is None, reason="needs a browser (Debian: chromium)")
def test_an_operator_with_a_keyboard_alone(tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    slots = [*slots_of([1, 2, 3], "page"), *slots_of([4], "page", "&fault=protect")]
    with (
        running(write_job(tmp_path), slots) as (_station, url),
        sync_playwright() as play,
        play.chromium.launch(executable_path=BROWSER, args=FLAGS, timeout=PATIENCE_MS) as browser,
    ):
        expect.set_options(timeout=PATIENCE_MS)
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.set_default_timeout(PATIENCE_MS)
        problems: list[str] = []
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.goto(url)
        for name in "123":
            expect(page.locator(f'[data-slot="{name}"] .state')).to_have_text("✔ PASS")
        failing = page.locator('[data-slot="4"]')
        expect(failing.locator(".state")).to_have_text("✘ FAIL")
        expect(failing.locator(".reason")).to_contain_text("write: ")
        expect(page.locator("#counts")).to_contain_text("4 boards · 3 good · yield 75.0 %")
        expect(page.locator("#spoken")).to_contain_text("Slot ")
        expect(page.locator("#attempts tr")).to_have_count(4)
        # Readable from two metres: letters of some 8 mm at 96 dpi are 30 px.
        size = failing.locator(".state").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
        assert size >= 48
        picture(page, "slots")

        # A scanner types and sends Enter, wherever the focus is.
        # Which board got which row is theirs to settle.
        serial = page.locator('[data-slot="2"] .board').inner_text().split()[0]
        page.keyboard.type(serial)
        page.keyboard.press("Enter")
        expect(page.locator("#attempts tr")).to_have_count(1)
        expect(page.locator("#found")).to_contain_text(f"1 attempt for “{serial}”")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator("#detail-title")).to_contain_text("attempt")
        expect(page.locator("#detail-log")).to_contain_text("Hash of data verified.")
        picture(page, "detail")
        page.keyboard.press("Escape")
        expect(page.locator("#scan")).to_be_focused()

        # The same board once more.
        page.keyboard.type("start 1")
        page.keyboard.press("Enter")
        expect(page.locator("#found")).to_contain_text("asked to start")
        page.keyboard.type(mac_of(1))
        page.keyboard.press("Enter")
        expect(page.locator("#attempts tr")).to_have_count(2)
        expect(page.locator("#attempts td.PASS")).to_have_count(2)
        page.keyboard.press("Shift+Tab")  # the start button of the last slot
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Control+a")
        page.keyboard.type(mac_of(4))
        page.keyboard.press("Enter")
        expect(page.locator("#attempts tr")).to_have_count(2)
        with page.expect_download() as download:
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
        text = Path(download.value.path()).read_text()
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["mac"] for row in rows] == [mac_of(4)] * 2
        page.set_viewport_size({"width": 480, "height": 900})
        picture(page, "narrow")
        assert problems == []


def picture(page: object, name: str) -> None:
    """Keep what is to be seen."""
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=name == "narrow")  # type: ignore[attr-defined]
