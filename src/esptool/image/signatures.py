# SPDX-License-Identifier: Apache-2.0
"""Notices secure-boot signatures behind an image: of which key, and for which contents.

Whether the number in it is one that the key gives is `espsecure`'s business.
"""

from __future__ import annotations

import hashlib
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
_HASHES = {0: "sha256", 1: "sha384"}
_CURVE_AT = {0: 36, 1: 52}  # by hash: SHA-256, SHA-384
_CURVE_KEY_LEN = {0: 65, 1: 97}  # number of the curve and the point, by hash
_RSA_KEY = slice(36, 812)  # modulus, exponent, and what the chip needs to work with them


@dataclass(frozen=True, slots=True)
class SignatureBlock:
    """A signature that stands in the file.

    `offset` is from the start of the image; `scheme` names the algorithm; `intact` tells whether
    the block's own CRC is right (always true for version 1, which has none). `key_digest` is the
    SHA-256 of the public key as eFuses hold it, empty for version 1; `signs_this` tells that the
    hash that was signed is that of the image with its padding (always true for version 1).
    """

    version: int
    offset: int
    scheme: str
    intact: bool
    key_digest: bytes = b""
    signs_this: bool = True


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
        key = hashlib.sha256(_key(block)).digest()
        found.append(
            SignatureBlock(2, at, _scheme(block), intact, key, _is_hash_of(block, data[:sector]))
        )
    return tuple(found)


def _key(block: bytes) -> bytes:
    """The public key in a block."""
    at = None if block[1] == 2 else _CURVE_AT.get(block[2])
    return block[_RSA_KEY] if at is None else block[at : at + _CURVE_KEY_LEN[block[2]]]


def _is_hash_of(block: bytes, data: bytes) -> bool:
    name = "sha256" if block[1] == 2 else _HASHES.get(block[2])
    if name is None:
        return False
    hashed = hashlib.new(name, data).digest()
    return block[4 : 4 + len(hashed)] == hashed


def _scheme(block: bytes) -> str:
    if block[1] == 2:
        return "RSA-3072"
    at = _CURVE_AT.get(block[2])
    curve = None if at is None else _CURVES.get(block[at])
    return curve or "ECDSA with an unknown curve"
