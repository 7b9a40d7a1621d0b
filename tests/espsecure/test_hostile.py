# SPDX-License-Identifier: Apache-2.0
"""Keys, signatures, programs and tables that are not what they should be: one clear error each."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from espsecure import hsm, keys, signatures_v2
from esptool.errors import FatalError
from tests.espsecure.conftest import Run

EVEN = (1 << 3071) + 2


def even_key() -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(65537, EVEN).public_key()


def test_a_key_with_an_even_modulus_is_refused(
    refused: Run, key_folder: Path, tmp_path: Path
) -> None:
    pem, data = tmp_path / "even.pem", tmp_path / "data"
    pem.write_bytes(even_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    data.write_bytes(bytes(4096))
    (tmp_path / "sig").write_bytes(bytes(384))
    for words in (
        ["digest-sbv2-public-key", "-k", pem, "-o", tmp_path / "o"],
        ["verify-signature", "-v", "2", "-k", pem, data],
        ["sign-data", "-v", "2", "--pub-key", pem, "--signature", tmp_path / "sig", "--", data],
    ):
        assert "even modulus" in refused(*words).err
    assert data.read_bytes() == bytes(4096)


def test_a_block_of_a_key_with_an_even_modulus_verifies_nothing(
    run: Run, key_folder: Path, tmp_path: Path
) -> None:
    numbers = signatures_v2.RsaPrimitives(EVEN, 65537, 1, 1)
    signed = tmp_path / "signed"
    block = signatures_v2.rsa_block(bytes(32), numbers, bytes(384))
    signed.write_bytes(bytes(4096) + signatures_v2.signature_sector([block]))
    assert signatures_v2.read_block(block) is not None
    for words in (
        ["signature-info-v2", signed],
        ["verify-signature", "-v", "2", "-k", key_folder / "rsa3072.pem", signed],
    ):
        found = run(*words)
        assert "Error" not in found.out
        assert found.code == 2
    run("sign-data", "-a", "-v", "2", "-k", key_folder / "rsa3072.pem", signed)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("'x", "cannot be understood"),
        ("", "is empty"),
        ("/no/such/program", "Cannot run"),
        ("yes", "far more than a signature"),
        ("true", "no ECDSA signature"),
        ("false", "exit code 1"),
    ],
)
def test_a_signer_that_is_none_is_one_error(
    command: str, said: str, refused: Run, ok: Run, key_folder: Path, tmp_path: Path
) -> None:
    public, data = tmp_path / "public.pem", tmp_path / "data"
    ok("extract-public-key", "-v", "2", "-k", key_folder / "ecdsa256.pem", public)
    data.write_bytes(bytes(4096))
    line = ["--pub-key", public, "--signer-command", command, data]
    assert said in refused("sign-data", "-v", "2", *line).err
    assert data.read_bytes() == bytes(4096)


def test_a_signer_that_gives_no_answer_is_ended() -> None:
    from espsecure.signers import CommandSigner

    signer = CommandSigner(f"{sys.executable} -c 'import time; time.sleep(60)'", even_key(), 0.2)
    started = time.monotonic()
    with pytest.raises(FatalError, match=r"no answer in 0\.2 seconds"):
        signer.sign(bytes(32))
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("pkcs1", "PKCS#1 v1.5"),
        ("salt", "salt has another length"),
        ("short", "It has 383 bytes"),
        ("empty", "It has 0 bytes"),
        ("other", "has not been signed using the given public key"),
    ],
)
def test_a_signature_that_does_not_verify_says_what_it_is(
    made: str, said: str, refused: Run, ok: Run, key_folder: Path, tmp_path: Path
) -> None:
    key = keys.load_private((key_folder / "rsa3072.pem").read_bytes())
    assert isinstance(key, rsa.RSAPrivateKey)
    content, sha = bytes(4096), hashes.SHA256()
    pss = padding.PSS(mgf=padding.MGF1(sha), salt_length=32)
    signature = {
        "pkcs1": key.sign(content, padding.PKCS1v15(), sha),
        "salt": key.sign(content, padding.PSS(mgf=padding.MGF1(sha), salt_length=20), sha),
        "short": key.sign(content, pss, sha)[1:],
        "empty": b"",
        "other": key.sign(b"other", pss, sha),
    }[made]
    public, data = tmp_path / "public.pem", tmp_path / "data"
    ok("extract-public-key", "-v", "2", "-k", key_folder / "rsa3072.pem", public)
    (tmp_path / "sig").write_bytes(signature)
    data.write_bytes(content)
    line = ["sign-data", "-v", "2", "--pub-key", public, "--signature", tmp_path / "sig", data]
    err = refused(*line).err
    assert said in err
    assert "Signature verification failed" in err


@pytest.mark.parametrize(
    "words",
    [
        ["digest-sbv2-public-key", "-k", "/dev/zero", "-o", "OUT"],
        ["digest-private-key", "-k", "/dev/zero", "OUT"],
        ["encrypt-flash-data", "-k", "/dev/zero", "-a", "0", "-o", "OUT", "/dev/null"],
        ["digest-sdc-public-key", "-k", "/dev/zero", "-o", "OUT"],
    ],
)
def test_a_key_file_without_end_is_refused(words: list[str], refused: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    err = refused(*[str(out) if word == "OUT" else word for word in words]).err
    assert "'/dev/zero' is longer than 1024 KB" in err or "does not exist" in err
    assert not out.exists()


@pytest.mark.parametrize("depth", [1, 200_000])
def test_a_table_of_debug_features_that_is_none_is_refused(
    depth: int, refused: Run, key_folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "usc.json"
    table.write_text("[" * depth)
    line = ["generate-sdc-certificate", "-k", key_folder / "ecdsa256.pem", "--mac", "00" * 6]
    err = refused(*line, "--usc", table, "-o", tmp_path / "out").err
    assert "Invalid JSON" in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbf[hsm_config]\r\npkcs11_lib = x\r\nlabel = y\r\nslot = 0\r\n", None),
        ("[hsm_config]\n".encode("utf-16"), "UTF-16"),
        (b"[hsm_config]\n# gr\xf6\xdfe\n", "not UTF-8"),
    ],
)
def test_the_file_that_names_an_hsm_is_text(
    content: bytes, said: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "hsm.ini"
    path.write_bytes(content)
    if said is None:
        assert hsm.read_config(hsm.open_config(path))[0].label == "y"
        assert hsm.read_config(io.StringIO(content.decode()))[0].label == "y"
        return
    with pytest.raises(FatalError, match=said):
        hsm.open_config(path)


def test_what_has_no_effect_is_named(ok: Run, key_folder: Path, tmp_path: Path) -> None:
    data, key = tmp_path / "data", key_folder / "ecdsa256.pem"
    public = tmp_path / "public.pem"
    ok("extract-public-key", "-v", "2", "-k", key, public)
    data.write_bytes(bytes(4096))
    err = ok("sign-data", "-v", "2", "-k", key, "--pub-key", public, "--", data).err
    assert "--pub-key has no effect" in err
    err = ok("sign-data", "-v", "2", "-k", key, "--", data).err
    assert "is signed already" in err
    assert "no effect" not in err
    assert "signed already" not in ok("sign-data", "-a", "-v", "2", "-k", key, "--", data).err
    flash_key, out = tmp_path / "k", tmp_path / "out"
    flash_key.write_bytes(bytes(32))
    line = ["encrypt-flash-data", "-k", flash_key, "-a", "0", "-o", out]
    assert "no effect on AES-XTS" in ok(*line, "-x", "--flash-crypt-conf", "3", data).err
    assert "only 0x0 counts" in ok(*line, "--flash-crypt-conf", "16", data).err
    assert "only 0xf counts" in ok(*line, "--flash-crypt-conf", "-1", data).err
