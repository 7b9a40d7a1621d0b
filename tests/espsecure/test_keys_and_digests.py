# SPDX-License-Identifier: Apache-2.0
"""Keys and digests: files, permissions, what is refused, and the bytes that chips hold."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from espsecure import digests, keys
from tests.espsecure.conftest import SCHEMES, Oracle, Run


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- making keys ------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_signing_key_is_private_and_is_never_written_over(
    scheme: str, ok: Run, refused: Run, tmp_path: Path, openssl: Callable[..., object]
) -> None:
    path = tmp_path / "key.pem"
    os.umask(os.umask(0))
    result = ok("generate-signing-key", "--version", "2", "--scheme", scheme, path)
    kind = "RSA 3072" if scheme == "rsa3072" else f"ECDSA NIST{scheme[5:]}p"
    assert f'{kind} private key in PEM format written to "{path}".' in result.out
    assert mode_of(path) == 0o600
    before = path.read_bytes()
    word = b"RSA" if scheme == "rsa3072" else b"EC"
    assert before.startswith(b"-----BEGIN " + word + b" PRIVATE KEY-----")
    assert openssl("pkey", "-in", path, "-check", "-noout").returncode == 0  # type: ignore[attr-defined]
    again = refused("generate-signing-key", "-v", "2", "-s", scheme, path)
    assert f"Key file {path} already exists." in again.err
    assert path.read_bytes() == before
    ok("generate-signing-key", "-v", "2", "-s", scheme, "--force", path)
    assert path.read_bytes() != before
    assert mode_of(path) == 0o600


def test_version_1_has_one_kind_of_key(ok: Run, refused: Run, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    for scheme in ("rsa3072", "ecdsa192", "ecdsa384"):
        refused("generate-signing-key", "-s", scheme, path)
        assert not path.exists()
    ok("generate-signing-key", path)
    assert keys.load_private_v1(path.read_bytes()).curve.name == "secp256r1"
    refused("generate-signing-key", tmp_path / "nowhere" / "key.pem")


@pytest.mark.parametrize("bits", [128, 192, 256, 512])
def test_a_flash_encryption_key_is_random_private_and_keeps_what_it_replaces(
    bits: int, ok: Run, tmp_path: Path
) -> None:
    path, old = tmp_path / "key.bin", tmp_path / "key.bin.old"
    result = ok("generate-flash-encryption-key", "--keylen", bits, path)
    assert f'Writing {bits} random bits to key file "{path}".' in result.out
    first = path.read_bytes()
    assert len(first) * 8 == bits
    assert mode_of(path) == 0o600
    assert "WARNING" in ok("generate-flash-encryption-key", "-l", bits, path).err
    assert path.read_bytes() != first
    assert old.read_bytes() == first
    assert mode_of(old) == 0o600
    second = path.read_bytes()
    ok("generate-flash-encryption-key", "-l", bits, path)
    assert [old.read_bytes(), (tmp_path / "key.bin.old2").read_bytes()] == [first, second]
    ok("generate-flash-encryption-key", "-l", bits, "--force", path)
    assert len(list(tmp_path.iterdir())) == 3
    assert old.read_bytes() == first


@pytest.mark.parametrize("bits", ["0", "-8", "100", "x"])
def test_a_key_of_no_length_is_refused(bits: str, refused: Run, tmp_path: Path) -> None:
    refused("generate-flash-encryption-key", "-l", bits, tmp_path / "key")
    assert not list(tmp_path.iterdir())


# --- reading keys -----------------------------------------------------------------------------


@pytest.fixture
def odd_keys(key_folder: Path, tmp_path: Path, openssl: Callable[..., object]) -> dict[str, Path]:
    """Files that are no private key for secure boot, by what is wrong with them."""
    folder = tmp_path / "odd"
    folder.mkdir()
    openssl("genrsa", "-out", folder / "rsa2048", "2048")
    openssl("ecparam", "-name", "secp521r1", "-genkey", "-noout", "-out", folder / "p521")
    openssl("ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out", folder / "k1")
    openssl("genpkey", "-algorithm", "ed25519", "-out", folder / "ed25519")
    for scheme in ("rsa3072", "ecdsa256"):
        source = key_folder / f"{scheme}.pem"
        target = folder / f"locked-{scheme}"
        openssl("pkey", "-in", source, "-aes128", "-passout", "pass:secret", "-out", target)
    (folder / "public").write_bytes((key_folder / "ecdsa256.pub").read_bytes())
    (folder / "noise").write_bytes(random.randbytes(100))
    (folder / "empty").write_bytes(b"")
    pem = (key_folder / "ecdsa256.pem").read_text()
    (folder / "cut").write_text(pem[:120] + "\n-----END EC PRIVATE KEY-----\n")
    (folder / "certificate").write_text(pem.replace("EC PRIVATE KEY", "CERTIFICATE"))
    return {path.name: path for path in folder.iterdir()}


REASONS = {
    "rsa2048": "RSA key has 2048 bits. Only RSA-3072 is supported.",
    "p521": "Unsupported ECDSA curve: secp521r1",
    "k1": "Unsupported ECDSA curve: secp256k1",
    "ed25519": "Unsupported private key type",
    "locked-rsa3072": "encrypted with a password",
    "locked-ecdsa256": "encrypted with a password",
    "public": "but a public one",
    "noise": "cannot be read as PEM",
    "empty": "cannot be read as PEM",
    "cut": "cannot be read as PEM",
    "certificate": "holds no private key",
}


def test_what_is_no_private_key_is_refused_with_the_reason_and_nothing_is_written(
    refused: Run, odd_keys: dict[str, Path], tmp_path: Path
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.write_bytes(bytes(4096))
    assert odd_keys.keys() == REASONS.keys()
    for name, path in odd_keys.items():
        for line in (
            ["sign-data", "-v", "2", "-k", path, "-o", out, data],
            ["extract-public-key", "-v", "2", "-k", path, out],
        ):
            assert REASONS[name] in refused(*line).err, name
        for line in (
            ["sign-data", "-v", "1", "-k", path, "-o", out, data],
            ["sign-data", "-v", "1", data, "-k", path],
            ["extract-public-key", "-v", "1", "-k", path, out],
            ["digest-private-key", "-k", path, out],
        ):
            text = refused(*line).err
            assert any(word in text for word in ("Incorrect ECDSA", "curve", "password")), name
        if name != "public":
            refused("digest-sbv2-public-key", "-k", path, "-o", out)
            refused("verify-signature", "-v", "2", "-k", path, data)
        assert not out.exists()
        assert data.read_bytes() == bytes(4096)


def test_private_keys_come_in_every_pem_form(
    ok: Run, key_folder: Path, tmp_path: Path, openssl: Callable[..., object]
) -> None:
    for scheme in SCHEMES:
        source, pkcs8 = key_folder / f"{scheme}.pem", tmp_path / f"{scheme}.p8"
        openssl("pkcs8", "-topk8", "-nocrypt", "-in", source, "-out", pkcs8)
        ok("extract-public-key", "-v", "2", "-k", pkcs8, tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == (key_folder / f"{scheme}.pub").read_bytes()
    with_parameters = tmp_path / "parameters"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-out", with_parameters)
    assert b"EC PARAMETERS" in with_parameters.read_bytes()
    ok("extract-public-key", "-v", "2", "-k", with_parameters, tmp_path / "a")


# --- digests ----------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("scheme", SCHEMES)
def test_public_keys_and_their_digests_are_those_of_the_public_tool(
    scheme: str, oracle: Oracle, ok: Run, key_folder: Path, tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    key = key_folder / f"{scheme}.pem"
    for command in ("digest-sbv2-public-key", "digest-rsa-public-key"):
        for one in (key, key_folder / f"{scheme}.pub"):
            result = ok(command, "-k", one, "-o", ours)
            assert f'Writing the public key digest of "{one}" to "{ours}".' in result.out
            deprecated = "DeprecationWarning: The command 'digest-rsa-public-key' is deprecated."
            assert (deprecated in result.err) == ("rsa" in command)
            oracle.ok(command, "-k", one, "-o", theirs)
            assert ours.read_bytes() == theirs.read_bytes()
            assert len(ours.read_bytes()) == 32
    for version in ("1", "2") if scheme == "ecdsa256" else ("2",):
        ok("extract-public-key", "-v", version, "-k", key, ours)
        oracle.ok("extract-public-key", "-v", version, "-k", key, theirs)
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.oracle
@pytest.mark.parametrize("bits", [192, 256])
def test_private_key_digests_are_those_of_the_public_tool(
    bits: int, oracle: Oracle, ok: Run, refused: Run, key_folder: Path, tmp_path: Path
) -> None:
    ours, theirs, key = tmp_path / "ours", tmp_path / "theirs", key_folder / "ecdsa256.pem"
    mine = ok("digest-private-key", "-k", key, "--keylen", bits, ours)
    other = oracle.ok("digest-private-key", "-k", key, "-l", bits, theirs)
    assert ours.read_bytes() == theirs.read_bytes()
    assert mine.out.splitlines()[1] == other.out.splitlines()[1].replace("theirs", "ours")
    assert mode_of(ours) == 0o600
    value = keys.load_private_v1(key.read_bytes()).private_numbers().private_value
    assert hashlib.sha256(value.to_bytes(32, "big")).digest()[: bits // 8] == ours.read_bytes()
    refused("digest-private-key", "-k", key, "-l", "128", ours)
    before = key.read_bytes()
    assert "should not be the same!" in refused("digest-private-key", "-k", key, key).err
    assert key.read_bytes() == before


def image(random: Random, body: int, *, hashed: bool, tail: int) -> bytes:
    """An ESP32 image with one segment, and `tail` bytes after it."""
    header = bytes([0xE9, 1, 2, 0x20]) + struct.pack("<I", 0x40080400)
    extended = bytes(15) + bytes([hashed])
    segment = struct.pack("<II", 0x40080400, body) + random.randbytes(body)
    return header + extended + segment + random.randbytes(tail)


def by_the_book(key: bytes, content: bytes, iv: bytes) -> bytes:
    """The secure boot v1 digest as the layout describes it, block by block."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    content += b"\xff" * (-len(content) % 128)
    text, stream = iv + content, b""
    for at in range(0, len(text), 16):
        encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        block = encrypt.update(text[at : at + 16][::-1])[::-1]
        stream += b"".join(block[word : word + 4][::-1] for word in range(0, 16, 4))
    digest = hashlib.sha512(stream).digest()
    return b"".join(digest[word : word + 4][::-1] for word in range(0, 64, 4))


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("tail", [0, 8, 32, 33, 100])
def test_a_bootloader_digest_follows_the_layout(
    hashed: bool, tail: int, ok: Run, tmp_path: Path
) -> None:
    random = Random(tail)
    content = image(random, 1024 - 32, hashed=hashed, tail=tail)
    key, iv = random.randbytes(32), random.randbytes(128)
    for name, value in (("boot.bin", content), ("key", key), ("iv", iv)):
        (tmp_path / name).write_bytes(value)
    result = ok(
        "digest-secure-bootloader", "-k", tmp_path / "key", "--iv", tmp_path / "iv",
        tmp_path / "boot.bin",
    )  # fmt: skip
    assert "--iv argument is for TESTING PURPOSES ONLY" in result.err
    written = (tmp_path / "boot-digest-0x0000.bin").read_bytes()
    kept = content[:1024] if hashed and tail <= 32 else content
    assert written[:128] == iv
    assert written[128:192] == by_the_book(key, kept, iv)
    assert written[192:0x1000] == b"\xff" * (0x1000 - 192)
    assert written[0x1000:] == kept + b"\xff" * (-len(kept) % 128)


@pytest.mark.oracle
@pytest.mark.parametrize("key_size", [16, 24, 32])
def test_bootloader_digests_are_those_of_the_public_tool(
    key_size: int, oracle: Oracle, ok: Run, tmp_path: Path
) -> None:
    random = Random(key_size)
    names = ("boot", "key", "iv", "ours", "theirs")
    boot, key, iv, ours, theirs = (tmp_path / name for name in names)
    for hashed in (False, True):
        # Checksum and hash of the public tool's images end them at a multiple of 16.
        boot.write_bytes(image(random, 2000, hashed=hashed, tail=48))
        key.write_bytes(random.randbytes(key_size))
        iv.write_bytes(random.randbytes(128))
        line = ["digest-secure-bootloader", "-k", key, "--iv", iv]
        mine, other = ok(*line, "-o", ours, boot), oracle.ok(*line, "-o", theirs, boot)
        assert ours.read_bytes() == theirs.read_bytes()
        assert mine.out.splitlines()[1] == other.out.splitlines()[1]


def test_bootloaders_that_cannot_be_digested_are_refused(
    ok: Run, refused: Run, tmp_path: Path
) -> None:
    boot, key, out = tmp_path / "boot", tmp_path / "key", tmp_path / "out"
    key.write_bytes(bytes(32))
    good = image(Random(0), 1000, hashed=False, tail=0)
    line = ["digest-secure-bootloader", "-k", key, "-o", out, boot]
    for content in (b"", b"\x00" * 100, good[:20], good[:26], good[:-1]):
        boot.write_bytes(content)
        refused(*line)
    boot.write_bytes(good)
    for size in (0, 31, 64, 65):
        key.write_bytes(bytes(size))
        refused(*line)
    key.write_bytes(bytes(32))
    for size in (0, 100, 144):
        (tmp_path / "iv").write_bytes(bytes(size))
        refused(*line, "--iv", tmp_path / "iv")
    assert not out.exists()
    ok(*line)
    first = out.read_bytes()
    ok(*line)
    assert out.read_bytes()[:128] != first[:128]
    refused("digest-secure-bootloader", "-k", key, "-o", boot, boot)
    assert boot.read_bytes() == good


def test_words_are_swapped_whole() -> None:
    assert digests.swap_words(bytes(range(8))) == bytes([3, 2, 1, 0, 7, 6, 5, 4])
    with pytest.raises(ValueError, match="whole words"):
        digests.swap_words(bytes(5))
