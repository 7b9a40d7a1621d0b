# SPDX-License-Identifier: Apache-2.0
"""The page beside the command line: 1 MiB at 921600 baud on equal served boards, and loading times.

    python -m bench.web [--runs N] [--chip CHIP] [--site FOLDER] [--only write,load]

The page runs in Debian's Chromium, headless; a stand-in for Web Serial (tests/web) carries its
bytes to a virtual board served by a process of its own, on a line that takes its time. The command
line writes the same data to another such board. Data do not compress. Needs Node.js' npm client,
or a folder that `esptool web build` has made of one file of 1 MiB at 0x10000.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.web.bridge import STAND_IN, BoardServer, Cable

from bench.lib import tools
from bench.lib.data import MB

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 60_000
BAUD = 921600
SETTINGS = ("timing=real", "latency=1ms", "stub=model")
FIRMWARE_AT = "0x10000"


def _data() -> bytes:
    return Random(20).randbytes(MB)


def _built(folder: Path, chip: str) -> Path:
    file = folder / "data.bin"
    file.write_bytes(_data())
    site = folder / "site"
    command = [sys.executable, "-m", "esptool", "--chip", chip, "web", "build", str(site)]
    subprocess.run([*command, FIRMWARE_AT, str(file)], check=True, stdout=subprocess.DEVNULL)
    return site


@contextmanager
def _browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


def by_page(page: Page, server: BoardServer, chip: str) -> float:
    """Seconds of the write by the page."""
    with tools.virtual_chip(chip, *SETTINGS, way="pty") as port:
        server.offer(Cable(port, reset_lines=False))
        page.goto(server.url)
        page.get_by_role("button", name="Connect", exact=True).click()
        page.wait_for_selector("body[data-step=offer], body[data-step=failed]")
        if page.locator("body[data-step=failed]").count():
            sys.exit(page.inner_text("#step"))
        page.get_by_role("button", name="Install").click()
        page.wait_for_selector("body[data-step=done], body[data-step=failed]")
        result = page.locator("#result")
        if not result.count():
            sys.exit(page.inner_text("#step"))
        seconds = float(result.get_attribute("data-seconds") or "nan")
        server.cables[-1].lost()
    return seconds


def by_command_line(folder: Path, chip: str) -> float:
    """Seconds of the write by the command line."""
    file = folder / "line.bin"
    file.write_bytes(_data())
    with tools.virtual_chip(chip, *SETTINGS, way="pty") as port:
        command = [sys.executable, "-m", "esptool", "--port", port, "--chip", chip]
        done = subprocess.run(
            [*command, "-b", str(BAUD), "--json", "write-flash", FIRMWARE_AT, str(file)],
            check=True,
            capture_output=True,
            text=True,
        )
    found = json.loads(done.stdout)
    return float(sum(row["seconds"] for row in found["regions"]))


def load_times(browser: Browser, url: str) -> tuple[float, ...]:
    """Seconds until the page is usable, and until all is loaded: first visit, from the cache."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()

    def seconds() -> tuple[float, ...]:
        found = []
        for name in ("usable", "loaded"):
            ms = page.evaluate(
                "async (name) => { for (;;) { const [mark] = performance.getEntriesByName(name);"
                " if (mark) return mark.startTime; await new Promise((r) => setTimeout(r)); } }",
                name,
            )
            found.append(ms / 1000)
        return tuple(found)

    page.goto(url)
    first = seconds()
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    page.reload()
    seconds()  # the first visit from the cache compiles what the next finds compiled
    page.reload()
    second = seconds()
    context.close()
    return first + second


def main() -> None:
    """Print one row a run, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--chip", default="esp32c3")
    parser.add_argument("--site", type=Path)
    parser.add_argument("--only", default="write,load")
    options = parser.parse_args()
    only = options.only.split(",")
    with tempfile.TemporaryDirectory() as scratch, _browser() as browser:
        folder = Path(scratch)
        server = BoardServer(str(options.site or _built(folder, options.chip)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        if "load" in only:
            rows = [load_times(browser, server.url) for _ in range(options.runs)]
            for usable, loaded, again, whole in rows:
                print(
                    f"first visit: usable {usable:.2f} s, all loaded {loaded:.2f} s; "
                    f"from the cache: {again:.2f} s, {whole:.2f} s",
                    flush=True,
                )
        if "write" in only:
            context = browser.new_context()
            context.set_default_timeout(PATIENCE_MS)
            context.add_init_script(STAND_IN.read_text())
            page = context.new_page()
            ratios = []
            for _ in range(options.runs):
                line = by_command_line(folder, options.chip)
                time.sleep(1)  # what has ended gives its cores back
                shown = by_page(page, server, options.chip)
                ratios.append(shown / line)
                print(
                    f"command line {line:.2f} s, page {shown:.2f} s, {ratios[-1]:.3f} times",
                    flush=True,
                )
            print(f"median {statistics.median(ratios):.3f} times")
        server.shutdown()


if __name__ == "__main__":
    main()
