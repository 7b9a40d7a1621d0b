# SPDX-License-Identifier: Apache-2.0
"""Names of `espsecure` with an underscore that programs use though nobody documents them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from espsecure import keys, operations, signatures_v2, streams
from espsecure.flash_encryption import esp32
from espsecure.signatures_v2 import RsaPrimitives

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    from espsecure.keys import PrivateKey, PublicKey


def _get_sbv2_pub_key(keyfile: IO[bytes]) -> PublicKey:
    return keys.load_public(streams.small(keyfile), streams.name_of(keyfile))


def _load_sbv2_pub_key(keydata: bytes) -> PublicKey:
    return keys.load_public(keydata)


def _load_sbv2_signing_key(keydata: bytes) -> PrivateKey:
    return keys.load_private(keydata)


def _load_ecdsa_signing_key(keyfile: IO[bytes]) -> ec.EllipticCurvePrivateKey:
    return keys.load_private_v1(streams.small(keyfile), streams.name_of(keyfile))


def _load_ecdsa_verifying_key(keyfile: IO[bytes]) -> ec.EllipticCurvePublicKey:
    return keys.load_public_v1(streams.small(keyfile), streams.name_of(keyfile))


def _digest_sbv2_public_key(keyfile: IO[bytes]) -> bytes:
    return operations.public_key_digest(keyfile)


def _get_sbv2_rsa_primitives(public_key: rsa.RSAPublicKey) -> RsaPrimitives:
    """As the boot ROM needs them, but for `m`, which v5 gives as a negative number."""
    numbers = signatures_v2.rsa_primitives(public_key)
    return replace(numbers, m=numbers.m - (1 << 32))


def _microecc_format(a: int, b: int, curve_len: int) -> bytes:
    size = curve_len // 8
    return a.to_bytes(size, "little") + b.to_bytes(size, "little")


def _sha256_digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _sha384_digest(contents: bytes) -> bytes:
    return hashlib.sha384(contents).digest()


def _flash_encryption_tweak_range_bits(flash_crypt_config: int = 0xF) -> int:
    return esp32.tweak_range(flash_crypt_config)


def _flash_encryption_tweak_key(key: int, offset: int, tweak_range: int) -> bytes:
    return esp32.tweak_key(key, offset, tweak_range)
