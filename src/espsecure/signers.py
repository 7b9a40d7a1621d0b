# SPDX-License-Identifier: Apache-2.0
"""Where a signature comes from: a key file, an external command, an HSM, or a file made before.

A signer is asked with a digest, never with the data, and answers with a raw signature: RSA-PSS as
one big-endian number, ECDSA as r then s, big-endian, each as long as the curve.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from espsecure import keys
from esptool.errors import FatalError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

    from espsecure.keys import PrivateKey, PublicKey

PSS_SALT = 32
"""Length of the RSA-PSS salt that boot ROMs expect; hash and mask are SHA-256."""

SIGNER_TIMEOUT_S = 300.0
LONGEST_ANSWER = 0x10000


class Signer(Protocol):
    """Something that signs digests with one key."""

    @property
    def public_key(self) -> PublicKey:
        """The key that verifies what this signer signs."""

    def sign(self, digest: bytes) -> bytes:
        """The raw signature of a digest (made with `digest_name` of the key)."""


def digest_name(key: PublicKey) -> str:
    """The hash that a boot ROM uses with this key: SHA-384 with P-384, otherwise SHA-256."""
    return "sha384" if not keys.is_rsa(key) and key.key_size == 384 else "sha256"


def verify(key: PublicKey, raw: bytes, digest: bytes) -> bool:
    """Whether `raw` is a signature of `digest` by `key`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils

    hashed = utils.Prehashed(_hash_of(digest))
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(raw, digest, _pss(), hashed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            half = (key.key_size + 7) // 8
            if len(raw) != 2 * half:
                return False
            key.verify(join_der(raw), digest, ec.ECDSA(hashed))
    except (InvalidSignature, ValueError):
        return False
    return True


def join_der(raw: bytes) -> bytes:
    """r then s of equal length, as the ASN.1 structure that most tools exchange."""
    from cryptography.hazmat.primitives.asymmetric import utils

    half = len(raw) // 2
    return utils.encode_dss_signature(
        int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    )


def split_der(signature: bytes, key_bits: int) -> bytes:
    """r then s, each as long as the curve, of an ASN.1 signature.

    Raises:
        ValueError: not such a structure, or its numbers are longer than the curve.
    """
    from cryptography.hazmat.primitives.asymmetric import utils

    half = (key_bits + 7) // 8
    r, s = utils.decode_dss_signature(signature)
    try:
        return r.to_bytes(half, "big") + s.to_bytes(half, "big")
    except OverflowError as e:
        raise ValueError("the signature is longer than the curve of the key") from e


def as_raw(signature: bytes, key: PublicKey) -> bytes:
    """A signature from elsewhere as raw bytes; ECDSA may come raw or as ASN.1.

    Raises:
        ValueError: it has neither form.
    """
    if keys.is_rsa(key):
        return signature
    if len(signature) == 2 * ((key.key_size + 7) // 8):
        return signature
    return split_der(signature, key.key_size)


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Signs with a private key in memory."""

    private_key: PrivateKey
    deterministic: bool = False

    @property
    def public_key(self) -> PublicKey:
        """The public half of the private key."""
        return self.private_key.public_key()

    def sign(self, digest: bytes) -> bytes:
        """Sign a digest with the private key."""
        from cryptography.hazmat.primitives.asymmetric import rsa, utils

        hashed = utils.Prehashed(_hash_of(digest))
        key = self.private_key
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(digest, _pss(), hashed)
        der = key.sign(digest, self._ecdsa(hashed))
        return split_der(der, key.key_size)

    def _ecdsa(self, hashed: utils.Prehashed) -> ec.ECDSA:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec as module

        if self.deterministic:
            try:
                return module.ECDSA(hashed, deterministic_signing=True)
            except UnsupportedAlgorithm:
                pass  # OpenSSL before 3.2: a random nonce gives another, equally valid signature
        return module.ECDSA(hashed)


@dataclass(frozen=True, slots=True)
class StoredSigner:
    """Hands out a signature that was made elsewhere, after checking it against the public key."""

    key: PublicKey
    signature: bytes

    @property
    def public_key(self) -> PublicKey:
        """The key that the signature belongs to."""
        return self.key

    def sign(self, digest: bytes) -> bytes:
        """The stored signature, once it fits the digest."""
        try:
            raw = as_raw(self.signature, self.key)
        except ValueError:
            raw = b""
        if not verify(self.key, raw, digest):
            raise FatalError(
                "Signature verification failed: Invalid Signature",
                remedy=why_not(self.key, raw or self.signature, digest),
            )
        return raw


@dataclass(frozen=True, slots=True)
class CommandSigner:
    """Runs a program that reads the digest from standard input and prints the raw signature.

    The program gets the bare digest (32 or 48 bytes) and must answer with bytes: RSA-PSS
    (SHA-256, 32 bytes of salt), or ECDSA as r and s or as ASN.1. It runs without a shell.
    """

    command: str
    key: PublicKey
    timeout_s: float = SIGNER_TIMEOUT_S

    @property
    def public_key(self) -> PublicKey:
        """The key that the command signs with."""
        return self.key

    def sign(self, digest: bytes) -> bytes:
        """Have the command sign a digest, and check what it gives."""
        try:
            words = shlex.split(self.command)
        except ValueError as e:
            raise FatalError(f"--signer-command cannot be understood: {e}.") from e
        if not words:
            raise FatalError("--signer-command is empty: give a program and its arguments.")
        answer = self._answer(words, digest)
        try:
            raw = as_raw(answer, self.key)
        except ValueError as e:
            raise FatalError(
                f"The signer '{words[0]}' answered {len(answer)} bytes that are no ECDSA "
                f"signature for a {self.key.key_size} bit curve: print r and s, or ASN.1."
            ) from e
        if not verify(self.key, raw, digest):
            raise FatalError(
                f"The signature from '{words[0]}' does not verify with the given public key.",
                remedy="It must sign the digest as it is given, without hashing it again, with "
                "the private key that belongs to --pub-key.",
            )
        return raw

    def _answer(self, words: list[str], digest: bytes) -> bytes:
        """What the program prints, as far as it may be a signature."""
        try:
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except (OSError, ValueError) as e:
            reason = e.strerror if isinstance(e, OSError) and e.strerror else e
            raise FatalError(f"Cannot run the signer '{words[0]}': {reason}.") from e
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self.timeout_s, end)
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            timer.start()
            try:
                with contextlib.suppress(BrokenPipeError):  # one that does not read
                    process.stdin.write(digest)
                    process.stdin.close()
                answer = process.stdout.read(LONGEST_ANSWER + 1)
                if len(answer) > LONGEST_ANSWER:
                    raise FatalError(f"The signer '{words[0]}' prints far more than a signature.")
                process.wait()
            except BaseException:
                process.kill()
                raise
            finally:
                timer.cancel()
        if late.is_set():
            raise FatalError(
                f"The signer '{words[0]}' gave no answer in {self.timeout_s:g} seconds."
            )
        if process.returncode:
            raise FatalError(
                f"The signer '{words[0]}' failed with exit code {process.returncode}.",
                remedy="Its own message, if any, is above.",
            )
        return answer


def _is_pkcs1(key: PublicKey, signature: bytes, digest: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(_hash_of(digest)))
    except (InvalidSignature, ValueError):
        return False
    return True


def _has_other_salt(key: PublicKey, signature: bytes, digest: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

    if not isinstance(key, rsa.RSAPublicKey):
        return False
    any_salt = padding.PSS(mgf=padding.MGF1(_hash_of(digest)), salt_length=padding.PSS.AUTO)
    try:
        key.verify(signature, digest, any_salt, utils.Prehashed(_hash_of(digest)))
    except (InvalidSignature, ValueError):
        return False
    return True


def why_not(key: PublicKey, signature: bytes, digest: bytes) -> str:
    """What is wrong with a signature that does not verify."""
    rsa = keys.is_rsa(key)
    wanted = "RSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes"
    length = (key.key_size + 7) // 8 * (1 if rsa else 2)
    if rsa and len(signature) != length:
        return f"It has {len(signature)} bytes; a signature by this key has {length}: {wanted}."
    if not rsa and not signature:
        return f"It is neither r and s ({length} bytes) nor ASN.1."
    if _is_pkcs1(key, signature, digest):
        return f"It is padded by PKCS#1 v1.5; needed is {wanted}."
    if _has_other_salt(key, signature, digest):
        return f"Its salt has another length; needed is {wanted}."
    return (
        "The pre-calculated signature has not been signed using the given public key, or is of "
        "other data."
    )


def _hash_of(digest: bytes) -> hashes.HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA384() if len(digest) == 48 else hashes.SHA256()


def _pss() -> padding.PSS:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=PSS_SALT)
