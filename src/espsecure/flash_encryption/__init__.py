# SPDX-License-Identifier: Apache-2.0
"""Flash encryption on files: ESP32's own scheme, and the AES-XTS of the later chips.

Both work on streams of any size in bounded memory. Keys are files of raw bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import IO

from espsecure import streams
from esptool.errors import FatalError, UsageError
from esptool.events import Level, Listener, Message, ignore

BLOCK = 16
"""Start and length of encrypted data are multiples of an AES block."""

ADDRESS_END = 1 << 32
"""Flash offsets are 32 bit numbers for the hardware."""

ESP32_KEY_BITS = (192, 256)
XTS_KEY_BITS = (128, 256, 512)
KEY_SIZES = (16, 24, 32, 64)

DEFAULT_CRYPT_CONF = 0xF

Crypt = Callable[[bytes], bytes]
"""A chunk of data at the address after the previous chunk, in or out of its encrypted form."""


@dataclass(frozen=True, slots=True)
class Transformed:
    """What an operation did: bytes written, and bytes of random padding among them."""

    length: int
    padding: int


def load_key(
    data: bytes,
    listener: Listener = ignore,
    *,
    flash_encryption: bool = True,
    aes_xts: bool = False,
    name: str = "key file",
) -> bytes:
    """The key that the hardware uses, from what is in a key file: short ones are extended.

    Raises:
        FatalError: the length is not one that the scheme knows.
    """
    bits = len(data) * 8
    if len(data) not in KEY_SIZES:
        raise FatalError(
            f"Key file contains wrong length ({len(data)} bytes), 16, 24, 32 or 64 expected.",
            remedy=f"'{name}' must hold the bare key bytes.",
        )
    if flash_encryption and aes_xts and bits not in XTS_KEY_BITS:
        raise FatalError(
            f"AES_XTS supports only 128, 256, and 512-bit keys. Provided key is {bits} bits."
        )
    if flash_encryption and not aes_xts and bits not in ESP32_KEY_BITS:
        raise FatalError(
            f"ESP32 supports only 192 and 256-bit keys. Provided key is {bits} bits. "
            "Use --aes_xts for other chips."
        )
    if not flash_encryption and bits == 512:
        raise FatalError("A secure boot key has 128, 192 or 256 bits. Provided key is 512 bits.")
    if bits == 128:
        key = sha256(data).digest()
    elif bits == 192:
        key = data + data[8:16]
    else:
        key = data
    extended = " (extended)" if len(key) != len(data) else ""
    listener(Message(f"Using {bits}-bit key{extended}."))
    return key


def encrypt(
    key: bytes,
    source: IO[bytes],
    out: IO[bytes],
    address: int,
    *,
    aes_xts: bool,
    crypt_conf: int | None = None,
    listener: Listener = ignore,
) -> Transformed:
    """Encrypt a stream as it is to stand in flash from `address` on.

    With ESP32's scheme data that ends within a block is padded with random bytes.

    Raises:
        UsageError: address or length do not fit the scheme; nothing was written then.
    """
    return _run(key, source, out, address, aes_xts, crypt_conf, False, listener)


def decrypt(
    key: bytes,
    source: IO[bytes],
    out: IO[bytes],
    address: int,
    *,
    aes_xts: bool,
    crypt_conf: int | None = None,
    listener: Listener = ignore,
) -> Transformed:
    """Decrypt a stream that was read from flash at `address`.

    Raises:
        UsageError: address or length do not fit the scheme; nothing was written then.
    """
    return _run(key, source, out, address, aes_xts, crypt_conf, True, listener)


def _run(
    key: bytes,
    source: IO[bytes],
    out: IO[bytes],
    address: int,
    aes_xts: bool,
    crypt_conf: int | None,
    decrypting: bool,
    listener: Listener,
) -> Transformed:
    source = streams.seekable(source)
    length = streams.remaining(source)
    _check_address(address, length)
    padding = -length % BLOCK
    if padding and aes_xts:
        raise UsageError(f"Input data length ({length}) must be a multiple of {BLOCK}.")
    if not length and aes_xts:
        raise UsageError("Input data must be longer than 0.")
    if padding and decrypting:
        raise UsageError(
            f"Data length is not a multiple of {BLOCK} bytes.",
            remedy=f"It is {length} bytes: data from encrypted flash comes in whole blocks.",
        )
    if padding:
        listener(
            Message(
                f"Note: Padding with {padding} bytes of random data "
                f"(encrypted data must be multiple of {BLOCK} bytes long)."
            )
        )
    if aes_xts:
        if crypt_conf not in (None, DEFAULT_CRYPT_CONF):
            text = "--flash-crypt-conf has no effect on AES-XTS, only on the scheme of ESP32."
            listener(Message(text, Level.WARNING))
        from espsecure.flash_encryption import xts

        crypt = xts.stream(key, address, decrypting)
        unit = xts.UNIT
    else:
        from espsecure.flash_encryption import esp32

        conf = DEFAULT_CRYPT_CONF if crypt_conf is None else crypt_conf
        if conf != conf & DEFAULT_CRYPT_CONF:
            conf &= DEFAULT_CRYPT_CONF
            text = f"FLASH_CRYPT_CONFIG has 4 bits: of {crypt_conf} only {conf:#x} counts."
            listener(Message(text, Level.WARNING))
        if not conf:
            listener(Message("Setting FLASH_CRYPT_CONF to zero is not recommended.", Level.WARNING))
        crypt = esp32.stream(key, address, conf, decrypting)
        unit = esp32.UNIT
    for chunk in _aligned(source, length, padding, address, unit):
        out.write(crypt(chunk))
    return Transformed(length + padding, padding)


def _check_address(address: int, length: int) -> None:
    if address % BLOCK:
        raise UsageError(f"Starting flash address {address:#x} must be a multiple of {BLOCK}.")
    if address < 0 or address + length > ADDRESS_END:
        raise UsageError(
            f"{length} bytes at flash address {address:#x} do not lie within 32 bit addresses."
        )


def _aligned(
    source: IO[bytes], length: int, padding: int, address: int, unit: int
) -> Iterator[bytes]:
    """The data in chunks that begin at multiples of `unit`, but for the first; padded."""
    filling = os.urandom(padding)
    first = min(-address % unit, length)
    left = length - first
    if first:
        chunk = streams.read_exactly(source, first)
        yield chunk if left else chunk + filling
    for chunk in streams.chunks(source, left):
        left -= len(chunk)
        yield chunk if left else chunk + filling
