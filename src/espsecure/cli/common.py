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
from esptool.cli import common
from esptool.cli.params import OutputFile
from esptool.errors import FatalError
from esptool.files import atomic_writer

#: A file to write, or "-" for standard output.
OUTPUT = OutputFile(allow_dash=True)


class HsmConfigFile(click.ParamType):  # type: ignore[type-arg] # older ones take none
    """The text of the file that says which HSM and which key."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from espsecure.hsm import open_config

        return open_config(value)


class Command(common.Command):
    """A command whose result can also be had as a JSON document."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--json", "as_json"], is_flag=True, help="Print the result as a JSON document."
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        as_json = "--json" in args
        try:
            return super().parse_args(ctx, args)
        except FatalError as e:  # an output that cannot be written
            if as_json:
                ctx.ensure_object(Reporter).document({"ok": False, "error": str(e)})
            raise

    def invoke(self, ctx: click.Context) -> Any:
        reporter = ctx.ensure_object(Reporter)
        as_json = ctx.params.pop("as_json", False)
        reporter.quiet = as_json
        try:
            result = super().invoke(ctx)
        except FatalError as e:
            if as_json:
                reporter.document({"ok": False, "error": str(e)})
            raise
        if as_json:
            reporter.document({"ok": True, **(result or {})})
        return None


class Group(common.Group):
    """The program: it says its name and version before anything else."""

    def invoke(self, ctx: click.Context) -> Any:
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
