# SPDX-License-Identifier: Apache-2.0
"""Signatures of secure boot v2: a sector of 4096 bytes after the data, with one to three blocks.

Each block (1216 bytes) carries the digest of the data, the public key in the form that the boot
ROM computes with, a signature and a CRC. All numbers are little-endian. Knows no key files, no
command line, and nothing of the image in front of the signature.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from espsecure import keys, signers, streams
from esptool.errors import FatalError, UsageError, VerifyError
from esptool.events import Level, Listener, Message, ignore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    from espsecure.keys import PublicKey

SECTOR_SIZE = 4096
BLOCK_SIZE = 1216
MAX_BLOCKS = 3
MAGIC = 0xE7
VERSION_RSA = 2
VERSION_ECDSA = 3
CURVE_IDS = {"secp192r1": 1, "secp256r1": 2, "secp384r1": 3}
SHA_IDS = {"sha256": 0, "sha384": 1}
CRC_OFFSET = 1196
"""The CRC-32 is of everything in front of it; 16 bytes of zero follow it."""

_RSA = struct.Struct("<BBxx32s384sI384sI384s")
_HEAD_ECDSA = struct.Struct("<BBBx")
_ECDSA_SHA256 = struct.Struct("<32sB64s64s")
_ECDSA_SHA384 = struct.Struct("<48sB96s96s")
_TAIL = struct.Struct("<I16x")
_RSA_KEY = slice(36, 812)
_ECDSA_KEY = {32: slice(36, 101), 48: slice(52, 149)}
"""Where the public key stands in a block, by the length of the data's digest: eFuses hold the
SHA-256 of these bytes."""


@dataclass(frozen=True, slots=True)
class RsaPrimitives:
    """The numbers of an RSA key that the boot ROM's multiplier needs.

    Attributes:
        n: modulus.
        e: public exponent.
        m: -(1/n) modulo 2^32.
        rinv: 2^(2 * bits) modulo n.
    """

    n: int
    e: int
    m: int
    rinv: int


@dataclass(frozen=True, slots=True)
class Block:
    """One signature block that was read and found whole.

    Attributes:
        raw: its 1216 bytes.
        digest: the SHA-256 or SHA-384 of the data that it claims.
        signature: raw, big-endian, as the signers give it.
        key: the public key, or None where the numbers are not a key.
    """

    raw: bytes
    digest: bytes
    signature: bytes
    key: PublicKey | None

    @property
    def is_rsa(self) -> bool:
        """It holds an RSA signature, not one of ECDSA."""
        return self.raw[1] == VERSION_RSA

    @property
    def kind(self) -> str:
        """ "RSA" or "ECDSA"."""
        return "RSA" if self.is_rsa else "ECDSA"

    @property
    def hash_name(self) -> str:
        """The hash of the data."""
        return "sha384" if len(self.digest) == 48 else "sha256"

    @property
    def key_digest(self) -> bytes:
        """The SHA-256 of the public key as it stands here: what an eFuse block holds."""
        where = _RSA_KEY if self.is_rsa else _ECDSA_KEY[len(self.digest)]
        return hashlib.sha256(self.raw[where]).digest()


@dataclass(frozen=True, slots=True)
class SignedV2:
    """What was signed: the length of the data with its padding, and all blocks there are now."""

    length: int
    padding: int
    blocks: tuple[bytes, ...]


# --- building blocks -------------------------------------------------------------------------


def rsa_primitives(key: rsa.RSAPublicKey) -> RsaPrimitives:
    """The numbers for the boot ROM, from an RSA public key."""
    numbers = key.public_numbers()
    n = numbers.n
    return RsaPrimitives(
        n=n,
        e=numbers.e,
        m=-pow(n, -1, 1 << 32) % (1 << 32),
        rinv=(1 << (2 * key.key_size)) % n,
    )


def rsa_block(digest: bytes, numbers: RsaPrimitives, signature: bytes) -> bytes:
    """A block of an RSA-3072 signature (given big-endian)."""
    size = keys.RSA_BITS // 8
    return _closed(
        _RSA.pack(
            MAGIC,
            VERSION_RSA,
            digest,
            numbers.n.to_bytes(size, "little"),
            numbers.e,
            numbers.rinv.to_bytes(size, "little"),
            numbers.m,
            signature[::-1],
        )
    )


def ecdsa_block(digest: bytes, curve_id: int, point: bytes, signature: bytes) -> bytes:
    """A block of an ECDSA signature; point and signature are pairs of little-endian numbers."""
    body = _ECDSA_SHA384 if len(digest) == 48 else _ECDSA_SHA256
    sha = SHA_IDS["sha384" if len(digest) == 48 else "sha256"]
    return _closed(
        _HEAD_ECDSA.pack(MAGIC, VERSION_ECDSA, sha) + body.pack(digest, curve_id, point, signature)
    )


def build_block(key: PublicKey, digest: bytes, raw: bytes) -> bytes:
    """A block from a raw signature of `digest` by `key`."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    if isinstance(key, rsa.RSAPublicKey):
        return rsa_block(digest, rsa_primitives(key), raw)
    return ecdsa_block(
        digest,
        CURVE_IDS[key.curve.name],
        keys.point(key, byteorder="little"),
        reverse_halves(raw),
    )


def public_key_digest(key: PublicKey) -> bytes:
    """The SHA-256 that goes into an eFuse block, of the key as a signature block carries it."""
    keys.require_v2(key)
    size = 48 if signers.digest_name(key) == "sha384" else 32
    filler = build_block(key, bytes(size), bytes(384 if keys.is_rsa(key) else 2 * size))
    return _parse(filler).key_digest


def reverse_halves(pair: bytes) -> bytes:
    """Both numbers of a pair in the other byte order."""
    half = len(pair) // 2
    return pair[:half][::-1] + pair[half:][::-1]


def read_block(raw: bytes) -> Block | None:
    """The block in 1216 bytes, or None where there is none or it is damaged."""
    if len(raw) != BLOCK_SIZE or raw[0] != MAGIC:
        return None
    if raw[CRC_OFFSET:] != _TAIL.pack(zlib.crc32(raw[:CRC_OFFSET])):
        return None
    if raw[1] == VERSION_RSA or (raw[1] == VERSION_ECDSA and raw[2] in SHA_IDS.values()):
        return _parse(raw)
    return None


def _closed(body: bytes) -> bytes:
    body = body.ljust(CRC_OFFSET, b"\0")
    return body + _TAIL.pack(zlib.crc32(body))


def _parse(raw: bytes) -> Block:
    if raw[1] == VERSION_RSA:
        _, _, digest, n, e, _, _, signature = _RSA.unpack_from(raw)
        rsa_key = _rsa_key(int.from_bytes(n, "little"), e)
        # The multiplier's helpers are derived from n; a block with others would not verify on chip.
        if rsa_key is not None and raw[_RSA_KEY] != _rsa_fields(rsa_key):
            rsa_key = None
        return Block(raw, digest, signature[::-1], rsa_key)
    body = _ECDSA_SHA384 if raw[2] == SHA_IDS["sha384"] else _ECDSA_SHA256
    digest, curve_id, point, signature = body.unpack_from(raw, _HEAD_ECDSA.size)
    key, size = _ecdsa_key(curve_id, point, len(digest))
    return Block(raw, digest, reverse_halves(signature[: 2 * size]), key)


def _rsa_key(n: int, e: int) -> rsa.RSAPublicKey | None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    if not n & 1:  # a product of two large primes is odd
        return None
    try:
        key = rsa.RSAPublicNumbers(e, n).public_key()
    except ValueError:
        return None
    return key if key.key_size == keys.RSA_BITS else None


def _rsa_fields(key: rsa.RSAPublicKey) -> bytes:
    return rsa_block(bytes(32), rsa_primitives(key), bytes(384))[_RSA_KEY]


def _ecdsa_key(
    curve_id: int, point: bytes, digest_size: int
) -> tuple[ec.EllipticCurvePublicKey | None, int]:
    """The public key of a block, and how many bytes each of its numbers has."""
    from cryptography.hazmat.primitives.asymmetric import ec

    curves: dict[int, ec.EllipticCurve] = {
        1: ec.SECP192R1(),
        2: ec.SECP256R1(),
        3: ec.SECP384R1(),
    }
    curve = curves.get(curve_id)
    if curve is None or (curve_id == 3) != (digest_size == 48):
        return None, len(point) // 2
    size = curve.key_size // 8
    pair = reverse_halves(point[: 2 * size])
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + pair), size
    except ValueError:
        return None, size


# --- signing ---------------------------------------------------------------------------------


def signature_sector(blocks: Sequence[bytes]) -> bytes:
    """Up to three blocks as the sector that follows the data."""
    return b"".join(blocks).ljust(SECTOR_SIZE, b"\xff")


def sign(
    data: IO[bytes],
    signing: Sequence[signers.Signer],
    out: IO[bytes],
    *,
    append: bool = False,
    skip_padding: bool = False,
    stored: bool = False,
    source: str = "<stream>",
    listener: Listener = ignore,
) -> SignedV2:
    """Copy `data` to `out`, padded to whole sectors, and add a signature sector.

    With `append` blocks that the file already ends with are kept in front of the new ones. A
    `stored` signature was made of data that is already padded, so such data is never changed.

    Raises:
        FatalError: more than three blocks, or a signer fails.
        UsageError: `stored`, and the data is not a whole number of sectors.
    """
    length, start = streams.remaining(data), data.tell()
    kept: list[Block] = []
    padding = -length % SECTOR_SIZE
    if padding and stored and not skip_padding:
        raise UsageError(
            "Secure Boot V2 requires the signature block to start from a 4KB aligned sector but "
            "the datafile supplied is not sector aligned."
        )
    if padding and skip_padding:
        listener(Message("Skipping sector padding. Data contents are not sector aligned."))
        padding = 0
        kept = _kept(data, length, start, listener) if append else []
    elif padding:
        listener(
            Message(
                f"Padding data contents by {padding} bytes so signature sector aligns at sector "
                "boundary."
            )
        )
    elif append:
        kept = _kept(data, length, start, listener)
    elif not padding and _signed(data, length, start):
        listener(
            Message(
                f'"{source}" is signed already: its signature sector is taken for data. Use '
                "--append-signatures to add a block to it.",
                Level.WARNING,
            )
        )
    if kept:
        length -= SECTOR_SIZE
    free = MAX_BLOCKS - len(kept)
    if not free:
        raise FatalError(
            f"Up to {MAX_BLOCKS} signature blocks are supported (For ESP32-ECO3 only 1 signature "
            "block is supported)."
        )
    if len(signing) > free:
        raise FatalError(
            f"Number of keys ({len(signing)}) more than the empty signature blocks ({free})."
        )
    listener(Message(f"{len(signing)} signing key(s) found."))
    if not signing:
        raise FatalError(
            "Signature Block generation failed.",
            remedy="Give a key: --keyfile, --pub-key with --signature, --hsm or --signer-command.",
        )
    names = {signers.digest_name(one.public_key) for one in signing}
    names.update(block.hash_name for block in kept)
    data.seek(start)
    found = _digests(data, length, padding, names)
    for number, block in enumerate(kept):
        if block.digest != found[block.hash_name]:
            listener(
                Message(
                    f"Signature block {number} that is already present is of other data: this "
                    "file was changed after it was signed.",
                    Level.WARNING,
                )
            )
    blocks = [block.raw for block in kept] + [sign_block(one, found) for one in signing]
    data.seek(start)
    for chunk in streams.chunks(data, length):
        out.write(chunk)
    out.write(b"\xff" * padding + signature_sector(blocks))
    listener(
        Message(
            f'Signed {length + padding} bytes of data from "{source}". Signature sector now has '
            f"{len(blocks)} signature blocks."
        )
    )
    return SignedV2(length + padding, padding, tuple(blocks))


def sign_block(signer: signers.Signer, found: dict[str, bytes]) -> bytes:
    """A block from a signer and the digests of the data by name."""
    key = signer.public_key
    digest = found[signers.digest_name(key)]
    return build_block(key, digest, signer.sign(digest))


def _signed(data: IO[bytes], length: int, start: int) -> bool:
    return bool(_kept(data, length, start, ignore))


def _kept(data: IO[bytes], length: int, start: int, listener: Listener) -> list[Block]:
    """The blocks that the data already ends with, up to the first that is not whole."""
    if length < SECTOR_SIZE:
        return []
    data.seek(start + length - SECTOR_SIZE)
    sector = streams.read_exactly(data, SECTOR_SIZE)
    blocks: list[Block] = []
    for number in range(MAX_BLOCKS):
        block = read_block(sector[number * BLOCK_SIZE : (number + 1) * BLOCK_SIZE])
        if block is None:
            break
        listener(Message(f"Signature block {number} is valid ({block.kind})."))
        blocks.append(block)
    if blocks:
        listener(
            Message(
                f"{len(blocks)} valid signature block(s) already present in the signature sector."
            )
        )
    else:
        listener(Message("No valid signature blocks found. Appending a new signature sector."))
    return blocks


def _digests(data: IO[bytes], length: int, padding: int, names: set[str]) -> dict[str, bytes]:
    def chunks() -> list[bytes]:
        return [b"\xff" * padding] if padding else []

    from itertools import chain

    return streams.digests(chain(streams.chunks(data, length), chunks()), sorted(names))


# --- verifying -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A file that ends with a signature sector: its blocks (None: absent or damaged)."""

    length: int
    blocks: tuple[Block | None, ...]
    digests: dict[str, bytes]


def read_signed(data: IO[bytes], *, skip_padding: bool = False) -> SignedFile:
    """Read the signature sector of a file and the digests of what is in front of it.

    Raises:
        FatalError: the file is too short, or not a whole number of sectors.
    """
    length, start = streams.remaining(data), data.tell()
    if skip_padding:
        if length < SECTOR_SIZE:
            raise FatalError(
                f"Invalid datafile. File too small (must be at least {SECTOR_SIZE} bytes)."
            )
    elif length == 0 or length % SECTOR_SIZE:
        raise FatalError(
            f"Invalid datafile. Data size should be non-zero & a multiple of {SECTOR_SIZE}."
        )
    length -= SECTOR_SIZE
    data.seek(start + length)
    sector = streams.read_exactly(data, SECTOR_SIZE)
    blocks = tuple(
        read_block(sector[number * BLOCK_SIZE : (number + 1) * BLOCK_SIZE])
        for number in range(MAX_BLOCKS)
    )
    data.seek(start)
    names = {block.hash_name for block in blocks if block}
    found = _digests(data, length, 0, names)
    data.seek(start + length + SECTOR_SIZE)
    return SignedFile(length, blocks, found)


def verify(
    data: IO[bytes],
    key: PublicKey,
    *,
    skip_padding: bool = False,
    listener: Listener = ignore,
) -> tuple[int, ...]:
    """The numbers of the blocks that `key` signed, all of which verify.

    Raises:
        VerifyError: a whole block is of other data, or no block is signed by this key.
        FatalError: the file has no signature sector.
    """
    file = read_signed(data, skip_padding=skip_padding)
    good: list[int] = []
    for number, block in enumerate(file.blocks):
        if block is None:
            listener(Message(f"Signature block {number} invalid. Skipping."))
            continue
        listener(Message(f"Signature block {number} is valid ({block.kind})."))
        actual = file.digests[block.hash_name]
        if block.digest != actual:
            raise VerifyError(
                f"Signature block image digest does not match the actual image digest "
                f"{actual.hex()}. Expected {block.digest.hex()}.",
                remedy="The file was changed after it was signed.",
            )
        if (
            block.key is not None
            and _same_key(block.key, key)
            and signers.verify(key, block.signature, block.digest)
        ):
            good.append(number)
            listener(
                Message(
                    f"Signature block {number} verification successful using the supplied key "
                    f"({block.kind})."
                )
            )
        else:
            listener(
                Message(
                    f"Signature block {number} is not signed by the supplied key. Checking the "
                    "next block..."
                )
            )
    if not good:
        raise VerifyError(
            "Checked all blocks. Signature could not be verified with the provided key."
        )
    return tuple(good)


def _same_key(one: PublicKey, other: PublicKey) -> bool:
    return keys.public_pem(one) == keys.public_pem(other)
