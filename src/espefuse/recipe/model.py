# SPDX-License-Identifier: Apache-2.0
"""What a recipe says, as values. Files are named, not read, but for the digests and keys."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

FORMAT = 1


class KeySource(Enum):
    """Where a key comes from."""

    FILE = "file"
    EACH_BOARD = "each board"
    ON_CHIP = "on chip"


class Mode(Enum):
    """How far flash encryption goes."""

    DEVELOPMENT = "development"
    RELEASE = "release"


class Download(Enum):
    """What is left of the download mode."""

    OPEN = "open"
    SECURE = "secure"
    OFF = "off"


@dataclass(frozen=True)
class Key:
    """A key for a key block.

    Attributes:
        purpose: by its name in the chip's table; "" for the flash encryption key, whose name
            follows from its size.
        bits: length of the key; 0 where the file decides.
        data: bytes of the file, None for the other sources.
        block: a key block that was asked for.
        line: in the recipe's file.
    """

    purpose: str
    source: KeySource
    bits: int
    data: bytes | None
    block: str | None
    line: int


@dataclass(frozen=True)
class FlashEncryption:
    """Flash encryption: its key and how far it goes."""

    mode: Mode
    key: Key


@dataclass(frozen=True)
class SecureBoot:
    """Secure boot.

    Attributes:
        version: 1 or 2.
        digests: SHA-256 of public keys, 32 bytes each; version 1 has its key instead.
        sha384: a digest is that of a P-384 key.
        key: of version 1.
        revoke_unused: revoke the digest slots that are left empty.
        aggressive_revoke: revoke a digest as soon as a check with it fails.
    """

    version: int
    digests: tuple[bytes, ...]
    sha384: bool
    key: Key | None
    revoke_unused: bool
    aggressive_revoke: bool


@dataclass(frozen=True)
class Owner:
    """Whose the keys are that are made for a board.

    Attributes:
        public_key: X25519 public key in PEM form that they are sealed for.
        folder: where the sealed keys are kept.
    """

    public_key: bytes
    folder: str


@dataclass(frozen=True)
class Recipe:
    """All of it; parts that a recipe does not have are None or empty.

    Attributes:
        path: the file, for messages.
        chips: names of the chips that it is for, normalized.
        custom_mac: "aa:bb:...", or "{row.NAME}" for a column of the board's own data.
        fields: any other eFuses by name.
        write_protect, read_protect: fields to lock and to hide.
    """

    path: str
    name: str
    chips: tuple[str, ...]
    flash_encryption: FlashEncryption | None
    secure_boot: SecureBoot | None
    keys: tuple[Key, ...]
    close_jtag: bool
    download: Download
    custom_mac: str | None
    secure_version: int | None
    fields: tuple[tuple[str, str], ...]
    write_protect: tuple[str, ...]
    read_protect: tuple[str, ...]
    owner: Owner | None

    @property
    def makes_keys(self) -> bool:
        """Whether a key of its own is made for each board."""
        mine = [self.flash_encryption.key] if self.flash_encryption else []
        return any(key.source is KeySource.EACH_BOARD for key in (*mine, *self.keys))
