# SPDX-License-Identifier: Apache-2.0
"""The bit arithmetic of eFuses, written for judging: what a command line asks for, and what may be.

It reads the tables of the chips as data, and shares no code with the program that it judges.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import espefuse

TABLES = Path(espefuse.__file__).parent / "tables"
SET_OF_FLAGS = ("WR_DIS", "RD_DIS")


@dataclass(frozen=True)
class Place:
    """Where a field stands, and which bits of WR_DIS and RD_DIS guard it."""

    name: str
    block: int
    bit: int
    length: int
    kind: str
    locks: int
    hides: int
    extras: dict[str, Any]

    @property
    def mask(self) -> int:
        return ((1 << self.length) - 1) << self.bit


@dataclass
class Ask:
    """What a command line asks for, by block.

    Attributes:
        required: bits that are set when it succeeds.
        allowed: bits that may be set whatever happens.
        values: (mask, bits): what must be exactly so when it succeeds.
        guards: (block, bits of WR_DIS, bits of RD_DIS, mask, bits): protection of a value, which
            must not come before the value is there.
    """

    required: dict[int, int] = field(default_factory=dict)
    allowed: dict[int, int] = field(default_factory=dict)
    values: list[tuple[int, int, int]] = field(default_factory=list)
    guards: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    def bits(self, block: int, bits: int, *, needed: bool = True) -> None:
        self.allowed[block] = self.allowed.get(block, 0) | bits
        if needed:
            self.required[block] = self.required.get(block, 0) | bits

    def value(self, block: int, mask: int, bits: int) -> None:
        self.bits(block, bits)
        self.values.append((block, mask, bits))


class Chip:
    """One chip's table as the judge reads it."""

    def __init__(self, name: str) -> None:
        raw = json.loads((TABLES / f"{name}.json").read_text(encoding="ascii"))
        self.name = name
        self.raw = raw
        self.coded = raw["controller"] == "pgm"
        self.base = int(raw["base"], 16)
        self.sizes = [row[7] * 32 for row in raw["blocks"]]
        self.reads = [int(row[3], 16) for row in raw["blocks"]]
        self.places: dict[str, Place] = {}
        for table in raw["tables"]:
            for row in table["fields"]:
                self._add(row)

    def _add(self, row: list[Any]) -> None:
        name, block, word, pos, kind, wr, rd, _category = row[:8]
        if word is None:
            return
        extras = row[8] if len(row) > 8 else {}
        head, _, count = kind.partition(":")
        length = 1 if head == "bool" else int(count) * (8 if head == "bytes" else 1)
        if extras.get("group") != "keyblocks_192":
            self.places.setdefault(
                name,
                Place(name, block, word * 32 + pos, length, head, one(wr), one(rd), extras),
            )

    def block(self, name: str) -> list[Any]:
        """The row of a block by any of its names."""
        return next(row for row in self.raw["blocks"] if name == row[0] or name in row[1])

    def field_value(self, truth: list[int], name: str) -> int:
        place = self.places[name]
        return truth[place.block] >> place.bit & ((1 << place.length) - 1)

    def hidden(self, rd_dis: int) -> list[int]:
        """The bits of each block that software reads as 0."""
        out = [0] * len(self.sizes)
        for row in self.raw["blocks"]:
            index, bits = row[2], as_list(row[6])
            whole = [p for p in self.places.values() if p.block == index and p.bit == 0]
            split = next((p.hides for p in whole if p.hides.bit_count() > 1), None)
            if split is not None and bits:
                bits = [i for i in range(32) if split >> i & 1]
            size = self.sizes[index] // max(len(bits), 1)
            for part, bit in enumerate(bits):
                if rd_dis >> bit & 1:
                    out[index] |= ((1 << size) - 1) << part * size
        for place in self.places.values():
            if place.block == 0 and place.hides & rd_dis:
                out[0] |= place.mask
        return out

    # --- what commands ask for -----------------------------------------------------------------

    def field(self, ask: Ask, name: str, value: int) -> None:
        place = self.places[name]
        if name in SET_OF_FLAGS:
            ask.bits(place.block, value << place.bit)
        else:
            ask.value(place.block, place.mask, value << place.bit)

    def protect(self, ask: Ask, locks: int, hides: int, *, needed: bool = True) -> None:
        wr, rd = self.places["WR_DIS"], self.places["RD_DIS"]
        ask.bits(0, locks << wr.bit | hides << rd.bit, needed=needed)

    def key(self, ask: Ask, target: str, data: bytes, locks: bool, hides: bool) -> None:
        """A key (bytes as stored) in a block or a half of one, with its protections."""
        place = self.places.get(target) or self.places[self.block(target)[0]]
        value = int.from_bytes(data, "little") << place.bit
        mask = ((1 << 8 * len(data)) - 1) << place.bit
        ask.value(place.block, mask, value)
        wr, rd = (place.locks if locks else 0), (place.hides if hides else 0)
        self.protect(ask, wr, rd)
        ask.guards.append((place.block, wr, rd, mask, value))


def one(bits: int | list[int] | None) -> int:
    """Bit numbers as a mask."""
    return sum(1 << bit for bit in as_list(bits))


def as_list(bits: int | list[int] | None) -> list[int]:
    return [] if bits is None else [bits] if isinstance(bits, int) else bits


def coded_3_4(data: int) -> int:
    """An ESP32 block under the 3/4 scheme: each 6 bytes with their parity and weight."""
    out = bytearray()
    plain = data.to_bytes(24, "little")
    for at in range(0, 24, 6):
        chunk = plain[at : at + 6]
        parity = chunk[0] ^ chunk[1] ^ chunk[2] ^ chunk[3] ^ chunk[4] ^ chunk[5]
        weight = sum((i + 1) * bin(byte).count("1") for i, byte in enumerate(chunk))
        out += chunk + bytes([parity, weight & 0xFF])
    return int.from_bytes(out, "little")


def judge(
    chip: Chip,
    ask: Ask,
    before: list[int],
    after: list[int],
    code: int,
    *,
    visible: bool = False,
    unproved: bool = False,
) -> None:
    """Fail unless what became of the eFuses is what `ask` and the exit code say.

    Args:
        chip: whose eFuses they are.
        ask: what the command line asks for.
        before: the bits that are burned, known before the run.
        after: those that are burned, or with `visible` those that software reads, after it.
        code: the exit code.
        visible: see `after`.
        unproved: it was said that hidden blocks could not be compared: of these nothing is known.
    """
    rd_dis = chip.field_value(after, "RD_DIS")
    unknown = chip.hidden(chip.field_value(before, "RD_DIS")) if unproved else [0] * len(after)
    hidden = chip.hidden(rd_dis) if visible else [0] * len(after)
    for block, bits in enumerate(after):
        seen = ~hidden[block]
        old = before[block] & seen
        assert not old & ~bits, f"BLOCK{block} lost bits"
        extra = bits & ~(old | ask.allowed.get(block, 0))
        assert not extra, f"BLOCK{block} has {extra:#x}, which nobody asked for"
        if code == 0:
            missing = ask.required.get(block, 0) & seen & ~bits & ~unknown[block]
            assert not missing, f"BLOCK{block} lacks {missing:#x}, and it is called a success"
    if code == 0:
        for block, mask, value in ask.values:
            wrong = (after[block] ^ value) & mask & ~hidden[block] & ~unknown[block]
            assert not wrong, f"BLOCK{block} holds another value, and it is called a success"
    new_wr = chip.field_value(after, "WR_DIS") & ~chip.field_value(before, "WR_DIS")
    new_rd = rd_dis & ~chip.field_value(before, "RD_DIS")
    for block, wr, rd, mask, value in ask.guards:
        if new_wr & wr or new_rd & rd:
            wrong = (after[block] ^ value) & mask & ~hidden[block] & ~unknown[block]
            assert not wrong, f"BLOCK{block} was protected without its value"
