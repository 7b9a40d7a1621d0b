# SPDX-License-Identifier: Apache-2.0
"""Writes UF2 files: data in 512-byte blocks that a USB mass-storage boot loader accepts.

Layout: Microsoft "USB Flashing Format", with its optional MD5 record behind the data.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from esptool.errors import ImageError, UsageError

try:
    # Twice as fast as OpenSSL's on such short chunks.
    from _md5 import md5 as _new_md5
except ImportError:  # pragma: no cover - some builds leave it out
    from hashlib import md5 as _new_md5

_Pack = Callable[..., bytes]

BLOCK_SIZE = 512
DATA_SIZE = 476
MD5_PART_SIZE = 24
FIRST_MAGIC = 0x0A324655
SECOND_MAGIC = 0x9E5D5157
FINAL_MAGIC = 0x0AB16F30
FLAG_FAMILY_ID = 0x00002000
FLAG_MD5 = 0x00004000


def largest_chunk(*, md5: bool) -> int:
    """Data bytes that one block can hold."""
    return DATA_SIZE - (MD5_PART_SIZE if md5 else 0)


def check_chunk_size(chunk_size: int | None, *, md5: bool) -> int:
    """The chunk size to use; None stands for the largest.

    Raises:
        UsageError: zero, not whole words, or more than a block holds.
    """
    limit = largest_chunk(md5=md5)
    if chunk_size is None:
        return limit
    if not 0 < chunk_size <= limit or chunk_size % 4:
        raise UsageError(
            f"Chunk size should be a 4-byte aligned number from 4 to {limit}, not {chunk_size}."
        )
    return chunk_size


def encode_file(
    address: int, data: bytes, family_id: int, chunk_size: int | None = None, *, md5: bool = True
) -> Iterator[bytes]:
    """The blocks of one input file; their numbers start at 0.

    Raises:
        UsageError: bad chunk size.
        ImageError: an address needs more than 32 bits.
    """
    size = check_chunk_size(chunk_size, md5=md5)
    if not 0 <= address <= address + len(data) <= 1 << 32:
        raise ImageError(
            f"Data of {len(data)} bytes at {address:#x} do not fit the 32-bit addresses of UF2."
        )
    total = -(-len(data) // size)
    flags = FLAG_FAMILY_ID | (FLAG_MD5 if md5 else 0)
    make = _plain_block if not md5 else _checked_block
    full = _block_struct(size, md5).pack
    for number in range(total):
        at = number * size
        chunk = data[at : at + size]
        pack = full if len(chunk) == size else _block_struct(len(chunk), md5).pack
        yield make(pack, flags, address + at, chunk, number, total, family_id)


def _plain_block(
    pack: _Pack, flags: int, at: int, chunk: bytes, number: int, total: int, family_id: int
) -> bytes:
    length = len(chunk)
    return pack(
        *(FIRST_MAGIC, SECOND_MAGIC, flags, at, length, number, total, family_id),
        *(chunk, FINAL_MAGIC),
    )


def _checked_block(
    pack: _Pack, flags: int, at: int, chunk: bytes, number: int, total: int, family_id: int
) -> bytes:
    """A block with an MD5 record; written out, as this is the inner loop of large files."""
    length = len(chunk)
    return pack(
        FIRST_MAGIC,
        SECOND_MAGIC,
        flags,
        at,
        length,
        number,
        total,
        family_id,
        chunk,
        at,
        length,
        _new_md5(chunk, usedforsecurity=False).digest(),
        FINAL_MAGIC,
    )


def _block_struct(length: int, md5: bool) -> struct.Struct:
    """A block with `length` data bytes: header, data, MD5 record, zeros, final magic."""
    spare = largest_chunk(md5=md5) - length
    return struct.Struct(f"<8I{length}s{'II16s' if md5 else ''}{spare}xI")
