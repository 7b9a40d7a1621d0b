# SPDX-License-Identifier: Apache-2.0
"""Every command, option, old name, default and environment variable of v5 is still understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from esptool.cli import common
from esptool.cli import words as command_words

TABLE = json.loads((Path(__file__).parent / "cli_v5.json").read_text())
PROGRAMS = ("esptool", "espsecure")

#: Defaults that differ on purpose: told no number, dump-bbm takes all blocks that the flash has.
OUR_DEFAULTS: dict[str, object] = {"--block-count": None}

#: A value for each kind of thing that an option or argument takes; FILE is a file that exists.
SAMPLES = {
    "int": "3",
    "int any base": "0x1000",
    "int any base, multiple of 4": "0x100",
    "size (int any base, k/M suffix)": "4k",
    "SPI | HSPI | CLK,Q,D,HD,CS": "6,17,8,11,16",
    "serial port": "virtual://esp32",
    "str": "4MB",
    "file or skip": "skip",
}
FILES = ("file", "path", "file (bin or Intel HEX)")


def group(program: str) -> click.Group:
    if program == "esptool":
        from esptool.cli.main import cli

        return cli
    from espsecure.cli import COMMANDS

    return common.Group(name=program, entries=COMMANDS)


def cases() -> list[tuple[str, str]]:
    return [(program, name) for program in PROGRAMS for name in TABLE[program]["commands"]]


def load(program: str, name: str) -> tuple[click.Context, click.Command]:
    programs = group(program)
    ctx = click.Context(programs, info_name=program, obj={})
    command = programs.get_command(ctx, name)
    assert command is not None, f"{program} has no command {name}"
    return ctx, command


def find(command: click.Command, names: list[str]) -> click.Option:
    for param in command.params:
        if isinstance(param, click.Option) and set(names) <= {*param.opts, *param.secondary_opts}:
            return param
    raise AssertionError(f"{command.name} has no option {'/'.join(names)}")


def sample(row: dict[str, Any], file: str) -> list[str]:
    if row.get("flag") or row.get("count"):
        return []
    if "choices" in row:
        return [row["choices"][-1]]
    kind = row.get("type", "str")
    if kind == "address filename pairs":
        return ["0x1000", file]
    return [file if kind in FILES else SAMPLES[kind]]


def arguments(row: dict[str, Any], file: str) -> list[str]:
    words: list[str] = []
    for argument in row["arguments"]:
        if argument.get("required"):
            words += ["1"] if argument.get("range") else sample(argument, file)
    return words


def check_option(command: click.Command, row: dict[str, Any]) -> None:
    option = find(command, row["names"])
    label = "/".join(row["names"])
    if "choices" in row:
        assert isinstance(option.type, click.Choice), label
        assert set(row["choices"]) <= set(map(str, option.type.choices)), label
    assert bool(option.is_flag) == bool(row.get("flag")), label
    if "default" in row and row["default"] != "<stdout>":
        assert option.default == OUR_DEFAULTS.get(label, row["default"]), label
    assert option.envvar == row.get("envvar"), label
    if row.get("required"):
        assert option.required, label


@pytest.mark.parametrize("program", PROGRAMS)
def test_options_in_front_of_the_command(program: str) -> None:
    for row in TABLE[program]["options"]:
        check_option(group(program), row)


@pytest.mark.parametrize(("program", "name"), cases())
def test_a_command_and_its_options_exist_with_their_defaults(program: str, name: str) -> None:
    row = TABLE[program]["commands"][name]
    _, command = load(program, name)
    for option in row["options"]:
        check_option(command, option)
    expected = [a["arg"] for a in row["arguments"]]
    found = [p.name for p in command.params if isinstance(p, click.Argument)]
    assert len(found) == len(expected)


@pytest.mark.parametrize(("program", "name"), cases())
def test_every_option_parses_alike_in_both_spellings(
    program: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(b"[hsm_config]\n")  # some options read their file as text
    row = TABLE[program]["commands"][name]
    ctx, command = load(program, name)
    for option in row["options"]:
        monkeypatch.setattr(command_words, "_noted", set())
        spellings = [option["names"][0], *[n for n in option["names"] if not n.startswith("--")]]
        if "-" in option["names"][0][2:]:
            spellings.append("--" + option["names"][0][2:].replace("-", "_"))
        seen = []
        for spelling in spellings:
            words = [*arguments(row, str(file)), spelling, *sample(option, str(file))]
            extra = [
                word
                for other in row["options"]
                if other.get("required") and other is not option
                for word in [other["names"][0], *sample(other, str(file))]
            ]
            if spelling == "--trust_flash_content" or option["names"][0] == "--trust-flash-content":
                extra = [*extra, "--diff-with", "skip"]
            parsed = command.make_context(name, words + extra, parent=ctx)
            seen.append(parsed.params[find(command, option["names"]).name or ""])
        assert all(_same(value, seen[0]) for value in seen), option["names"]
        noted = capsys.readouterr().err
        assert noted.count("Deprecated: Option") == sum("_" in s for s in spellings)


def _same(a: Any, b: Any) -> bool:
    """Equal, or the same files opened twice."""
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(getattr(a, "name", a) == getattr(b, "name", b))


@pytest.mark.parametrize("program", PROGRAMS)
def test_old_command_names_are_resolved_with_one_note(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = group(program)
    ctx = click.Context(commands, info_name=program)
    assert isinstance(commands, common.Group)
    for name, row in TABLE[program]["commands"].items():
        old = row.get("old_name")
        if old is None:
            continue
        monkeypatch.setattr(command_words, "_noted", set())
        for _ in range(2):
            assert commands.resolve_command(ctx, [old, "x"])[0] == name
        assert capsys.readouterr().err.count("Deprecated: Command") == 1


def test_old_option_names_are_renamed(capsys: pytest.CaptureFixture[str]) -> None:
    for old, new in TABLE["esptool"]["old_options"].items():
        command_words._noted.clear()
        from esptool.cli.main import RENAMED

        assert command_words.modern([f"{old}=1"], {new: None}, RENAMED) == [f"{new}=1"]
        assert new in capsys.readouterr().err


def test_the_remote_server() -> None:
    from esp_rfc2217_server.cli import command

    for row in TABLE["esp_rfc2217_server"]["options"]:
        check_option(command, row)


@pytest.mark.parametrize(
    ("variable", "value", "option"),
    [
        ("ESPTOOL_CHIP", "esp32c3", "chip"),
        ("ESPTOOL_PORT", "/dev/x", "port"),
        ("ESPTOOL_BAUD", "921600", "baud"),
        ("ESPTOOL_BEFORE", "no_reset", "before"),
        ("ESPTOOL_AFTER", "no-reset-stub", "after"),
        ("ESPTOOL_CONNECT_ATTEMPTS", "3", "connect_attempts"),
    ],
)
def test_environment_variables_set_options(
    variable: str, value: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    ctx = group("esptool").make_context("esptool", ["version"])
    assert str(ctx.params[option]) == value.replace("_", "-")
