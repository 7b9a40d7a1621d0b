# SPDX-License-Identifier: Apache-2.0
"""The names and signatures of the v5 Python interface, as thin faces over the operations.

They take open files, print as the commands do unless a `listener` is given, and write to a given
path in place, since callers hold such files open. Prefer `espsecure.operations` in new programs.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from espsecure import (
    digests,
    flash_encryption,
    hsm,
    keys,
    operations,
    signatures_v2,
    signers,
    streams,
)
from espsecure.cli.common import ask_pin
from espsecure.cli.report import speak
from espsecure.signatures_v2 import BLOCK_SIZE as SIG_BLOCK_SIZE
from espsecure.signatures_v2 import MAGIC as SIG_BLOCK_MAGIC
from espsecure.signatures_v2 import SECTOR_SIZE as SECTOR_SIZE
from espsecure.signatures_v2 import VERSION_ECDSA as SIG_BLOCK_VERSION_ECDSA
from espsecure.signatures_v2 import VERSION_RSA as SIG_BLOCK_VERSION_RSA
from espsecure.signatures_v2 import RsaPrimitives as Primitives
from esptool.events import Level, Listener, Message
from esptool.files import atomic_writer
from esptool.nearest import checks_keywords

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec


CURVE_ID_P192, CURVE_ID_P256, CURVE_ID_P384 = signatures_v2.CURVE_IDS.values()
ECDSA_SHA_256, ECDSA_SHA_384 = signatures_v2.SHA_IDS.values()

__all__ = [
    "CURVE_ID_P192",
    "CURVE_ID_P256",
    "CURVE_ID_P384",
    "ECDSA_SHA_256",
    "ECDSA_SHA_384",
    "SECTOR_SIZE",
    "SIG_BLOCK_MAGIC",
    "SIG_BLOCK_SIZE",
    "SIG_BLOCK_VERSION_ECDSA",
    "SIG_BLOCK_VERSION_RSA",
    "Primitives",
    "decrypt_flash_data",
    "digest_private_key",
    "digest_rsa_public_key",
    "digest_sbv2_public_key",
    "digest_secure_bootloader",
    "encrypt_flash_data",
    "endian_swap_words",
    "extract_pubkey_from_hsm",
    "extract_public_key",
    "generate_ecdsa_signature_block",
    "generate_flash_encryption_key",
    "generate_rsa_signature_block",
    "generate_signature_block_using_pre_calculated_signature",
    "generate_signature_block_using_private_key",
    "generate_signature_using_hsm",
    "generate_signing_key",
    "get_chunks",
    "get_ecdsa_signing_key_raw_bytes",
    "load_ecdsa_signing_key",
    "sign_data",
    "sign_secure_boot_v1",
    "sign_secure_boot_v2",
    "signature_info_v2",
    "swap_word_order",
    "validate_signature_block",
    "verify_signature",
    "verify_signature_v1",
    "verify_signature_v2",
]


# --- signing ---------------------------------------------------------------------------------


@checks_keywords()
def sign_data(
    version: str,
    keyfile: Sequence[IO[bytes]] | None,
    output: str | None,
    append_signatures: bool,
    hsm: bool,
    hsm_config: IO[str] | None,
    pub_key: Sequence[IO[bytes]] | None,
    signature: Sequence[IO[bytes]] | None,
    datafile: IO[bytes],
    skip_padding: bool = False,
    *,
    listener: Listener = speak,
) -> None:
    """Sign `datafile` into `output`, or in place."""
    signing = operations.choose_signers(
        str(version),
        keyfiles=keyfile or (),
        pub_keys=pub_key or (),
        signatures=signature or (),
        use_hsm=hsm,
        hsm_config=hsm_config,
        ask_pin=ask_pin,
        listener=listener,
    )
    operations.sign_file(
        str(version),
        datafile,
        signing,
        output,
        append=append_signatures,
        skip_padding=skip_padding,
        listener=listener,
    )


@checks_keywords()
def sign_secure_boot_v1(
    keyfile: Sequence[IO[bytes]] | None,
    output: str | None,
    hsm: bool,
    pub_key: Sequence[IO[bytes]] | None,
    signatures: Sequence[IO[bytes]] | None,
    datafile: IO[bytes],
    *,
    listener: Listener = speak,
) -> None:
    """Sign for secure boot v1."""
    sign_data(
        "1", keyfile, output, False, hsm, None, pub_key, signatures, datafile, listener=listener
    )


@checks_keywords()
def sign_secure_boot_v2(
    keyfile: Sequence[IO[bytes]] | None,
    output: str | None,
    append_signatures: bool,
    hsm: bool,
    hsm_config: IO[str] | None,
    pub_key: Sequence[IO[bytes]] | None,
    signature: Sequence[IO[bytes]] | None,
    datafile: IO[bytes],
    skip_padding: bool = False,
    *,
    listener: Listener = speak,
) -> None:
    """Sign for secure boot v2."""
    sign_data(
        "2",
        keyfile,
        output,
        append_signatures,
        hsm,
        hsm_config,
        pub_key,
        signature,
        datafile,
        skip_padding,
        listener=listener,
    )


@checks_keywords()
def verify_signature(
    version: str,
    hsm: bool,
    hsm_config: IO[str] | None,
    keyfile: IO[bytes] | None,
    datafile: IO[bytes],
    skip_padding: bool = False,
    *,
    listener: Listener = speak,
) -> None:
    """Check a signed file; raises `FatalError` where it is not signed by the key."""
    operations.verify_file(
        str(version),
        datafile,
        keyfile=keyfile,
        use_hsm=hsm,
        hsm_config=hsm_config,
        skip_padding=skip_padding,
        ask_pin=ask_pin,
        listener=listener,
    )


@checks_keywords()
def verify_signature_v1(
    keyfile: IO[bytes], datafile: IO[bytes], *, listener: Listener = speak
) -> None:
    """Check a file that is signed for secure boot v1."""
    verify_signature("1", False, None, keyfile, datafile, listener=listener)


@checks_keywords()
def verify_signature_v2(
    hsm: bool,
    hsm_config: IO[str] | None,
    keyfile: IO[bytes] | None,
    datafile: IO[bytes],
    skip_padding: bool = False,
    *,
    listener: Listener = speak,
) -> None:
    """Check a file that is signed for secure boot v2."""
    verify_signature("2", hsm, hsm_config, keyfile, datafile, skip_padding, listener=listener)


@checks_keywords()
def signature_info_v2(datafile: IO[bytes], *, listener: Listener = speak) -> None:
    """Print the signature blocks of a file."""
    operations.signature_info(datafile, listener)


@checks_keywords()
def validate_signature_block(
    image_content: bytes, sig_blk_num: int, *, listener: Listener = speak
) -> bytes | None:
    """A block of a signed file's content, or None where it is absent or damaged."""
    start = len(image_content) - SECTOR_SIZE + sig_blk_num * SIG_BLOCK_SIZE
    if start < 0:
        return None
    block = signatures_v2.read_block(image_content[start : start + SIG_BLOCK_SIZE])
    if block is None:
        return None
    listener(Message(f"Signature block {sig_blk_num} is valid ({block.kind})."))
    return block.raw


@checks_keywords()
def generate_signature_block_using_private_key(
    keyfiles: Sequence[IO[bytes]], contents: bytes
) -> bytes:
    """Signature blocks of `contents`, one after the other, by keys in PEM files."""
    signing = operations.choose_signers("2", keyfiles=keyfiles, ask_pin=ask_pin)
    return _blocks(signing, contents)


@checks_keywords()
def generate_signature_block_using_pre_calculated_signature(
    signature: Sequence[IO[bytes]], pub_key: Sequence[IO[bytes]], contents: bytes
) -> bytes:
    """Signature blocks of `contents` from signatures that were made elsewhere."""
    signing = operations.choose_signers(
        "2", pub_keys=pub_key, signatures=signature, ask_pin=ask_pin
    )
    return _blocks(signing, contents)


def _blocks(signing: operations.Signing, contents: bytes) -> bytes:
    found = {
        "sha256": hashlib.sha256(contents).digest(),
        "sha384": hashlib.sha384(contents).digest(),
    }
    return b"".join(signatures_v2.sign_block(one, found) for one in signing.signers)


@checks_keywords()
def generate_rsa_signature_block(
    digest: bytes, rsa_primitives: Primitives, signature: bytes
) -> bytes:
    """An RSA block up to its CRC; the signature is big-endian."""
    numbers = replace(rsa_primitives, m=rsa_primitives.m % (1 << 32))
    return signatures_v2.rsa_block(digest, numbers, signature)[: signatures_v2.CRC_OFFSET]


@checks_keywords()
def generate_ecdsa_signature_block(
    digest: bytes, curve_id: int, pubkey_point: bytes, signature_rs: bytes
) -> bytes:
    """An ECDSA block up to its CRC; point and signature are little-endian pairs."""
    block = signatures_v2.ecdsa_block(digest, curve_id, pubkey_point, signature_rs)
    return block[: signatures_v2.CRC_OFFSET]


@checks_keywords()
def generate_signature_using_hsm(config: Mapping[str, str], contents: bytes) -> list[IO[bytes]]:
    """The signature of `contents` by a key in an HSM: RSA raw, ECDSA as ASN.1."""
    signer = hsm.signer(hsm.from_mapping(config), ask_pin)
    key = signer.public_key
    raw = signer.sign(hashlib.new(signers.digest_name(key), contents).digest())
    return [io.BytesIO(raw if keys.is_rsa(key) else signers.join_der(raw))]


@checks_keywords()
def extract_pubkey_from_hsm(config: Mapping[str, str]) -> list[IO[bytes]]:
    """The public key in an HSM, as PEM."""
    return [io.BytesIO(keys.public_pem(hsm.public_key(hsm.from_mapping(config), ask_pin)))]


# --- keys ------------------------------------------------------------------------------------


@checks_keywords()
def generate_signing_key(
    version: str, scheme: str | None, keyfile: str, *, listener: Listener = speak
) -> None:
    """Make a private key; the file must not exist."""
    kind = keys.write_signing_key(str(version), scheme, keyfile)
    listener(Message(f'{kind} private key in PEM format written to "{keyfile}".'))


@checks_keywords()
def generate_flash_encryption_key(
    keylen: int, key_file: IO[bytes], *, listener: Listener = speak
) -> None:
    """Write random bytes to an open file."""
    listener(Message(f'Writing {keylen} random bits to key file "{streams.name_of(key_file)}".'))
    key_file.write(operations.random_key(keylen))


@checks_keywords()
def extract_public_key(
    version: str, keyfile: IO[bytes], public_keyfile: IO[bytes], *, listener: Listener = speak
) -> None:
    """Write the public part of a private key: raw for version 1, PEM for version 2."""
    source, target = streams.name_of(keyfile), streams.name_of(public_keyfile)
    streams.require_different(source, target)
    public_keyfile.write(operations.extract_public_key(str(version), keyfile))
    public_keyfile.flush()
    listener(Message(f'"{source}" public key extracted to "{target}".'))


@checks_keywords()
def digest_sbv2_public_key(keyfile: IO[bytes], output: str, *, listener: Listener = speak) -> None:
    """Write what eFuses hold of a public key."""
    streams.require_different(streams.name_of(keyfile), output)
    digest = operations.public_key_digest(keyfile)
    listener(
        Message(f'Writing the public key digest of "{streams.name_of(keyfile)}" to "{output}".')
    )
    with atomic_writer(output) as out:
        out.write(digest)


digest_rsa_public_key = digest_sbv2_public_key


@checks_keywords()
def digest_private_key(
    keyfile: IO[bytes], keylen: int, digest_file: IO[bytes], *, listener: Listener = speak
) -> None:
    """Write the secure boot v1 key that is made from a signing key."""
    source, target = streams.name_of(keyfile), streams.name_of(digest_file)
    streams.require_different(source, target)
    digest_file.write(operations.private_key_digest(keyfile, keylen))
    digest_file.flush()
    cut = "" if keylen == 256 else f" (truncated to {keylen} bits)"
    listener(Message(f'SHA-256 digest of private key "{source}"{cut} written to "{target}".'))


@checks_keywords()
def load_ecdsa_signing_key(keyfile: IO[bytes]) -> ec.EllipticCurvePrivateKey:
    """The ECDSA private key of a PEM file, on any of the supported curves."""
    return keys.load_private_ecdsa(streams.small(keyfile), streams.name_of(keyfile))


@checks_keywords()
def get_ecdsa_signing_key_raw_bytes(sk: ec.EllipticCurvePrivateKey) -> bytes:
    """The private value, big-endian, as long as the curve."""
    return sk.private_numbers().private_value.to_bytes((sk.key_size + 7) // 8, "big")


# --- flash encryption, bootloader ------------------------------------------------------------


@checks_keywords()
def encrypt_flash_data(
    keyfile: IO[bytes],
    output: IO[bytes],
    address: int,
    flash_crypt_conf: int | None,
    aes_xts: bool | None,
    plaintext_file: IO[bytes],
    *,
    listener: Listener = speak,
) -> None:
    """Encrypt an open file into another."""
    _crypt(keyfile, output, address, flash_crypt_conf, aes_xts, plaintext_file, False, listener)


@checks_keywords()
def decrypt_flash_data(
    keyfile: IO[bytes],
    output: IO[bytes],
    address: int,
    flash_crypt_conf: int | None,
    aes_xts: bool | None,
    encrypted_file: IO[bytes],
    *,
    listener: Listener = speak,
) -> None:
    """Decrypt an open file into another."""
    _crypt(keyfile, output, address, flash_crypt_conf, aes_xts, encrypted_file, True, listener)


def _crypt(
    keyfile: IO[bytes],
    output: IO[bytes],
    address: int,
    flash_crypt_conf: int | None,
    aes_xts: bool | None,
    source: IO[bytes],
    decrypting: bool,
    listener: Listener,
) -> None:
    streams.require_different(streams.name_of(source), streams.name_of(output))
    key = _load_hardware_key(keyfile, True, bool(aes_xts), listener=listener)
    run = flash_encryption.decrypt if decrypting else flash_encryption.encrypt
    run(
        key,
        source,
        output,
        address,
        aes_xts=bool(aes_xts),
        crypt_conf=flash_crypt_conf,
        listener=listener,
    )
    output.flush()


@checks_keywords()
def digest_secure_bootloader(
    keyfile: IO[bytes],
    output: str | None,
    iv_file: IO[bytes] | None,
    image: IO[bytes],
    *,
    listener: Listener = speak,
) -> None:
    """Write a keyed digest and the bootloader behind it."""
    name = streams.name_of(image)
    target = output or f"{os.path.splitext(name)[0]}-digest-0x0000.bin"
    streams.require_different(name, target)
    if iv_file is not None:
        listener(Message("--iv argument is for TESTING PURPOSES ONLY", Level.WARNING))
    key = _load_hardware_key(keyfile, False, listener=listener)
    iv = None if iv_file is None else streams.small(iv_file)
    result = digests.digested_bootloader(key, image, iv)
    with atomic_writer(target) as out:
        out.write(result)
    listener(Message(f'Digest + image written to "{target}"'))


# --- small helpers that programs have come to use ----------------------------------------------


@checks_keywords()
def endian_swap_words(source: bytes) -> bytes:
    """The bytes of each word of 4 in the other order."""
    return digests.swap_words(source)


@checks_keywords()
def swap_word_order(source: bytes) -> bytes:
    """Words of 4 bytes in the other order."""
    return digests.swap_words(source)[::-1]


@checks_keywords()
def get_chunks(source: bytes, chunk_len: int) -> list[bytes]:
    """Chunks of a length; the last one may be shorter."""
    return [source[at : at + chunk_len] for at in range(0, len(source), chunk_len)]


def _load_hardware_key(
    keyfile: IO[bytes],
    is_flash_encryption_key: bool,
    aes_xts: bool = False,
    *,
    listener: Listener = speak,
) -> bytes:
    return flash_encryption.load_key(
        streams.small(keyfile),
        listener,
        flash_encryption=is_flash_encryption_key,
        aes_xts=aes_xts,
        name=streams.name_of(keyfile),
    )
