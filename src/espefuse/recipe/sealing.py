# SPDX-License-Identifier: Apache-2.0
"""Keys that are made for one board, kept so that only their owner can read them.

A sealed key is a JSON file. A fresh X25519 key pair agrees with the owner's public key on a secret,
HKDF-SHA256 makes a key of that, and ChaCha20-Poly1305 seals the board's key with it. What stands
beside it in the file (chip, MAC, purpose, SHA-256 of the key) is authenticated. The digest lets a
burn be taken up again without the key, and the file alone gives nothing away of 128 random bits.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from espefuse.recipe.model import Owner
from esptool.errors import FatalError
from esptool.files import write_atomic
from esptool.textfile import read_text

FORMAT = "espefuse sealed key 1"
SECRET_MODE = 0o600
LARGEST = 64 << 10
_NONCE = bytes(12)  # each file has a key of its own, so one nonce is used once


@dataclass(frozen=True)
class Label:
    """What is known of a sealed key without opening it; see `digest`."""

    chip: str
    mac: str
    purpose: str
    bits: int
    sha256: str


#: What one key block holds.
PIECE = 32


def digest(key: bytes) -> str:
    """SHA-256 of each 32 bytes of a key, in hex, with commas between: a key may fill two blocks."""
    pieces = (key[at : at + PIECE] for at in range(0, len(key), PIECE))
    return ",".join(hashlib.sha256(piece).hexdigest() for piece in pieces)


def make_owner() -> tuple[bytes, bytes]:
    """A new private key and its public key, both in PEM form."""
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    key = X25519PrivateKey.generate()
    private = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    return private, public


def check_public(data: bytes) -> Any:
    """The X25519 public key in PEM data.

    Raises:
        FatalError: it is none.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, X25519PublicKey):
        raise FatalError(
            "It holds no X25519 public key in PEM form.",
            remedy="Make a pair with 'espefuse recipe owner-key FILE'.",
        )
    return key


def _secret(shared: bytes, ephemeral: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt=ephemeral, info=FORMAT.encode()).derive(shared)


def seal(key: bytes, label: Label, public_key: bytes) -> bytes:
    """The content of a sealed file; see the head of this module."""
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    owner = check_public(public_key)
    pair = X25519PrivateKey.generate()
    ephemeral = pair.public_key().public_bytes(s.Encoding.Raw, s.PublicFormat.Raw)
    cipher = ChaCha20Poly1305(_secret(pair.exchange(owner), ephemeral))
    content = {"format": FORMAT, **asdict(label), "ephemeral": ephemeral.hex()}
    content["sealed"] = cipher.encrypt(_NONCE, key, _authenticated(content)).hex()
    return (json.dumps(content, indent=2) + "\n").encode()


def _authenticated(content: dict[str, Any]) -> bytes:
    plain = {name: value for name, value in content.items() if name != "sealed"}
    return json.dumps(plain, sort_keys=True).encode()


_PARTS = {"format": str, "chip": str, "mac": str, "purpose": str, "bits": int, "sha256": str}


def _load(path: str | os.PathLike[str]) -> dict[str, Any]:
    problem = f"'{os.fspath(path)}' is no sealed key of this program"
    try:
        content = json.loads(read_text(path, "sealed key", largest=LARGEST))
    except (ValueError, RecursionError) as e:
        raise FatalError(f"{problem}: {e}.") from e
    whole = isinstance(content, dict) and all(
        isinstance(content.get(name), kind)
        for name, kind in {**_PARTS, "ephemeral": str, "sealed": str}.items()
    )
    if not whole or content["format"] != FORMAT:
        raise FatalError(f"{problem}.")
    return dict(content)


def label_of(path: str | os.PathLike[str]) -> Label:
    """What a sealed file says of its key.

    Raises:
        FatalError: it is no such file.
    """
    content = _load(path)
    return Label(*(content[name] for name in ("chip", "mac", "purpose", "bits", "sha256")))


def unseal(path: str | os.PathLike[str], private_key: bytes) -> bytes:
    """The key in a sealed file.

    Raises:
        FatalError: the private key is not its owner's, or the file was changed.
    """
    from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _load(path)
    try:
        owner = load_pem_private_key(private_key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        owner = None
    if not isinstance(owner, X25519PrivateKey):
        raise FatalError("The private key is no X25519 key in PEM form without a password.")
    try:
        ephemeral = bytes.fromhex(content["ephemeral"])
        shared = owner.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        cipher = ChaCha20Poly1305(_secret(shared, ephemeral))
        key = cipher.decrypt(_NONCE, bytes.fromhex(content["sealed"]), _authenticated(content))
    except (ValueError, InvalidTag) as e:
        raise FatalError(
            f"'{os.fspath(path)}' cannot be opened: it was sealed for another owner, or changed."
        ) from e
    return key


class KeyStore:
    """The folder of an owner: one sealed file for each key of each board."""

    def __init__(self, owner: Owner, identity: bytes | None = None) -> None:
        """`identity` is the owner's private key (PEM), where it may be used."""
        self._owner = owner
        self._identity = identity

    def path(self, chip: str, mac: str, purpose: str) -> Path:
        """Where a board's key is kept."""
        name = f"{chip}-{mac.replace(':', '')}-{purpose.lower()}.sealed.json"
        return Path(self._owner.folder) / name

    def label(self, chip: str, mac: str, purpose: str) -> Label | None:
        """What is known of a board's key; None where none was made.

        Raises:
            FatalError: the file is damaged, or is another board's.
        """
        path = self.path(chip, mac, purpose)
        if not path.exists():
            return None
        label = label_of(path)
        if (label.chip, label.mac, label.purpose) != (chip, mac, purpose):
            raise FatalError(f"'{path}' says that it is the key of another board.")
        return label

    def open(self, chip: str, mac: str, purpose: str) -> bytes | None:
        """A board's key, where it was made and the owner's private key is at hand."""
        path = self.path(chip, mac, purpose)
        if self._identity is None or not path.exists():
            return None
        return unseal(path, self._identity)

    def make(
        self, chip: str, mac: str, purpose: str, bits: int, kept: Sequence[bytes | None] = ()
    ) -> bytes:
        """A new random key for a board, which is safely on disk before this returns.

        Args:
            chip, mac, purpose: whose it is.
            bits: its length.
            kept: pieces of it that are burned already; None for those that are made anew.
        """
        key = bytearray(os.urandom(bits // 8))
        for i, piece in enumerate(kept):
            if piece is not None:
                key[i * PIECE : i * PIECE + len(piece)] = piece
        label = Label(chip, mac, purpose, bits, digest(bytes(key)))
        path = self.path(chip, mac, purpose)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise FatalError(
                f"The folder of keys '{path.parent}' cannot be made: {e.strerror or e}.",
                remedy="Nothing was burned without it. Name another one under [owner].",
            ) from e
        write_atomic(path, seal(bytes(key), label, self._owner.public_key), SECRET_MODE)
        # What is burned must not outlive a file that a power cut takes away.
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        if hasattr(os, "O_DIRECTORY"):
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return bytes(key)
