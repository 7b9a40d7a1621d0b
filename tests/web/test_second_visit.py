# SPDX-License-Identifier: Apache-2.0
"""What a browser keeps of a page: its files, and Python's memory as it was when all was loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.web.bridge import BoardServer
from tests.web.conftest import PATIENCE_MS

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(900)]

#: Waits until the memory is kept; then does with it what `act` says.
KEPT = """async (act) => {
    for (;;) {
        for (const name of await caches.keys()) {
            const cache = await caches.open(name);
            const [entry] = name.startsWith('esptool-memory') ? await cache.keys() : [];
            if (!entry) continue;
            if (act === 'damage') await cache.put(entry, new Response(new Uint8Array(1000)));
            return (await (await cache.match(entry)).arrayBuffer()).byteLength;
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}"""


@pytest.fixture(scope="module")
def visitor(browser: Browser, server: BoardServer) -> Iterator[Page]:
    """Someone who has been here once."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector("body[data-step=intro]")
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    assert not remembered(page)
    assert page.evaluate(KEPT, "look") > 1 << 20
    yield page
    context.close()


def remembered(page: Page) -> bool:
    found: bool = page.evaluate("performance.getEntriesByName('usable')[0].detail.remembered")
    return found


def come_again(page: Page) -> None:
    page.reload()
    page.wait_for_selector("body[data-step=intro]")


def test_a_second_visit_loads_nothing_of_the_page_from_the_server(
    visitor: Page, server: BoardServer
) -> None:
    # Firmware is asked for anew, and whether there is a newer build.
    del server.asked[:]
    come_again(visitor)
    assert set(server.asked) <= {"firmware/manifest.json", "sw.js"}


def test_a_second_visit_starts_from_memory_and_all_works_from_there(visitor: Page) -> None:
    come_again(visitor)
    assert remembered(visitor)
    visitor.get_by_role("button", name="Try it on a virtual board").click()
    visitor.get_by_label("Chip").select_option("esp32s3")
    visitor.get_by_role("button", name="Connect", exact=True).click()
    visitor.wait_for_selector("body[data-step=offer]")
    visitor.get_by_role("button", name="Install").click()
    visitor.wait_for_selector("body[data-step=done]")


def test_memory_that_is_damaged_is_made_anew(visitor: Page) -> None:
    assert visitor.evaluate(KEPT, "damage") == 1000
    come_again(visitor)
    assert not remembered(visitor)
    while visitor.evaluate(KEPT, "look") == 1000:
        pass
    come_again(visitor)
    assert remembered(visitor)
