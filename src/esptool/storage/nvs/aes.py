# SPDX-License-Identifier: Apache-2.0
"""XTS-AES-256 in Python alone, for an NVS where no library has it: in a browser.

FIPS 197 and IEEE 1619. Its time depends on the key, so it is for whoever holds the key anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

BLOCK = 16
_ROUNDS = 14
_KEY_WORDS = 8
_POLYNOMIAL = 0x11B
_XTS_POLYNOMIAL = 0x87
#: Where each byte comes from when rows are shifted, and when they are shifted back.
_SHIFTED = tuple((i + 4 * (i % 4)) % BLOCK for i in range(BLOCK))
_SHIFTED_BACK = tuple((i - 4 * (i % 4)) % BLOCK for i in range(BLOCK))


def _times(a: int, b: int) -> int:
    """The product in the field of AES."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= _POLYNOMIAL
        b >>= 1
    return product


@cache
def _boxes() -> tuple[bytes, bytes]:
    """The substitution and its inverse: inverses in the field, then an affine map of the bits."""
    box = bytearray(256)
    for value in range(256):
        # x^254 is the inverse; that of 0 is 0.
        inverse, power, left = 1, value, 254
        while left:
            if left & 1:
                inverse = _times(inverse, power)
            power = _times(power, power)
            left >>= 1
        turned = inverse | inverse << 8
        mapped = 0x63
        for shift in (0, 4, 5, 6, 7):
            mapped ^= turned >> shift & 0xFF
        box[value] = mapped
    back = bytearray(256)
    for value, out in enumerate(box):
        back[out] = value
    return bytes(box), bytes(back)


@cache
def _columns(factors: tuple[int, ...]) -> tuple[list[int], ...]:
    """What each of the four bytes of a column adds to it, as a number: the column times the matrix
    whose rows are `factors`, turned by one from row to row."""
    return tuple(
        [
            int.from_bytes(bytes(_times(v, factors[(i - row) % 4]) for row in range(4)), "little")
            for v in range(256)
        ]
        for i in range(4)
    )


class Aes256:
    """The cipher of one key of 32 bytes, a block of 16 bytes at a time."""

    def __init__(self, key: bytes) -> None:
        box, _ = _boxes()
        words = [key[4 * i : 4 * i + 4] for i in range(_KEY_WORDS)]
        constant = 1
        for i in range(_KEY_WORDS, 4 * (_ROUNDS + 1)):
            word = words[-1]
            if i % _KEY_WORDS == 0:
                word = bytes(box[b] for b in word[1:] + word[:1])
                word = bytes((word[0] ^ constant,)) + word[1:]
                constant = _times(constant, 2)
            elif i % _KEY_WORDS == 4:
                word = bytes(box[b] for b in word)
            words.append(bytes(a ^ b for a, b in zip(words[i - _KEY_WORDS], word, strict=True)))
        self._keys = [b"".join(words[4 * r : 4 * r + 4]) for r in range(_ROUNDS + 1)]

    def encrypt(self, block: bytes) -> bytes:
        """Encrypt 16 bytes."""
        box, _ = _boxes()
        state = _xor(block, self._keys[0])
        for round_key in self._keys[1:]:
            state = bytes([box[state[i]] for i in _SHIFTED])
            if round_key is not self._keys[-1]:
                state = _mixed(state, (2, 3, 1, 1))
            state = _xor(state, round_key)
        return state

    def decrypt(self, block: bytes) -> bytes:
        """Decrypt 16 bytes."""
        _, back = _boxes()
        state = _xor(block, self._keys[-1])
        for round_key in reversed(self._keys[:-1]):
            state = _xor(bytes([back[state[i]] for i in _SHIFTED_BACK]), round_key)
            if round_key is not self._keys[0]:
                state = _mixed(state, (14, 11, 13, 9))
        return state


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(BLOCK, "little")


def _mixed(state: bytes, factors: tuple[int, ...]) -> bytes:
    first, second, third, fourth = _columns(factors)
    whole = 0
    for at in (12, 8, 4, 0):
        column = first[state[at]] ^ second[state[at + 1]]
        whole = whole << 32 | column ^ third[state[at + 2]] ^ fourth[state[at + 3]]
    return whole.to_bytes(BLOCK, "little")


class Xts:
    """XTS-AES-256 of units of whole blocks.

    Args:
        key: 64 bytes: the key of the data, then that of the tweaks.
    """

    def __init__(self, key: bytes) -> None:
        self._data, self._tweak = Aes256(key[:32]), Aes256(key[32:])

    def decrypt(self, tweak: bytes, data: bytes) -> bytes:
        """Decrypt one unit; `tweak` are the 16 bytes that say which."""
        return self._changed(tweak, data, self._data.decrypt)

    def encrypt(self, tweak: bytes, data: bytes) -> bytes:
        """Encrypt one unit."""
        return self._changed(tweak, data, self._data.encrypt)

    def _changed(self, tweak: bytes, data: bytes, cipher: Callable[[bytes], bytes]) -> bytes:
        mask = int.from_bytes(self._tweak.encrypt(tweak), "little")
        out = b""
        for at in range(0, len(data), BLOCK):
            over = mask.to_bytes(BLOCK, "little")
            out += _xor(cipher(_xor(data[at : at + BLOCK], over)), over)
            mask = mask << 1 ^ (_XTS_POLYNOMIAL if mask >> 127 else 0)
            mask &= (1 << 128) - 1
        return out
