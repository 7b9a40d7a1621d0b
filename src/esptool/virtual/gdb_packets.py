# SPDX-License-Identifier: Apache-2.0
"""Packets of the GDB remote protocol as a server reads and writes them.

Source: "Debugging with GDB", appendix "GDB Remote Serial Protocol".
"""

from __future__ import annotations

INTERRUPT = b"\x03"
_MARKS = b"}$#*"
#: No packet of a client is longer than what the server says that it takes; more is refused.
LONGEST = 1 << 20


class DamageError(Exception):
    """A packet's checksum is wrong."""


class Reader:
    """What a client sends, packet by packet."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        """Bytes have come."""
        self._data += data

    def next(self) -> bytes | None:
        """The next packet's contents, or `INTERRUPT`; None while none is complete.

        Raises:
            DamageError: it is to be sent again.
        """
        data = self._data
        while data:
            if data[0] == INTERRUPT[0]:
                del data[0]
                return INTERRUPT
            if data[0] != ord("$"):
                del data[0]
                continue
            end = data.find(b"#")
            if end < 0 or len(data) < end + 3:
                if len(data) > LONGEST:
                    data.clear()
                    raise DamageError
                return None
            body, digits = bytes(data[1:end]), bytes(data[end + 1 : end + 3])
            del data[: end + 3]
            if digits.lower() != b"%02x" % (sum(body) & 0xFF):
                raise DamageError
            return body
        return None


def packet(body: bytes) -> bytes:
    """A whole packet; binary contents are quoted already."""
    return b"$" + body + b"#%02x" % (sum(body) & 0xFF)


def quote(data: bytes) -> bytes:
    """Binary contents."""
    for mark in _MARKS:
        data = data.replace(bytes([mark]), bytes([ord("}"), mark ^ 0x20]))
    return data


def unquote(data: bytes) -> bytes:
    """The inverse of `quote`."""
    out = bytearray()
    flip = 0
    for byte in data:
        if byte == ord("}") and not flip:
            flip = 0x20
            continue
        out.append(byte ^ flip)
        flip = 0
    return bytes(out)
