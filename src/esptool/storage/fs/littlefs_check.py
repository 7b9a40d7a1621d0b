# SPDX-License-Identifier: Apache-2.0
"""A look at the metadata of a LittleFS before the library gets it.

The library is made for chips: what its checksums vouch for it believes, and ends the process where
that contradicts itself. Facts from the public specification of the disk format (`SPEC.md`).
"""

from __future__ import annotations

import zlib

from esptool.storage.fs.blocks import Image
from esptool.storage.fs.model import DamagedError

_ONES = 0xFFFFFFFF
_NO_DATA = 0x3FF
_CRC, _CRC_MASK = 0x500, 0x780
_FOLDER, _INLINE, _LIST = 0x200, 0x201, 0x202
_TAILS = (0x600, 0x601)
_MOVE, _DELETE = 0x7FF, 0x4FF
_SUPERBLOCK_SIZE = 24
#: Sizes that the tags of these types must have.
_SIZES = {_FOLDER: 8, _LIST: 8, 0x600: 8, 0x601: 8, _MOVE: 12}
_NAMES = (0x001, 0x002, 0x0FF)
_KNOWN = {*_NAMES, _FOLDER, _INLINE, _LIST, *_TAILS, _MOVE, 0x401, _DELETE, 0x5FF}

Tag = tuple[int, int, bytes]  # type, id, data
Pair = tuple[int, int]


def check_metadata(image: Image, block_size: int, block_count: int) -> None:
    """Follow all metadata, and judge what stands there.

    Raises:
        DamagedError: something is of no known kind, points nowhere, or goes in circles.
    """
    chain: set[frozenset[int]] = set()
    beside: list[Pair] = []
    move = 0
    pair: Pair | None = (0, 1)
    while pair is not None:
        if frozenset(pair) in chain:
            raise _damaged("its folders go in circles")
        chain.add(frozenset(pair))
        tags = metadata_of(image, pair, block_size, block_count)
        pair, more, delta = _outline(tags)
        beside += more
        move ^= delta
    # What no chain holds any more (after a power cut) is followed on its own.
    seen = set(chain)
    while beside:
        pair = beside.pop()
        if frozenset(pair) not in seen:
            seen.add(frozenset(pair))
            _, more, _ = _outline(metadata_of(image, pair, block_size, block_count))
            beside += more
    kind = move >> 20 & 0x7FF
    if kind & 0x700 and kind != _DELETE:
        raise _damaged("the move that it has begun makes no sense")


def superblock_in(block: bytes) -> bytes | None:
    """The superblock's 24 bytes in the begin of a metadata block; None if it has none."""
    return _superblock(_tags(block) or [])


def newest_superblock(image: Image, block_size: int, block_count: int) -> bytes:
    """The superblock of the newer of the first two blocks.

    Raises:
        DamagedError: there is none.
    """
    found = _superblock(metadata_of(image, (0, 1), block_size, block_count))
    if found is None:
        raise _damaged("its superblock is not readable")
    return found


def _superblock(tags: list[Tag]) -> bytes | None:
    found = None
    for kind, number, data in tags:
        if kind == _INLINE and number == 0 and len(data) == _SUPERBLOCK_SIZE:
            found = data
    return found


def _damaged(why: str) -> DamagedError:
    return DamagedError(f"The LittleFS file system is damaged: {why}.")


def _outline(tags: list[Tag]) -> tuple[Pair | None, list[Pair], int]:
    """What a metadata pair leads to: the next one, those of folders, and its part of a move."""
    tail: Pair | None = None
    folders, move = [], 0
    for kind, _, data in tags:
        if kind == _MOVE and data:
            move = int.from_bytes(data[:4], "little")
        elif kind == _FOLDER and data:
            folders.append(pair_in(data))
        elif kind in _TAILS and data:
            tail = None if data == b"\xff" * 8 else pair_in(data)
    return tail, folders, move


def pair_in(data: bytes) -> Pair:
    """The two numbers at the begin of `data`: blocks of a pair, or a block and a size."""
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")


def metadata_of(image: Image, pair: Pair, block_size: int, block_count: int) -> list[Tag]:
    """The tags of the newer block of a pair whose checksum holds.

    Raises:
        DamagedError: neither holds, or a tag is none that exists.
    """
    if max(pair) >= block_count or pair[0] == pair[1]:
        raise _damaged("a folder lies outside of it")
    blocks = [image[n * block_size : (n + 1) * block_size] for n in pair]
    first, second = (int.from_bytes(block[:4], "little") for block in blocks)
    if (second - first) & _ONES < 1 << 31:
        blocks.reverse()
    for block in blocks:
        tags = _tags(block)
        if tags is not None:
            break
    else:
        raise _damaged("a folder is not readable")
    for kind, _, data in tags:
        if kind not in _KNOWN and kind & 0x700 != 0x300:
            raise _damaged(f"it has something of the unknown kind {kind:#x}")
        if kind in _SIZES and data and len(data) != _SIZES[kind]:
            raise _damaged("an entry of a folder has a wrong size")
        if kind == _LIST and data:
            head, size = pair_in(data)
            if size and (head >= block_count or size > len(image)):
                raise _damaged("the content of a file lies outside of it")
    return tags


def _tags(block: bytes) -> list[Tag] | None:
    """The tags of all commits whose checksum holds; None if there is no such commit."""
    found: list[Tag] | None = None
    waiting: list[Tag] = []
    at, before, start = 4, _ONES, 0
    while at + 4 <= len(block):
        tag = int.from_bytes(block[at : at + 4], "big") ^ before
        kind, size = tag >> 20 & 0x7FF, tag & _NO_DATA
        size = 0 if size == _NO_DATA else size
        data = block[at + 4 : at + 4 + size]
        if tag >> 31 or len(data) < size:
            break
        if kind & _CRC_MASK == _CRC:
            crc = zlib.crc32(block[start : at + 4]) ^ _ONES
            if len(data) < 4 or crc != int.from_bytes(data[:4], "little"):
                break
            found = [*(found or []), *waiting]
            waiting = []
            start = at + 4 + size
            before = tag ^ (kind & 1) << 31
        else:
            waiting.append((kind, tag >> 10 & 0x3FF, data))
            before = tag
        at += 4 + size
    return found
