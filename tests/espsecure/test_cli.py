# SPDX-License-Identifier: Apache-2.0
"""The command line and the Python names: old spellings, JSON, exit codes, signatures."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

import espsecure
from esptool.errors import FatalError
from tests.espsecure.conftest import Oracle, Run
from tests.support import oracle as support


def test_every_command_has_its_old_spelling_with_a_note(run: Run) -> None:
    from espsecure.cli import COMMANDS

    for name in COMMANDS:
        new = run(name, "--help")
        old = run(name.replace("-", "_"), "--help")
        assert new.code == old.code == 0
        assert new.out.partition("Options:")[2] == old.out.partition("Options:")[2]
        note = f"'{name.replace('-', '_')}' is deprecated. Use '{name}' instead."
        assert note in old.err
        assert "deprecated" not in new.err


def test_old_spellings_of_options_are_noted_on_standard_error(ok: Run, tmp_path: Path) -> None:
    for name, size in (("key", 32), ("data", 64)):
        (tmp_path / name).write_bytes(bytes(size))
    line = ["-k", tmp_path / "key", "-a", "0", "-o", tmp_path / "out", tmp_path / "data"]
    for option in ("--aes_xts", "--flash_crypt_conf=3"):
        result = ok("encrypt_flash_data", option, *line)
        name = option.partition("=")[0]
        note = f"Deprecated: Option '{name}' is deprecated. Use '{name.replace('_', '-')}' instead."
        assert note in result.err
        assert "eprecated" not in result.out
    plain = (tmp_path / "out").read_bytes()
    ok("encrypt-flash-data", "--flash-crypt-conf", "0x3", *line)
    assert (tmp_path / "out").read_bytes() == plain


@pytest.mark.oracle
def test_commands_take_the_options_of_the_public_tool(oracle: Oracle, run: Run) -> None:
    import re

    from espsecure.cli import COMMANDS

    def options(text: str) -> set[str]:
        words = re.findall(r"(?<![\w'-])(--?[a-z][\w-]*)", text.partition("Options")[2])
        return set(words)

    for name in COMMANDS:
        theirs, ours = oracle.ok(name, "--help"), run(name, "--help")
        missing = options(theirs.out) - options(ours.out) - {"--enable-*", "--enable-"}
        assert not missing, name


def test_an_option_takes_many_files_in_every_way(
    ok: Run, run: Run, key_folder: Path, tmp_path: Path
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.write_bytes(bytes(10))
    a, b, c = (key_folder / f"{name}.pem" for name in ("ecdsa256", "ecdsa384", "ecdsa192"))
    for words in (
        ["-k", a, b, c, "-o", out, data],
        ["-k", a, b, "-k", c, "-o", out, data],
        [f"--keyfile={a}", b, c, "--output", out, data],
        [f"-k{a}", b, c, f"--output={out}", data],
        [data, "-o", out, "--keyfile", a, b, c],
        ["-o", out, "-k", a, b, c, "--", data],
    ):
        out.unlink(missing_ok=True)
        assert "3 signing key(s) found." in ok("sign-data", "-v", "2", *words).out
        for key in (a, b, c):
            ok("verify-signature", "-v", "2", "-k", key, out)
    for words in (["-k", a, b, data], ["-k", a, data, "--output", out]):
        data.write_bytes(bytes(10))
        ok("sign-data", "-v", "2", *words)
        ok("verify-signature", "-v", "2", "-k", a, out if out in words else data)
    before = b.read_bytes()
    for words in (["-k", a, b], ["-k", a]):  # a key is never taken for the data
        eaten = run("sign-data", "-v", "2", *words)
        assert eaten.code == 2
        assert "Missing argument 'DATAFILE'" in eaten.err
    assert b.read_bytes() == before


def test_reports_come_as_one_json_document(
    run: Run, ok: Run, key_folder: Path, tmp_path: Path
) -> None:
    data, key, out = tmp_path / "data", key_folder / "ecdsa384.pem", tmp_path / "out"
    data.write_bytes(bytes(4096))
    signed = json.loads(ok("sign-data", "--json", "-v", "2", "-k", key, "-o", out, data).out)
    assert signed["ok"]
    assert signed["blocks"] == 1
    verified = json.loads(ok("verify-signature", "-v", "2", "-k", key, out, "--json").out)
    assert verified["verified"]
    assert verified["blocks"] == [0]
    info = json.loads(ok("signature-info-v2", out, "--json").out)["blocks"]
    assert [block["kind"] for block in info] == ["ECDSA"]
    digest = ok("digest-sbv2-public-key", "--json", "-k", key, "-o", tmp_path / "digest").out
    assert json.loads(digest)["digest"] == info[0]["public_key_digest"]
    assert bytes.fromhex(info[0]["public_key_digest"]) == (tmp_path / "digest").read_bytes()
    other = key_folder / "ecdsa256.pem"
    failed = run("verify-signature", "-v", "2", "-k", other, out, "--json")
    assert failed.code == 2
    document = json.loads(failed.out)
    assert not document["ok"]
    assert "could not be verified" in document["error"]["message"]
    secret = tmp_path / "key"
    made = ok("generate-flash-encryption-key", "--json", secret).out
    assert secret.read_bytes().hex() not in made
    assert json.loads(made)["bits"] == 256


USAGE = [
    [],
    ["no-such-command"],
    ["--version"],
    ["sign-data"],
    ["sign-data", "--no-such-option"],
    ["verify-signature", "-v", "3", "x"],
    ["encrypt-flash-data", "-k", "/nonexistent", "-a", "0", "-o", "x", "y"],
    ["generate-signing-key"],
]


@pytest.mark.parametrize("line", USAGE, ids=" ".join)
def test_wrong_usage_ends_with_exit_code_2(line: list[str], run: Run) -> None:
    result = run(*line)
    assert result.code == 2
    assert result.err or "Usage:" in result.out


def process(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        words, capture_output=True, text=True, timeout=110, check=False, **options
    )


def test_every_way_to_start_it_works(tmp_path: Path) -> None:
    folder = Path(sys.executable).parent
    ways: list[list[str | Path]] = [
        [sys.executable, "-m", "espsecure"],
        [folder / "espsecure"],
        [folder / "espsecure.py"],
    ]
    missing = tmp_path / "none" / "key.pem"
    for way in ways:
        done = process(*way, "generate-signing-key", missing)
        assert done.returncode == 2
        assert done.stdout.startswith(f"espsecure v{_version()}\n")
        assert f"\nA fatal error occurred: Cannot write '{missing}'" in done.stderr
        assert "Traceback" not in done.stderr
        deprecated = "'espsecure.py' is deprecated" in done.stderr
        assert deprecated == (way[0] == folder / "espsecure.py")
        assert process(*way).returncode == 2
        assert process(*way, "--help").returncode == 0


def _version() -> str:
    import esptool

    return esptool.__version__


def test_help_loads_no_cryptography() -> None:
    code = (
        "import sys, espsecure\n"
        "espsecure.main(['--help'])\n"
        "heavy = {'cryptography', 'rich', 'rich_click', 'serial', 'pkcs11'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = process(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr


def test_main_returns_nothing_raises_fatal_errors_and_reads_the_process_s_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    monkeypatch.setattr(sys, "argv", ["espsecure", "generate-signing-key", str(key)])
    assert espsecure.main() is None  # type: ignore[func-returns-value]
    with pytest.raises(FatalError, match="already exists"):
        espsecure.main(["generate-signing-key", str(key)])
    with pytest.raises(SystemExit) as stopped:
        espsecure.main(["generate-signing-key"])
    assert stopped.value.code == 2
    assert "private key in PEM format written" in capsys.readouterr().out


SIGNATURES = """
import inspect, json, espsecure
print(json.dumps({
    name: [(p.name, int(p.kind), repr(p.default)) for p in inspect.signature(f).parameters.values()]
    for name in dir(espsecure)
    if inspect.isfunction(f := getattr(espsecure, name)) and f.__module__ == "espsecure"
}))
"""

INTERNAL = {
    "_check_output_is_not_input",
    "_enable_verbose",
    "_flash_encryption_operation_aes_xts",
    "_flash_encryption_operation_esp32",
    "_generate_ecdsa_signing_key",
    "_load_private_key_unified",
    "_samefile",
    "_split_blocks",
}
"""Helpers of the public tool that nothing else uses."""


@pytest.mark.oracle
def test_functions_have_the_signatures_of_the_public_tool() -> None:
    import inspect

    done = process(support.python(), "-c", SIGNATURES)
    theirs = json.loads(done.stdout)
    assert len(theirs) > 30
    for name, parameters in theirs.items():
        if name in INTERNAL:
            continue
        taken = inspect.signature(getattr(espsecure, name)).parameters.values()
        ours = [p for p in taken if p.name != "listener"]  # our own addition
        assert [[p.name, int(p.kind), repr(p.default)] for p in ours] == parameters, name


def test_names_that_provisioning_programs_use_give_the_published_values(key_folder: Path) -> None:
    def key(name: str) -> io.BytesIO:
        return io.BytesIO((key_folder / name).read_bytes())

    public = espsecure._get_sbv2_pub_key(key("rsa3072.pem"))
    numbers = espsecure._get_sbv2_rsa_primitives(public)
    assert numbers.n == public.public_numbers().n
    assert numbers.e == 65537
    assert (numbers.n * numbers.m + 1) % (1 << 32) == 0
    assert numbers.m < 0
    assert numbers.rinv == pow(2, 6144, numbers.n)
    assert espsecure._microecc_format(1, 2, 256) == b"\1" + bytes(31) + b"\2" + bytes(31)
    assert espsecure._sha256_digest(b"") == bytes.fromhex(
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert len(espsecure._sha384_digest(b"")) == 48
    blocks = espsecure.generate_signature_block_using_private_key(
        keyfiles=[key("rsa3072.pem"), key("ecdsa384.pem")], contents=b"abc"
    )
    assert len(blocks) == 2 * espsecure.SIG_BLOCK_SIZE
    again = blocks.ljust(espsecure.SECTOR_SIZE, b"\xff")
    assert espsecure.validate_signature_block(b"abc" + again, 0) == blocks[:1216]
    assert espsecure.validate_signature_block(b"abc" + again, 1) == blocks[1216:]
    assert espsecure.validate_signature_block(b"abc" + again, 2) is None


def test_private_values_are_as_long_as_their_curve(key_folder: Path) -> None:
    for scheme, size in (("ecdsa192", 24), ("ecdsa256", 32), ("ecdsa384", 48)):
        with open(key_folder / f"{scheme}.pem", "rb") as file:
            key = espsecure.load_ecdsa_signing_key(file)
        raw = espsecure.get_ecdsa_signing_key_raw_bytes(key)
        assert len(raw) == size
        assert int.from_bytes(raw, "big") == key.private_numbers().private_value
    with open(key_folder / "rsa3072.pem", "rb") as file, pytest.raises(FatalError):
        espsecure.load_ecdsa_signing_key(file)


def test_files_that_the_caller_holds_open_are_written_in_place(
    key_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"x" * 50_000)
    with open(key_folder / "ecdsa256.pem", "rb") as key, open(out, "rb") as held:
        data = io.BytesIO(random.randbytes(100))
        espsecure.sign_data("2", [key], str(out), False, False, None, None, None, data)
        key.seek(0)
        espsecure.verify_signature("2", False, None, key, held)
    assert out.stat().st_size == 8192


def test_messages_go_to_the_logger_that_a_program_has_set(
    key_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from esptool.logger import EsptoolLogger, log

    lines: list[str] = []

    class Mine(EsptoolLogger):
        def print(self, *args: object, **kwargs: object) -> None:
            lines.append(" ".join(map(str, args)))

    before = EsptoolLogger.instance
    log.set_logger(Mine())
    try:
        with open(key_folder / "ecdsa256.pem", "rb") as key:
            espsecure.extract_public_key("2", key, io.BytesIO())
    finally:
        log.set_logger(before)
    assert "public key extracted" in lines[0]
    assert not capsys.readouterr().out


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sing_data'"):
        _ = espsecure.sing_data
    assert "sign_data" in dir(espsecure)
