# SPDX-License-Identifier: Apache-2.0
"""Connecting to virtual chips: every chip recognised, and every way to fail told apart."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from esptool import chips
from esptool.device import Session, connect
from esptool.device.caller import Caller
from esptool.errors import ConnectError, FatalError, PortError, UsageError
from esptool.events import Connecting, Event, Message
from esptool.transport import Port, open_port
from esptool.transport.settings import Settings

QUICK = Settings(reset_delay=0.01)
NOT_8266 = [k for k in chips.KEYS if k != "esp8266"]


def call(url: str | Port, **kw: object) -> Session:
    """Connect; a virtual board has its own clock, so that a busy machine changes nothing."""
    kw.setdefault("settings", QUICK)
    if isinstance(url, str) and url.startswith("virtual:"):
        url += f"{'&' if '?' in url else '?'}timing=virtual"
    return connect(url, **kw)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", chips.KEYS)
def test_each_chip_is_recognised_and_tells_its_facts(key: str) -> None:
    with call(f"virtual://{key}?mac=24:0a:c4:12:34:56") as session:
        assert session.spec.key == key
        assert session.spec.name.split("-")[-1] in session.facts.description
        if key != "esp8266":
            assert session.facts.macs.base.hex() == "240ac4123456"
        assert session.facts.crystal_mhz in (26, 32, 40, 48)
        assert not session.facts.secure_boot_enabled
        assert not session.facts.flash_encryption_enabled
        assert session.facts.features


@pytest.mark.parametrize("mhz", [26, 40])
def test_a_measured_crystal_is_rounded_to_the_real_one(mhz: int) -> None:
    with call(f"virtual://esp32?crystal={mhz}") as session:
        assert session.facts.crystal_mhz == mhz


@pytest.mark.parametrize("fault", ["lose", "repeat"])
def test_a_crystal_is_measured_again_where_the_line_damages_requests(fault: str) -> None:
    found = set()
    for seed in range(60):
        where = "virtual://esp32c2?crystal=26&timing=virtual&latency=1"
        url = f"{where}&seed={seed}&fault={fault}:3e-3"
        with call(url) as session:
            found.add(session.facts.crystal_mhz)
    assert found == {26}


def test_a_damaged_register_rules_out_no_stub() -> None:
    ruled_out = []
    for seed in range(50):
        where = "virtual://esp32c2?stub=model&timing=virtual&latency=1"
        with call(f"{where}&seed={seed}&fault=lose:4e-3") as session:
            with contextlib.suppress(FatalError):
                session.run_stub()
            if session.stub_disabled:
                ruled_out.append(seed)
    assert ruled_out == []


@pytest.mark.parametrize(
    ("key", "mhz"), [("esp32", 26), ("esp32", 40), ("esp32c2", 26), ("esp32c2", 40),
                     ("esp32c5", 40), ("esp32c5", 48), ("esp32s3", 40)]
)  # fmt: skip
def test_a_rom_with_a_wrong_idea_of_its_crystal_still_gets_the_baud_rate(
    key: str, mhz: int
) -> None:
    with call(f"virtual://{key}?crystal={mhz}") as session:
        magic = session.read_reg(0x40001000)
        session.power.change_baud(460800)
        assert session.read_reg(0x40001000) == magic
        assert session.link.baud == 460800


@pytest.mark.parametrize("key", ["esp32s2", "esp32s3", "esp32c3", "esp32c6"])
def test_secure_download_mode_is_noticed(key: str) -> None:
    with call(f"virtual://{key}?secure_download=1") as session:
        assert session.spec.key == key
        assert session.secure_download
        with pytest.raises(FatalError):
            session.read_reg(0x40001000)


@pytest.mark.parametrize("link", ["uart", "usb-jtag", "usb-otg"])
def test_each_link_of_an_s3_reaches_download_mode(link: str) -> None:
    with call(f"virtual://esp32s3?link={link}") as session:
        assert session.facts.usb_mode == {
            "uart": "uart", "usb-jtag": "usb_serial_jtag", "usb-otg": "usb_otg",
        }[link]  # fmt: skip


def test_another_chip_than_expected_is_refused_by_name() -> None:
    with pytest.raises(ConnectError, match="This chip is ESP32-C3, not ESP32-S3"):
        call("virtual://esp32c3", chip="esp32s3")


def test_an_unknown_chip_name_is_refused_before_the_port_is_touched() -> None:
    with pytest.raises(UsageError, match="esp33"):
        call("/dev/no-such-port", chip="esp33")


def test_a_chip_that_runs_its_application_is_told_from_a_dead_line() -> None:
    # A board without the IO0 transistor: it resets, and starts its application.
    reset_only = Settings(custom_reset_sequence="D0|R1|W0.05|R0|W0.05")
    with pytest.raises(ConnectError, match=r"Wrong boot mode detected \(0x"):
        call("virtual://esp32", attempts=1, settings=reset_only)


@pytest.mark.parametrize(
    ("said", "download"),
    [
        (b"waiting for download", True),
        (b"wait uart0/sdio download", True),
        (b"wait uart0 download", True),
        (b"wait uart download(secure mode)", True),
        (b"wait usb download", True),
        (b"wait spi download", False),
        (b"", False),
    ],
)
def test_every_word_for_download_mode_is_understood(said: bytes, download: bool) -> None:
    log = b"rst:0x1 (POWERON),boot:0x4 (DOWNLOAD)\r\n" + said + b"\r\n"
    error = Caller._diagnose(log, ConnectError("no answer"))
    assert ("Download mode successfully detected" in error.message) is download
    assert ("Wrong boot mode" in error.message) is not download


@pytest.fixture
def silent_port() -> Iterator[str]:
    """A TCP port where somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def serve() -> None:
            server.settimeout(0.1)
            kept = []
            while not stop.is_set():
                try:
                    kept.append(server.accept()[0])
                except TimeoutError:
                    continue
            for c in kept:
                c.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        stop.set()
        thread.join()


def test_a_dead_line_is_given_up_in_time() -> None:
    port = open_port("virtual://esp32c3?timing=virtual&fault=lose:1")
    begin = port.now()
    with pytest.raises(ConnectError, match="No serial data received"):
        call(port, attempts=2)
    assert port.now() - begin < 3


def test_a_dead_line_is_given_up_with_advice(silent_port: str) -> None:
    events: list[Event] = []
    with pytest.raises(ConnectError, match="No serial data received") as error:
        call(silent_port, attempts=2, listener=events.append)
    assert "troubleshooting" in str(error.value)
    assert [e for e in events if isinstance(e, Connecting)] == [
        Connecting(1), Connecting(2), Connecting(2, done=True)
    ]  # fmt: skip
    assert any("not possible to reset" in e.text for e in events if isinstance(e, Message))


def test_a_port_that_nobody_serves_is_a_port_error() -> None:
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))  # nobody else gets the number meanwhile
        number = kept.getsockname()[1]
        with pytest.raises(PortError, match="Could not open"):
            call(f"socket://127.0.0.1:{number}")


def test_a_noisy_line_connects_all_the_same() -> None:
    for seed in range(10):
        with call(f"virtual://esp32c6?fault=flip:1e-3&seed={seed}", attempts=20) as session:
            assert session.spec.key == "esp32c6"


@pytest.mark.parametrize("key", NOT_8266)
def test_flash_is_identified_through_the_controllers_registers(key: str) -> None:
    with call(f"virtual://{key}?flash=8MB") as session:
        session.flash.attach()
        assert session.flash.id() >> 16 == 0x17
        assert session.bus.read_sfdp(0, 32) == 0x50444653


def test_status_registers_are_written_and_read_back() -> None:
    with call("virtual://esp32s3") as session:
        session.flash.attach()
        session.bus.write_status(0x0204, 2, set_non_volatile=True)
        assert session.bus.read_status(2) & 0xFFFF == 0x0204


@pytest.mark.parametrize("key", chips.KEYS)
@pytest.mark.parametrize("link", ["uart", "usb-jtag"])
def test_connecting_takes_a_tenth_of_a_second(key: str, link: str) -> None:
    if link != "uart" and not chips.get(key).usb.serial_jtag:
        return
    port = open_port(f"virtual://{key}?timing=virtual&latency=1ms&link={link}")
    begin = port.now()
    with connect(port) as session:
        assert session.spec.key == key
        took = port.now() - begin
        assert session.facts.crystal_mhz
        assert took < (0.11 if key == "esp8266" else 0.1)


@pytest.mark.parametrize(("rise_s", "attempts"), [(0.02, 1), (0.2, 2)])
def test_a_board_with_a_large_capacitor_is_reached_by_a_later_attempt(
    rise_s: float, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esptool.virtual.lines.EN_RISE_S", rise_s)
    events: list[Event] = []
    with call("virtual://esp32c3", settings=Settings(), listener=events.append):
        assert [e for e in events if isinstance(e, Connecting)][-1] == Connecting(
            attempts, done=True
        )
