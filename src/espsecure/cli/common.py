# SPDX-License-Identifier: Apache-2.0
"""What the commands of espsecure have in common: JSON results, output files, the PIN of an HSM.

Groups, old spellings and options with many values are those of `esptool.cli.common`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

import click

from espsecure.cli.report import Reporter
from esptool.cli import common, machine
from esptool.cli.kinds import AnyType
from esptool.cli.params import OutputFile
from esptool.files import atomic_writer

#: A file to write, or "-" for standard output.
OUTPUT = OutputFile(allow_dash=True)


class HsmConfigFile(AnyType):
    """The text of the file that says which HSM and which key."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from espsecure.hsm import open_config

        return open_config(value)


class Command(common.Command):
    """A command whose result is a program's, too."""

    def invoke(self, ctx: click.Context) -> Any:
        machine.result(super().invoke(ctx) or {})


class Group(common.Group):
    """The program: it says its name and version before anything else."""

    def invoke(self, ctx: click.Context) -> Any:
        if ctx.params.pop("as_json") | ctx.params.pop("as_events"):
            ctx.ensure_object(Reporter).banner = ""
        run = machine.active()
        if run is not None:
            run.to_stderr = ctx.ensure_object(Reporter).data_on_stdout
        ctx.ensure_object(Reporter).show_banner()
        return super().invoke(ctx)


@contextmanager
def output(path: str, mode: int | None = None) -> Iterator[IO[bytes]]:
    """A file, or standard output for "-", that gets all of what is written or nothing."""
    if path != "-":
        with atomic_writer(path, mode) as out:
            yield out
        return
    import tempfile

    with tempfile.TemporaryFile() as spool:
        yield spool
        spool.seek(0)
        sys.stdout.flush()
        while chunk := spool.read(1 << 20):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def write(path: str, data: bytes, mode: int | None = None) -> None:
    """A small file, or standard output for "-"."""
    with output(path, mode) as out:
        out.write(data)


def bad_parameter(ctx: click.Context, hint: str, text: str) -> NoReturn:
    """End with a usage error about options together."""
    raise click.BadParameter(text, ctx=ctx, param_hint=hint)


def ask_pin(text: str) -> str:
    """The PIN of an HSM from the environment or the terminal; it is not echoed."""
    from getpass import getpass

    from espsecure import hsm

    def prompt(line: str) -> str:
        if not sys.stdin or not sys.stdin.isatty():
            return ""
        return getpass(line)

    return hsm.ask_environment_then(prompt)(text)
