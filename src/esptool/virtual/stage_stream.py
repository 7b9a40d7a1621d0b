# SPDX-License-Identifier: Apache-2.0
"""The packed form of a stub for its first stage (docs/serial-protocol.md)."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

_GOOD, _BAD_STREAM, _BAD_IMAGE = 0, 2, 3
#: Words before the pieces.
_HEAD = 7
#: What unpacking takes, in bytes of the stub a second.
_UNPACK_RATE = 0.5e6


class StreamError(Exception):
    """The stream is none, or holds another number of bytes."""


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._byte = 0
        self._left = 0

    def byte(self) -> int:
        if self._at == len(self._data):
            raise StreamError("it is cut off")
        self._at += 1
        return self._data[self._at - 1]

    def bit(self) -> int:
        if not self._left:
            self._byte, self._left = self.byte(), 8
        self._left -= 1
        return self._byte >> self._left & 1

    def number(self) -> int:
        value = 1
        while not self.bit():
            value = (value << 1 | self.bit()) & 0xFFFFFFFF
        return value


def unpack(packed: bytes, size: int) -> bytes:
    """Exactly `size` bytes of `packed`.

    Raises:
        StreamError: it is damaged.
    """
    bits = _Bits(packed)
    out = bytearray()
    offset, literals, again = 0, True, False
    while len(out) < size:
        if not literals and (again or bits.bit()):
            offset = (bits.number() - 1) << 8
            offset = (offset + bits.byte() + 1) & 0xFFFFFFFF
            count = bits.number() + 1
        else:
            count = bits.number()
        if count > size - len(out) or not (literals or 0 < offset <= len(out)):
            raise StreamError("it leads out of bounds")
        for _ in range(count):
            out.append(bits.byte() if literals else out[-offset])
        again = not literals and len(out) < size and bits.bit() == 1
        literals = not literals and not again
    return bytes(out)


def place(soc: Soc, fields: bytes) -> int:
    """Do what the unpacker of our stubs does, and return its status."""
    words = struct.unpack(f"<{len(fields) // 4}I", fields[: len(fields) & ~3])
    if not words[0]:
        return _GOOD
    if len(words) < _HEAD + 2:
        return _BAD_STREAM
    packed_at, packed_size, plain_at, size, crc = words[2:_HEAD]
    bus = soc.bus
    try:
        plain = unpack(bus.read(packed_at, packed_size), size)
    except StreamError:
        return _BAD_STREAM
    soc.clock.spend(size / _UNPACK_RATE)
    if zlib.crc32(plain) != crc:
        return _BAD_IMAGE
    bus.write(plain_at, plain)
    at = 0
    for to, length in zip(words[_HEAD::2], words[_HEAD + 1 :: 2], strict=False):
        bus.write(to, plain[at : at + (length & ~3)])
        soc.loaded.append((to, length))
        at += length
    return _GOOD
