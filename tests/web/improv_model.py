# SPDX-License-Identifier: Apache-2.0
"""Firmware that speaks Improv, as a model: bytes in, bytes out. And a port whose board runs it."""

from __future__ import annotations

from typing import Any

from esptool.web.improv import Packet, Splitter, joined

_STATE, _ERROR, _REQUEST, _RESULT = 1, 2, 3, 4
READY, CONNECTED = 2, 4
UNABLE, UNKNOWN = 3, 2
ADDRESS = "http://lamp.local/"


class Firmware:
    """Answers requests as https://www.improv-wifi.com/serial/ says; one network lets it in."""

    def __init__(self, name: str = "Demo", network: str = "home", password: str = "secret") -> None:
        self.name = name
        self.right = (network.encode(), password.encode())
        self.state = READY
        self._splitter = Splitter()

    def feed(self, data: bytes) -> bytes:
        """What it says to these bytes, between lines of its log."""
        said = b""
        for packet in self._splitter.feed(data):
            if packet.kind == _REQUEST:
                said += b"I (123) improv: asked\r\n"
                said += b"".join(p.to_bytes() for p in self._answers(packet.data))
        return said

    def _answers(self, asked: bytes) -> list[Packet]:
        command, data = asked[0], asked[2:]
        if command == 1:
            size = data[0]
            found = (data[1 : 1 + size], data[2 + size :])
            if found != self.right:
                return [Packet(_ERROR, bytes((UNABLE,)))]
            self.state = CONNECTED
            return [self._now(), _result(1, ADDRESS)]
        if command == 2:
            return [self._now(), *([_result(2, ADDRESS)] if self.state == CONNECTED else [])]
        if command == 3:
            return [_result(3, self.name, "1.0", "ESP32-C3", "lamp")]
        if command == 4:
            rows = [("far", "-90", "YES"), ("home", "-40", "YES"), ("home", "-60", "YES")]
            return [*(_result(4, *row) for row in (*rows, ("cafe", "-70", "NO"))), _result(4)]
        return [Packet(_ERROR, bytes((UNKNOWN,)))]

    def _now(self) -> Packet:
        return Packet(_STATE, bytes((self.state,)))


def _result(command: int, *texts: str) -> Packet:
    data = joined(*(text.encode() for text in texts))
    return Packet(_RESULT, bytes((command, len(data))) + data)


class ImprovPort:
    """In front of another port: what is Improv goes to the firmware, all else to the board."""

    def __init__(self, port: Any, firmware: Firmware) -> None:
        self._port = port
        self._firmware = firmware
        self._said = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    @property
    def baud(self) -> int:
        """Of the port behind."""
        rate: int = self._port.baud
        return rate

    @baud.setter
    def baud(self, value: int) -> None:
        self._port.baud = value

    def send(self, data: bytes) -> None:
        """To one or the other; the page sends a packet in one piece."""
        if data.startswith(b"IMPROV"):
            self._said += self._firmware.feed(data)
        else:
            self._port.send(data)

    def receive(self, timeout_s: float) -> bytes:
        """From one or the other."""
        said, self._said = self._said, b""
        found: bytes = said or self._port.receive(timeout_s)
        return found
