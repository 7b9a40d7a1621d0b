# SPDX-License-Identifier: Apache-2.0
"""Images with a signature block behind them, and eFuses that hold the digest of its key.

The number in the signature is none: what is tested looks at key, hash and CRC.
"""

from __future__ import annotations

import hashlib

from espsecure.signatures_v2 import ecdsa_block, read_block

_KEY0 = {"esp32c3": 0x6000889C, "esp32s3": 0x6000709C}


def signed(image: bytes, *, key: int = 1, of: bytes | None = None) -> bytes:
    """An image, padded, with a block of a key; signed as if it were `of`."""
    padded = image.ljust(-(-len(image) // 0x1000) * 0x1000, b"\xff")
    digest = hashlib.sha256(padded if of is None else of).digest()
    block = ecdsa_block(digest, 2, bytes([key]) * 64, bytes(64))
    return (padded + block).ljust(len(padded) + 0x1000, b"\xff")


def key_digest(image: bytes) -> bytes:
    """Of the key that signed."""
    block = read_block(image[-0x1000:][:1216])
    assert block is not None
    return block.key_digest


def words_at(address: int, data: bytes) -> str:
    """Data in eFuses, as the option `efuse` of a virtual chip takes it."""
    return ",".join(
        f"{address + at:#x}:{int.from_bytes(data[at : at + 4], 'little'):#x}"
        for at in range(0, len(data), 4)
    )


def key_burned(image: bytes, chip: str = "esp32c3") -> str:
    """Secure boot that takes the key of an image, as digest 0 in the first key block."""
    return f"secure_boot:1,purpose0:9,{words_at(_KEY0[chip], key_digest(image))}"
