# SPDX-License-Identifier: Apache-2.0
"""The same commands given to us and to the public tool leave the same eFuses and say the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.espefuse.sequences import OURS_ALONE, key_files, sequence, with_files
from tests.espefuse.support import CHIPS, run
from tests.support import oracle

SEQUENCES_A_CHIP = 15
DRIVER = Path(__file__).with_name("oracle_driver.py")

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def public() -> Iterator[Any]:
    """Asks the public tool; it is imported once a worker."""
    with oracle.driver(DRIVER) as process:
        yield lambda commands: oracle.ask(process, commands)


def summary_values(text: str) -> dict[str, Any]:
    """Fields by name without what each tool words for itself."""
    fields = json.loads(text[text.index("{\n") :])
    for field in fields.values():
        del field["description"]
    return dict(fields)


@pytest.mark.parametrize("chip", CHIPS)
def test_sequences_leave_the_same_memory_and_the_same_summary(
    chip: str, tmp_path: Path, public: Any
) -> None:
    key_files(tmp_path)
    for seed in range(SEQUENCES_A_CHIP):
        theirs, ours = tmp_path / f"theirs{seed}", tmp_path / f"ours{seed}"
        commands = [with_files(c, tmp_path) for c in sequence(chip, seed)]
        commands.append(["summary", "--format", "json"])
        base = ["--chip", chip, "--virt", "--do-not-confirm", "--path-efuse-file"]
        expected = public([[*base, str(theirs), *c] for c in commands])
        for command, answer in zip(commands, expected, strict=True):
            code, out, err = run(*base, ours, *command)
            if (code, answer["code"]) == (2, 0) and "cannot be cleared" in err:
                # Bits that are burned make the value another one: we refuse, they report success.
                break
            assert (code, err if code != answer["code"] else "") == (answer["code"], ""), command
        else:
            assert ours.read_bytes() == theirs.read_bytes(), commands
            shown = summary_values(out)
            for name in OURS_ALONE.get(chip, ()):
                del shown[name]
            assert shown == summary_values(expected[-1]["out"]), commands


@pytest.mark.parametrize("names", [[], ["WR_DIS", "MAC"], ["MAC", "NO_SUCH_FIELD"]])
def test_the_json_of_active_fields_has_the_same_ones(
    names: list[str], tmp_path: Path, public: Any
) -> None:
    shown = ["summary", *names, "--active", "--format", "json"]
    base = ["--chip", "esp32c3", "--virt", "--do-not-confirm", "--path-efuse-file"]
    burn = ["burn-efuse", "WR_DIS", "0x100"]
    expected = public([[*base, str(tmp_path / "theirs"), *c] for c in (burn, shown)])
    run(*base, tmp_path / "ours", *burn)
    code, out, _err = run(*base, tmp_path / "ours", *shown)
    assert code == expected[1]["code"] == 0
    assert summary_values(out.replace("{}", "{\n}")) == summary_values(
        expected[1]["out"].replace("{}", "{\n}")
    )


KEY_LINES = [
    ("esp32c3", ["burn-efuse", "SPI_PAD_CONFIG_D", "200"]),
    ("esp32c3", ["burn-efuse", "SECURE_BOOT_KEY_REVOKE0", "0"]),
    ("esp32c3", ["burn-efuse", "OPTIONAL_UNIQUE_ID", "0x1234567812345678"]),
    ("esp32c3", ["burn-efuse", "KEY_PURPOSE_5", "XTS_AES_128_KEY"]),
    ("esp32c3", ["burn-custom-mac", "AB:CD:EF:11:22:33"]),
    ("esp32c3", ["burn-custom-mac", "AA:CD:EF:11:22"]),
    ("esp32c3", ["burn-bit", "BLOCK0", "500"]),
    ("esp32c3", ["read-protect-efuse", "BLOCK_KEY0"]),
    ("esp32s3", ["burn-efuse", "DIS_USB_JTAG", "1", "DIS_USB_SERIAL_JTAG", "1"]),
    ("esp32", ["burn-efuse", "SPI_PAD_CONFIG_HD", "30"]),
    ("esp32", ["burn-key", "BLOCK1", "@k24"]),
    ("esp32", ["burn-block-data", "BLOCK1", "@k16"]),
    ("esp32s3", ["burn-key", "BLOCK_KEY0", "@k32", "XTS_AES_256_KEY"]),
]


@pytest.mark.parametrize(("chip", "command"), KEY_LINES)
def test_refusals_have_the_same_first_line(
    chip: str, command: list[str], tmp_path: Path, public: Any
) -> None:
    key_files(tmp_path)
    args = ["--chip", chip, "--virt", "--do-not-confirm", *with_files(command, tmp_path)]
    [expected] = public([args])
    code, _out, err = run(*args)
    assert code == expected["code"] == 2
    theirs = expected["err"].partition("FatalError: ")[2].strip().splitlines()[0]
    assert theirs in err


@pytest.mark.parametrize("chip", CHIPS)
def test_dump_token_and_checks_print_the_same_lines(chip: str, tmp_path: Path, public: Any) -> None:
    key_files(tmp_path)
    command = with_files(sequence(chip, 3)[-1], tmp_path)
    reads = [["dump"], ["dump", "--format", "joint"], ["dump", "--format", "token"]]
    reads += [["get-custom-mac"], ["adc-info"], ["check-error"], ["--debug", "check-error"]]
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    base = ["--chip", chip, "--virt", "--do-not-confirm", "--path-efuse-file"]
    expected = public([[*base, str(theirs), *c] for c in (command, *reads)])
    run(*base, ours, *command)
    for read, answer in zip(reads, expected[1:], strict=True):
        _code, out, _err = run(*base, ours, *read)
        assert out.splitlines()[1:] == [x.rstrip() for x in answer["out"].splitlines()][1:], read


@pytest.mark.parametrize("chip", [c for c in CHIPS if c != "esp32"])
def test_lines_about_keys_and_data_are_the_same(chip: str, tmp_path: Path, public: Any) -> None:
    key_files(tmp_path)
    lines = [
        ["burn-key", "BLOCK_KEY0", "@k32", "XTS_AES_128_KEY"],
        ["burn-block-data", "BLOCK_KEY0", "@k32"],
        ["burn-block-data", "BLOCK0", "@k16"],
    ]
    for words in lines:
        args = ["--chip", chip, "--virt", "--do-not-confirm", *with_files(words, tmp_path)]
        [expected] = public([args])
        _code, out, _err = run(*args)
        theirs, ours = (
            # It takes bytes in brackets for a colour where they begin with a letter.
            [x.split("->")[0] for x in text.splitlines() if "Reversing" in x or "size=" in x]
            for text in (expected["out"], out)
        )
        assert ours == theirs, words
