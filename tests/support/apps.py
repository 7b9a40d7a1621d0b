# SPDX-License-Identifier: Apache-2.0
"""Small applications as ESP-IDF builds them: one segment with a description, checksum, digest."""

from __future__ import annotations

import hashlib
import random
import struct
from functools import reduce
from operator import xor

CHIP_IDS = {"esp32": 0, "esp32c3": 5, "esp32s3": 9, "esp32c6": 13}
_DROM = {"esp32": 0x3F400020, "esp32c3": 0x3C000020, "esp32s3": 0x3C000020, "esp32c6": 0x42000020}


def app(
    chip: str = "esp32s3",
    *,
    version: str = "1.0",
    size: int = 9000,
    secure_version: int = 0,
    min_rev: int = 0,
    digest: bool = True,
    described: bool = True,
) -> bytes:
    """An application of about `size` bytes; `min_rev` is major * 100 + minor."""
    description = struct.pack(
        "<II8x32s32s16s16s32s32sHHB3x72x",
        0xABCD5432,
        secure_version,
        version.encode(),
        b"demo",
        b"12:00:00",
        b"Jan  1 2026",
        b"v5.5",
        bytes(32),
        *(0, 0xFFFF, 16),
    )
    filling = random.Random(version).randbytes(size // 2) + bytes(size // 2)
    data = (description if described else b"") + filling
    data += bytes(-len(data) % 4)
    image = struct.pack("<BBBBI", 0xE9, 1, 2, 0x2F, 0x40380000)
    image += struct.pack(
        "<BBBBHBHH4xB", 0xEE, 0, 0, 0, CHIP_IDS[chip], 0, min_rev, 0xFFFF, int(digest)
    )
    image += struct.pack("<II", _DROM[chip], len(data)) + data
    image += bytes(15 - len(image) % 16) + bytes((reduce(xor, data, 0xEF),))
    return image + (hashlib.sha256(image).digest() if digest else b"")
