# SPDX-License-Identifier: Apache-2.0
"""Signatures: each program verifies what the other signed, OpenSSL agrees, and damage is found."""

from __future__ import annotations

import hashlib
import io
import random
import shlex
import stat
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from espsecure import keys, operations, signatures_v2, signers, streams
from esptool.errors import VerifyError
from tests.espsecure.conftest import SCHEMES, Oracle, Run

SECTOR, BLOCK = 4096, 1216
OpenSsl = Callable[..., subprocess.CompletedProcess[bytes]]

# What a block holds besides digest, key and signature, from the published layout.
FIXED = {
    "rsa3072": (2, None, None, slice(812, 1196)),
    "ecdsa192": (3, 0, 1, slice(101, 165)),
    "ecdsa256": (3, 0, 2, slice(101, 165)),
    "ecdsa384": (3, 1, 3, slice(149, 245)),
}


# Places in a block where nothing may change, though its CRC be right.
FORGED = {
    "rsa3072": (0, 1, 4, 35, 36, 419, 420, 423, 424, 807, 808, 811, 812, 1195),
    "ecdsa192": (0, 1, 2, 4, 35, 36, 37, 84, 101, 148),
    "ecdsa256": (0, 1, 2, 4, 35, 36, 37, 100, 101, 164),
    "ecdsa384": (0, 1, 2, 4, 51, 52, 53, 148, 149, 244),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(random.randbytes(5000))
    return path


def blocks_of(signed: Path) -> list[bytes]:
    sector = signed.read_bytes()[-SECTOR:]
    return [sector[n * BLOCK : (n + 1) * BLOCK] for n in range(3)]


# --- secure boot v2 ---------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_program_verifies_what_the_other_signed(
    scheme: str, oracle: Oracle, ok: Run, key_folder: Path, data: Path, tmp_path: Path
) -> None:
    key, second = key_folder / f"{scheme}.pem", key_folder / f"{scheme}-2.pem"
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for extra in ([], ["--skip-padding"]):
        for signing_keys in ([key], [key, second], [key, second, key]):
            line = ["sign-data", "-v", "2", "-k", *signing_keys]
            ok(*line, "-o", ours, *extra, data)
            oracle.ok(*line, "-o", theirs, *extra, data)
            for program, signed in ((oracle.ok, ours), (ok, theirs)):
                for one in (*signing_keys, key_folder / f"{scheme}.pub"):
                    program("verify-signature", "-v", "2", "-k", one, *extra, signed)
            # All but the random parts is the same.
            assert _without_random(ours, scheme) == _without_random(theirs, scheme)


def _without_random(signed: Path, scheme: str) -> bytes:
    content = bytearray(signed.read_bytes())
    for number in range(3):
        start = len(content) - SECTOR + number * BLOCK
        if content[start] == 0xE7:
            for part in (FIXED[scheme][3], slice(1196, 1200)):
                content[start + part.start : start + part.stop] = bytes(part.stop - part.start)
    return bytes(content)


@pytest.mark.oracle
@pytest.mark.parametrize("scheme", SCHEMES)
def test_blocks_are_appended_by_one_program_to_those_of_the_other(
    scheme: str, oracle: Oracle, ok: Run, key_folder: Path, data: Path, tmp_path: Path
) -> None:
    key, second = key_folder / f"{scheme}.pem", key_folder / f"{scheme}-2.pem"
    one, two, three = tmp_path / "one", tmp_path / "two", tmp_path / "three"
    oracle.ok("sign-data", "-v", "2", "-k", key, "-o", one, data)
    ok("sign-data", "-v", "2", "--append-signatures", "-k", second, "-o", two, one)
    oracle.ok("sign-data", "-v", "2", "-a", "-k", key, "-o", three, two)
    assert blocks_of(three)[:2] == blocks_of(two)[:2]
    assert blocks_of(two)[0] == blocks_of(one)[0]
    ours, theirs = ok("signature-info-v2", three), oracle.ok("signature-info-v2", three)
    assert ours.out.splitlines()[1:] == theirs.out.splitlines()[1:]
    for key_file in (key, second):
        mine = ok("verify-signature", "-v", "2", "-k", key_file, three)
        other = oracle.ok("verify-signature", "-v", "2", "-k", key_file, three)
        assert mine.out.splitlines()[1:] == other.out.splitlines()[1:]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_block_has_the_published_layout(
    scheme: str, ok: Run, key_folder: Path, data: Path, tmp_path: Path, openssl: OpenSsl
) -> None:
    signed = tmp_path / "signed"
    ok("sign-data", "-v", "2", "-k", key_folder / f"{scheme}.pem", "-o", signed, data)
    content = signed.read_bytes()
    padded = data.read_bytes().ljust(8192, b"\xff")
    assert content[:8192] == padded
    block, version = content[8192 : 8192 + BLOCK], FIXED[scheme][0]
    assert content[8192 + BLOCK :] == b"\xff" * (SECTOR - BLOCK)
    assert block[:2] == bytes([0xE7, version])
    assert block[1196:] == struct.pack("<I16x", zlib.crc32(block[:1196]))
    key = keys.load_public((key_folder / f"{scheme}.pub").read_bytes())
    hashed = "sha384" if scheme == "ecdsa384" else "sha256"
    digest = hashlib.new(hashed, padded).digest()
    assert block[4 : 4 + len(digest)] == digest
    body = block[FIXED[scheme][3]]
    if scheme == "rsa3072":
        n, e, rinv, m = (
            int.from_bytes(block[a:b], "little")
            for a, b in ((36, 420), (420, 424), (424, 808), (808, 812))
        )
        numbers = key.public_numbers()
        assert (n, e) == (numbers.n, numbers.e)  # type: ignore[union-attr]
        assert rinv == pow(2, 6144, n)
        assert (n * m + 1) % (1 << 32) == 0
        signature = body[::-1]
        options = ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:32"]
        options += ["-pkeyopt", "rsa_mgf1_md:sha256"]
    else:
        assert block[2] == FIXED[scheme][1]
        size = int(scheme[5:]) // 8
        assert block[4 + len(digest)] == FIXED[scheme][2]
        point = keys.point(key, byteorder="little")  # type: ignore[arg-type]
        assert block[5 + len(digest) :].startswith(point)
        pair = signatures_v2.reverse_halves(body[: 2 * size])
        assert not any(body[2 * size :])
        signature, options = signers.join_der(pair), []
    for name, value in (("sig", signature), ("digest", digest)):
        (tmp_path / name).write_bytes(value)
    done = openssl(
        *["pkeyutl", "-verify", "-pubin", "-inkey", key_folder / f"{scheme}.pub"],
        *["-sigfile", tmp_path / "sig", "-in", tmp_path / "digest"],
        *["-pkeyopt", f"digest:{hashed}", *options],
    )
    assert b"Signature Verified Successfully" in done.stdout, done


@pytest.mark.oracle
@pytest.mark.parametrize("scheme", SCHEMES)
def test_signatures_that_openssl_made_are_taken_in(
    scheme: str, oracle: Oracle, ok: Run, refused: Run, key_folder: Path, tmp_path: Path,
    openssl: OpenSsl,
) -> None:  # fmt: skip
    data, signature, out = tmp_path / "data", tmp_path / "signature", tmp_path / "out"
    data.write_bytes(random.randbytes(SECTOR))
    hashed = "sha384" if scheme == "ecdsa384" else "sha256"
    pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
    options = pss if scheme == "rsa3072" else []
    key = key_folder / f"{scheme}.pem"
    done = openssl("dgst", f"-{hashed}", "-sign", key, *options, "-out", signature, data)
    assert done.returncode == 0, done
    line = ["sign-data", "-v", "2", "--signature", signature, "-o", out]
    ok(*line, "--pub-key", key_folder / f"{scheme}.pub", "--append-signatures", data)
    oracle.ok("verify-signature", "-v", "2", "-k", key, out)
    out.unlink()
    wrong = refused(*line, "--pub-key", key_folder / f"{scheme}-2.pub", "--skip-padding", data)
    assert "has not been signed using the given public key" in wrong.err
    data.write_bytes(bytes(100))
    unaligned = refused(
        *line, "--pub-key", key_folder / f"{scheme}.pub", "--append-signatures", data
    )
    assert "not sector aligned" in unaligned.err
    assert not out.exists()


@pytest.mark.parametrize("scheme", ["rsa3072", "ecdsa256", "ecdsa384"])
def test_every_flipped_byte_of_image_and_block_is_found(
    scheme: str, key_folder: Path, tmp_path: Path
) -> None:
    key = keys.load_private((key_folder / f"{scheme}.pem").read_bytes())
    out = io.BytesIO()
    signatures_v2.sign(
        io.BytesIO(random.randbytes(300)), [signers.KeySigner(key)], out, skip_padding=True
    )
    good = out.getvalue()
    public = key.public_key()
    signatures_v2.verify(io.BytesIO(good), public, skip_padding=True)
    for position in range(300 + BLOCK):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        with pytest.raises(RuntimeError, match=r"digest does not match|could not be verified"):
            signatures_v2.verify(io.BytesIO(bytes(bad)), public, skip_padding=True)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_forged_block_with_a_right_crc_is_found(scheme: str, key_folder: Path) -> None:
    key = keys.load_private((key_folder / f"{scheme}.pem").read_bytes())
    out = io.BytesIO()
    signatures_v2.sign(io.BytesIO(bytes(SECTOR)), [signers.KeySigner(key)], out)
    good = out.getvalue()
    for position in FORGED[scheme]:
        bad = bytearray(good)
        bad[SECTOR + position] ^= 0x40
        crc = zlib.crc32(bad[SECTOR : SECTOR + 1196])
        bad[SECTOR + 1196 : SECTOR + 1200] = struct.pack("<I", crc)
        with pytest.raises(VerifyError):
            signatures_v2.verify(io.BytesIO(bytes(bad)), key.public_key())


def test_a_wrong_key_or_curve_is_one_clear_error(
    ok: Run, refused: Run, key_folder: Path, data: Path, tmp_path: Path
) -> None:
    signed = tmp_path / "signed"
    ok("sign-data", "-v", "2", "-k", key_folder / "ecdsa256.pem", "-o", signed, data)
    for other in ("ecdsa256-2.pem", "ecdsa384.pub", "ecdsa192.pem", "rsa3072.pub"):
        result = refused("verify-signature", "-v", "2", "-k", key_folder / other, signed)
        assert "Signature could not be verified with the provided key." in result.err
        assert "is not signed by the supplied key" in result.out


def test_a_fourth_signature_is_refused_and_the_file_stays(
    ok: Run, refused: Run, key_folder: Path, data: Path
) -> None:
    key = key_folder / "ecdsa256.pem"
    ok("sign-data", "-v", "2", "--keyfile", key, key, "--append-signatures", data)
    too_many = refused("sign-data", "-v", "2", "-k", key, key, "-a", data)
    assert "Number of keys (2) more than the empty signature blocks (1)" in too_many.err
    ok("sign-data", "-v", "2", "-k", key, "-a", data)
    before = data.read_bytes()
    assert "Up to 3 signature blocks" in refused("sign-data", "-v", "2", "-k", key, "-a", data).err
    assert data.read_bytes() == before
    assert [p.name for p in data.parent.iterdir()] == ["data.bin"]


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 70000])
def test_data_is_padded_to_whole_sectors(
    length: int, ok: Run, key_folder: Path, tmp_path: Path
) -> None:
    data, key = tmp_path / "data", key_folder / "ecdsa256.pem"
    data.write_bytes(random.randbytes(length))
    content = data.read_bytes()
    result = ok("sign-data", "-v", "2", "-k", key, "--skip-padding", "-o", tmp_path / "s", data)
    assert (tmp_path / "s").read_bytes()[:-SECTOR] == content
    assert ("Skipping sector padding" in result.out) == bool(length % SECTOR)
    ok("sign-data", "-v", "2", "-k", key, "-a", data)
    padded = data.read_bytes()[:-SECTOR]
    assert padded == content + b"\xff" * (-length % SECTOR)
    ok("verify-signature", "-v", "2", "-k", key, data)


def test_files_that_are_not_signed_are_told_from_damaged_ones(
    refused: Run, ok: Run, key_folder: Path, tmp_path: Path
) -> None:
    data, key = tmp_path / "data", key_folder / "ecdsa256.pem"
    for length in (0, 100, 5000):
        data.write_bytes(bytes(length))
        for command in (["verify-signature", "-v", "2", "-k", key], ["signature-info-v2"]):
            assert "Invalid datafile" in refused(*command, data).err
    data.write_bytes(bytes(100))
    small = refused("verify-signature", "-v", "2", "--skip-padding", "-k", key, data)
    assert "File too small (must be at least 4096 bytes)" in small.err
    data.write_bytes(bytes(8192))
    refused("verify-signature", "-v", "2", "-k", key, data)
    assert "absent/invalid" in ok("signature-info-v2", data).out


def test_signature_info_finds_a_changed_image(
    refused: Run, ok: Run, key_folder: Path, data: Path
) -> None:
    ok("sign-data", "-v", "2", "-k", key_folder / "ecdsa384.pem", "-a", data)
    content = bytearray(data.read_bytes())
    content[17] ^= 1
    data.write_bytes(content)
    assert "doesn't match the image digest" in refused("signature-info-v2", data).err
    warned = ok("sign-data", "-v", "2", "-k", key_folder / "ecdsa384.pem", "-a", data)
    assert "WARNING" in warned.err


def test_several_files_are_signed_at_once(
    ok: Run, refused: Run, key_folder: Path, tmp_path: Path
) -> None:
    key, folder = key_folder / "ecdsa256.pem", tmp_path / "out"
    folder.mkdir()
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file in files:
        file.write_bytes(random.randbytes(100))
    ok("sign-data", "-v", "2", *files, "-k", key, "-o", folder)
    for file in files:
        assert file.stat().st_size == 100
        ok("verify-signature", "-v", "2", "-k", key, folder / file.name)
    refused("sign-data", "-v", "2", *files, "-k", key, "-o", tmp_path / "none")
    ok("sign-data", "-v", "2", *files, "-k", key)
    for file in files:
        ok("verify-signature", "-v", "2", "-k", key, file)


def test_an_empty_file_is_signed_with_a_warning(ok: Run, key_folder: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "empty", tmp_path / "out"
    data.write_bytes(b"")
    signed = ok("sign-data", "-v", "2", "-k", key_folder / "ecdsa256.pem", "-o", out, data)
    assert "is empty" in signed.err
    data.write_bytes(b"x")
    assert (
        "is empty"
        not in ok("sign-data", "-v", "2", "-k", key_folder / "ecdsa256.pem", "-o", out, data).err
    )


def test_signing_a_long_file_takes_little_memory(key_folder: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    with open(data, "wb") as f:
        f.truncate(24 << 20)
    signer = signers.KeySigner(keys.load_private((key_folder / "ecdsa256.pem").read_bytes()))
    tracemalloc.start()
    with open(data, "rb") as source:
        operations.sign_file("2", source, operations.Signing([signer]), out)
        source.seek(0)
        with open(out, "rb") as signed:
            signatures_v2.verify(signed, signer.public_key)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * streams.CHUNK


# --- secure boot v1 ---------------------------------------------------------------------------


@pytest.mark.oracle
def test_version_1_signs_like_the_public_tool(
    oracle: Oracle, ok: Run, key_folder: Path, data: Path, tmp_path: Path, openssl: OpenSsl
) -> None:
    key, public = key_folder / "ecdsa256.pem", key_folder / "ecdsa256.pub"
    ours, theirs, raw = tmp_path / "ours", tmp_path / "theirs", tmp_path / "raw"
    assert ok("sign-data", "-v", "1", "-k", key, "-o", ours, data).out.endswith(
        f'Signed 5000 bytes of data from "{data}".\n'
    )
    oracle.ok("sign-data", "-v", "1", "-k", key, "-o", theirs, data)
    assert ours.read_bytes() == theirs.read_bytes()
    ok("extract-public-key", "-k", key, raw)
    for one in (key, public, raw):
        result = ok("verify-signature", "-v", "1", "-k", one, theirs)
        assert result.out.endswith("Verifying 5000 bytes of data...\nSignature is valid.\n")
        oracle.ok("verify-signature", "-v", "1", "-k", one, ours)
    tail = ours.read_bytes()[-68:]
    assert tail[:4] == bytes(4)
    (tmp_path / "der").write_bytes(signers.join_der(tail[4:]))
    done = openssl("dgst", "-sha256", "-verify", public, "-signature", tmp_path / "der", data)
    assert done.stdout == b"Verified OK\n"
    again = tmp_path / "again"
    (tmp_path / "pair").write_bytes(tail[4:])
    line = ["sign-data", "-v", "1", "--signature", tmp_path / "pair", "-o", again, data]
    ok(*line, "--pub-key", public)
    assert again.read_bytes() == ours.read_bytes()


def test_every_flipped_byte_of_a_version_1_file_is_found(
    ok: Run, refused: Run, key_folder: Path, tmp_path: Path
) -> None:
    from espsecure import signatures_v1

    private = keys.load_private_v1((key_folder / "ecdsa256.pem").read_bytes())
    out = io.BytesIO()
    signatures_v1.sign(io.BytesIO(random.randbytes(200)), signers.KeySigner(private), out)
    good = out.getvalue()
    public = private.public_key()
    assert signatures_v1.verify(io.BytesIO(good), public).length == 200
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        with pytest.raises(RuntimeError, match=r"not valid|only supports version 0"):
            signatures_v1.verify(io.BytesIO(bytes(bad)), public)


def test_version_1_refuses_what_it_cannot_do(
    refused: Run, key_folder: Path, data: Path, tmp_path: Path
) -> None:
    key, out = key_folder / "ecdsa256.pem", tmp_path / "out"
    line = ["sign-data", "-v", "1", "-o", out, data]
    assert "only supports one signing key" in refused(*line, "-k", key, key).err
    assert "does not support signing using an external" in refused(*line, "--hsm").err
    assert "incorrect curve" in refused(*line, "-k", key_folder / "ecdsa384.pem").err
    assert "Incorrect ECDSA private key" in refused(*line, "-k", key_folder / "rsa3072.pem").err
    refused(*line)
    assert not out.exists()
    same = refused("sign-data", "-v", "1", "-k", key, "-o", data, data)
    assert "should not be the same" in same.err
    assert (
        "Signature is not valid"
        in refused("verify-signature", "-v", "1", "-k", key, _signed_by_other(data, key_folder)).err
    )
    data.write_bytes(bytes(60))
    assert "Invalid datafile" in refused("verify-signature", "-v", "1", "-k", key, data).err


def _signed_by_other(data: Path, key_folder: Path) -> Path:
    from espsecure import signatures_v1

    key = keys.load_private_v1((key_folder / "ecdsa256-2.pem").read_bytes())
    path = data.with_name("other")
    with open(data, "rb") as source, open(path, "wb") as out:
        signatures_v1.sign(source, signers.KeySigner(key), out)
    return path


# --- signing elsewhere ------------------------------------------------------------------------

SIGNER = """
import sys
from pathlib import Path
from espsecure import keys, signers
key = keys.load_private(Path(sys.argv[1]).read_bytes())
raw = signers.KeySigner(key).sign(sys.stdin.buffer.read())
if "der" in sys.argv:
    raw = signers.join_der(raw)
if "short" in sys.argv:
    raw = raw[:-1]
if "fail" in sys.argv:
    sys.exit(7)
sys.stdout.buffer.write(raw)
"""


@pytest.fixture
def command(tmp_path: Path, key_folder: Path) -> Callable[..., str]:
    script = tmp_path / "a signer.py"
    script.write_text(SIGNER)

    def make(scheme: str, *words: str) -> str:
        return shlex.join([sys.executable, str(script), str(key_folder / f"{scheme}.pem"), *words])

    return make


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_command_signs_digests(
    scheme: str, ok: Run, command: Callable[..., str], key_folder: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    public = key_folder / f"{scheme}.pub"
    for word in ("raw",) if scheme == "rsa3072" else ("raw", "der"):
        line = ["--pub-key", public, "--signer-command", command(scheme, word), "-o", out, data]
        ok("sign-data", "-v", "2", *line)
        ok("verify-signature", "-v", "2", "-k", public, out)
    if scheme == "ecdsa256":
        ok("sign-data", "-v", "1", *line)
        ok("verify-signature", "-v", "1", "-k", public, out)


def test_a_command_that_fails_or_lies_is_one_clear_error(
    refused: Run, command: Callable[..., str], key_folder: Path, data: Path, tmp_path: Path
) -> None:
    out, public = tmp_path / "out", key_folder / "ecdsa256.pub"
    line = ["sign-data", "-v", "2", "-o", out, "--pub-key", public, "--signer-command"]
    cases = {
        command("ecdsa256", "fail"): "exit code 7",
        command("ecdsa256", "short"): "no ECDSA signature",
        command("ecdsa256-2"): "does not verify",
        "/nonexistent/signer": "Cannot run",
        "": "is empty",
    }
    for words, text in cases.items():
        assert text in refused(*line, words, data).err
    alone = ["sign-data", "-v", "2", "-o", out, "--signer-command", "x", data]
    assert "--pub-key" in refused(*alone).err
    assert not out.exists()


def test_a_signed_file_keeps_its_permissions(ok: Run, key_folder: Path, data: Path) -> None:
    data.chmod(0o640)
    ok("sign-data", "-v", "2", "-k", key_folder / "ecdsa256.pem", "-a", data)
    assert stat.S_IMODE(data.stat().st_mode) == 0o640
