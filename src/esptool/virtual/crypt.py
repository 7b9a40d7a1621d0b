# SPDX-License-Identifier: Apache-2.0
"""Flash encryption as the chip's hardware does it, with the key that is in its eFuses."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from esptool.virtual.silicon.spec import FlashKey

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

_UNIT = 128
_XTS_256_1, _XTS_256_2, _XTS_128 = 2, 3, 4


def find_key(soc: Soc) -> bytes | None:
    """The flash encryption key as a key file has it, or None: XTS 32 or 64 bytes, ESP32 32."""
    if soc.efuse is None:
        return None
    if soc.silicon.flash_key is FlashKey.C2_BLOCK3:
        return _c2_key(soc)
    if soc.silicon.flash_key is FlashKey.ESP32_BLOCK1:
        # The hardware does not know whether a key was burned: blank fuses are a key of zeros.
        return bytes(soc.efuse.burned[1])[::-1]
    if soc.silicon.flash_key is not FlashKey.PURPOSES:
        return None
    found: dict[int, bytes] = {}
    layout = soc.efuse.layout
    for number, field in enumerate(layout.purposes):
        block = soc.efuse.burned[layout.first_key + number]
        found.setdefault(soc.efuse.shown(field), bytes(block[::-1]))
    if _XTS_128 in found:
        return found[_XTS_128]
    if layout.xts_256 and _XTS_256_1 in found and _XTS_256_2 in found:
        return found[_XTS_256_1] + found[_XTS_256_2]
    return None


def _c2_key(soc: Soc) -> bytes | None:
    """ESP32-C2: all of the one key block, or the hash of its lower half."""
    assert soc.efuse is not None
    block = bytes(soc.efuse.burned[3])
    if not any(block):
        return None
    if soc.efuse.named("xts_256"):
        return block[::-1]
    return hashlib.sha256(block[:16][::-1]).digest()


def encrypt(soc: Soc, key: bytes, address: int, data: bytes, *, decrypting: bool = False) -> bytes:
    """What the flash gets for `data` at `address`, by the scheme of the chip; or the way back.

    The way back takes whole units: 128 bytes, on ESP32 32.
    """
    if soc.silicon.flash_key is FlashKey.ESP32_BLOCK1:
        assert soc.efuse is not None
        return _esp32(key, address, data, soc.efuse.named("crypt_config"), decrypting)
    return _xts(key, address, data, decrypting)


def read_decrypted(soc: Soc, address: int, size: int) -> bytes:
    """Flash as the cache shows it where flash encryption is on: with the key in the eFuses."""
    key = find_key(soc)
    before = address % _UNIT
    stored = soc.nor.read(address - before, -(-(before + size) // _UNIT) * _UNIT)
    if key is None:
        return stored[before : before + size]
    plain = encrypt(soc, key, address - before, stored, decrypting=True)
    return plain[before : before + size]


# --- ESP32 -------------------------------------------------------------------------------------

#: Address bits that tweak the key, as runs of descending bit numbers from key bit 255 down.
_RUNS = ((23, 5), (23, 5), (23, 5), (14, 5), (23, 5), (23, 5), (23, 5), (12, 5),
         (23, 5), (23, 5), (23, 5), (10, 5), (23, 5), (23, 5), (23, 5), (8, 5))  # fmt: skip
_TWEAKED_BY = tuple(bit for high, low in _RUNS for bit in range(high, low - 1, -1))
#: First and last key bit (counted from the top) that each bit of FLASH_CRYPT_CONFIG switches.
_RANGES = ((0, 66), (67, 131), (132, 194), (195, 255))


def _key_tweaks(config: int) -> list[int]:
    """For each address bit, the mask of the 256-bit key that it flips."""
    masks = [0] * 24
    for number, (first, last) in enumerate(_RANGES):
        if config >> number & 1:
            for n in range(first, last + 1):
                masks[_TWEAKED_BY[n]] |= 1 << (255 - n)
    return masks


def _esp32(key: bytes, address: int, data: bytes, config: int, decrypting: bool) -> bytes:
    """AES-256 in its inverse direction on reversed blocks; every 32 bytes have a key of their own.

    Source: "Flash Encryption" chapter of the ESP32 technical reference manual.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    masks = _key_tweaks(config)
    base = int.from_bytes(key, "big")
    before = address % 32
    padded = bytes(before) + data + bytes(-(before + len(data)) % 32)
    out = bytearray()
    for at in range(0, len(padded), 32):
        tweak = 0
        for bit in range(5, 24):
            if (address - before + at) >> bit & 1:
                tweak ^= masks[bit]
        tweaked = (base ^ tweak).to_bytes(32, "big")
        cipher = Cipher(algorithms.AES(tweaked), modes.ECB())
        worker = cipher.encryptor() if decrypting else cipher.decryptor()
        for half in (at, at + 16):
            out += worker.update(padded[half : half + 16][::-1])[::-1]
    return bytes(out[before : before + len(data)])


# --- later chips -------------------------------------------------------------------------------


def _xts(key: bytes, address: int, data: bytes, decrypting: bool) -> bytes:
    """XTS over units of 128 bytes, each reversed before and after; the tweak is its address."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    before = address % _UNIT
    padded = bytes(before) + data + bytes(-(before + len(data)) % _UNIT)
    first = address - before
    out = bytearray()
    for at in range(0, len(padded), _UNIT):
        tweak = (first + at).to_bytes(4, "little") + bytes(12)
        unit = padded[at : at + _UNIT][::-1]
        if key[: len(key) // 2] == key[len(key) // 2 :]:
            # The library refuses such keys; the hardware takes also a block that was never burned.
            out += xts_by_blocks(key, tweak, unit, decrypting)[::-1]
            continue
        cipher = Cipher(algorithms.AES(key), modes.XTS(tweak))
        worker = cipher.decryptor() if decrypting else cipher.encryptor()
        out += worker.update(unit)[::-1]
    return bytes(out[before : before + len(data)])


def xts_by_blocks(key: bytes, tweak: bytes, data: bytes, decrypting: bool = False) -> bytes:
    """AES-XTS of whole blocks, by AES alone (IEEE 1619)."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    half = len(key) // 2
    first, masker = (Cipher(algorithms.AES(part), modes.ECB()) for part in (key[:half], key[half:]))
    cipher = first.decryptor() if decrypting else first.encryptor()
    mask = int.from_bytes(masker.encryptor().update(tweak), "little")
    out = bytearray()
    for at in range(0, len(data), 16):
        block = int.from_bytes(data[at : at + 16], "little") ^ mask
        found = cipher.update(block.to_bytes(16, "little"))
        out += (int.from_bytes(found, "little") ^ mask).to_bytes(16, "little")
        # Doubling in GF(2^128).
        mask = (mask << 1) ^ (0x87 if mask >> 127 else 0)
        mask &= (1 << 128) - 1
    return bytes(out)
