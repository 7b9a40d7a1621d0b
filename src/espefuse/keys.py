# SPDX-License-Identifier: Apache-2.0
"""Key material for key blocks: files of raw bytes, ECDSA private keys, digests of public keys.

Only data here: what a block may hold and how it is protected is decided by `commands`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from esptool.errors import FatalError
from esptool.files import name_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PAD_P192 = 8
PAD_P384 = 16
KEY_BYTES = 32
DOUBLE_KEY_BYTES = 64
#: Larger than any key, digest or block in any form.
LARGEST_FILE = 64 << 10


def ecdsa_private_key(data: bytes) -> bytes:
    """The private number of an ECDSA key in PEM form, big-endian, as long as its curve.

    Raises:
        FatalError: not PEM, or no ECDSA private key on a known curve.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    problem = "Incorrect ECDSA private key specified. Please check algorithm and/or format."
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise FatalError(problem) from e
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise FatalError(problem)
    size = (key.curve.key_size + 7) // 8
    return key.private_numbers().private_value.to_bytes(size, "big")


def ecdsa_block(data: bytes) -> bytes:
    """An ECDSA private key for one key block: a P-192 key with 8 zeros in front."""
    key = ecdsa_private_key(data)
    return bytes(PAD_P192) + key if len(key) == 24 else key


def ecdsa_p384_blocks(data: bytes) -> bytes:
    """An ECDSA P-384 private key for two key blocks: 16 zeros in front.

    Raises:
        FatalError: the key is on another curve.
    """
    key = ecdsa_private_key(data)
    if len(key) != 48:
        raise FatalError(f"A NIST384p private key has 48 bytes, but this ECDSA key has {len(key)}.")
    return bytes(PAD_P384) + key


def secure_boot_digest(data: bytes) -> bytes:
    """The SHA-256 digest of a public key as secure boot V2 stores it (PEM, public or private).

    The key part of a signature block is hashed: an RSA-3072 key's modulus, exponent and Montgomery
    constants, or an ECDSA key's curve number and point, all little-endian.

    Raises:
        FatalError: no such key.
    """
    import hashlib

    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = _public_key(data)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size == 3072:
        return hashlib.sha256(_rsa_block(key)).digest()
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        number, size = _CURVES[key.curve.name]
        point = key.public_numbers()
        block = bytes([number])
        for coordinate in (point.x, point.y):
            block += coordinate.to_bytes(size, "little")
        # The layout keeps room for a point of P-256; a P-192 point leaves zeros behind it.
        return hashlib.sha256(block.ljust(1 + 64, b"\0")).digest()
    raise FatalError(
        "The key is neither RSA with 3072 bits nor ECDSA on a NIST curve "
        "(P-192, P-256, P-384), as secure boot V2 needs."
    )


def is_p384(data: bytes) -> bool:
    """Whether PEM data hold a key on the curve P-384, whose secure boot needs SHA-384.

    Raises:
        FatalError: no key.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    key = _public_key(data)
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp384r1"


_CURVES = {"secp192r1": (1, 24), "secp256r1": (2, 32), "secp384r1": (3, 48)}


def _public_key(data: bytes) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        return serialization.load_pem_private_key(data, password=None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass
    try:
        return serialization.load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise FatalError(
            "Verification key does not appear to be an RSA Private or Public key in PEM format. "
            "Unsupported."
        ) from e


def _rsa_block(key: RSAPublicKey) -> bytes:
    numbers = key.public_numbers()
    n = numbers.n
    if not n & 1 or numbers.e >> 32:
        raise FatalError(
            "The RSA key is unusable: its modulus is even, or its exponent has more than 32 bits."
        )
    r = pow(1 << 3072, 2, n)
    m = -pow(n, -1, 1 << 32) & 0xFFFFFFFF
    parts = ((n, 384), (numbers.e, 4), (r, 384), (m, 4))
    return b"".join(number.to_bytes(size, "little") for number, size in parts)


def read(file: BinaryIO) -> bytes:
    """All bytes of an open key file, from its start.

    Raises:
        FatalError: it is larger than any key, or cannot be read.
    """
    name = name_of(file) or "of a key"
    try:
        if file.seekable():
            file.seek(0)
        data = file.read(LARGEST_FILE + 1)
    except OSError as e:
        raise FatalError(f"Cannot read the file {name!r}: {e.strerror or e}.") from e
    if len(data) > LARGEST_FILE:
        raise FatalError(
            f"The file {name!r} is larger than {LARGEST_FILE >> 10} KB: "
            "it is neither a key nor the data of a block."
        )
    return data
