# SPDX-License-Identifier: Apache-2.0
"""Keys of an encrypted NVS: the key partition, the HMAC scheme, and the cipher itself.

Source: ESP-IDF's documentation, "NVS Encryption". Each entry is one unit of XTS-AES-256; its tweak
is the distance of the entry from the start of the partition, so that an image can be moved.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from typing import Protocol

from esptool.errors import UsageError
from esptool.storage.nvs.layout import PAGE, crc32

KEY_BYTES = 64
HMAC_KEY_BYTES = 32
_ENCRYPTION_SEED = bytes.fromhex("5a5abeae") * 8
_TWEAK_SEED = bytes.fromhex("a5a5dece") * 8


class NvsKeys:
    """The two AES-256 keys of an encrypted NVS."""

    __slots__ = ("_key", "_unit")

    def __init__(self, key: bytes) -> None:
        """
        Args:
            key: 64 bytes, the encryption key followed by the tweak key.

        Raises:
            UsageError: another size, or two equal keys, which XTS forbids.
        """
        if len(key) != KEY_BYTES:
            raise UsageError(f"The keys of an NVS have {KEY_BYTES} bytes, not {len(key)}.")
        if key[:32] == key[32:]:
            raise UsageError("The two keys of an NVS must differ: XTS-AES takes no equal ones.")
        self._key = bytes(key)
        self._unit = _units(self._key)

    def __repr__(self) -> str:
        return "NvsKeys(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NvsKeys) and hmac.compare_digest(self._key, other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    @staticmethod
    def generate() -> NvsKeys:
        """New keys from the system's source of randomness."""
        return NvsKeys(os.urandom(KEY_BYTES))

    @staticmethod
    def from_hmac(hmac_key: bytes) -> NvsKeys:
        """The keys that a chip derives from the HMAC key in its eFuses (purpose HMAC_UP).

        Raises:
            UsageError: an HMAC key has 32 bytes.
        """
        if len(hmac_key) != HMAC_KEY_BYTES:
            raise UsageError(f"An HMAC key has {HMAC_KEY_BYTES} bytes, not {len(hmac_key)}.")
        return NvsKeys(
            hmac.digest(hmac_key, _ENCRYPTION_SEED, hashlib.sha256)
            + hmac.digest(hmac_key, _TWEAK_SEED, hashlib.sha256)
        )

    @staticmethod
    def from_partition(data: bytes) -> NvsKeys:
        """The keys of a key partition (`nvs_keys`) or of a file of its first 68 bytes or more.

        Raises:
            UsageError: too short, blank, or the checksum is wrong.
        """
        if len(data) < KEY_BYTES + 4:
            raise UsageError(
                f"{len(data)} bytes are no NVS key partition: it begins with {KEY_BYTES} bytes of "
                "keys and their checksum.",
            )
        key = data[:KEY_BYTES]
        (found,) = struct.unpack_from("<I", data, KEY_BYTES)
        if key == b"\xff" * KEY_BYTES and found == 0xFFFFFFFF:
            raise UsageError(
                "The NVS key partition is blank: the chip makes its keys at the first start.",
                remedy="Make keys with 'esptool nvs keys', or have the application start once.",
            )
        if found != crc32(key):
            raise UsageError(
                "The checksum of the NVS keys is wrong: they are damaged, or encrypted themselves "
                "(by flash encryption).",
                remedy="Keys that are encrypted in flash cannot be read from outside the chip.",
            )
        return NvsKeys(key)

    def to_partition(self, size: int = PAGE) -> bytes:
        """The key partition: keys, checksum, and 0xFF to the end."""
        data = self._key + struct.pack("<I", crc32(self._key))
        return data.ljust(size, b"\xff")

    def encrypt(self, offset: int, data: bytes) -> bytes:
        """Encrypt one entry that lies `offset` bytes from the start of the partition."""
        return self._unit.encrypt(struct.pack("<QQ", offset, 0), data)

    def decrypt(self, offset: int, data: bytes) -> bytes:
        """Decrypt one entry."""
        return self._unit.decrypt(struct.pack("<QQ", offset, 0), data)


class _Units(Protocol):
    """A cipher of units that a tweak of 16 bytes tells apart."""

    def encrypt(self, tweak: bytes, data: bytes) -> bytes: ...
    def decrypt(self, tweak: bytes, data: bytes) -> bytes: ...


def _units(key: bytes) -> _Units:
    """By the `cryptography` library; where it is not there, as in a browser, in Python."""
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError:
        from esptool.storage.nvs.aes import Xts

        return Xts(key)
    algorithm = algorithms.AES(key)

    class ByLibrary:
        def encrypt(self, tweak: bytes, data: bytes) -> bytes:
            return bytes(Cipher(algorithm, modes.XTS(tweak)).encryptor().update(data))

        def decrypt(self, tweak: bytes, data: bytes) -> bytes:
            return bytes(Cipher(algorithm, modes.XTS(tweak)).decryptor().update(data))

    return ByLibrary()
