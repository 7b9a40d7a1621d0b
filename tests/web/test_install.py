# SPDX-License-Identifier: Apache-2.0
"""The installer in a browser, on boards that a stand-in for Web Serial reaches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

from esptool.web.serve import Server
from tests.web.bridge import STAND_IN, BoardServer, Cable
from tests.web.conftest import (
    APP_AT,
    CHIPS,
    PATIENCE_MS,
    firmware,
    running,
    serious,
    tab_to,
)
from tests.web.improv_model import ADDRESS, Firmware, ImprovPort

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(900)]
HTML = "text/html"
ReadFlash = Callable[[str, int, int], bytes]


def step(page: Page, *names: str) -> str:
    """Wait for one of the steps; gives its name."""
    page.wait_for_selector(", ".join(f"body[data-step={name}]" for name in (*names, "failed")))
    found = page.locator("body").get_attribute("data-step") or ""
    assert found in names, page.inner_text("#step") + logged(page)
    return found


def logged(page: Page) -> str:
    return page.locator("#log").text_content() or ""


def connect(page: Page, *then: str) -> None:
    page.get_by_role("button", name="Connect", exact=True).click()
    step(page, *(then or ("offer",)))


def install(page: Page) -> tuple[int, int]:
    """Install; bytes that were sent and all bytes."""
    page.get_by_role("button", name="Install").click()
    step(page, "done")
    result = page.locator("#result")
    sent, size = (result.get_attribute(f"data-{name}") for name in ("sent", "size"))
    page.get_by_role("button", name="Another board").click()
    return int(sent or 0), int(size or 0)


@pytest.mark.parametrize("chip", CHIPS)
def test_a_manifest_puts_the_right_build_on_each_chip(
    page: Page, server: BoardServer, flash_of: ReadFlash, chip: str
) -> None:
    cable = server.offer(Cable(f"virtual://{chip}?name=web-{chip}"))
    connect(page)
    sent, size = install(page)
    wanted = firmware(chip)
    assert flash_of(f"web-{chip}", APP_AT, len(wanted)) == wanted
    assert 0 < sent <= size == len(wanted)
    assert 921600 in cable.rates


def test_an_update_with_one_changed_sector_sends_only_that(
    page: Page, server: BoardServer, site: Path, flash_of: ReadFlash
) -> None:
    server.offer(Cable("virtual://esp32c3?name=web-update"))
    connect(page)
    install(page)
    changed = bytearray(firmware("esp32c3"))
    changed[0x3000:0x3100] = bytes(reversed(changed[0x3000:0x3100]))
    served = site / "firmware" / "esp32c3.bin"
    before = served.read_bytes()
    served.write_bytes(changed)
    try:
        connect(page)
        sent, size = install(page)
    finally:
        served.write_bytes(before)
    assert flash_of("web-update", APP_AT, len(changed)) == changed
    assert (sent, size) == (4096, len(changed))


def test_a_cable_pulled_in_mid_write_is_taken_up_again(
    page: Page, server: BoardServer, flash_of: ReadFlash
) -> None:
    # Beyond the upload of the stub, within the firmware.
    cable = server.offer(Cable("virtual://esp32s3?name=web-cable&fault=drop:36000,away:0.3"))
    connect(page)
    sent_before = cable.sent
    install(page)
    wanted = firmware("esp32s3")
    assert flash_of("web-cable", APP_AT, len(wanted)) == wanted
    assert sent_before < 36000 < cable.sent
    assert "Lost the connection" in logged(page)


def test_a_chip_that_the_firmware_is_not_made_for_is_refused_before_anything_is_written(
    page: Page, server: BoardServer, flash_of: ReadFlash
) -> None:
    server.offer(Cable("virtual://esp32h2?name=web-wrong"))
    connect(page, "failed")
    told = page.inner_text("#step")
    assert "Demo has no firmware for ESP32-H2" in told
    assert "ESP32, ESP32-C3, ESP32-S3, ESP32-C6" in told
    assert set(flash_of("web-wrong", 0, 0x20000)) == {0xFF}


def test_firmware_of_another_chip_under_the_right_family_is_refused_before_anything_is_written(
    page: Page, server: BoardServer, site: Path, flash_of: ReadFlash
) -> None:
    served = site / "firmware" / "esp32c3.bin"
    before = served.read_bytes()
    served.write_bytes(firmware("esp32"))
    try:
        server.offer(Cable("virtual://esp32c3?name=web-mixed"))
        connect(page)
        page.get_by_label("Erase everything first").check()
        page.get_by_role("button", name="Install").click()
        page.wait_for_selector("body[data-step=failed]")
    finally:
        served.write_bytes(before)
    told = page.inner_text("#step")
    assert "'esp32c3.bin' is for ESP32, and this is an ESP32-C3. Nothing was changed." in told
    assert set(flash_of("web-mixed", 0, 0x20000)) == {0xFF}


def test_a_page_without_firmware_connects_when_a_file_was_chosen(
    browser: Browser, server: BoardServer, tmp_path: Path
) -> None:
    context = browser.new_context(service_workers="block")
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(STAND_IN.read_text())
    page = context.new_page()

    def bare(route: Route) -> None:
        found = route.fetch()
        route.fulfill(response=found, json={**found.json(), "manifest": None, "title": None})

    connect_button = page.get_by_role("button", name="Connect", exact=True)
    try:
        page.route("**/site.json", bare)
        page.goto(server.url)
        page.wait_for_selector("body[data-step=intro]")
        assert not connect_button.is_visible()
        (tmp_path / "notes.txt").write_text("no firmware")
        page.get_by_label("A merged image").set_input_files(tmp_path / "notes.txt")
        page.wait_for_selector("#status:has-text('notes.txt')")
        assert "/" not in page.inner_text("#status")
        assert not connect_button.is_visible()
        (tmp_path / "mine.bin").write_bytes(firmware("esp32c6"))
        page.get_by_label("A merged image").set_input_files(tmp_path / "mine.bin")
        connect_button.wait_for()
        server.offer(Cable("virtual://esp32c3?name=web-file"))
        connect_button.click()
        page.wait_for_selector("body[data-step=failed]")
        assert "'mine.bin' is for ESP32-C6" in page.inner_text("#step")
    finally:
        context.close()


def test_a_virtual_board_in_the_page_needs_no_server(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Try it on a virtual board").click()
    page.get_by_label("Chip").select_option("esp32c6")
    connect(page)
    assert "ESP32-C6" in page.inner_text("#step")
    _sent, size = install(page)
    assert size == len(firmware("esp32c6"))
    assert [url.rsplit("/", 1)[1] for url in asked] == ["esp32c6.bin"]


def test_a_page_of_esp_web_tools_changes_one_line_and_its_button_installs(
    context: BrowserContext, server: BoardServer, flash_of: ReadFlash
) -> None:
    text = """<!doctype html><title>Demo</title>
    <script type="module" src="install-button.js"></script>
    <esp-web-install-button manifest="firmware/manifest.json">
      <button slot="activate">Put it on my lamp</button>
    </esp-web-install-button>"""
    page = context.new_page()
    try:
        page.route("**/project.html", lambda route: route.fulfill(body=text, content_type=HTML))
        page.goto(f"{server.url}project.html")
        page.get_by_role("button", name="Put it on my lamp").click()
        installer = page.frame_locator("iframe[title=Installer]")
        server.offer(Cable("virtual://esp32s3?name=web-button"))
        installer.get_by_role("button", name="Connect", exact=True).click()
        installer.get_by_role("heading", name="Install Demo 1.0?").wait_for()
        assert "ESP32-S3" in installer.locator("#step").inner_text()
        installer.get_by_role("button", name="Install").click()
        installer.get_by_role("heading", name="Installed", exact=True).wait_for()
        wanted = firmware("esp32s3")
        assert flash_of("web-button", APP_AT, len(wanted)) == wanted
        page.get_by_role("button", name="Close").click()
        page.locator("dialog").wait_for(state="detached")
    finally:
        page.close()


def test_a_button_on_another_site_hands_its_own_firmware_to_the_installer(
    context: BrowserContext,
    server: BoardServer,
    project: Path,
    tmp_path: Path,
    flash_of: ReadFlash,
) -> None:
    """Two ports are two origins: one has the installer, the other the project with its button."""
    (tmp_path / "site.json").write_text("{}")
    for file in project.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "project.html").write_text(
        f"""<!doctype html><title>Demo</title><link rel="icon" href="data:,">
        <script src="{server.url}install-button.js"></script>
        <esp-web-install-button manifest="manifest.json"></esp-web-install-button>"""
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(str(m)) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    elsewhere = Server(str(tmp_path), 0)
    try:
        with running(elsewhere):
            page.goto(f"{elsewhere.url}project.html")
            page.get_by_role("button", name="Install", exact=True).click()
            frame = page.locator("iframe[title=Installer]")
            # Without this the browser lets no page of another origin reach a port.
            assert "serial" in (frame.get_attribute("allow") or "")
            installer = frame.content_frame
            server.offer(Cable("virtual://esp32c6?name=web-elsewhere"))
            assert installer.locator("body").evaluate("() => location.origin + '/'") == server.url
            installer.get_by_role("button", name="Connect", exact=True).click()
            installer.get_by_role("heading", name="Install Demo 1.0?").wait_for()
            installer.get_by_role("button", name="Install").click()
            installer.get_by_role("heading", name="Installed", exact=True).wait_for()
            wanted = firmware("esp32c6")
            assert flash_of("web-elsewhere", APP_AT, len(wanted)) == wanted
    finally:
        page.close()
    assert complaints == []


def test_a_manifest_of_another_site_without_a_button_is_told_with_what_to_do(
    context: BrowserContext, server: BoardServer
) -> None:
    page = context.new_page()
    try:
        page.goto(f"{server.url}?manifest=https://elsewhere.example/manifest.json")
        page.wait_for_selector("body[data-step=failed]")
        told = page.inner_text("#step")
    finally:
        page.close()
    assert "https://elsewhere.example/manifest.json is on another site" in told
    assert "by the button of that site" in told


@pytest.mark.parametrize(
    ("lacking", "notice", "able"),
    [
        (["serial"], None, True),
        (["serial", "usb"], "This browser has no Web Serial", False),
    ],
    ids=["web-usb", "neither"],
)
def test_without_web_serial_ports_come_by_web_usb_or_it_is_told(
    browser: Browser, server: BoardServer, lacking: list[str], notice: str | None, able: bool
) -> None:
    """The polyfill is only loaded and asked: what it does with a device needs one."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    for name in lacking:
        context.add_init_script(f"delete Navigator.prototype.{name}")
    page = context.new_page()
    try:
        page.goto(server.url)
        page.wait_for_selector("body[data-step=intro]")
        assert page.get_by_role("button", name="Connect", exact=True).count() == able
        told = page.locator("#step .notice")
        assert told.count() == (notice is not None)
        if notice is not None:
            assert notice in told.inner_text()
        else:
            ports = "async () => (await (await import('./serial.js')).provider()).getPorts()"
            assert page.evaluate(ports) == []
    finally:
        context.close()


def test_wifi_is_set_up_after_an_installation_and_an_update_is_known_by_its_name(
    page: Page, server: BoardServer, axe: str
) -> None:
    cable = server.offer(Cable("virtual://esp32c3?name=web-improv"))
    cable.open(115200)
    lamp = Firmware(name="Something else")
    cable.port = ImprovPort(cable.port, lamp)
    connect(page)
    lamp.name = "Demo"  # as what is installed says
    page.get_by_role("button", name="Install").click()
    step(page, "done")
    # From here on by keyboard alone.
    page.wait_for_selector("#wifi")
    assert serious(page, axe) == []
    tab_to(page, "Set up Wi-Fi")
    page.keyboard.press("Enter")
    step(page, "wifi")
    assert serious(page, axe) == []
    assert page.evaluate("document.activeElement.id") == "step-title"
    tab_to(page, "Network")
    assert page.evaluate("document.activeElement.value") == "home"
    tab_to(page, "Password")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#failure:has-text('could not connect to this network')")
    assert serious(page, axe) == []
    tab_to(page, "Password")
    page.keyboard.type("secret")
    tab_to(page, "Connect to Wi-Fi")
    page.keyboard.press("Enter")
    step(page, "wifi-done")
    assert serious(page, axe) == []
    tab_to(page, "Open the page of the board")
    assert page.evaluate("document.activeElement.href") == ADDRESS
    tab_to(page, "Another board")
    page.keyboard.press("Enter")
    step(page, "intro")


@pytest.mark.parametrize(("running", "erased"), [("Demo", False), ("Another", True)])
def test_what_is_new_on_a_board_erases_it_unless_the_manifest_leaves_the_choice(
    page: Page, server: BoardServer, site: Path, running: str, erased: bool
) -> None:
    served = site / "firmware" / "manifest.json"
    before = served.read_text()
    found = json.loads(before)
    del found["new_install_prompt_erase"]
    served.write_text(json.dumps(found))
    try:
        page.reload()
        page.wait_for_selector("body[data-step=intro]")
        cable = server.offer(Cable(f"virtual://esp32c3?name=web-new-{running}"))
        cable.open(115200)
        cable.port = ImprovPort(cable.port, Firmware(name=running))
        connect(page)
        assert page.get_by_label("Erase everything first").is_checked() is erased
    finally:
        served.write_text(before)
        page.reload()
        page.wait_for_selector("body[data-step=intro]")


def test_the_page_has_had_nothing_to_complain_of(page: Page) -> None:
    """Neither its policy nor a hash has stopped anything in all that was done before."""
    assert page.complaints == []  # type: ignore[attr-defined]
