# SPDX-License-Identifier: Apache-2.0
"""Opening, finding and filtering ports; settings from the configuration file."""

from __future__ import annotations

import sys

import pytest

import esptool
from esptool import device
from esptool.errors import PortError, UsageError
from esptool.transport import discovery, open_port, parse_port_filters
from esptool.transport.discovery import PortInfo
from esptool.transport.settings import Settings, from_mapping
from esptool.virtual.options import parse_url
from esptool.virtual.server import TcpServer, running

PORTS = [
    PortInfo("/dev/ttyS0"),
    PortInfo("/dev/ttyUSB10", 0x10C4, 0xEA60, "CP2102 USB to UART", "0001"),
    PortInfo("/dev/ttyUSB9", 0x1A86, 0x55D4, "USB Single Serial", "5A"),
    PortInfo("/dev/ttyACM0", 0x303A, 0x1001, "USB JTAG/serial debug unit", "F4:12:FA"),
]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS names ports otherwise")
def test_espressif_ports_come_first_and_numbers_count_as_numbers() -> None:
    names = [p.device for p in discovery.list_ports(None, PORTS)]
    assert names == ["/dev/ttyACM0", "/dev/ttyUSB9", "/dev/ttyUSB10", "/dev/ttyS0"]


@pytest.mark.parametrize(
    ("texts", "devices"),
    [
        (["vid=0x303a"], {"/dev/ttyACM0"}),
        (["vid=0x303A", "vid=0x1a86"], {"/dev/ttyACM0", "/dev/ttyUSB9"}),
        (["vid=0x303A", "pid=1"], set()),
        (["name=uart"], {"/dev/ttyUSB10"}),
        (["serial=f4:12"], {"/dev/ttyACM0"}),
    ],
)
def test_filters_of_one_key_add_and_of_several_narrow(texts: list[str], devices: set[str]) -> None:
    found = discovery.list_ports(parse_port_filters(texts), PORTS)
    assert {p.device for p in found} == devices


@pytest.mark.parametrize(
    ("text", "says"),
    [("vid", "key=value"), ("color=red", "Unknown port filter key"), ("vid=zz", "number")],
)
def test_a_malformed_filter_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_port_filters([text])


def test_a_missing_port_is_one_error_with_a_hint() -> None:
    with pytest.raises(PortError, match=r"Could not open /dev/no-such-port(?s:.*)check the cable"):
        open_port("/dev/no-such-port")


def test_an_unknown_url_scheme_is_a_port_error() -> None:
    with pytest.raises(PortError, match="Could not open"):
        open_port("nonsense://x")


def test_defaults_are_the_documented_ones() -> None:
    assert from_mapping({}) == (Settings(), [])
    assert Settings().scaled(40, 1_000_000) == 40
    assert Settings().scaled(40, 1) == 3


@pytest.mark.parametrize("key", ["custom_reset_sequence", "custom_hard_reset_sequence"])
def test_a_reset_sequence_that_is_none_is_said_before_anything_is_done(key: str) -> None:
    settings = Settings(**{key: "W-1"})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="reset sequence"):
        device.connect("virtual://no-such-chip", settings=settings)


def test_an_empty_name_of_a_port_is_no_name() -> None:
    for call in (esptool.connect_esp, esptool.detect_chip, esptool.ESPLoader):
        with pytest.raises(UsageError, match="name of the port is empty"):
            call(port="")


def test_a_socket_says_that_it_cannot_reset(capsys: pytest.CaptureFixture[str]) -> None:
    with running(TcpServer(parse_url("virtual://esp32c3"))) as server:
        esptool.main(["--port", server.url, "--no-stub", "flash-id"])
    said = capsys.readouterr().out
    assert "Chip was NOT reset. A TCP socket" in said
