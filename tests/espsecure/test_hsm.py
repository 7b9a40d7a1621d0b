# SPDX-License-Identifier: Apache-2.0
"""Signing in a real PKCS#11 module, SoftHSM 2: every kind of key, and everything that goes wrong.

In CI the module must be there; elsewhere these tests are skipped without it.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import espsecure
from espsecure import hsm, keys, sdc, signers
from esptool.errors import FatalError
from tests.espsecure.conftest import Run

PIN = "471108"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
CURVES = {"ecdsa192": "secp192r1", "ecdsa256": "secp256r1", "ecdsa384": "secp384r1"}


@dataclass(frozen=True)
class SoftHsm:
    """A SoftHSM with one token, and a key pair of each kind on it."""

    module: str
    slot: int
    folder: Path

    def config(self, pair: str, path: Path, **changes: str | None) -> Path:
        """A config file for the key pair; None leaves a field out."""
        fields: dict[str, str | None] = {
            "pkcs11_lib": self.module,
            "credentials": PIN,
            "slot": str(self.slot),
            "label": f"{pair} private",
            "label_pubkey": f"{pair} public",
            **changes,
        }
        lines = [f"{name} = {value}" for name, value in fields.items() if value is not None]
        path.write_text("\n".join(["# a comment", "[hsm_config]", *lines, ""]))
        return path


def _missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed: these tests may not be skipped in CI")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    module = next((path for path in MODULES if Path(path).is_file()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        _missing("SoftHSM 2 (Debian package softhsm2)")
    assert module
    try:
        import pkcs11
    except ImportError:
        _missing("python-pkcs11")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "signing", "--pin", PIN,
         "--so-pin", "12345678"],
        check=True, capture_output=True, timeout=110,
    )  # fmt: skip
    library = pkcs11.lib(module)
    library.reinitialize()
    token = library.get_token(token_label="signing")
    with token.open(rw=True, user_pin=PIN) as session:
        _make_keys(session)
    yield SoftHsm(module, token.slot.slot_id, folder)
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


def _make_keys(session: Any) -> None:
    from pkcs11 import Attribute, KeyType
    from pkcs11.util.ec import encode_named_curve_parameters

    def labels(name: str) -> dict[str, Any]:
        return {
            "store": True,
            "public_template": {Attribute.LABEL: f"{name} public"},
            "private_template": {Attribute.LABEL: f"{name} private"},
        }

    for name in ("rsa3072", "twice", "twice"):
        session.generate_keypair(KeyType.RSA, 3072 if name == "rsa3072" else 1024, **labels(name))
    session.generate_keypair(KeyType.RSA, 2048, **labels("rsa2048"))
    for name, curve in {**CURVES, "other": "secp256r1", "p521": "secp521r1"}.items():
        domain = session.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True
        )
        domain.generate_keypair(**labels(name))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(random.randbytes(5000))
    return path


def public_file(softhsm: SoftHsm, name: str, path: Path) -> Path:
    with open(softhsm.config(name, path.with_suffix(".ini")), encoding="utf-8") as stream:
        key = hsm.public_key(hsm.read_config(stream)[0], lambda _: PIN)
    path.write_bytes(keys.public_pem(key))
    return path


@pytest.mark.parametrize("name", ["rsa3072", *CURVES])
def test_a_key_in_the_hsm_signs_and_verifies(
    name: str, softhsm: SoftHsm, ok: Run, data: Path, tmp_path: Path
) -> None:
    config, out = softhsm.config(name, tmp_path / "hsm.ini"), tmp_path / "out"
    ok("sign-data", "-v", "2", "--hsm", "--hsm-config", config, "-o", out, data)
    ok("verify-signature", "-v", "2", "--hsm", "--hsm-config", config, out)
    public = public_file(softhsm, name, tmp_path / "public")
    ok("verify-signature", "-v", "2", "-k", public, out)
    # Again, with the public key from a file, appended.
    line = ["--hsm", "--hsm-config", config, "--pub-key", public, "--append-signatures"]
    assert "now has 2 signature blocks" in ok("sign-data", "-v", "2", *line, out).out


def test_one_config_file_names_several_keys(
    softhsm: SoftHsm, ok: Run, data: Path, tmp_path: Path
) -> None:
    config, second = tmp_path / "hsm.ini", tmp_path / "second.ini"
    softhsm.config("rsa3072", config)
    softhsm.config("ecdsa384", second, slot=None, token_label="signing")
    text = second.read_text().replace("[hsm_config]", "[hsm_config:second]")
    config.write_text(config.read_text() + text)
    line = ["-v", "2", "--hsm", "--hsm-config", config]
    assert "now has 2 signature blocks" in ok("sign-data", *line, data).out
    ok("verify-signature", *line, data)
    for name in ("rsa3072", "ecdsa384"):
        key = public_file(softhsm, name, tmp_path / name)
        ok("verify-signature", "-v", "2", "-k", key, data)


def test_the_pin_comes_from_the_environment_or_a_prompt_and_is_never_shown(
    softhsm: SoftHsm, ok: Run, refused: Run, data: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    config = softhsm.config("ecdsa256", tmp_path / "hsm.ini", credentials=None)
    line = ["sign-data", "-v", "2", "--hsm", "--hsm-config", config, "-o", tmp_path / "out", data]
    assert hsm.PIN_VARIABLE in refused(*line).err
    monkeypatch.setenv(hsm.PIN_VARIABLE, PIN)
    result = ok(*line)
    assert PIN not in result.out + result.err
    monkeypatch.setenv(hsm.PIN_VARIABLE, "999999")
    wrong = refused(*line)
    assert "PIN is wrong" in wrong.err
    assert "999999" not in wrong.out + wrong.err
    monkeypatch.delenv(hsm.PIN_VARIABLE)
    asked: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda text: asked.append(text) or PIN)  # type: ignore[func-returns-value]
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    ok(*line)
    assert len(asked) == 1
    assert PIN not in repr(hsm.HsmConfig("lib", 1, None, "a", "b", PIN))


def test_a_public_key_is_read_without_a_pin(
    softhsm: SoftHsm, ok: Run, data: Path, tmp_path: Path
) -> None:
    config = softhsm.config("ecdsa256", tmp_path / "hsm.ini")
    ok("sign-data", "-v", "2", "--hsm", "--hsm-config", config, data)
    softhsm.config("ecdsa256", config, credentials=None)
    ok("verify-signature", "-v", "2", "--hsm", "--hsm-config", config, data)


PROBLEMS: dict[str, tuple[str, dict[str, str | None], str]] = {
    "wrong PIN": ("ecdsa256", {"credentials": "000000"}, "the PIN is wrong"),
    "missing private label": ("ecdsa256", {"label": "none"}, "no private key labelled 'none'"),
    "missing public label": ("ecdsa256", {"label_pubkey": "none"}, "no public key labelled"),
    "missing module": ("ecdsa256", {"pkcs11_lib": "/nonexistent.so"}, "does not exist"),
    "not a module": ("ecdsa256", {"pkcs11_lib": __file__}, "HSM, slot"),
    "missing slot": ("ecdsa256", {"slot": "123"}, "no slot 123"),
    "odd slot": ("ecdsa256", {"slot": "first"}, "not a number"),
    "missing token": ("ecdsa256", {"slot": None, "token_label": "none"}, "token labelled 'none'"),
    "no slot": ("ecdsa256", {"slot": None}, "lacks slot"),
    "no label": ("ecdsa256", {"label": None}, "lacks label"),
    "no module": ("ecdsa256", {"pkcs11_lib": None}, "lacks pkcs11_lib"),
    "twice": ("twice", {}, "keys labelled 'twice"),
    "too short": ("rsa2048", {}, "2048 bits"),
    "curve": ("p521", {}, "curve"),
    "no pair": ("ecdsa256", {"label_pubkey": "other public"}, "not a pair"),
    "other kind": ("ecdsa256", {"label_pubkey": "rsa3072 public"}, "is not RSA"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_with_the_hsm_is_one_clear_error(
    problem: str, softhsm: SoftHsm, refused: Run, data: Path, tmp_path: Path
) -> None:
    name, changes, text = PROBLEMS[problem]
    config, out = softhsm.config(name, tmp_path / "hsm.ini", **changes), tmp_path / "out"
    line = ["sign-data", "-v", "2", "--hsm", "--hsm-config", config, "-o", out, data]
    assert text in refused(*line).err
    assert not out.exists()


def test_a_removed_token_is_one_clear_error(
    softhsm: SoftHsm, refused: Run, data: Path, tmp_path: Path
) -> None:
    import pkcs11

    config = softhsm.config("ecdsa256", tmp_path / "hsm.ini")
    line = ["sign-data", "-v", "2", "--hsm", "--hsm-config", config, "-o", tmp_path / "out", data]
    tokens, away = softhsm.folder / "tokens", softhsm.folder / "away"
    tokens.rename(away)
    tokens.mkdir()
    library = pkcs11.lib(softhsm.module)
    try:
        library.reinitialize()
        assert "slot" in refused(*line).err
        assert not (tmp_path / "out").exists()
    finally:
        tokens.rmdir()
        away.rename(tokens)
        library.reinitialize()


def test_config_files_that_are_none_are_refused(refused: Run, data: Path, tmp_path: Path) -> None:
    config = tmp_path / "hsm.ini"
    for content, text in (
        (b"", "no section"),
        (b"[other]\nslot = 1\n", "no section"),
        (b"slot = 1\n", "cannot be read"),
        (b"\xff\xfe", "UTF-16"),
    ):
        config.write_bytes(content)
        line = ["-v", "2", "--hsm", "--hsm-config", config, data]
        assert text in refused("sign-data", *line).err
    assert "Config file is required" in refused("sign-data", "-v", "2", data, "--hsm").err
    assert "Config file is required" in refused("verify-signature", "-v", "2", data, "--hsm").err


def test_certificates_are_signed_in_the_hsm(
    softhsm: SoftHsm, ok: Run, refused: Run, tmp_path: Path
) -> None:
    config, out = softhsm.config("ecdsa256", tmp_path / "hsm.ini"), tmp_path / "out"
    options = ["--hsm", "--hsm-config", config, "-o", out]
    ok("generate-sdc-certificate", *options, "--mac", "00:11:22:33:44:55", "--enable-jtag")
    public = keys.load_public(public_file(softhsm, "ecdsa256", tmp_path / "public").read_bytes())
    certificate = out.read_bytes()
    assert len(certificate) == sdc.SIZE
    assert certificate[276:340] == keys.point(public)  # type: ignore[arg-type]
    ok("digest-sdc-public-key", *options)
    assert out.read_bytes() == sdc.key_hash(public)[::-1]  # type: ignore[arg-type]
    softhsm.config("ecdsa384", config)
    assert "P-256" in refused("digest-sdc-public-key", *options).err


def test_the_python_names_take_config_sections(softhsm: SoftHsm, tmp_path: Path) -> None:
    import configparser
    import hashlib

    parser = configparser.ConfigParser()
    parser.read(softhsm.config("ecdsa384", tmp_path / "hsm.ini"))
    (public,) = espsecure.extract_pubkey_from_hsm(parser["hsm_config"])
    (signature,) = espsecure.generate_signature_using_hsm(parser["hsm_config"], b"contents")
    key = keys.load_public(public.read())
    raw = signers.as_raw(signature.read(), key)
    assert signers.verify(key, raw, hashlib.sha384(b"contents").digest())


def test_without_the_package_the_error_says_what_to_install(
    data: Path, refused: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pkcs11", None)
    config = tmp_path / "hsm.ini"
    config.write_text("[hsm_config]\npkcs11_lib = /x\nslot = 1\nlabel = a\n")
    result = refused("sign-data", "-v", "2", "--hsm", "--hsm-config", config, data)
    assert "pip install 'esptool[hsm]'" in result.err


# --- recipes of espefuse --------------------------------------------------------------------------

SIGNER = """
import sys
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives import hashes, serialization
key = serialization.load_pem_private_key(open(sys.argv[1], "rb").read(), None)
digest = sys.stdin.buffer.read()
sys.stdout.buffer.write(key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))
"""


def recipe_digests(path: Path, entries: str) -> tuple[bytes, ...]:
    """The digests of a recipe with these entries."""
    from espefuse.recipe import read

    path.write_text(f"recipe = 1\n[secure-boot]\ndigests = [{entries}]\n")
    found = read(path).secure_boot
    assert found is not None
    return found.digests


def test_a_recipe_takes_digests_from_an_hsm(softhsm: SoftHsm, ok: Run, tmp_path: Path) -> None:
    wanted = []
    for name in ("rsa3072", "ecdsa256"):
        softhsm.config(name, tmp_path / f"{name}.ini", credentials=None)
        public, out = public_file(softhsm, name, tmp_path / "key.pem"), tmp_path / "digest"
        ok("digest-sbv2-public-key", "--keyfile", public, "--output", out)
        wanted.append(out.read_bytes())
    entries = '{ hsm = "rsa3072.ini" }, { hsm = "ecdsa256.ini" }'
    assert recipe_digests(tmp_path / "product.toml", entries) == tuple(wanted)


def test_a_recipe_has_a_signer_sign_before_boards_trust_its_key(ok: Run, tmp_path: Path) -> None:
    (tmp_path / "sign.py").write_text(SIGNER)
    for name in ("one", "other"):
        private, public = tmp_path / f"{name}.pem", tmp_path / f"{name}.pub"
        ok("generate-signing-key", "-v", "2", "-s", "ecdsa256", private)
        ok("extract-public-key", "-v", "2", "-k", private, public)
    ok("digest-sbv2-public-key", "--keyfile", tmp_path / "one.pub", "-o", tmp_path / "digest")
    command = f"{sys.executable} {tmp_path / 'sign.py'} {tmp_path / 'one.pem'}"
    entry = f'{{ signer = "{command}", public-key = "NAME.pub" }}'
    path = tmp_path / "product.toml"
    wanted = (tmp_path / "digest").read_bytes()
    assert recipe_digests(path, entry.replace("NAME", "one")) == (wanted,)
    with pytest.raises(FatalError, match=r"product\.toml:3: .* does not verify"):
        recipe_digests(path, entry.replace("NAME", "other"))
