# SPDX-License-Identifier: Apache-2.0
"""What users write on a line and in files, and who else uses the same file: one clear end each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.espefuse.support import CHIPS, CSV, cli, commands_on, quietly, run


@pytest.mark.parametrize(
    "words",
    [
        ["summary", "--format", "summary"],
        ["summary", "--file", "dump"],
        ["dump", "--file-name", "dump", "--format", "joint"],
        ["plan", "plan", "burn-efuse", "DIS_ICACHE", "1"],
        ["burn-block-data", "BLOCK3", "summary", "dump"],
    ],
)
def test_a_value_may_be_named_like_a_command(
    words: list[str], base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("summary").write_bytes(bytes(31) + b"\1")
    code, _, err = run(*base, *words)
    assert code == 0, err
    if "--file" in words or "--file-name" in words:
        assert Path("dump").stat().st_size
    if words[0] == "plan":
        assert json.loads(Path("plan").read_text())["blocks"]


@pytest.mark.parametrize("form", [[], ["--format", "json"], ["--format", "value_only"], ["--json"]])
def test_a_name_that_matches_nothing_is_an_error(form: list[str], base: list[str]) -> None:
    code, _, err = run(*base, "summary", *form, "DIS_ICACH")
    assert code == 2
    assert "Did you mean DIS_ICACHE" in err


@pytest.mark.parametrize("form", [[], ["--format", "json"], ["--json"]])
def test_a_name_that_only_other_chips_have_is_left_out_with_a_warning(
    form: list[str], base: list[str]
) -> None:
    code, out, err = run(*base, "summary", *form, "MAC", "DIS_ICACH", "DIS_ICACHE")
    assert code == 0
    assert "MAC" in out
    assert (out + err).count(
        "has no eFuse 'DIS_ICACH': it is left out. Did you mean DIS_ICACHE"
    ) == 1


@pytest.mark.parametrize(
    ("chip", "command"),
    [
        ("esp32", ["burn-custom-mac"]),
        ("esp32c3", ["burn-custom-mac"]),
        ("esp32c3", ["burn-efuse", "CUSTOM_MAC"]),
    ],
)
def test_a_mac_of_zeros_is_refused(chip: str, command: list[str], tmp_path: Path) -> None:
    memory = tmp_path / "m"
    base: list[str | Path] = [
        "--chip",
        chip,
        "--virt",
        "--path-efuse-file",
        memory,
        "--do-not-confirm",
    ]
    code, _, err = run(*base, *command, "00:00:00:00:00:00")
    assert code == 2
    assert "all zeros" in err
    assert not any(memory.read_bytes())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("USER.A, EFUSE_BLK3, 0, 8, Größe\n".encode("latin-1"), "UTF-8"),
        ("USER.A, EFUSE_BLK3, 0, 8, x\n".encode("utf-16"), "UTF-16"),
        (b"#" * (2 << 20), "larger than"),
    ],
)
def test_a_custom_table_in_another_encoding_is_one_error(
    content: bytes, said: str, base: list[str], tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(content)
    code, _, err = run(*base, "--extend-efuse-table", table, "summary")
    assert code == 2
    assert said in err


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_custom_table_may_have_a_mark_and_any_line_ends(
    ends: str, base: list[str], tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(("\ufeff" + CSV.replace("\n", ends)).encode())
    code, out, err = run(*base, "--extend-efuse-table", table, "summary")
    assert code == 0, err
    assert "MODULE_VERSION (BLOCK3)" in out


def pem_of_rsa(modulus: int, exponent: int) -> bytes:
    """A public key as no library makes it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize("kind", ["even", "exponent", "large", "folder"])
def test_a_key_that_no_chip_can_use_is_one_error(
    kind: str, base: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    if kind == "large":
        path.write_bytes(bytes(1 << 20))
    elif kind == "folder":
        path.mkdir()
    else:
        modulus = (1 << 3071) + (0 if kind == "even" else 1)
        path.write_bytes(pem_of_rsa(modulus, (1 << 40) + 1 if kind == "exponent" else 65537))
    done = cli([*base, "burn-key-digest", "BLOCK_KEY0", str(path), "SECURE_BOOT_DIGEST0"])
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    assert not any((tmp_path / "memory").read_bytes())


@pytest.mark.parametrize("command", ["dump", "get-custom-mac", "check-error", "summary"])
def test_json_is_all_there_is_on_standard_output(command: str) -> None:
    done = cli(["--port", "virtual://esp32c3", command, "--json"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_two_programs_on_one_file_do_not_lose_bits(tmp_path: Path) -> None:
    from espefuse.efuse_interface import get_esp

    memory = str(tmp_path / "m")
    one, two = (
        commands_on(get_esp(chip="esp32c3", virt=True, virt_efuse_file=memory)) for _ in range(2)
    )
    assert quietly(lambda: one.burn_efuse({"DIS_ICACHE": 1}))[2] is None
    _, _, failure = quietly(lambda: two.burn_efuse({"DIS_TWAI": 1}))
    assert "changed by another program" in str(failure)
    three = commands_on(get_esp(chip="esp32c3", virt=True, virt_efuse_file=memory))
    assert three.efuses["DIS_ICACHE"].get() is True
    assert three.efuses["DIS_TWAI"].get() is False


def test_the_v5_classes_of_virtual_efuses_are_there() -> None:
    import importlib

    base = importlib.import_module("espefuse.efuse.emulate_efuse_controller_base")
    for chip in CHIPS:
        module = importlib.import_module(f"espefuse.efuse.{chip}.emulate_efuse_controller")
        package = importlib.import_module(f"espefuse.efuse.{chip}")
        made = module.EmulateEfuseController(None)
        assert isinstance(made, base.EmulateEfuseControllerBase)
        assert isinstance(package.EmulateEfuseController(), base.EmulateEfuseControllerBase)
        assert made.CHIP_NAME.lower().replace("-", "") == chip


@pytest.mark.parametrize(
    "words",
    [
        [
            "burn-key",
            "BLOCK_KEY3",
            "{}/zero",
            "USER",
            "burn-key",
            "BLOCK_KEY3",
            "{}/zero",
            "RESERVED",
        ],
        ["burn-key", "BLOCK_KEY3", "{}/k32", "USER", "burn-bit", "BLOCK_KEY3", "0"],
        ["burn-bit", "BLOCK_KEY3", "0", "burn-key", "BLOCK_KEY3", "{}/zero", "USER"],
        ["burn-efuse", "SPI_BOOT_CRYPT_CNT", "1", "burn-efuse", "SPI_BOOT_CRYPT_CNT", "2"],
    ],
)
def test_commands_of_one_run_that_contradict_each_other_are_refused(
    words: list[str], base: list[str], tmp_path: Path
) -> None:
    (tmp_path / "zero").write_bytes(bytes(32))
    key = (tmp_path / "k32").read_bytes()
    (tmp_path / "k32").write_bytes(bytes([key[0] & 0xFE]) + key[1:])
    code, _, err = run(*base, *(word.format(tmp_path) for word in words))
    assert code == 2
    assert "cleared" in err
    assert not any((tmp_path / "memory").read_bytes())


def test_the_rest_of_a_half_hidden_block_can_be_hidden(tmp_path: Path) -> None:
    base: list[str | Path] = [
        "--chip",
        "esp32c2",
        "--virt",
        "--path-efuse-file",
        tmp_path / "m",
        "--do-not-confirm",
    ]
    assert run(*base, "burn-efuse", "RD_DIS", "1", "XTS_KEY_LENGTH_256", "1")[0] == 0
    assert run(*base, "read-protect-efuse", "BLOCK_KEY0")[0] == 0
    found = json.loads(run(*base, "summary", "--json", "RD_DIS")[1])["efuses"]
    assert found["RD_DIS"]["value"] == 3
    assert "already read protected" in run(*base, "read-protect-efuse", "BLOCK_KEY0")[1]
