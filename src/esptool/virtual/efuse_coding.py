# SPDX-License-Identifier: Apache-2.0
"""Check bits of eFuse blocks as the controllers use them: Reed-Solomon, and ESP32's 3/4."""

from __future__ import annotations

import functools

RS_DATA_BYTES = 32
RS_CHECK_BYTES = 12
_CHUNK = 6


def rs_check(data: bytes) -> bytes:
    """The check bytes that a sound block carries."""
    if not any(data):
        return bytes(RS_CHECK_BYTES)
    from reedsolo import RSCodec

    return bytes(RSCodec(RS_CHECK_BYTES).encode(data.ljust(RS_DATA_BYTES, b"\0"))[RS_DATA_BYTES:])


def decode_rs(data: bytes, check: bytes) -> tuple[bytes, int, bool]:
    """(data with up to 6 wrong bytes corrected, count of wrong bytes, too many to correct)."""
    if not any(data) and not any(check):
        return data, 0, False
    from reedsolo import ReedSolomonError, RSCodec

    word = data.ljust(RS_DATA_BYTES, b"\0") + check
    try:
        plain, _whole, wrong = RSCodec(RS_CHECK_BYTES).decode(word)
    except ReedSolomonError:
        return data, 0, True
    return bytes(plain)[: len(data)], len(wrong), False


def decode_3_4(coded: bytes) -> tuple[bytes, bool]:
    """(data of an ESP32's 3/4 coded block, whether any chunk's check bytes are wrong)."""
    plain = bytearray()
    fail = False
    for at in range(0, len(coded), _CHUNK + 2):
        chunk = coded[at : at + _CHUNK]
        xor = functools.reduce(lambda a, b: a ^ b, chunk, 0)
        weight = sum((i + 1) * byte.bit_count() for i, byte in enumerate(chunk)) & 0xFF
        fail = fail or coded[at + _CHUNK : at + _CHUNK + 2] != bytes([xor, weight])
        plain += chunk
    return bytes(plain), fail
