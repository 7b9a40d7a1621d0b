# SPDX-License-Identifier: Apache-2.0
"""Data of any place and length as the whole units that a scheme encrypts."""

from __future__ import annotations

from collections.abc import Callable


def stream(
    unit: int, address: int, crypt_units: Callable[[bytes, int], bytes]
) -> Callable[[bytes], bytes]:
    """A function that takes the data from `address` on chunk by chunk.

    All chunks but the first begin at a multiple of `unit`, and one that does not fill its last unit
    is the last (or the first). What is missing of a unit counts as zero.

    Args:
        crypt_units: takes whole units, and the address of the first of them.
    """
    position = address

    def crypt(chunk: bytes) -> bytes:
        nonlocal position
        before = position % unit
        after = -(position + len(chunk)) % unit
        whole = bytes(before) + chunk + bytes(after) if before or after else chunk
        result = crypt_units(whole, position - before)
        position += len(chunk)
        return result[before : len(result) - after] if before or after else result

    return crypt
