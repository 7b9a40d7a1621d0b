# SPDX-License-Identifier: Apache-2.0
"""Improv Wi-Fi over a serial line: firmware is told the Wi-Fi settings by whoever installed it.

The protocol is described at https://www.improv-wifi.com/serial/ (version 1). A packet is "IMPROV",
version, type, length, data, and the sum of all these bytes modulo 256. Firmware prints its log on
the same line, so that packets stand between other bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from esptool.errors import FatalError
from esptool.records import dataclass

if TYPE_CHECKING:
    from esptool.transport import Port

BAUD = 115200
_MAGIC = b"IMPROV"
_VERSION = 1
_HEAD = len(_MAGIC) + 3
_STATE, _ERROR, _REQUEST, _RESULT = 1, 2, 3, 4
_WIFI, _ASK_STATE, _ASK_DEVICE, _ASK_NETWORKS = 1, 2, 3, 4
_LONGEST = 255
STATES = {1: "locked", 2: "ready", 3: "connecting", 4: "connected"}
_FAILURES = {
    1: "the board did not understand the request",
    2: "the firmware does not know this request",
    3: "the board could not connect to this network",
}
_UNKNOWN_REQUEST = 2
#: A request that was lost, as in the noise of a start, is sent again after so many seconds.
_AGAIN_S = 1.0
_ANSWER_S = 3.0
_SCAN_S = 20.0
_JOIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Packet:
    """Type and data of a packet."""

    kind: int
    data: bytes

    def to_bytes(self) -> bytes:
        """As it goes over the line, with the line end that ends it."""
        head = _MAGIC + bytes((_VERSION, self.kind, len(self.data))) + self.data
        return head + bytes((sum(head) & 0xFF,)) + b"\n"


@dataclass(frozen=True, slots=True)
class Network:
    """A network that the board sees: name, strength in dBm, and whether it has a password."""

    name: str
    rssi: int
    secured: bool


class Splitter:
    """Finds packets among the other bytes of a line."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Packets that are complete now, in order. Damaged ones are passed over."""
        self._kept += data
        while True:
            at = self._kept.find(_MAGIC)
            if at < 0:
                self._kept = self._kept[-(len(_MAGIC) - 1) :]
                return
            self._kept = self._kept[at:]
            if len(self._kept) < _HEAD:
                return
            if self._kept[len(_MAGIC)] != _VERSION:
                self._kept = self._kept[len(_MAGIC) :]
                continue
            end = _HEAD + self._kept[_HEAD - 1]
            if len(self._kept) <= end:
                return
            whole, total = self._kept[:end], self._kept[end]
            if sum(whole) & 0xFF != total:
                self._kept = self._kept[len(_MAGIC) :]
                continue
            self._kept = self._kept[end + 1 :]
            yield Packet(whole[_HEAD - 2], whole[_HEAD:])


def request(command: int, data: bytes = b"") -> Packet:
    """A request with its data."""
    return Packet(_REQUEST, bytes((command, len(data))) + data)


def joined(*texts: bytes) -> bytes:
    """Texts, each after its length."""
    return b"".join(bytes((len(text),)) + text for text in texts)


def parted(data: bytes) -> list[str]:
    """The texts of a result; one that is cut ends where the data end."""
    found = []
    at = 0
    while at < len(data):
        size = data[at]
        found.append(data[at + 1 : at + 1 + size].decode(errors="replace"))
        at += 1 + size
    return found


class Improv:
    """Talks with the firmware at the other end of an open port."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._splitter = Splitter()
        self._pending: list[Packet] = []
        self.state = ""

    def find(self, wait_s: float) -> bool:
        """Whether the firmware speaks Improv: asks for its state until it answers.

        Args:
            wait_s: give up after so many seconds.

        Raises:
            PortError: the port is gone.
        """
        deadline = self._port.now() + wait_s
        while (left := deadline - self._port.now()) > 0:
            self._port.send(request(_ASK_STATE).to_bytes())
            until = self._port.now() + min(left, _AGAIN_S)
            while (packet := self._next(until)) is not None:
                if packet.kind == _STATE:
                    return True
        return False

    def device(self) -> list[str]:
        """Name and version of the firmware, chip, and name of the device; [] where it says none.

        Raises:
            PortError: the port is gone.
        """
        try:
            return self._ask(_ASK_DEVICE, b"", _ANSWER_S)
        except ImprovError:
            return []

    def address(self) -> str:
        """Where a board that is connected is to be found, "" where it does not say."""
        if self.state != "connected":
            return ""
        try:
            return (self._ask(_ASK_STATE, b"", _ANSWER_S) or [""])[0]
        except ImprovError:
            return ""

    def networks(self) -> list[Network]:
        """What the board sees, strongest first, each name once; [] where it cannot look.

        Raises:
            ImprovError: it does not answer.
            PortError: the port is gone.
        """
        found: dict[str, Network] = {}
        self._port.send(request(_ASK_NETWORKS).to_bytes())
        deadline = self._port.now() + _SCAN_S
        while True:
            try:
                texts = self._result(_ASK_NETWORKS, deadline)
            except ImprovError as e:
                if e.code == _UNKNOWN_REQUEST:
                    return []
                raise
            if not texts:
                return sorted(found.values(), key=lambda network: -network.rssi)
            network = _network(texts)
            known = found.get(network.name)
            if known is None or known.rssi < network.rssi:
                found[network.name] = network

    def join(self, name: str, password: str) -> str:
        """Have the board join a network; gives the address of its page, "" where it has none.

        Raises:
            ImprovError: it could not, or the name or password is too long.
            PortError: the port is gone.
        """
        data = joined_settings(name, password)
        return (self._ask(_WIFI, data, _JOIN_S) or [""])[0]

    def _ask(self, command: int, data: bytes, wait_s: float) -> list[str]:
        self._port.send(request(command, data).to_bytes())
        return self._result(command, self._port.now() + wait_s)

    def _result(self, command: int, deadline: float) -> list[str]:
        while (packet := self._next(deadline)) is not None:
            if packet.kind == _ERROR and packet.data and packet.data[0]:
                raise ImprovError(packet.data[0])
            if packet.kind == _RESULT and packet.data[:1] == bytes((command,)):
                return parted(packet.data[2 : 2 + packet.data[1]] if len(packet.data) > 1 else b"")
        raise ImprovError(None)

    def _next(self, deadline: float) -> Packet | None:
        while not self._pending:
            left = deadline - self._port.now()
            if left <= 0:
                return None
            self._pending += self._splitter.feed(self._port.receive(left))
        packet = self._pending.pop(0)
        if packet.kind == _STATE and packet.data:
            self.state = STATES.get(packet.data[0], "")
        return packet


class ImprovError(FatalError):
    """The firmware refused a request (`code` of the protocol), or did not answer (None)."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        why = "it does not answer" if code is None else _FAILURES.get(code, f"error {code}")
        super().__init__(
            f"Wi-Fi was not set up: {why}.",
            remedy="Check name and password of the network, and try again. The firmware is on "
            "the board in any case.",
        )


def joined_settings(name: str, password: str) -> bytes:
    """The settings as the request carries them.

    Raises:
        FatalError: they do not fit.
    """
    texts = name.encode(), password.encode()
    if not name or len(texts[0]) > 32 or len(texts[1]) > 64:
        raise FatalError(
            "The name of a network has 1 to 32 bytes, its password at most 64.",
            remedy="Check both for what does not belong there.",
        )
    return joined(*texts)


def _network(texts: Sequence[str]) -> Network:
    name, rssi, secured = (*texts, "", "", "")[:3]
    try:
        strength = int(rssi)
    except ValueError:
        strength = -100
    return Network(name, strength, secured.strip().upper() != "NO")
