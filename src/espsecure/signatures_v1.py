# SPDX-License-Identifier: Apache-2.0
"""Signatures of secure boot v1 (ESP32): 68 bytes of ECDSA P-256 at the end of a file.

Layout, little-endian: version word 0, then r and s, 32 bytes each, big-endian. The signature is of
the SHA-256 of all that precedes it. Knows no keys files and no command line.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from espsecure import signers, streams
from esptool.errors import FatalError, VerifyError
from esptool.events import Listener, Message, ignore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

SIZE = 68
VERSION = 0
RAW_SIZE = 64
_LAYOUT = struct.Struct("<I64s")


@dataclass(frozen=True, slots=True)
class SignedV1:
    """What was signed: the length of the data in bytes and its SHA-256."""

    length: int
    digest: bytes


def sign(data: IO[bytes], signer: signers.Signer, out: IO[bytes]) -> SignedV1:
    """Copy `data` to `out` and append the signature.

    Raises:
        FatalError: the signer fails.
    """
    length, start = streams.remaining(data), data.tell()
    digest = streams.digests(streams.chunks(data, length), ["sha256"])["sha256"]
    raw = signer.sign(digest)
    data.seek(start)
    for chunk in streams.chunks(data, length):
        out.write(chunk)
    out.write(_LAYOUT.pack(VERSION, raw))
    return SignedV1(length, digest)


def verify(
    data: IO[bytes], key: ec.EllipticCurvePublicKey, listener: Listener = ignore
) -> SignedV1:
    """Check the signature at the end of `data`.

    Raises:
        VerifyError: it is not a signature of the rest by this key.
        FatalError: there is no signature of version 1.
    """
    length = streams.remaining(data) - SIZE
    if length < 0:
        raise FatalError(
            f"Invalid datafile. '{streams.name_of(data)}' is shorter than a signature "
            f"({SIZE} bytes)."
        )
    digest = streams.digests(streams.chunks(data, length), ["sha256"])["sha256"]
    version, raw = _LAYOUT.unpack(streams.read_exactly(data, SIZE))
    if version != VERSION:
        raise FatalError(
            f"Signature block has version {version}. This version of espsecure only supports "
            f"version {VERSION}.",
            remedy="Is the file signed, and is it for secure boot V1?",
        )
    listener(Message(f"Verifying {length} bytes of data..."))
    if not signers.verify(key, raw, digest):
        raise VerifyError("Signature is not valid.")
    return SignedV1(length, digest)
