# SPDX-License-Identifier: Apache-2.0
"""An option that a command has itself is its own, also where the program has one of that name."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import esp_station.cli.main
import espsecure.cli
import esptool
from esptool.cli.common import Group, machine_options
from esptool.cli.main import cli
from esptool.cli.words import options_of
from esptool.errors import FatalError

PROGRAMS = {
    "esptool": cli,
    "esp_station": esp_station.cli.main.command,
    "espsecure": Group("espsecure", params=machine_options(), entries=espsecure.cli.COMMANDS),
}


def commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every command by the words that lead to it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def shared(group: Group, path: tuple[str, ...]) -> set[str]:
    """Long options that a command has itself and the program as well."""
    found: click.Command = group
    for name in path:
        assert isinstance(found, click.Group)
        found = found.commands[name]
    both = set(options_of(found)) & set(options_of(group)) - {"--help"}
    return {name for name in both if name.startswith("--")}


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_command_loses_an_option_to_its_program(name: str) -> None:
    program = PROGRAMS[name]
    table = {path: shared(program, path) for path in commands(program, ())}
    assert len(table) > 5
    for path, names in table.items():
        for option in sorted(names):
            for words in ((*path, "x", option, "1"), (*path, option, "1"), (*path, f"{option}=1")):
                ctx = program.context_class(program, info_name=name)
                program.parse_args(ctx, list(words))
                assert (*getattr(ctx, "_protected_args", ()), *ctx.args) == words


def test_one_of_a_group_within_a_group_is_its_own() -> None:
    got: list[str] = []
    leaf = click.Command(
        "leaf", params=[click.Option(["--port"])], callback=lambda port: got.append(port)
    )
    inner = Group("inner")
    inner.add_command(leaf)
    outer = Group("outer")
    outer.add_command(inner)
    program = Group(
        "program", params=[click.Option(["--port"])], callback=lambda port: got.append(port)
    )
    program.add_command(outer)
    program.main(["outer", "inner", "leaf", "--port", "mine"], standalone_mode=False)
    assert got == [None, "mine"]


@pytest.mark.parametrize("behind", [True, False])
def test_a_page_is_served_on_the_port_that_is_named(tmp_path: Path, behind: bool) -> None:
    (tmp_path / "site.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        words = [str(tmp_path), "--port", port] if behind else [f"--port={port}", str(tmp_path)]
        with pytest.raises(FatalError, match=f"on port {port}: Address already in use") as refused:
            esptool.main(["web", "serve", *words])
    assert "--port 0" in str(refused.value.remedy)


@pytest.mark.parametrize("port", ["abc", "-1", "70000"])
def test_a_page_is_served_on_no_port_that_is_none(
    tmp_path: Path, port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        esptool.main(["web", "serve", str(tmp_path), f"--port={port}"])
    assert "'--port'" in capsys.readouterr().err
