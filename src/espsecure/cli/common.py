# SPDX-License-Identifier: Apache-2.0
"""Building blocks of the command line: lazy groups, old spellings, options with many values.

Plain click, because its rich sibling takes longer to load than most commands take to run.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NoReturn

import click

from espsecure import streams
from espsecure.cli.report import Reporter
from esptool.errors import FatalError
from esptool.events import Level, Message

CONTEXT_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


class Command(click.Command):
    """A command that also takes old spellings of its options, and `--json`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", CONTEXT_SETTINGS)
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--json", "as_json"], is_flag=True, help="Print the result as a JSON document."
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        many = {
            name
            for param in self.params
            if isinstance(param, ManyOption)
            for name in (*param.opts, *param.secondary_opts)
        }
        args = list(_new_spelling(args, _reporter(ctx)))
        return super().parse_args(ctx, list(_repeated(args, many)))

    def invoke(self, ctx: click.Context) -> Any:
        reporter = _reporter(ctx)
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


class ManyOption(click.Option):
    """An option that takes all values up to the next option, and may be repeated."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["multiple"] = True
        super().__init__(*args, **kwargs)


class Group(click.Group):
    """The program: its commands are loaded by name, under their new or old spelling.

    `index` maps a command to the module of `package` that has it and a line for the overview.
    """

    def __init__(self, *, package: str, index: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(context_settings=CONTEXT_SETTINGS, **kwargs)
        self.package = package
        self.index = index

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.index)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = cmd_name.replace("_", "-")
        if name not in self.index:
            return None
        if name != cmd_name:
            _reporter(ctx)(_deprecated("Command", cmd_name, name))
        module = importlib.import_module(f"{self.package}.{self.index[name][0]}")
        command = getattr(module, name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        _reporter(ctx).show_banner()
        return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, from the index alone: no command is loaded for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in sorted(self.index.items())])


class Number(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A whole number in decimal, or with 0x, 0o or 0b."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return int(str(value), 0)
        except ValueError:
            self.fail(f"'{value}' is not a valid integer.", param, ctx)


def run_group(group: click.Group, argv: Sequence[str], reporter: Reporter) -> None:
    """Run a command line.

    Raises:
        FatalError: the command failed.
        SystemExit: with code 2, wrong usage; it was explained on standard error.
    """
    try:
        group.main(args=list(argv), prog_name=group.name, standalone_mode=False, obj=reporter)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as e:
        sys.stdout.flush()
        e.show()
        raise SystemExit(2) from None


@contextmanager
def output(path: str, mode: int | None = None) -> Iterator[IO[bytes]]:
    """A file that appears when it is finished, or standard output for "-"."""
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with streams.output_file(path, mode=mode) as out:
        yield out


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


def _reporter(ctx: click.Context) -> Reporter:
    return ctx.ensure_object(Reporter)


def _deprecated(what: str, old: str, new: str) -> Message:
    return Message(f"Deprecated: {what} '{old}' is deprecated. Use '{new}' instead.", Level.WARNING)


def _new_spelling(args: Sequence[str], reporter: Reporter) -> Iterator[str]:
    """Long options with dashes where they came with underscores."""
    only_arguments = False
    for arg in args:
        only_arguments = only_arguments or arg == "--"
        name, equals, value = arg.partition("=")
        if only_arguments or not name.startswith("--") or "_" not in name:
            yield arg
            continue
        new = name.replace("_", "-")
        reporter(_deprecated("Option", name, new))
        yield new + equals + value


def _repeated(args: Sequence[str], many: set[str]) -> Iterator[str]:
    """Repeat an option that takes many values in front of each of them."""
    current: str | None = None
    fresh = False
    for position, arg in enumerate(args):
        if arg == "--":
            yield from args[position:]
            return
        name = arg.partition("=")[0]
        if name in many:
            current, fresh = name, "=" not in arg
            yield arg
        elif arg.startswith("-") and arg != "-":
            current = None
            for short in many:
                if not short.startswith("--") and arg.startswith(short):
                    current, fresh = short, False
            yield arg
        else:
            if current is not None and not fresh:
                yield current
            fresh = False
            yield arg
