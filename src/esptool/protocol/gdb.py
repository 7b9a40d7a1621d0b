# SPDX-License-Identifier: Apache-2.0
"""Packets of the GDB remote protocol: bytes in, values out. Knows no socket and no target.

Source: "Debugging with GDB", appendix "GDB Remote Serial Protocol".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from esptool.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Sent outside of any packet: stop a target that runs.
INTERRUPT = b"\x03"
ACK, NAK = b"+", b"-"
_START, _END, _NOTIFY, _ESCAPE, _REPEAT = b"$#%}*"
_SPECIAL = frozenset(b"$#}*")
_FLIP = 0x20
#: A repeat count is sent as a printable character, which stands for so many more.
_REPEAT_BIAS = 29
#: No packet is longer; what does not end is no packet.
LONGEST = 1 << 22
#: What a stub takes that does not say how much it takes.
DEFAULT_PACKET_SIZE = 400


class Kind(Enum):
    """What has come from the other side."""

    PACKET = "packet"
    NOTIFICATION = "notification"
    ACK = "ack"
    NAK = "nak"
    INTERRUPT = "interrupt"
    #: A packet of which the checksum is wrong: it wants to be sent again.
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that has come, with a packet's contents (repeats expanded, still escaped)."""

    kind: Kind
    data: bytes = b""


def checksum(data: bytes) -> int:
    """The sum of the bytes as they are sent, modulo 256."""
    return sum(data) & 0xFF


def encode(payload: bytes) -> bytes:
    """A packet of contents in which binary data are escaped already."""
    return b"$%b#%02x" % (payload, checksum(payload))


def escape(data: bytes) -> bytes:
    """Binary data as the contents of a packet carry them."""
    if not _SPECIAL.intersection(data):
        return data
    for byte in (_ESCAPE, _START, _END, _REPEAT):
        data = data.replace(bytes((byte,)), bytes((_ESCAPE, byte ^ _FLIP)))
    return data


def unescape(data: bytes) -> bytes:
    """The inverse of `escape`.

    Raises:
        ProtocolError: an escape stands at the end.
    """
    if _ESCAPE not in data:
        return data
    # An escaped escape is written `}]`, so that none stands behind another.
    head, *parts = data.split(bytes((_ESCAPE,)))
    out = bytearray(head)
    for part in parts:
        if not part:
            raise ProtocolError("A GDB packet ends within an escaped byte.")
        out.append(part[0] ^ _FLIP)
        out += part[1:]
    return bytes(out)


def expand(data: bytes) -> bytes:
    """Contents with runs (`0*"` for four zeros) written out.

    Raises:
        ProtocolError: a run has nothing to repeat, or no count.
    """
    if _REPEAT not in data:
        return data
    out = bytearray()
    at = 0
    while at < len(data):
        byte = data[at]
        if byte != _REPEAT:
            out.append(byte)
            at += 1
            continue
        count = data[at + 1] - _REPEAT_BIAS if at + 1 < len(data) else 0
        if not out or count <= 0:
            raise ProtocolError("A GDB packet holds a run of nothing.")
        out += out[-1:] * count
        at += 2
    return bytes(out)


def compress(data: bytes) -> bytes:
    """Contents with runs of equal characters shortened, as a server may send them."""
    out = bytearray()
    at = 0
    while at < len(data):
        byte = data[at]
        run = 1
        while run < 98 and at + run < len(data) and data[at + run] == byte:
            run += 1
        repeats = run - 1
        # Counts whose character would be `#` or `$` (6, 7), or `+` and `-` (14, 16), are avoided.
        while repeats + _REPEAT_BIAS in b"#$+-":
            repeats -= 1
        if repeats < 3:
            out.append(byte)
            at += 1
            continue
        out += bytes((byte, _REPEAT, repeats + _REPEAT_BIAS))
        at += repeats + 1
    return bytes(out)


class Decoder:
    """Takes bytes in whatever pieces they come, and gives what is complete.

    Args:
        runs: repeated characters come shortened, as servers send them; clients do not.
    """

    def __init__(self, *, runs: bool = True) -> None:
        self._data = bytearray()
        self._runs = runs

    def feed(self, data: bytes) -> list[Item]:
        """Everything that these bytes complete, in order."""
        self._data += data
        return list(self._items())

    def _items(self) -> Iterator[Item]:
        buffer = self._data
        while buffer:
            first = buffer[0]
            if first in (_START, _NOTIFY):
                item = self._packet(first)
                if item is None:
                    return
                yield item
                continue
            del buffer[0]
            kind = _SINGLES.get(first)
            if kind is not None:
                yield Item(kind)

    def _packet(self, first: int) -> Item | None:
        buffer = self._data
        end = buffer.find(_END)
        if end < 0 and len(buffer) > LONGEST:
            buffer.clear()
            return Item(Kind.DAMAGED)
        if end < 0 or len(buffer) < end + 3:
            return None
        body, digits = bytes(buffer[1:end]), bytes(buffer[end + 1 : end + 3])
        restart = body.rfind(bytes((_START,)))
        if restart >= 0 and first == _START:
            # The end of the former packet was lost: `$` never stands within one.
            body = body[restart + 1 :]
        del buffer[: end + 3]
        try:
            good = int(digits, 16) == checksum(body)
            contents = expand(body) if self._runs else body
        except (ValueError, ProtocolError):
            good = False
        if not good:
            return Item(Kind.DAMAGED)
        return Item(Kind.PACKET if first == _START else Kind.NOTIFICATION, contents)


_SINGLES = {ACK[0]: Kind.ACK, NAK[0]: Kind.NAK, INTERRUPT[0]: Kind.INTERRUPT}


# --- what the other side says of itself ----------------------------------------------------------


def parse_features(text: bytes) -> dict[str, str]:
    """The answer to qSupported: name to value, `+`, `-` or `?`."""
    features: dict[str, str] = {}
    for item in text.decode("ascii", "replace").split(";"):
        name, equals, value = item.partition("=")
        if equals:
            features[name] = value
        elif item[-1:] in ("+", "-", "?"):
            features[item[:-1]] = item[-1]
    return features


def packet_size(features: Mapping[str, str]) -> int:
    """Characters that the other side takes between `$` and `#`."""
    try:
        size = int(features.get("PacketSize", ""), 16)
    except ValueError:
        return DEFAULT_PACKET_SIZE
    return max(64, min(size, LONGEST))


class StopReason(Enum):
    """Why a target does not run any more."""

    SIGNAL = "signal"
    BREAKPOINT = "breakpoint"
    WATCHPOINT = "watchpoint"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop reply.

    Attributes:
        signal: number of the signal, or the exit code.
        thread: the thread that has stopped, as the server writes it; empty where it does not say.
        registers: registers that came along: number to value, in the target's byte order.
        address: of the access that a watchpoint has caught.
    """

    reason: StopReason
    signal: int
    thread: str = ""
    registers: Mapping[int, bytes] = field(default_factory=dict)
    address: int | None = None


_WATCHES = ("watch", "rwatch", "awatch")


def parse_stop(reply: bytes) -> Stop | None:
    """A stop reply; None where the packet is none.

    Raises:
        ProtocolError: it begins like one, and cannot be read.
    """
    kind, body = reply[:1], reply[1:]
    if kind not in (b"S", b"T", b"W", b"X"):
        return None
    try:
        number = int(body[:2], 16)
        if kind in (b"W", b"X"):
            return Stop(StopReason.EXITED, number)
        return _stopped(number, body[2:].decode("ascii", "replace"))
    except ValueError:
        raise ProtocolError(f"A stop reply of the server cannot be read: {reply[:40]!r}.") from None


def _stopped(signal: int, text: str) -> Stop:
    reason, thread, address = StopReason.SIGNAL, "", None
    registers: dict[int, bytes] = {}
    for item in text.split(";"):
        name, _, value = item.partition(":")
        if name == "thread":
            thread = value
        elif name in _WATCHES:
            reason, address = StopReason.WATCHPOINT, int(value, 16)
        elif name in ("swbreak", "hwbreak"):
            reason = StopReason.BREAKPOINT
        elif name and all(c in "0123456789abcdefABCDEF" for c in name):
            registers[int(name, 16)] = bytes.fromhex(value)
    return Stop(reason, signal, thread, registers, address)


def parse_threads(replies: list[bytes]) -> list[str]:
    """Thread ids out of the answers to qfThreadInfo and qsThreadInfo, `l` of the last included."""
    ids: list[str] = []
    for reply in replies:
        if reply[:1] == b"m":
            ids += [t for t in reply[1:].decode("ascii", "replace").split(",") if t]
    return ids


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a memory map: `kind` is "ram", "rom" or "flash"."""

    kind: str
    start: int
    size: int


def parse_memory_map(text: str) -> list[Region]:
    """The document of qXfer:memory-map.

    Raises:
        ProtocolError: it is none.
    """
    return [
        Region(str(e.get("type", "")), int(e.get("start", "0"), 0), int(e.get("length", "0"), 0))
        for e in _xml(text).iter("memory")
    ]


@dataclass(frozen=True, slots=True)
class Register:
    """A register of a target description: its number in the protocol, and its width in bits."""

    name: str
    number: int
    bits: int


def parse_includes(text: str) -> list[str]:
    """Names of the documents that a target description includes.

    Raises:
        ProtocolError: it is none.
    """
    return [
        href
        for element in _xml(text).iter()
        if element.tag.rpartition("}")[2] == "include" and (href := element.get("href"))
    ]


def parse_registers(texts: list[str]) -> list[Register]:
    """Registers of a target description, its included documents behind it in order.

    Raises:
        ProtocolError: one of them is no such document.
    """
    out: list[Register] = []
    following = 0
    for text in texts:
        for element in _xml(text).iter("reg"):
            number = int(element.get("regnum", str(following)))
            out.append(Register(str(element.get("name")), number, int(element.get("bitsize", "0"))))
            following = number + 1
    return out


def parse_architecture(text: str) -> str:
    """The architecture that a target description names; empty where it names none."""
    for element in _xml(text).iter("architecture"):
        return (element.text or "").strip()
    return ""


def _xml(text: str) -> Element:
    from xml.etree import ElementTree

    if "<!ENTITY" in text:
        raise ProtocolError("The GDB server's description defines entities, which none needs.")
    try:
        # QEMU does not declare the prefix.
        return ElementTree.fromstring(text.replace("<xi:include", "<include"))
    except (ElementTree.ParseError, ValueError) as e:
        raise ProtocolError(f"The GDB server's description is no XML: {e}.") from None
