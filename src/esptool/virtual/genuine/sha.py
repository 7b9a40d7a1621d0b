# SPDX-License-Identifier: Apache-2.0
"""The SHA accelerator, with SHA-1, SHA-224 and SHA-256, a block at a time.

Source: technical reference manuals, "SHA Accelerator"; FIPS 180-4.
"""

from __future__ import annotations

import math
import struct

from esptool.virtual.bus import Registers

#: Offsets of the registers that set off work.
START, CONTINUE = 0x10, 0x14
_STATE, _MESSAGE = 0x40, 0x80
_SHA1, _SHA224, _SHA256 = range(3)
_WORD = 0xFFFFFFFF


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _cube_root(value: int) -> int:
    root: int = round(float(value) ** (1 / 3))
    while root * root * root > value:
        root -= 1
    while (root + 1) * (root + 1) * (root + 1) <= value:
        root += 1
    return root


#: First 32 bits of the fractions of cube roots and square roots of primes.
_K = [_cube_root(prime << 96) & _WORD for prime in _primes(64)]
_INITIAL = {
    _SHA1: [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0],
    # The second 32 bits of the ninth to sixteenth prime.
    _SHA224: [math.isqrt(prime << 128) & _WORD for prime in _primes(16)[8:]],
    _SHA256: [math.isqrt(prime << 64) & _WORD for prime in _primes(8)],
}


class Sha(Registers):
    """The accelerator's registers: it is never busy."""

    def write(self, offset: int, value: int) -> None:
        """Set a register, which may set off work on the block in the message's registers."""
        super().write(offset, value)
        if offset in (START, CONTINUE) and value & 1:
            self._block(self.words.get(0, 0), fresh=offset == START)

    def _block(self, mode: int, *, fresh: bool) -> None:
        if mode not in _INITIAL:
            return
        count = len(_INITIAL[mode])
        state = _INITIAL[mode]
        if not fresh:
            state = [_swap(self.words.get(_STATE + 4 * i, 0)) for i in range(count)]
        block = [_swap(self.words.get(_MESSAGE + 4 * i, 0)) for i in range(16)]
        after = _sha1(state, block) if mode == _SHA1 else _sha256(state, block)
        for i, value in enumerate(after):
            self.words[_STATE + 4 * i] = _swap(value)


def _swap(word: int) -> int:
    return int(struct.unpack("<I", struct.pack(">I", word))[0])


def _left(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) & _WORD


def _sha256(state: list[int], block: list[int]) -> list[int]:
    w = list(block)
    for i in range(16, 64):
        x, y = w[i - 15], w[i - 2]
        s0 = _left(x, 25) ^ _left(x, 14) ^ x >> 3
        s1 = _left(y, 15) ^ _left(y, 13) ^ y >> 10
        w.append(w[i - 16] + s0 + w[i - 7] + s1 & _WORD)
    a, b, c, d, e, f, g, h = state
    for i in range(64):
        s1 = _left(e, 26) ^ _left(e, 21) ^ _left(e, 7)
        one = h + s1 + (e & f ^ ~e & g) + _K[i] + w[i]
        s0 = _left(a, 30) ^ _left(a, 19) ^ _left(a, 10)
        two = s0 + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = one + two & _WORD, a, b, c, d + one & _WORD, e, f, g
    return [x + y & _WORD for x, y in zip(state, (a, b, c, d, e, f, g, h), strict=True)]


def _sha1(state: list[int], block: list[int]) -> list[int]:
    w = list(block)
    for i in range(16, 80):
        w.append(_left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1))
    a, b, c, d, e = state
    for i in range(80):
        if i < 20:
            f, k = b & c | ~b & d, 0x5A827999
        elif i < 40:
            f, k = b ^ c ^ d, 0x6ED9EBA1
        elif i < 60:
            f, k = b & c | b & d | c & d, 0x8F1BBCDC
        else:
            f, k = b ^ c ^ d, 0xCA62C1D6
        a, b, c, d, e = _left(a, 5) + f + e + k + w[i] & _WORD, a, _left(b, 30), c, d
    return [x + y & _WORD for x, y in zip(state, (a, b, c, d, e), strict=True)]
