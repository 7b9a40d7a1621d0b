# SPDX-License-Identifier: Apache-2.0
"""ESP32's flash encryption: AES-256 whose key is changed by the flash offset every 32 bytes.

The hardware runs AES backwards (its inverse encrypts) and sees the bytes of a block in reverse
order. Which bits of the offset flip which bits of the key is in the technical reference manual,
chapter "External Memory Encryption and Decryption"; the eFuse FLASH_CRYPT_CONFIG says in which of
four ranges of key bits that happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from espsecure.flash_encryption import units

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext

UNIT = 32
"""Bytes that share a key."""

KEY_BITS = 256
_LOWEST, _HIGHEST = 5, 23
"""Bits of the offset that matter."""

_RANGES = ((1, 0, 67), (2, 67, 132), (4, 132, 195), (8, 195, 256))
"""For each bit of FLASH_CRYPT_CONFIG the range of key bits, counted from the highest, it covers."""

_LOW_BITS = 9
"""Keys are prepared for 512 units (16 KiB) at a time."""


def key_bit_sources() -> tuple[int, ...]:
    """For each key bit, counted from the highest, the bit of the offset that flips it.

    In each of the four ranges the offset bits 23 down to 5 repeat three times, and the low ones
    among them fill what is left, so that every range ends with bit 5.
    """
    full = list(range(_HIGHEST, _LOWEST - 1, -1))
    pattern: list[int] = []
    for _, start, end in _RANGES:
        repeats, rest = divmod(end - start, len(full))
        pattern += full * repeats + full[len(full) - rest :]
    return tuple(pattern)


@lru_cache(maxsize=16)
def tweak_range(crypt_conf: int) -> int:
    """The key bits that FLASH_CRYPT_CONFIG lets change, as a number of 256 bits."""
    mask = 0
    for bit, start, end in _RANGES:
        if crypt_conf & bit:
            mask |= ((1 << (end - start)) - 1) << (KEY_BITS - end)
    return mask


@lru_cache(maxsize=16)
def _flips(mask: int) -> tuple[int, ...]:
    """For each bit of the offset from bit 5 on, the key bits it flips within `mask`."""
    flips = [0] * (_HIGHEST - _LOWEST + 1)
    for place, source in enumerate(key_bit_sources()):
        flips[source - _LOWEST] |= 1 << (KEY_BITS - 1 - place)
    return tuple(flip & mask for flip in flips)


def _combinations(flips: Iterable[int]) -> list[int]:
    """The XOR of every subset, at the index that has the subset's bits."""
    sums = [0]
    for flip in flips:
        sums += [one ^ flip for one in sums]
    return sums


def tweak_key(key: int, offset: int, mask: int) -> bytes:
    """The AES key for the 32 bytes at `offset`."""
    for number, flip in enumerate(_flips(mask)):
        if offset >> (number + _LOWEST) & 1:
            key ^= flip
    return key.to_bytes(KEY_BITS // 8, "big")


def stream(key: bytes, address: int, crypt_conf: int, decrypting: bool) -> Callable[[bytes], bytes]:
    """A function that takes the data from `address` on chunk by chunk.

    Chunks are whole AES blocks; all but the first begin at a multiple of 32 bytes, and one that
    does not fill its last unit is the last (or the first).
    """
    flips = _flips(tweak_range(crypt_conf))
    low = _combinations(flips[:_LOW_BITS])
    high = flips[_LOW_BITS:]
    base = int.from_bytes(key, "big")
    contexts = _context_maker(decrypting)
    return units.stream(
        UNIT, address, lambda whole, start: _units(contexts, whole, start, base, low, high)
    )


def _units(
    contexts: Callable[[bytes], CipherContext],
    data: bytes,
    address: int,
    base: int,
    low: list[int],
    high: tuple[int, ...],
) -> bytes:
    """Whole units, the first of them at `address`.

    All of the data is reversed once instead of each block, so units go from the last to the first.
    """
    backwards = data[::-1]
    done = []
    span = UNIT << _LOW_BITS
    unit = address + len(data)
    at = 0
    while unit > address:
        group = (unit - 1) // span * span
        changed = base
        for number, flip in enumerate(high):
            if group >> (number + _LOWEST + _LOW_BITS) & 1:
                changed ^= flip
        first = (max(group, address) - group) // UNIT
        last = (unit - group) // UNIT
        for flip in reversed(low[first:last]):
            key = (changed ^ flip).to_bytes(32, "big")
            done.append(contexts(key).update(backwards[at : at + UNIT]))
            at += UNIT
        unit = max(group, address)
    return b"".join(done)[::-1]


def _context_maker(decrypting: bool) -> Callable[[bytes], CipherContext]:
    """A function from an AES key to a context. To encrypt, the hardware uses AES's inverse.

    Making the two wrapper objects for each key takes longer than preparing the key itself, so one
    pair is used again with its key replaced, where the library allows it.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    mode = modes.ECB()

    def fresh(key: bytes) -> CipherContext:
        cipher = Cipher(algorithms.AES(key), mode)
        return cipher.encryptor() if decrypting else cipher.decryptor()

    algorithm = algorithms.AES(bytes(32))
    shared = Cipher(algorithm, mode)
    make = shared.encryptor if decrypting else shared.decryptor

    def reused(key: bytes) -> CipherContext:
        algorithm.key = key
        return make()

    probe, block = bytes(range(32)), bytes(16)
    try:
        works = reused(probe).update(block) == fresh(probe).update(block)
    except AttributeError:
        works = False
    return reused if works else fresh
