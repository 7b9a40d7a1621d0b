# SPDX-License-Identifier: Apache-2.0
"""Flash encryption of the chips after ESP32: AES-XTS over units of 128 bytes.

The hardware sees each unit with its bytes in reverse order; the tweak is the unit's flash offset.
A library context for each unit would cost far more than the cipher, so this composes XTS (IEEE
1619) from AES-ECB over many units at once: tweaks of all units in one pass, their seven doublings
in GF(2^128) on all units side by side in one big integer, and the two masks as one XOR each.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from functools import lru_cache

from espsecure.flash_encryption import units

UNIT = 128
BLOCK = 16
LANES = UNIT // BLOCK
"""AES blocks of a unit."""

UNITS_AT_ONCE = 1024
"""128 KiB a pass: all that a pass touches stays in the processor's cache."""

_FEEDBACK = 0x87
"""x^128 = x^7 + x^2 + x + 1 in the field that IEEE 1619 uses."""


def stream(key: bytes, address: int, decrypting: bool) -> Callable[[bytes], bytes]:
    """A function that takes the data from `address` on chunk by chunk.

    `key` is 32 bytes (AES-128) or 64 (AES-256). Chunks are whole AES blocks; all but the first
    begin at a multiple of a unit, and a chunk that does not fill its last unit is the last one
    (or the first). Missing parts of a unit count as zero, which touches no other block.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    half = len(key) // 2
    data_cipher = Cipher(algorithms.AES(key[:half]), modes.ECB())
    context = data_cipher.decryptor() if decrypting else data_cipher.encryptor()
    tweak_context = Cipher(algorithms.AES(key[half:]), modes.ECB()).encryptor()
    ciphers = context.update, tweak_context.update
    return units.stream(UNIT, address, lambda whole, start: _units(*ciphers, whole, start))


def _units(
    cipher: Callable[[bytes], bytes], tweaks: Callable[[bytes], bytes], data: bytes, address: int
) -> bytes:
    """Whole units, the first of them at `address`."""
    result = bytearray(len(data))
    source, target = memoryview(data), memoryview(result)
    step = UNITS_AT_ONCE * UNIT
    for offset in range(0, len(data), step):
        part = slice(offset, offset + step)
        count = min(step, len(data) - offset) // UNIT
        masks = _masks(tweaks, address + offset, count)
        _pass(cipher, source[part], target[part], count, masks)
    return bytes(result)


def _pass(
    cipher: Callable[[bytes], bytes],
    source: memoryview,
    target: memoryview,
    count: int,
    masks: list[int],
) -> None:
    """XTS of `count` units.

    Works on one block number of all units at a time. Reading these as a big-endian number and
    writing it as a little-endian one reverses all of it: the bytes of each unit, as the hardware
    wants it, so that the last block is the cipher's first, and the order of units, which the masks
    follow.
    """
    size = count * BLOCK
    parts = [slice(start, start + size) for start in range(0, size * LANES, size)]
    by_block = bytearray(size * LANES)
    _transpose(source, memoryview(by_block), count, inverse=False)
    masked = [
        (int.from_bytes(by_block[part], "big") ^ mask).to_bytes(size, "little")
        for part, mask in zip(parts, reversed(masks), strict=True)
    ]
    crypted = cipher(b"".join(masked))
    unmasked = [
        (int.from_bytes(crypted[part], "little") ^ mask).to_bytes(size, "big")
        for part, mask in zip(parts, reversed(masks), strict=True)
    ]
    _transpose(memoryview(b"".join(unmasked)), target, count, inverse=True)


def _transpose(source: memoryview, target: memoryview, count: int, *, inverse: bool) -> None:
    """Between unit-major and block-major order, as 8 byte words with a stride."""
    words_from, words_to = source.cast("Q"), target.cast("Q")
    stride = 2 * LANES
    for lane in range(LANES):
        for word in (0, 1):
            by_unit = slice(2 * lane + word, None, stride)
            by_block = slice(2 * lane * count + word, 2 * (lane + 1) * count, 2)
            if inverse:
                words_to[by_unit] = words_from[by_block]
            else:
                words_to[by_block] = words_from[by_unit]


def _masks(tweaks: Callable[[bytes], bytes], address: int, count: int) -> list[int]:
    """The masks of block 0 of `count` units from `address`, of block 1, ...

    Each is a little-endian number with the units in descending order; see `_pass`.
    """
    inputs = array("Q", bytes(count * BLOCK))
    inputs[::2] = array("Q", range(address + (count - 1) * UNIT, address - 1, -UNIT))
    if sys.byteorder == "big":
        inputs.byteswap()
    mask = int.from_bytes(tweaks(inputs.tobytes()), "little")
    top = _top_bits(count)
    masks = [mask]
    for _ in range(LANES - 1):
        carries = mask & top
        mask = ((mask ^ carries) << 1) ^ ((carries >> 127) * _FEEDBACK)
        masks.append(mask)
    return masks


@lru_cache(maxsize=4)
def _top_bits(count: int) -> int:
    """The highest bit of each of `count` numbers of 128 bits."""
    return int.from_bytes((bytes(15) + b"\x80") * count, "little")
