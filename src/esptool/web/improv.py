# SPDX-License-Identifier: Apache-2.0
"""Improv over serial: telling a freshly installed firmware the Wi-Fi. Bytes in, values out.

The protocol is described at https://www.improv-wifi.com/serial/. A packet is "IMPROV", a version,
a type, a length, data, a checksum (the sum of all bytes before it), and a newline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum

from esptool.errors import UsageError
from esptool.records import dataclass

MAGIC = b"IMPROV"
VERSION = 1
_HEAD = len(MAGIC) + 3
#: What is kept of a line that holds no packet.
_MOST_KEPT = 1024
_LONGEST_TEXT = 255


class Kind(IntEnum):
    """Types of packets."""

    STATE = 0x01
    ERROR = 0x02
    COMMAND = 0x03
    RESULT = 0x04


class State(IntEnum):
    """What the device is doing."""

    READY = 0x02
    CONNECTING = 0x03
    CONNECTED = 0x04


class Command(IntEnum):
    """What may be asked for."""

    SEND_WIFI = 0x01
    GET_STATE = 0x02
    GET_INFO = 0x03
    GET_NETWORKS = 0x04


#: Errors in words.
ERRORS = {
    0x01: "The device did not understand the request.",
    0x02: "The device does not know this request.",
    0x03: "The device could not connect to this network: check its name and password.",
    0x05: "The device's name is not allowed.",
    0xFF: "The device reports an error that it does not know itself.",
}


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet: its type and data."""

    kind: int
    data: bytes

    def strings(self) -> tuple[int, tuple[str, ...]]:
        """Of a result: the command that it answers, and its texts; those cut short are left out."""
        if len(self.data) < 2:
            return 0, ()
        command, rest = self.data[0], self.data[2 : 2 + self.data[1]]
        texts = []
        while rest and len(rest) > rest[0]:
            texts.append(rest[1 : 1 + rest[0]].decode("utf-8", "replace"))
            rest = rest[1 + rest[0] :]
        return command, tuple(texts)


def encode(kind: Kind, data: bytes) -> bytes:
    """A packet as it goes over the line."""
    if len(data) > _LONGEST_TEXT:
        raise UsageError("Name and password of the network are too long for Improv.")
    packet = MAGIC + bytes((VERSION, kind, len(data))) + data
    return packet + bytes((sum(packet) & 0xFF,)) + b"\n"


def request(command: Command, texts: Sequence[str] = ()) -> bytes:
    """A request with its texts.

    Raises:
        UsageError: they are too long.
    """
    body = b"".join(bytes((min(len(t), 256) & 0xFF,)) + t for t in (x.encode() for x in texts))
    if len(body) > _LONGEST_TEXT - 2 or any(len(x.encode()) > _LONGEST_TEXT for x in texts):
        raise UsageError("Name and password of the network are too long for Improv.")
    return encode(Kind.COMMAND, bytes((command, len(body))) + body)


class Decoder:
    """Finds packets among whatever else a firmware prints."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that are whole now. Anything else is passed over."""
        self._kept += data
        while (at := self._kept.find(MAGIC)) >= 0:
            rest = self._kept[at:]
            if len(rest) < _HEAD:
                break
            end = _HEAD + rest[_HEAD - 1]
            if rest[len(MAGIC)] == VERSION and len(rest) <= end:
                break
            if rest[len(MAGIC)] != VERSION or sum(rest[:end]) & 0xFF != rest[end]:
                self._kept = rest[1:]
                continue
            self._kept = rest[end + 1 :]
            yield Packet(rest[len(MAGIC) + 1], rest[_HEAD:end])
        self._kept = self._kept[-_MOST_KEPT:]
