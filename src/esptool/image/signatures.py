# SPDX-License-Identifier: Apache-2.0
"""Notices secure-boot signatures behind an image. Whether they hold is `espsecure`'s business."""

from __future__ import annotations

import struct
import zlib

from esptool.chips.nor import SECTOR
from esptool.records import dataclass

_BLOCK = 1216
_BLOCKS = 3
_MAGIC = 0xE7
_CRC_AT = 1196
_V1_LEN = 68
_CURVES = {1: "ECDSA P-192", 2: "ECDSA P-256", 3: "ECDSA P-384"}
_CURVE_AT = {0: 36, 1: 52}  # by hash: SHA-256, SHA-384


@dataclass(frozen=True, slots=True)
class SignatureBlock:
    """A signature that stands in the file.

    `offset` is from the start of the image; `scheme` names the algorithm; `intact` tells whether
    the block's own CRC is right (always true for version 1, which has none).
    """

    version: int
    offset: int
    scheme: str
    intact: bool


def find_signatures(data: bytes, image_end: int, *, v1: bool) -> tuple[SignatureBlock, ...]:
    """Signatures behind an image of `image_end` bytes; `v1` tells that the chip knows version 1."""
    tail = data[image_end:]
    if v1 and len(tail) == _V1_LEN and tail[:4] == bytes(4) and any(tail[4:]):
        return (SignatureBlock(1, image_end, _CURVES[2], True),)
    sector = -(-image_end // SECTOR) * SECTOR
    found = []
    for i in range(_BLOCKS):
        at = sector + i * _BLOCK
        block = data[at : at + _BLOCK]
        if len(block) < _BLOCK or block[0] != _MAGIC or block[1] not in (2, 3):
            break
        (crc,) = struct.unpack_from("<I", block, _CRC_AT)
        intact = zlib.crc32(block[:_CRC_AT]) == crc
        found.append(SignatureBlock(2, at, _scheme(block), intact))
    return tuple(found)


def _scheme(block: bytes) -> str:
    if block[1] == 2:
        return "RSA-3072"
    at = _CURVE_AT.get(block[2])
    curve = None if at is None else _CURVES.get(block[at])
    return curve or "ECDSA with an unknown curve"
