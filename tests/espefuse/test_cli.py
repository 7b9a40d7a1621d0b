# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints, what it refuses, and that a refusal burns nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from espefuse import get_esp, schema
from esptool.errors import UsageError
from tests.espefuse.sequences import key_files
from tests.espefuse.support import CHIPS, CSV, cli, run

BLANK_TOKEN = "EFSR:esp32c3:000:::::::::::::eLh3fw"
BAD = [
    (["burn-efuse", "DIS_ICACH", "1"], "Did you mean DIS_ICACHE"),
    (["burn-efuse", "WR_DIS", "0x100000000"], "too large"),
    (["burn-efuse", "WDT_DELAY_SEL", "abc"], "not a number"),
    (["burn-efuse", "KEY_PURPOSE_0", "HMAC_UPP"], "HMAC_UP"),
    (["burn-efuse", "KEY_PURPOSE_0", "2"], "out of range"),
    (["burn-efuse", "MAC", "AA:BB:CC:DD:EE:FF"], "Burning MAC is not supported"),
    (["burn-efuse", "DIS_ICACHE", "1", "DIS_TWAI"], "valid pair"),
    (["burn-efuse"], "Missing argument"),
    (["burn-key", "BLOCK_KEY0", "{}/k24", "USER"], "Incorrect key file size 24"),
    (["burn-key", "BLOCK_KEY0", "{}/none", "USER"], "No such file"),
    (["burn-key", "BLOCK_KEY9", "{}/k32", "USER"], "is not one of"),
    (["burn-key", "BLOCK_KEY0", "{}/k32", "ECDSA_KEY"], "is not one of"),
    (["burn-key", "BLOCK_KEY0", "{}/k32"], "Expected multiple of 3 values, got 2"),
    (
        ["burn-key", "BLOCK_KEY0", "{}/k32", "USER", "BLOCK4", "{}/k32", "USER"],
        "Found repeated ['BLOCK_KEY0']",
    ),
    (["burn-key-digest", "BLOCK_KEY0", "{}/k32", "SECURE_BOOT_DIGEST0"], "RSA Private or Public"),
    (["burn-block-data", "BLOCK3", "{}/k24"], "Data does not fit"),
    (["burn-block-data", "BLOCK3", "{}/k24", "--offset", "33"], "Invalid offset"),
    (["burn-bit", "BLOCK3", "256"], "bit_number in [0..255]"),
    (["burn-custom-mac", "AA:BB:CC:DD:EE:XX"], "non-hexadecimal"),
    (["set-flash-voltage", "3.3V"], "not supported for this chip"),
    (["--extend-efuse-table", "nofile.csv", "summary"], "No such"),
    (["nonsense"], "No such command"),
    (["summary", "--format", "value_only"], "exactly for one eFuse"),
    (["burn-bit", "BLOCK3", "1", "burn-efuse", "NOTHING", "1"], "Invalid eFuse name"),
]


@pytest.mark.parametrize(("command", "words"), BAD)
def test_bad_input_is_one_clear_error_and_burns_nothing(
    command: list[str], words: str, base: list[str], tmp_path: Path
) -> None:
    run(*base, "burn-efuse", "DIS_TWAI", "1")
    before = (tmp_path / "memory").read_bytes()
    code, _out, err = run(*base, *(word.format(tmp_path) for word in command))
    assert code == 2
    assert words in err
    assert "Traceback" not in err
    assert (tmp_path / "memory").read_bytes() == before


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (["burn-key", "BLOCK_KEY0", "{}/k32", "USER"],) * 1
        + (["burn-key", "BLOCK_KEY0", "{}/k32b", "USER"], "cannot be cleared"),
        (
            ["write-protect-efuse", "BLOCK_KEY1"],
            ["burn-key", "BLOCK_KEY1", "{}/k32", "USER"],
            "write-protected",
        ),
        (
            ["write-protect-efuse", "KEY_PURPOSE_2"],
            ["burn-key", "BLOCK_KEY2", "{}/k32", "HMAC_UP"],
            "write protection bit is set",
        ),
        (["burn-bit", "BLOCK3", "1"], ["burn-bit", "BLOCK3", "2"], "RS coding scheme"),
        (
            ["burn-key", "BLOCK_KEY0", "{}/k32", "HMAC_UP"],
            ["burn-key", "BLOCK_KEY0", "{}/k32b", "HMAC_UP"],
            "read-protected",
        ),
    ],
)
def test_a_block_in_use_is_refused(
    first: list[str], second: list[str], words: str, base: list[str], tmp_path: Path
) -> None:
    assert run(*base, *(w.format(tmp_path) for w in first))[0] == 0
    before = (tmp_path / "memory").read_bytes()
    code, _out, err = run(*base, *(w.format(tmp_path) for w in second))
    assert code == 2
    assert words in err
    assert (tmp_path / "memory").read_bytes() == before


def test_two_keys_for_one_block_in_one_line_are_refused(base: list[str], tmp_path: Path) -> None:
    one = ["burn-key", "BLOCK_KEY0", str(tmp_path / "k32"), "USER"]
    two = ["burn-key", "BLOCK_KEY0", str(tmp_path / "k32b"), "USER"]
    code, _out, err = run(*base, *one, *two)
    assert code == 2
    assert "cannot be cleared" in err
    assert not any((tmp_path / "memory").read_bytes())


@pytest.mark.parametrize(
    "token",
    [
        BLANK_TOKEN[:-1] + "x",
        BLANK_TOKEN.replace("000", "001"),
        "EFSR:esp32c3:000",
        "nonsense",
        "EFSX" + BLANK_TOKEN[4:],
    ],
)
def test_a_damaged_token_is_refused(token: str) -> None:
    code, _out, err = run("--token", token, "summary")
    assert code == 2
    assert "token" in err


def test_a_token_of_another_chip_is_refused() -> None:
    code, _out, err = run("--chip", "esp32s3", "--token", BLANK_TOKEN, "summary")
    assert code == 2
    assert "esp32c3" in err


def test_a_token_carries_a_chip(base: list[str], tmp_path: Path) -> None:
    run(*base, "burn-efuse", "DIS_ICACHE", "1", "RD_DIS", "1")
    _, out, _ = run(*base, "dump", "--format", "token")
    token = out.split()[-1]
    code, shown, _ = run("--token", token, "summary", "--format", "value_only", "DIS_ICACHE")
    assert code == 0
    assert shown.rstrip().endswith("True")
    copy = tmp_path / "copy"
    run("--token", token, "--path-efuse-file", copy, "dump")
    assert (
        run("--chip", "esp32c3", "--virt", "--path-efuse-file", copy, "dump")[1]
        == (run(*base, "dump")[1])
    )


def test_show_token_prints_what_would_be_burned(base: list[str]) -> None:
    _, out, _ = run(*base, "burn-efuse", "RD_DIS", "1", "--show-token")
    assert "EFSW:esp32c3:000:AAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAA" in out


def test_a_custom_table_adds_fields(base: list[str], tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(CSV)
    extended = [*base, "--extend-efuse-table", str(table)]
    code, out, _ = run(*extended, "summary")
    assert code == 0
    for name in ("MODULE_VERSION", "ID_0", "ID_1", "DATA_PART", "FLAG"):
        assert f"{name} (BLOCK3)" in out
    assert "User fuses:" in out
    assert "(140-147)" in out
    code, _, err = run(*extended, "burn-efuse", "SETTING_1_ALT", "7", "MY_ID_1", "3", "FLAG")
    assert code == 2
    code, _, err = run(*extended, "burn-efuse", "SETTING_1_ALT", "7", "MY_ID_1", "3")
    assert code == 0, err
    _, out, _ = run(*extended, "summary", "--format", "json", "SETTING_1", "ID_1")
    fields = json.loads(out[out.index("{") :])
    assert (fields["SETTING_1"]["value"], fields["ID_1"]["value"]) == (7, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A, EFUSE_BLK3, 250, 8, too far", "not inside block 3"),
        ("A, EFUSE_BLK99, 0, 8, x", "no block 99"),
        ("A, BLOCK3, 0, 8, x", "not a block name"),
        ("A, EFUSE_BLK3, x, 8, x", "not a number"),
        ("A, EFUSE_BLK3", "columns"),
        (", EFUSE_BLK3, 0, 8, x", "no field name"),
        ("A, EFUSE_BLK3, 0, 8, x\nB, EFUSE_BLK3, 4, 8, x", "overlaps"),
        ("MAC, EFUSE_BLK3, 0, 8, x", "already used"),
    ],
)
def test_a_malformed_custom_table_is_refused_with_its_line(
    text: str, words: str, base: list[str], tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text)
    code, _out, err = run(*base, "--extend-efuse-table", table, "summary")
    assert code == 2
    assert words in err


def test_the_json_of_a_summary_follows_its_heading_alone(base: list[str]) -> None:
    _, out, _ = run(*base, "summary", "--format", "json")
    text = out.partition('=== Run "summary" command ===')[2]
    fields = json.loads(text)
    assert fields["MAC"]["value"] == "00:00:00:00:00:00 (OK)"
    _, again, _ = run(*base, "summary", "--json")
    assert json.loads(again)["efuses"] == fields


@pytest.mark.parametrize("command", ["dump", "get-custom-mac", "adc-info", "check-error"])
@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "esp32p4"])
def test_every_report_has_a_json_form(chip: str, command: str) -> None:
    code, out, _ = run("--chip", chip, "--virt", command, "--json")
    assert code == 0
    assert json.loads(out)


def test_summary_and_dump_go_to_files(base: list[str], tmp_path: Path) -> None:
    code, _, _ = run(*base, "summary", "--format", "json", "--file", tmp_path / "s.json")
    assert code == 0
    assert json.loads((tmp_path / "s.json").read_text())
    run(*base, "dump", "--file-name", tmp_path / "blk.bin")
    assert sorted(p.name for p in tmp_path.glob("blk*.bin"))[0] == "blk0.bin"
    assert (tmp_path / "blk10.bin").stat().st_size == 32
    run(*base, "dump", "--format", "joint", "--file-name", tmp_path / "all.bin")
    assert (tmp_path / "all.bin").stat().st_size == 336


def test_a_dry_run_shows_every_bit_and_burns_none(base: list[str], tmp_path: Path) -> None:
    key = str(tmp_path / "k32")
    run(*base, "summary")
    before = (tmp_path / "memory").read_bytes() if (tmp_path / "memory").exists() else b""
    code, out, err = run(*base, "burn-key", "BLOCK_KEY0", key, "XTS_AES_128_KEY", "--dry-run")
    assert code == 0, err
    assert "BLOCK_KEY0: can never be read again" in out
    assert "Nothing was burned." in out
    assert (tmp_path / "memory").read_bytes() == before


def test_plan_and_apply_do_what_the_commands_would(base: list[str], tmp_path: Path) -> None:
    plan, other = str(tmp_path / "p.json"), str(tmp_path / "other")
    burns = ["burn-key", "BLOCK_KEY0", str(tmp_path / "k32"), "HMAC_UP"]
    burns += ["burn-efuse", "DIS_ICACHE", "1"]
    assert run(*base, "plan", plan, *burns)[0] == 0
    assert not any((tmp_path / "memory").read_bytes())
    assert run(*base, "apply", plan)[0] == 0
    direct = [other if word.endswith("memory") else word for word in base]
    assert run(*direct, *burns)[0] == 0
    assert Path(other).read_bytes() == (tmp_path / "memory").read_bytes()
    code, out, _ = run(*base, "apply", plan)
    assert code == 0
    assert "burned already" in out


@pytest.mark.parametrize("text", ["", "{}", '{"format": "espefuse plan 1"}', "[1]"])
def test_a_file_that_is_no_plan_is_refused(text: str, base: list[str], tmp_path: Path) -> None:
    (tmp_path / "p").write_text(text)
    code, _out, err = run(*base, "apply", tmp_path / "p")
    assert code == 2
    assert "no eFuse plan" in err


@pytest.mark.parametrize(
    ("chip", "command", "words"),
    [
        ("esp32c3", ["burn-efuse", "SECURE_BOOT_EN", "1"], "no digest of a public key"),
        ("esp32", ["burn-efuse", "ABS_DONE_1", "1"], "no digest of a public key"),
        ("esp32c2", ["burn-efuse", "SECURE_BOOT_EN", "1"], "no digest of a public key"),
        ("esp32s3", ["burn-efuse", "SPI_BOOT_CRYPT_CNT", "1"], "no flash encryption key"),
        (
            "esp32s3",
            ["burn-efuse", "SPI_BOOT_CRYPT_CNT", "1", "DIS_DOWNLOAD_MODE", "1"],
            "the chip is lost",
        ),
        ("esp32c3", ["write-protect-efuse", "BLOCK_KEY0"], "it can never hold a key"),
        ("esp32", ["read-protect-efuse", "BLOCK1"], "a key of zeros"),
        ("esp32c6", ["burn-efuse", "DIS_DOWNLOAD_MODE", "1"], "never connect to this chip"),
        (
            "esp32c3",
            ["burn-efuse", "DIS_DOWNLOAD_MODE", "1", "DIS_PAD_JTAG", "1", "DIS_USB_JTAG", "1"],
            "no port of this chip",
        ),
        ("esp32", ["burn-efuse", "ABS_DONE_0", "1"], "Secure boot V1 is enabled, but no key"),
        ("esp32c6", ["burn-efuse", "ENABLE_SECURITY_DOWNLOAD", "1"], "is for ever"),
        ("esp32s2", ["burn-efuse", "VDD_SPI_FORCE", "1"], "voltage of the flash chip"),
        ("esp32", ["set-flash-voltage", "3.3V"], "voltage of the flash chip"),
        ("esp32c3", ["burn-efuse", "SPI_PAD_CONFIG_CLK", "5"], "pins of the flash chip"),
        ("esp32s3", ["burn-efuse", "FLASH_TYPE", "1"], "8 data lines"),
        ("esp32c3", ["burn-efuse", "SECURE_VERSION", "65535"], "can never grow again"),
    ],
)
def test_known_ways_to_lose_a_chip_are_warned_of(chip: str, command: list[str], words: str) -> None:
    _code, _out, err = run("--chip", chip, "--virt", "--do-not-confirm", *command)
    assert words in err


DIGEST = ["burn-key", "BLOCK_KEY0", "{}/k32", "SECURE_BOOT_DIGEST0"]
LATER = [
    ("esp32c3", DIGEST, ["SECURE_BOOT_EN", "1", "SECURE_BOOT_KEY_REVOKE0", "1"], "is revoked"),
    ("esp32c3", [*DIGEST, "--no-write-protect"], ["RD_DIS", "1"], "secure boot must read"),
    ("esp32c2", ["burn-efuse", "SECURE_BOOT_EN", "1"], ["RD_DIS", "2"], "secure boot must read"),
    ("esp32", ["burn-efuse", "ABS_DONE_1", "1"], ["RD_DIS", "2"], "secure boot must read"),
    (
        "esp32s3",
        ["burn-key", "BLOCK_KEY0", "{}/k32", "XTS_AES_256_KEY_1"],
        ["SPI_BOOT_CRYPT_CNT", "1"],
        "only a half of its key",
    ),
]


@pytest.mark.parametrize(("chip", "first", "then", "words"), LATER)
def test_warnings_look_at_what_was_burned_before(
    chip: str, first: list[str], then: list[str], words: str, tmp_path: Path
) -> None:
    key_files(tmp_path)
    base: list[str | Path] = [
        "--chip",
        chip,
        "--virt",
        "--path-efuse-file",
        tmp_path / "m",
        "--do-not-confirm",
    ]
    assert run(*base, *(word.format(tmp_path) for word in first))[0] == 0
    _, out, err = run(*base, "burn-efuse", "--dry-run", *then)
    assert words in out
    assert words in err


def test_a_sound_set_of_keys_gives_no_warning(tmp_path: Path) -> None:
    key_files(tmp_path)
    memory = tmp_path / "m"
    base: list[str | Path] = [
        "--chip",
        "esp32s3",
        "--virt",
        "--path-efuse-file",
        memory,
        "--do-not-confirm",
    ]
    keys: list[str | Path] = [
        *("burn-key", "BLOCK_KEY0", tmp_path / "k64", "XTS_AES_256_KEY"),
        *("burn-key", "BLOCK_KEY3", tmp_path / "k32", "SECURE_BOOT_DIGEST1"),
        *("burn-efuse", "SPI_BOOT_CRYPT_CNT", "1", "SECURE_BOOT_EN", "1"),
        *("burn-efuse", "SECURE_BOOT_KEY_REVOKE0", "1"),
    ]
    code, _, err = run(*base, *keys)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [("BURN\n", 0, "Successful."), ("burn\n", 2, "Aborting."), ("", 2, "")],
)
def test_burning_asks_for_the_word(answer: str, code: int, words: str, tmp_path: Path) -> None:
    memory = tmp_path / "m"
    args = ["--chip", "esp32c3", "--virt", "--path-efuse-file", str(memory)]
    done = cli([*args, "burn-efuse", "DIS_ICACHE", "1"], answer)
    assert done.returncode == code
    assert words in done.stdout
    assert any(memory.read_bytes()) == (words == "Successful.")


def test_usage_errors_and_help_come_without_a_port() -> None:
    done = cli(["summary"])
    assert done.returncode == 2
    assert "--port" in done.stderr
    done = cli(["--help"])
    assert done.returncode == 0
    usage = "python -m espefuse [OPTIONS] COMMAND1 [ARGS]... [COMMAND2 [ARGS]...]..."
    assert usage in done.stdout


@pytest.mark.parametrize("words", [["--baud", "auto"], ["--chip", "esp32c3", "--baud", "AUTO"]])
def test_the_rate_of_esptool_is_taken_here_too(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "virtual://esp32c3?timing=virtual"
    code, out, _ = run("--port", url, *words, "get-custom-mac")
    assert (code, "Custom MAC Address" in out) == (0, True)
    monkeypatch.setenv("ESPTOOL_BAUD", "auto")
    assert run("--port", url, "get-custom-mac")[0] == 0
    with get_esp(url, "auto") as esp:
        assert esp.get_baud() == 115_200
    with pytest.raises(UsageError, match="a number, or 'auto', not 'fast'"):
        get_esp(url, "fast")


@pytest.mark.parametrize("chip", CHIPS)
def test_help_names_the_blocks_and_purposes_of_the_chip(chip: str) -> None:
    code, out, _ = run("--chip", chip, "burn-key", "--help")
    assert code == 0
    assert ("BLOCK_KEY5" in out) == (chip not in ("esp32", "esp32c2", "esp32s31"))
    assert ("XTS_AES_256_KEY" in out) == (
        chip in ("esp32s2", "esp32s3", "esp32p4", "esp32h4", "esp32s31", "esp32e22")
    )


def test_the_line_that_esp_idf_looks_for_is_there() -> None:
    _, out, _ = run("--virt", "--do-not-confirm", "burn-efuse", "WR_DIS", "1")
    assert "'WR_DIS' (Efuse write disable mask) 0x0000 -> 0x0001" in out


def test_old_names_still_work_with_a_note() -> None:
    base: list[str | Path] = ["--chip", "esp32c3", "--virt", "--do-not-confirm"]
    code, _out, err = run(*base, "burn_bit", "BLOCK3", "1", "get_custom_mac")
    assert code == 0
    assert "Command 'burn_bit' is deprecated. Use 'burn-bit' instead." in err


def test_reading_commands_run_again_after_a_burn() -> None:
    base: list[str | Path] = ["--chip", "esp32c3", "--virt", "--do-not-confirm"]
    _code, out, _ = run(*base, "summary", "WR_DIS", "burn-efuse", "WR_DIS", "2")
    assert out.count('=== Run "summary" command ===') == 2
    assert "= 2 R/W (0x00000002)" in out


@pytest.mark.parametrize(
    ("chip", "sign"), [("esp32c5", "C5"), ("esp32h21", "H21"), ("esp32h4", "H4")]
)
def test_unsettled_timing_is_said_before_a_burn_and_kept_out_of_files(
    chip: str, sign: str, tmp_path: Path
) -> None:
    memory = tmp_path / "memory"
    base: list[str | Path] = [
        "--chip",
        chip,
        "--virt",
        "--path-efuse-file",
        str(memory),
        "--do-not-confirm",
    ]
    code, out, err = run(*base, "burn-bit", "BLOCK3", "1")
    assert code == 0
    assert f"disagree on the burn timing of ESP32-{sign}" in out + err
    table = schema.load(chip)
    at = [
        len(memory.read_bytes()) - (table.registers[n] - table.base)
        for n, *_ in table.unsettled_timing
    ]
    assert all(memory.read_bytes()[a - 4 : a] == bytes(4) for a in at)


def test_a_lock_that_is_not_settled_is_not_offered() -> None:
    code, _out, err = run("--chip", "esp32h4", "--virt", "write-protect-efuse", "LOCK_KM_KEY")
    assert code == 2
    assert "'LOCK_KM_KEY' is not one of" in err


def test_summary_starts_without_modules_that_it_has_no_use_for() -> None:
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import espefuse\n"
        "espefuse.main(['--chip', 'esp32', '--virt', 'summary'])\n"
        "heavy = {'cryptography', 'rich', 'rich_click', 'serial', 'pathlib', 'urllib.parse',\n"
        "    'espefuse.recipe', 'espefuse.plan', 'esptool.device', 'esptool.ops'}\n"
        "found = sorted(heavy & (set(sys.modules) - before))\n"
        "sys.exit(f'loaded {found}' if found else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
