# SPDX-License-Identifier: Apache-2.0
"""Flash encryption as the chip's hardware does it, with the key that is in its eFuses."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from esptool.chips.spec import KeyCheck

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

_UNIT = 128
_XTS_256_1, _XTS_256_2, _XTS_128 = 2, 3, 4


def find_key(soc: Soc) -> bytes | None:
    """The XTS-AES key, 32 or 64 bytes with the first key first, or None."""
    if soc.efuse is None:
        return None
    if soc.spec.security.key_check is KeyCheck.C2_KEY0:
        return _c2_key(soc)
    if soc.spec.security.key_check is not KeyCheck.PURPOSES:
        return None
    found: dict[int, bytes] = {}
    for number, field in enumerate(soc.spec.security.purpose_fields):
        purpose = soc.piece(field)
        found.setdefault(purpose, bytes(soc.efuse.burned[4 + number][::-1]))
    if _XTS_128 in found:
        return found[_XTS_128]
    if _XTS_256_1 in found and _XTS_256_2 in found:
        return found[_XTS_256_1] + found[_XTS_256_2]
    return None


def _c2_key(soc: Soc) -> bytes | None:
    """ESP32-C2: all of the one key block, or the hash of its lower half."""
    assert soc.efuse is not None
    block = bytes(soc.efuse.burned[3])
    if not any(block):
        return None
    if soc.efuse.bits(soc.efuse.layout.xts_256):
        return block[::-1]
    return hashlib.sha256(block[:16][::-1]).digest()


def encrypt(key: bytes, address: int, data: bytes) -> bytes:
    """XTS over units of 128 bytes, each reversed before and after; the tweak is its address."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    before = address % _UNIT
    padded = bytes(before) + data + bytes(-(before + len(data)) % _UNIT)
    first = address - before
    out = bytearray()
    for at in range(0, len(padded), _UNIT):
        tweak = (first + at).to_bytes(4, "little") + bytes(12)
        worker = Cipher(algorithms.AES(key), modes.XTS(tweak)).encryptor()
        out += worker.update(padded[at : at + _UNIT][::-1])[::-1]
    return bytes(out[before : before + len(data)])
