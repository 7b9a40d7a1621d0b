# SPDX-License-Identifier: Apache-2.0
"""Opening, finding and filtering ports; settings from the configuration file."""

from __future__ import annotations

import sys

import pytest

from esptool.errors import PortError, UsageError
from esptool.transport import discovery, open_port, parse_port_filters
from esptool.transport.discovery import PortInfo
from esptool.transport.settings import Settings, from_mapping

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
