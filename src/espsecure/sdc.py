# SPDX-License-Identifier: Apache-2.0
"""Certificates for the Secure Debug Controller of ESP32-S31, which opens a locked chip.

A certificate (468 bytes) names what to open (USC), is bound to one chip by a hash of its MAC, a
nonce and the session counter, and is signed by ECDSA P-256. Talking to a chip is not done here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from espsecure import keys, signers, streams
from esptool.errors import FatalError, UsageError
from esptool.textfile import read_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

MAGIC = 0x524D4143
VERSION = 1
USC_SIZE = 256
NONCE_SIZE = 32
CHIP_INFO_SIZE = 32
MAC_SIZE = 6
COUNTERS = (0, 1, 3, 7)
"""Values of the session counter, an eFuse of 3 bits that are burned one by one."""

USC_JSON_VERSION = 1
_CURVE = "secp256r1"
_HEADER = struct.Struct("<IBBHHHII")
BODY_SIZE = USC_SIZE + 64 + 64 + 32
SIZE = _HEADER.size + BODY_SIZE + NONCE_SIZE


@dataclass(frozen=True, slots=True)
class Usc:
    """The unlock configuration: what the controller opens."""

    enable_jtag: bool = False
    enable_download_reuse: bool = False
    enable_force_spi_boot: bool = False

    def encode(self) -> bytes:
        """256 bytes: big-endian words, the flags from bit 0 of the first."""
        flags = (self.enable_jtag, self.enable_download_reuse, self.enable_force_spi_boot)
        word = sum(flag << bit for bit, flag in enumerate(flags))
        return word.to_bytes(4, "big").ljust(USC_SIZE, b"\0")

    def labels(self) -> dict[str, bool]:
        """Each flag by the name that is printed."""
        return {
            "JTAG": self.enable_jtag,
            "Download reuse": self.enable_download_reuse,
            "Force SPI boot": self.enable_force_spi_boot,
        }


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, and the hashes that it was made with."""

    data: bytes
    key_hash: bytes
    certificate_hash: bytes


def load_usc(path: str | os.PathLike[str], base: Usc) -> Usc:
    """The flags of a JSON file over those of `base`.

    Raises:
        FatalError: not such a file, another version, or an unknown or non-boolean flag.
    """
    text = read_text(path, "USC JSON file")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise FatalError(f"Invalid JSON in USC config file: {e}") from e
    if not isinstance(document, dict):
        raise FatalError(f"USC JSON file must contain a JSON object, got {type(document).__name__}")
    version = document.get("version")
    if version != USC_JSON_VERSION or isinstance(version, bool):
        raise FatalError(
            f"Unsupported USC JSON version: {version}. This espsecure supports version "
            f"{USC_JSON_VERSION}; add '\"version\": {USC_JSON_VERSION}' to the configuration file."
        )
    flags: dict[str, bool] = {}
    for entry in _config_entries(document):
        key, value = entry["key"], entry["value"]
        known = [field.name for field in fields(Usc)]
        if key not in known:
            raise FatalError(
                f"Unknown USC config_flags key: '{key}'. Expected one of {', '.join(known)}."
            )
        if not isinstance(value, bool):
            raise FatalError(
                f"Invalid value for '{key}' in USC JSON: expected boolean, "
                f"got {type(value).__name__}"
            )
        flags[str(key)] = value
    return replace(base, **flags)


def _config_entries(document: dict[str, object]) -> list[dict[str, object]]:
    groups = document.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise FatalError("'groups' in the USC JSON file must be a list of JSON objects")
    entries: list[dict[str, object]] = []
    for group in groups:
        if group.get("group") != "config_flags":
            continue
        listed = group.get("entries", [])
        if not isinstance(listed, list):
            raise FatalError("'entries' of a group in the USC JSON file must be a list")
        entries += listed
    for entry in entries:
        if not isinstance(entry, dict) or not {"key", "value"} <= entry.keys():
            raise FatalError("Each USC entry must be a JSON object with 'key' and 'value' fields")
    return entries


def parse_mac(text: str) -> bytes:
    """A MAC of 6 bytes: hex digits with or without separators, or a file with them or the bytes.

    Raises:
        FatalError: another length, or not hex digits.
    """
    path = Path(text.replace("\0", ""))
    if path.is_file():
        if path.suffix != ".hex":
            data = streams.read_small(path)
            if len(data) != MAC_SIZE:
                raise FatalError(
                    f"Invalid MAC file size: '{text}' contains {len(data)} bytes, "
                    f"expected {MAC_SIZE} bytes"
                )
            return data
        text = read_text(path, "MAC file")
    digits = re.sub(r"[\s:-]", "", text)
    if len(digits) != 2 * MAC_SIZE:
        raise FatalError(
            f"MAC hex string has {len(digits)} hex characters, "
            f"expected {2 * MAC_SIZE} hex characters"
        )
    if not re.fullmatch(r"[0-9a-fA-F]*", digits):
        raise FatalError("Invalid MAC hex format: must contain valid hex characters")
    return bytes.fromhex(digits)


def chip_info(mac: bytes, counter: int, nonce: bytes) -> bytes:
    """What the chip itself computes: 32 bytes that bind a certificate to it and to a session.

    Raises:
        UsageError: a counter that eFuses cannot hold.
    """
    if counter not in COUNTERS:
        raise UsageError(
            "Invalid SDC session counter value: expected one of 0, 1, 3, 7 "
            "(SDC_SESSION_COUNTER is a 3-bit write-only eFuse whose bits burn one by one), "
            f"got {counter}"
        )
    unique = hashlib.sha256(mac[::-1]).digest()
    return hashlib.sha256(unique + nonce + bytes([counter << 4])).digest()


def read_chip_info(path: str | os.PathLike[str]) -> tuple[bytes, bytes]:
    """Chip information and nonce from a file that `esptool read-sdc-chip-info` made.

    Raises:
        FatalError: the file has not 64 bytes.
    """
    data = streams.read_small(path)
    if len(data) != CHIP_INFO_SIZE + NONCE_SIZE:
        raise FatalError(
            f"Invalid chip_info file size: expected {CHIP_INFO_SIZE + NONCE_SIZE} bytes "
            f"(32 bytes chip_info + 32 bytes nonce), got {len(data)} bytes."
        )
    return data[:CHIP_INFO_SIZE], data[CHIP_INFO_SIZE:]


def require_p256(key: object, *, certificate: bool = True) -> ec.EllipticCurvePublicKey:
    """The public key, if the controller can check it.

    Raises:
        FatalError: RSA, or a curve other than P-256.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey):
        key = key.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name == _CURVE:
            return key
        if certificate:
            raise FatalError(
                f"SDC certificates only support ECDSA P-256 (SECP256R1), not {key.curve.name}"
            )
        raise FatalError(
            f"Unsupported curve: {key.curve.name}. Only SECP256R1 (P-256) is supported"
        )
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        raise FatalError("SDC certificates only support ECDSA P-256 keys, not RSA keys.")
    raise FatalError("SDC certificates only support ECDSA P-256 keys.")


def certificate(signer: signers.Signer, usc: Usc, info: bytes, nonce: bytes) -> Certificate:
    """Sign the configuration for the chip that `info` is of.

    Raises:
        FatalError: the key is not P-256, or the signer fails.
    """
    key = require_p256(signer.public_key)
    encoded = usc.encode()
    digest = hashlib.sha256(encoded + info).digest()
    signature = signer.sign(digest)
    if not signers.verify(key, signature, digest):
        raise FatalError("The signature of the certificate does not verify with its public key.")
    signed = encoded + keys.point(key) + signature
    total = hashlib.sha256(signed).digest()
    body = signed + total
    header = _HEADER.pack(
        MAGIC, VERSION, 0, USC_SIZE, _HEADER.size + BODY_SIZE, 0, zlib.crc32(body, 0xFFFFFFFF), 0
    )
    return Certificate(header + body + nonce, key_hash(key), total)


def key_hash(key: ec.EllipticCurvePublicKey) -> bytes:
    """The SHA-256 of the public point; an eFuse block of purpose SDC_KEY_DIGEST has it reversed."""
    return hashlib.sha256(keys.point(key)).digest()
