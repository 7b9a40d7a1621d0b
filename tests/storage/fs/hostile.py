# SPDX-License-Identifier: Apache-2.0
"""Metadata of a LittleFS taken apart, changed, and put together with checksums that hold."""

from __future__ import annotations

import random
import struct
import zlib

_ONES = 0xFFFFFFFF
BLOCK = 4096
#: Types of tags: names, structures, splices, checksums, tails, moves, and none.
_TYPES = (0x001, 0x002, 0x0FF, 0x200, 0x201, 0x202, 0x401, 0x4FF, 0x600, 0x601, 0x7FF, 0x310)


def commits(block: bytes) -> list[list[tuple[int, bytes]]]:
    """The tags and data of every commit of a metadata block; none if it is something else."""
    found: list[list[tuple[int, bytes]]] = []
    at, before, current = 4, _ONES, list[tuple[int, bytes]]()
    while at + 4 <= len(block):
        tag = int.from_bytes(block[at : at + 4], "big") ^ before
        size = 0 if tag & 0x3FF == 0x3FF else tag & 0x3FF
        if tag >> 31 or at + 4 + size > len(block):
            break
        current.append((tag, block[at + 4 : at + 4 + size]))
        at, before = at + 4 + size, tag
        if _is_crc(tag):
            before ^= (tag >> 20 & 1) << 31
            found.append(current)
            current = []
    return found


def _is_crc(tag: int) -> bool:
    return tag >> 20 & 0x780 == 0x500


def joined(revision: bytes, parts: list[list[tuple[int, bytes]]]) -> bytes:
    """A metadata block of these commits."""
    block, before, start = bytearray(revision), _ONES, 0
    for part in parts:
        for tag, data in part:
            block += ((tag ^ before) & _ONES).to_bytes(4, "big")
            before = tag
            if _is_crc(tag):
                crc = zlib.crc32(block[start:]) ^ _ONES
                block += crc.to_bytes(4, "little") + data[4:]
                before ^= (tag >> 20 & 1) << 31
                start = len(block)
            else:
                block += data
    return bytes(block[:BLOCK]).ljust(BLOCK, b"\xff")


def metadata_blocks(image: bytes) -> list[int]:
    """Numbers of the blocks that hold metadata."""
    found = []
    for number in range(len(image) // BLOCK):
        block = image[number * BLOCK : (number + 1) * BLOCK]
        parts = commits(block)
        if parts and joined(block[:4], parts)[:32] == block[:32]:
            found.append(number)
    return found


def with_superblock(image: bytes, **change: int) -> bytes:
    """The image with other values in its superblocks: version, block, count."""
    changed = bytearray(image)
    for number in (0, 1):
        block = image[number * BLOCK : (number + 1) * BLOCK]
        parts = commits(block)
        for part in parts:
            for place, (tag, data) in enumerate(part):
                if tag >> 20 == 0x201 and len(data) == 24:
                    values = list(struct.unpack("<6I", data))
                    for n, name in enumerate(("version", "block", "count")):
                        values[n] = change.get(name, values[n])
                    part[place] = tag, struct.pack("<6I", *values)
        if parts:
            changed[number * BLOCK : (number + 1) * BLOCK] = joined(block[:4], parts)
    return bytes(changed)


def mutated(image: bytes, r: random.Random) -> bytes:
    """The image with one or two metadata blocks that say something else, under right checksums."""
    changed = bytearray(image)
    for _ in range(r.choice((1, 2))):
        number = r.choice(metadata_blocks(image))
        block = image[number * BLOCK : (number + 1) * BLOCK]
        parts = commits(block)
        for _ in range(r.choice((1, 1, 2, 3))):
            part = r.choice(parts)
            if part:
                _mutate(part, r.randrange(len(part)), r)
        changed[number * BLOCK : (number + 1) * BLOCK] = joined(block[:4], parts)
    return bytes(changed)


def _mutate(part: list[tuple[int, bytes]], place: int, r: random.Random) -> None:
    tag, data = part[place]
    if _is_crc(tag):
        return
    how = r.randrange(6)
    if how == 0 and len(data) >= 4:
        at = r.randrange(len(data) - 3)
        number = r.choice((0, 1, 2, 3, 31, 32, _ONES, r.randrange(40), r.randrange(1 << 32)))
        part[place] = tag, data[:at] + struct.pack("<I", number) + data[at + 4 :]
    elif how == 1:
        part[place] = tag ^ 1 << r.randrange(10, 31), data
    elif how == 2:
        part[place] = tag & ~(0x7FF << 20) | r.choice(_TYPES) << 20, data
    elif how == 3:
        part.insert(place, (tag, data))
    elif how == 4:
        del part[place]
    else:
        size = r.randrange(40)
        part[place] = tag & ~0x3FF | size, r.randbytes(size)
