# SPDX-License-Identifier: Apache-2.0
"""Digests that chips keep or check: of private keys, and of secure boot v1's bootloader.

The digest of a public key for secure boot v2 is with its signature block, in `signatures_v2`.
"""

from __future__ import annotations

import hashlib
import os
import struct
from typing import IO, TYPE_CHECKING

from espsecure import streams
from esptool.errors import ImageError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

IV_SIZE = 128
DIGEST_BLOCK = 128
IMAGE_OFFSET = 0x1000
"""Where ESP32's bootloader stands in flash; the digest takes the space in front of it."""

LARGEST_BOOTLOADER = 16 << 20
"""The flash of an ESP32: a longer file is no bootloader."""

_IMAGE_MAGIC = 0xE9
_HEADER_SIZE = 24
_SEGMENT = struct.Struct("<II")
_HASH_APPENDED_AT = 23
"""Offset in an image's extended header of the flag that a SHA-256 follows the image."""


def private_key_digest(key: ec.EllipticCurvePrivateKey, key_bits: int = 256) -> bytes:
    """The secure boot v1 key of an ESP32, made from the signing key.

    With the 3/4 coding scheme of eFuses it has 192 bits.

    Raises:
        UsageError: another length.
    """
    if key_bits not in (192, 256):
        raise UsageError(f"A digest of {key_bits} bits cannot be made: --keylen is 192 or 256.")
    value = key.private_numbers().private_value
    return hashlib.sha256(value.to_bytes(32, "big")).digest()[: key_bits // 8]


def bootloader_digest(key: bytes, image: bytes, iv: bytes) -> bytes:
    """The keyed digest that an ESP32 checks before it runs the bootloader: 64 bytes.

    Each block of 16 bytes is encrypted by AES-256 with its bytes reversed, the result is reversed
    by words, and all of it is hashed by SHA-512 (technical reference manual, "Secure Boot").
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
    # Reversing everything at once also reverses the order of blocks, and back again.
    encrypted = encrypt((iv + _filled(image))[::-1])[::-1]
    return swap_words(hashlib.sha512(swap_words(encrypted)).digest())


def digested_bootloader(key: bytes, image: IO[bytes], iv: bytes | None = None) -> bytes:
    """What is flashed at 0x0: IV, digest, filling up to 0x1000, and the bootloader.

    Without an IV a random one is made. A given one may be shorter than the 128 bytes that the
    hardware writes: the digest then follows it at once, which only comparisons make use of.

    Raises:
        UsageError: the IV is empty, longer than 128 bytes, or not in whole AES blocks.
        ImageError: the file is not a firmware image.
    """
    if iv is None:
        iv = os.urandom(IV_SIZE)
    elif not 0 < len(iv) <= IV_SIZE or len(iv) % 16:
        raise UsageError(f"The IV has {len(iv)} bytes; {IV_SIZE} are needed.")
    data = _without_hash(streams.small(image, LARGEST_BOOTLOADER), streams.name_of(image))
    head = iv + bootloader_digest(key, data, iv)
    return head.ljust(IMAGE_OFFSET, b"\xff") + _filled(data)


def swap_words(data: bytes) -> bytes:
    """Each group of 4 bytes in the other order.

    Raises:
        ValueError: the length is not a multiple of 4.
    """
    if len(data) % 4:
        raise ValueError(f"{len(data)} bytes are not whole words")
    swapped = bytearray(len(data))
    for place in range(4):
        swapped[place::4] = data[3 - place :: 4]
    return bytes(swapped)


def _filled(data: bytes) -> bytes:
    return data + b"\xff" * (-len(data) % DIGEST_BLOCK)


def _without_hash(image: bytes, name: str) -> bytes:
    """The part of the image that the ROM digests: without an appended SHA-256 in the last block.

    Raises:
        ImageError: no image, or one that ends within a segment.
    """
    if not image or image[0] != _IMAGE_MAGIC:
        magic = f"{image[0]:#x}" if image else "none"
        raise ImageError(
            f"Invalid firmware image magic={magic}",
            remedy=f"'{name}' is not a bootloader image of an ESP32.",
        )
    position = _HEADER_SIZE
    for _ in range(image[1] if len(image) >= _HEADER_SIZE else 1):
        if position + _SEGMENT.size <= len(image):
            position += _SEGMENT.unpack_from(image, position)[1]
        position += _SEGMENT.size
        if position > len(image):
            raise ImageError(f"The firmware image '{name}' ends within a segment: is it whole?")
    tail = len(image) % DIGEST_BLOCK
    if image[_HASH_APPENDED_AT] == 1 and tail <= hashlib.sha256().digest_size:
        return image[: len(image) - tail]
    return image
