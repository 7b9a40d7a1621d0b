# SPDX-License-Identifier: Apache-2.0
"""Data to move: like firmware, and half of it blank."""

from __future__ import annotations

import random

from esptool.chips.nor import SECTOR

MB = 1 << 20


def firmware(size: int = MB, seed: int = 1) -> bytes:
    """Bytes that deflate to about half, as compiled code with tables and gaps does."""
    rng = random.Random(seed)
    words = [rng.randbytes(4) for _ in range(400)]
    out = bytearray()
    while len(out) < size:
        kind = rng.random()
        if kind < 0.7:
            out += b"".join(rng.choices(words, k=64))
        elif kind < 0.9:
            out += rng.randbytes(200)
        else:
            out += bytes([rng.choice((0, 0xFF))]) * 512
    return bytes(out[:size])


def half_empty(size: int = 4 * MB) -> bytes:
    """Firmware in the first half, erased flash in the second."""
    return firmware(size // 2) + b"\xff" * (size // 2)


def dirty(size: int = MB) -> bytes:
    """Other old content, none of which can stay: every sector must be erased."""
    return firmware(size, seed=2)


def changed(data: bytes, sectors: int) -> bytes:
    """`data` with one byte changed in so many of its sectors, spread over it."""
    new = bytearray(data)
    step = max(1, len(data) // SECTOR // max(1, sectors))
    for number in range(sectors):
        new[number * step * SECTOR + 99] ^= 0x55
    return bytes(new)
