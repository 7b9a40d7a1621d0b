# SPDX-License-Identifier: Apache-2.0
"""Improv over a serial line: packets of the published protocol, and the talk with firmware."""

from __future__ import annotations

import pytest

from esptool.errors import FatalError
from esptool.web.engine import Engine
from esptool.web.improv import ImprovError, Packet, Splitter, request
from tests.web.improv_model import ADDRESS, Firmware

#: "Request current state" byte by byte, after https://www.improv-wifi.com/serial/.
ASK_STATE = bytes.fromhex("494d50524f56 01 03 02 02 00 e5 0a")


class Line:
    """A channel to firmware on a clock of its own; `mute` seconds after opening it says nothing."""

    name, remarks = "the board", ()
    vid: int | None = None
    pid: int | None = None

    def __init__(self, firmware: Firmware | None, mute: float = 0) -> None:
        self.firmware = firmware
        self.clock = 0.0
        self.mute = mute
        self.said = b""
        self.opened = 0

    def open(self, baud: int) -> None:
        assert baud == 115200
        self.opened += 1

    def close(self) -> None:
        self.opened -= 1

    def receive(self, timeout_s: float) -> bytes:
        said, self.said = self.said, b""
        self.clock += 0.001 if said else timeout_s
        # In pieces, as a line gives them.
        self.said, said = said[7:], said[:7]
        return said

    def send(self, data: bytes) -> None:
        if self.firmware is not None and self.clock >= self.mute:
            self.said += self.firmware.feed(data)

    def discard(self) -> None:
        self.said = b""

    def set_rate(self, baud: int) -> None:
        raise AssertionError

    def set_lines(self, dtr: bool, rts: bool) -> None:
        raise AssertionError("the firmware is left running")

    def now(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


def test_a_request_is_as_the_protocol_has_it() -> None:
    assert request(2).to_bytes() == ASK_STATE


def test_packets_are_found_between_other_bytes_and_damaged_ones_passed_over() -> None:
    good = Packet(1, b"\x02").to_bytes()
    damaged = good[:9] + b"\x04" + good[10:]
    stream = b"boot IMPRO" + damaged + b"IMPROV" + good + b"log" + good
    whole = list(Splitter().feed(stream))
    assert whole == [Packet(1, b"\x02")] * 2
    splitter = Splitter()
    assert [p for byte in stream for p in splitter.feed(bytes((byte,)))] == whole


def test_wifi_is_set_up_on_firmware_that_takes_its_time_to_start() -> None:
    engine, line = Engine(lambda event: None), Line(Firmware(), mute=3)
    engine.wifi.open(line)
    assert engine.wifi.ask(wait_s=2) is None
    found = engine.wifi.ask(wait_s=5)
    assert found == {"state": "ready", "firmware": "Demo", "version": "1.0", "address": ""}
    assert [n["name"] for n in engine.wifi.networks()] == ["home", "cafe", "far"]
    with pytest.raises(ImprovError, match="could not connect to this network"):
        engine.wifi.join("home", "wrong")
    assert engine.wifi.join("home", "secret") == ADDRESS
    again = engine.wifi.ask(wait_s=1)
    assert again is not None
    assert (again["state"], again["address"]) == ("connected", ADDRESS)
    engine.wifi.close()
    assert line.opened == 0


def test_firmware_without_improv_is_waited_for_no_longer_than_is_said() -> None:
    engine, line = Engine(lambda event: None), Line(None)
    engine.wifi.open(line)
    assert engine.wifi.ask(wait_s=10) is None
    assert line.clock == pytest.approx(10)
    with pytest.raises(ImprovError, match="does not answer"):
        engine.wifi.join("home", "secret")


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("n" * 33, "x"), ("home", "p" * 65)])
def test_settings_that_do_not_fit_are_refused(name: str, password: str) -> None:
    engine = Engine(lambda event: None)
    engine.wifi.open(Line(Firmware()))
    with pytest.raises(FatalError, match="1 to 32 bytes"):
        engine.wifi.join(name, password)


def test_without_a_board_it_is_said() -> None:
    with pytest.raises(FatalError, match="No board"):
        Engine(lambda event: None).wifi.networks()
