# SPDX-License-Identifier: Apache-2.0
"""The three coding schemes of eFuse blocks: what is written beside the data, and what may be added.

`NONE` (BLOCK0 everywhere, all blocks of an ESP32 by default) adds nothing, so bits can be added at
any time. `THREE_QUARTERS` (ESP32) adds 2 check bytes to each 6; `REED_SOLOMON` (all later chips)
adds 12 to a block of 32. Data is handled as little-endian integers: bit 0 is the block's first.
"""

from __future__ import annotations

from esptool.records import dataclass

RS_DATA_BYTES = 32
RS_PARITY_BYTES = 12
CHUNK_DATA_BYTES = 6


@dataclass(frozen=True, slots=True)
class Clash:
    """Why new bits cannot be added to a block that holds some: the first unit that clashes."""

    unit: int | None
    written: int
    new: int


class CodingScheme:
    """No coding: bits stand alone."""

    name = "NONE"
    number = 0

    def data_words(self, words: int) -> int:
        """How many of a block's words hold data."""
        return words

    def encode(self, data: int, words: int) -> list[int]:
        """The words that the controller must be given to add `data` to a block of `words`."""
        return to_words(data, words)

    def clash(self, _written: int, _new: int, _words: int) -> Clash | None:
        """The reason why `new` cannot be burned over `written`; None where it can."""
        return None

    def burn_unit_bits(self) -> int | None:
        """Bits that are burned together and only once; None where bits stand alone."""
        return None


class ReedSolomon(CodingScheme):
    """12 check bytes over the whole block: it can be written once, as a whole."""

    name = "RS"
    number = 4

    def encode(self, data: int, words: int) -> list[int]:
        plain = data.to_bytes(RS_DATA_BYTES, "little")
        return to_words(data, 8) + to_words(int.from_bytes(rs_parity(plain), "little"), 3)

    def clash(self, written: int, new: int, _words: int) -> Clash | None:
        return Clash(None, written, new) if written and new and written | new != written else None

    def burn_unit_bits(self) -> int | None:
        return RS_DATA_BYTES * 8


class ThreeQuarters(CodingScheme):
    """A checksum and a weighted bit count for every 6 bytes: a chunk can be written once."""

    name = "3/4"
    number = 1

    def data_words(self, words: int) -> int:
        return words * 3 // 4 if words == 8 else words

    def encode(self, data: int, words: int) -> list[int]:
        plain = data.to_bytes(words * 3, "little")
        coded = bytearray()
        for at in range(0, len(plain), CHUNK_DATA_BYTES):
            coded += chunk_3_4(plain[at : at + CHUNK_DATA_BYTES])
        return to_words(int.from_bytes(coded, "little"), words)

    def clash(self, written: int, new: int, words: int) -> Clash | None:
        bits = CHUNK_DATA_BYTES * 8
        mask = (1 << bits) - 1
        for unit in range(words * 4 * 8 // bits):
            old, add = (written >> unit * bits) & mask, (new >> unit * bits) & mask
            if old and add and old != add:
                return Clash(unit, old, add)
        return None

    def burn_unit_bits(self) -> int | None:
        return CHUNK_DATA_BYTES * 8


NONE = CodingScheme()
THREE_QUARTERS = ThreeQuarters()
REED_SOLOMON = ReedSolomon()


def by_number(number: int) -> CodingScheme:
    """The scheme of an ESP32's CODING_SCHEME field; KeyError for the one nobody supports."""
    return {0: NONE, 1: THREE_QUARTERS, 3: NONE}[number]


def to_words(value: int, count: int) -> list[int]:
    """`count` 32-bit words of `value`, lowest first."""
    return [(value >> 32 * i) & 0xFFFFFFFF for i in range(count)]


def bits_of(value: int) -> list[int]:
    """The numbers of the bits that are set, lowest first."""
    return [bit for bit in range(value.bit_length()) if value >> bit & 1]


def from_words(words: list[int]) -> int:
    """The integer whose lowest 32 bits are the first word."""
    value = 0
    for i, word in enumerate(words):
        value |= word << 32 * i
    return value


def chunk_3_4(data: bytes) -> bytes:
    """6 data bytes with their exclusive-or and their weighted count of set bits."""
    xor = 0
    total = 0
    for i, byte in enumerate(data, 1):
        xor ^= byte
        total += i * byte.bit_count()
    return data + bytes([xor, total & 0xFF])


def rs_parity(data: bytes) -> bytes:
    """The 12 check bytes of 32 data bytes (GF(256) by 0x11D, generator 2, first root 1)."""
    if not any(data):
        return bytes(RS_PARITY_BYTES)
    from reedsolo import RSCodec  # a third of a second of tables on a slow machine: only to burn

    return bytes(RSCodec(RS_PARITY_BYTES).encode(data)[len(data) :])
