# SPDX-License-Identifier: Apache-2.0
"""A page as `esptool web build` makes it, in one browser for all tests."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

import esptool
from esptool.virtual import find_board
from esptool.web.serve import Server
from tests.support.apps import app
from tests.web.bridge import STAND_IN, BoardServer

CHROMIUM = "/usr/bin/chromium"
#: Nothing is asked of the network, which tests have none of.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
#: How long a step may take on a busy machine before it is taken for hung.
PATIENCE_MS = 240_000
CHIPS = ("esp32", "esp32c3", "esp32s3", "esp32c6")
FAMILIES = {"esp32": "ESP32", "esp32c3": "ESP32-C3", "esp32s3": "ESP32-S3", "esp32c6": "ESP32-C6"}
APP_AT = 0x10000
AXE = "axe-core@4.14.1"


def firmware(chip: str, version: str = "1.0") -> bytes:
    return app(chip, version=version, size=60_000)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder: a manifest of ESP Web Tools and the files that it names."""
    folder = tmp_path_factory.mktemp("project")
    builds = []
    for chip in CHIPS:
        (folder / f"{chip}.bin").write_bytes(firmware(chip))
        parts = [{"path": f"{chip}.bin", "offset": APP_AT}]
        builds.append({"chipFamily": FAMILIES[chip], "parts": parts})
    manifest = {
        "name": "Demo",
        "version": "1.0",
        "new_install_prompt_erase": True,
        "builds": builds,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="session")
def site(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the guide says: the command that makes the page, with all that it can have."""
    folder = tmp_path_factory.mktemp("site") / "flasher"
    manifest = str(project / "manifest.json")
    esptool.main(["web", "build", str(folder), "--manifest", manifest, "--with-burning"])
    return folder


@pytest.fixture(scope="session")
def server(site: Path) -> Iterator[BoardServer]:
    made = BoardServer(str(site))
    with running(made):
        yield made


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Serve in a thread."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor's browser, whose boards are those of the server."""
    made = browser.new_context()
    made.set_default_timeout(PATIENCE_MS)
    made.add_init_script(STAND_IN.read_text())
    yield made
    made.close()


@pytest.fixture(scope="session")
def tab(context: BrowserContext, server: BoardServer) -> Page:
    """The installer, loaded once; what it complains of is kept in `page.complaints`."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.complaints = complaints  # type: ignore[attr-defined]
    page.goto(server.url)
    return page


@pytest.fixture(scope="session")
def bench(context: BrowserContext, server: BoardServer) -> Page:
    """The workbench, loaded once; complaints as those of `tab`."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.complaints = complaints  # type: ignore[attr-defined]
    page.goto(f"{server.url}workbench.html")
    page.wait_for_selector("body[data-ready]")
    return page


def connect_board(bench: Page) -> None:
    """Connect the workbench, at whatever rate: a busy machine may bear less than was asked for."""
    bench.get_by_role("button", name="Connect a board").click()
    bench.wait_for_selector(r"text=/, at \d+ baud/")


@pytest.fixture
def page(tab: Page) -> Page:
    """The installer at its first step."""
    if tab.locator("body[data-step=failed]").count():
        tab.get_by_role("button", name="Start over").click()
    elif tab.locator("body[data-step=intro]").count() == 0:
        tab.reload()
    tab.wait_for_selector("body[data-step=intro]")
    return tab


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker, by the client that the page's libraries come through."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    assert npm is not None
    subprocess.run([npm, "pack", AXE, "--silent"], cwd=folder, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def serious(page: Page, axe: str) -> list[Any]:
    """What axe finds on the page as it is."""
    page.evaluate(f"{axe}\n;0")
    found: list[Any] = page.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
        ".map(v => [v.id, v.impact, v.nodes.map(n => n.html.slice(0, 200))])"
    )
    return found


def tab_to(page: Page, name: str, times: int = 30) -> None:
    """Go to a control, by its text or label, with the Tab key alone."""
    for _ in range(times):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "[document.activeElement.innerText, document.activeElement.labels?.[0]?.innerText]"
        )
        if name in [text and text.strip() for text in focused]:
            return
    raise AssertionError(f"{name} is not reached by Tab")


@pytest.fixture
def flash_of() -> Callable[[str, int, int], bytes]:
    def read(name: str, address: int, size: int) -> bytes:
        return find_board(name).nor.cells.read(address, size)

    return read
