# SPDX-License-Identifier: Apache-2.0
"""Signing keys: making, reading and describing them. Nothing here signs or verifies.

The formats are PEM (PKCS#8, traditional OpenSSL, SubjectPublicKeyInfo) and, for secure boot v1,
the raw public point. All cryptography comes from the `cryptography` package, imported when used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from espsecure.streams import write_private
from esptool.errors import FatalError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

RSA_BITS = 3072
RSA_EXPONENT = 65537

CURVES = {"secp192r1": "NIST192p", "secp256r1": "NIST256p", "secp384r1": "NIST384p"}
"""Curves that a boot ROM verifies: name in the standards, and as printed."""

SCHEMES = {
    "rsa3072": None,
    "ecdsa192": "secp192r1",
    "ecdsa256": "secp256r1",
    "ecdsa384": "secp384r1",
}
"""Names of `--scheme`; None is RSA."""

V1_CURVE = "secp256r1"
V1_POINT_SIZE = 64
"""Raw public key of secure boot v1: x then y, 32 bytes each, big-endian."""

WRONG_V1_CURVE = (
    "{} key uses incorrect curve. ESP32 Secure Boot only supports NIST256p "
    "(openssl calls this curve 'prime256v1')."
)


def generate(scheme: str) -> PrivateKey:
    """A new key of one of the `SCHEMES`."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    curve = SCHEMES[scheme]
    if curve is None:
        return rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=RSA_BITS)
    curves = {c.name: c for c in (ec.SECP192R1, ec.SECP256R1, ec.SECP384R1)}
    return ec.generate_private_key(curves[curve]())


def write_signing_key(
    version: str, scheme: str | None, path: str | os.PathLike[str], *, overwrite: bool = False
) -> str:
    """Make a private key, write it as PEM with mode 0600, and return what it is for a message.

    Raises:
        FatalError: the scheme is not one of the version, or the file exists already.
    """
    if str(version) == "1":
        if scheme not in (None, "ecdsa256"):
            raise FatalError("ERROR: V1 only supports ECDSA256.")
        scheme = "ecdsa256"
    scheme = scheme or "rsa3072"
    if scheme not in SCHEMES:
        raise FatalError(
            f"ERROR: Unsupported signing scheme '{scheme}': use one of {', '.join(SCHEMES)}."
        )
    if not overwrite and os.path.exists(path):
        raise FatalError(f"ERROR: Key file {os.fspath(path)} already exists.")
    write_private(path, private_pem(generate(scheme)), overwrite=overwrite)
    curve = SCHEMES[scheme]
    return f"RSA {RSA_BITS}" if curve is None else f"ECDSA {CURVES[curve]}"


def private_pem(key: PrivateKey) -> bytes:
    """PEM in the traditional OpenSSL form, without a password."""
    from cryptography.hazmat.primitives import serialization as s

    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.TraditionalOpenSSL, s.NoEncryption())


def public_pem(key: PublicKey) -> bytes:
    """PEM in the SubjectPublicKeyInfo form."""
    from cryptography.hazmat.primitives import serialization as s

    return key.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)


def is_rsa(key: PublicKey | PrivateKey) -> bool:
    """Whether the key is an RSA key, as opposed to an elliptic curve one."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey)


def require_v2(key: object) -> None:
    """Refuse keys that no boot ROM can check.

    Raises:
        FatalError: not RSA-3072, P-192, P-256 or P-384.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        if key.key_size != RSA_BITS:
            raise FatalError(f"RSA key has {key.key_size} bits. Only RSA-3072 is supported.")
        # The boot ROM keeps the exponent in 32 bits.
        public = key.public_key() if isinstance(key, rsa.RSAPrivateKey) else key
        if public.public_numbers().e >= 1 << 32:
            raise FatalError("RSA key has a public exponent of more than 32 bits. Use 65537.")
        if not public.public_numbers().n & 1:
            raise FatalError(
                "RSA key has an even modulus, so it is not a key: the file is damaged."
            )
        return
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        if key.curve.name not in CURVES:
            raise FatalError(
                f"Unsupported ECDSA curve: {key.curve.name}. Supported curves: P-192, P-256, P-384"
            )
        return
    kind = "private" if hasattr(key, "private_bytes") else "public"
    raise FatalError(f"Unsupported {kind} key type: use RSA-3072 or ECDSA P-192, P-256, P-384.")


def load_private(data: bytes, name: str = "key file") -> PrivateKey:
    """Read a private key that is fit for secure boot v2 from PEM.

    Raises:
        FatalError: not a PEM private key, locked by a password, or of another kind.
    """
    key = _parse_private(data, name)
    require_v2(key)
    return cast("PrivateKey", key)  # as `require_v2` has seen


def load_public(data: bytes, name: str = "key file") -> PublicKey:
    """Read a public key fit for secure boot v2 from a PEM public or private key.

    Raises:
        FatalError: neither a private nor a public key in PEM, or of another kind.
    """
    if b"-----BEGIN" in data and b"PRIVATE KEY-----" in data:
        return load_private(data, name).public_key()
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"-----BEGIN" not in data:
        raise FatalError(
            "Verification key does not appear to be an RSA Private or Public key in PEM format. "
            "Unsupported.",
            remedy=f"'{name}' has no PEM header; ECDSA keys in PEM format are accepted as well.",
        )
    try:
        key = load_pem_public_key(data)
    except Exception as e:
        raise FatalError(f"Error loading public key from '{name}': {e}") from e
    require_v2(key)
    return cast("PublicKey", key)  # as `require_v2` has seen


def load_private_ecdsa(data: bytes, name: str = "key file") -> ec.EllipticCurvePrivateKey:
    """Read an ECDSA private key on any of the `CURVES` from PEM.

    Raises:
        FatalError: not a PEM private key, locked, not ECDSA, or on another curve.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = _parse_private(data, name)
    except _LockedKeyError:
        raise
    except FatalError as e:
        raise FatalError(
            "Incorrect ECDSA private key specified. Please check algorithm and/or format.",
            remedy=f"'{name}' does not hold a private key in PEM form.",
        ) from e
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise FatalError(
            "Incorrect ECDSA private key specified. Please check algorithm and/or format.",
            remedy=f"'{name}' holds a key of another kind.",
        )
    if key.curve.name not in CURVES:
        raise FatalError(
            f"Supports NIST192p, NIST256p and NIST384p keys only; '{name}' is on the curve "
            f"{key.curve.name}."
        )
    return key


def load_private_v1(data: bytes, name: str = "key file") -> ec.EllipticCurvePrivateKey:
    """Read the P-256 private key of secure boot v1 from PEM.

    Raises:
        FatalError: not a PEM private key, locked, not ECDSA, or on another curve.
    """
    key = load_private_ecdsa(data, name)
    if key.curve.name != V1_CURVE:
        raise FatalError(WRONG_V1_CURVE.format("Signing"))
    return key


def load_public_v1(data: bytes, name: str = "key file") -> ec.EllipticCurvePublicKey:
    """Read the P-256 public key of secure boot v1: a PEM key of either kind, or 64 raw bytes.

    Raises:
        FatalError: nothing of these, or on another curve.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"-----BEGIN" in data and b"PRIVATE KEY-----" in data:
        key: object = _parse_private(data, name).public_key()
    elif b"-----BEGIN" in data:
        try:
            key = load_pem_public_key(data)
        except Exception as e:
            raise FatalError(
                "Incorrect ECDSA public key specified. Please check algorithm and/or format.",
                remedy=f"'{name}': {e}",
            ) from e
    elif len(data) == V1_POINT_SIZE:
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + data)
        except ValueError as e:
            raise FatalError(f"'{name}' is not a point of the curve NIST256p.") from e
    else:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise FatalError(
            "Verification key does not appear to be an EC key in PEM format or binary EC public "
            "key data. Unsupported."
        )
    if key.curve.name != V1_CURVE:
        raise FatalError(WRONG_V1_CURVE.format("Public"))
    return key


def point(key: ec.EllipticCurvePublicKey, *, byteorder: Literal["big", "little"] = "big") -> bytes:
    """The public point: x then y, each as long as the curve, in one byte order."""
    numbers = key.public_numbers()
    size = (key.key_size + 7) // 8
    return b"".join(n.to_bytes(size, byteorder) for n in (numbers.x, numbers.y))


class _LockedKeyError(FatalError):
    """The private key is protected by a password."""


def _parse_private(data: bytes, name: str) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"-----BEGIN" in data and b"PRIVATE KEY-----" not in data:
        raise FatalError(
            f"Error loading private key: '{name}' holds no private key"
            + (" but a public one." if b"PUBLIC KEY-----" in data else "."),
            remedy="Signing needs the private key in PEM form.",
        )
    try:
        return load_pem_private_key(data, password=None)
    except TypeError as e:
        raise _LockedKeyError(
            f"Error loading private key: '{name}' is encrypted with a password.",
            remedy="Remove the password first, e.g. 'openssl pkey -in locked.pem -out key.pem'.",
        ) from e
    except (ValueError, UnsupportedAlgorithm) as e:
        reason = str(e).split(". ")[0].rstrip(".")
        raise FatalError(
            f"Error loading private key: '{name}' cannot be read as PEM ({reason})."
        ) from e
