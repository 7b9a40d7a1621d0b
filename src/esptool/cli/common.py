# SPDX-License-Identifier: Apache-2.0
"""What the command lines of all programs share: groups, commands, options, and how they end.

Knows nothing of chips. Old spellings are accepted with one note each on standard error; every
foreseen failure becomes exit code 2 without a traceback; see `esptool.cli.ending`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from esptool.cli import machine, stdio
from esptool.cli.ending import run as run
from esptool.cli.ending import warn_old_script as warn_old_script
from esptool.cli.help import CHIP_META, HelpMixin, Sectioned
from esptool.cli.words import (
    EatAll,
    deprecated,
    expand_file_arguments,
    joined_short,
    looks_like_option,
    modern,
    options_of,
    spread,
    value_of,
)
from esptool.errors import FatalError
from esptool.logger import log, tell_ide
from esptool.records import dataclass

OUTPUT_OPTIONS = "What to show"
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
#: What a command prints with one of these is for a program: it is alone on standard output.
ALONE = frozenset(("--json", "--events", "--csv"))

#: What is shown only when the command's words are known, in the context's `meta`.
LATE = "esptool.late"


def machine_options() -> list[click.Option]:
    """--json and --events, which every program takes for all of its commands."""
    return [
        Sectioned(
            ["--json", "as_json"],
            is_flag=True,
            section=OUTPUT_OPTIONS,
            help="Print results and errors as one JSON document.",
        ),
        Sectioned(
            ["--events", "as_events"],
            is_flag=True,
            section=OUTPUT_OPTIONS,
            help="Print what happens as lines of JSON; the last one is the document of --json.",
        ),
    ]


def _tell_command(ctx: click.Context) -> None:
    """Let a run for programs know which command it is."""
    run = machine.active()
    if run is not None:
        run.command = " ".join(ctx.command_path.split(" ")[1:])


# --- commands ----------------------------------------------------------------------------------


class Command(HelpMixin, click.Command):
    """A command that takes old spellings of its options, and options with several values.

    `renamed` maps old option names to present ones, beyond underscores for dashes.
    """

    def __init__(self, *args: Any, renamed: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", CONTEXT)
        self.renamed = dict(renamed or {})
        super().__init__(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; then show what waited until it was known what standard output carries."""
        _tell_command(ctx)
        left = self._parse(ctx, args)
        for late in ctx.find_root().meta.pop(LATE, ()):
            late()
        return left

    def _parse(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take old spellings and options with several values apart, then parse as usual."""
        known = options_of(self)
        group = ctx.parent.command if ctx.parent else None
        inherited = group.renamed if isinstance(group, Group) else {}
        words = modern(args, known, {**inherited, **self.renamed})
        words = [joined_short(w, known) for w in words]
        if not any(isinstance(o, EatAll) for o in known.values()):
            return super().parse_args(ctx, words)
        required = sum(1 for p in self.params if isinstance(p, click.Argument) and p.required)
        missing: click.MissingParameter | None = None
        for spare in range(required + 1):
            try:
                return super().parse_args(ctx, spread(words, known, spare, lambda _: False))
            except click.MissingParameter as e:
                if not isinstance(e.param, click.Argument):
                    raise
                missing = missing or e
            except click.UsageError:
                if missing is None:
                    raise
            ctx.params.clear()
        assert missing is not None
        taken = [o.opts[0] for o in known.values() if isinstance(o, EatAll) and o.opts[0] in words]
        if taken:
            hint = (
                f"The words behind {taken[-1]} belong to that option: put these arguments in "
                "front of it."
            )
            raise click.MissingParameter(hint, ctx=missing.ctx, param=missing.param) from None
        raise missing


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is loaded when asked for: `module:attribute`, help line, and section.

    `needs` names a fact of a chip (an attribute of its data) without which the command is left
    out of the help for that chip.
    """

    target: str
    help: str
    section: str = "Commands"
    hidden: bool = False
    needs: str = ""


class LazyCommands(MutableMapping[str, click.Command]):
    """Commands by name, in order; each is imported when it is asked for.

    Programs look at `esptool.cli.commands` to learn which words are commands.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = dict(entries)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            module, _, attribute = self._entries[name].target.partition(":")
            command = getattr(import_module(module), attribute or "command")
            assert isinstance(command, click.Command)
            command.name = command.name or name
            self._loaded[name] = command
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        self._loaded.pop(name, None)
        self._entries.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        yield from self._entries
        yield from (name for name in self._loaded if name not in self._entries)

    def __len__(self) -> int:
        return len(self._entries.keys() | self._loaded.keys())

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._loaded


class Group(HelpMixin, click.Group):
    """A group whose commands are loaded when asked for, in dash or underscore form.

    `entries` lists them in the order in which help shows them. `renamed` maps old option names
    to new ones, for all commands.
    """

    def __init__(
        self,
        *args: Any,
        entries: Mapping[str, Entry] | None = None,
        renamed: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("context_settings", CONTEXT)
        self.entries = dict(entries or {})
        self.renamed = dict(renamed or {})
        super().__init__(*args, **kwargs)
        given = self.commands
        self.commands = LazyCommands(self.entries)
        self.commands.update(given)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def is_command(self, word: str) -> bool:
        """Whether `word` names a command, in either spelling."""
        return any(n in self.commands for n in (word, word.replace("_", "-")))

    def command_of(self, ctx: click.Context, word: str) -> click.Command | None:
        """The command that `word` names, in either spelling; None where it names none."""
        if not self.is_command(word):
            return None
        return self.get_command(ctx, word) or self.get_command(ctx, word.replace("_", "-"))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, also in its old spelling; suggest the nearest where there is none."""
        name = args[0]
        new = name.replace("_", "-")
        if self.get_command(ctx, name) is None and self.get_command(ctx, new) is not None:
            if not ctx.resilient_parsing:
                deprecated(f"Command '{name}'", new)
            return new, self.get_command(ctx, new), args[1:]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            from difflib import get_close_matches

            names = self.list_commands(ctx)
            parts = sorted(new.split("-"))
            # The same words in another order are meant more surely than similar letters.
            near = [n for n in names if sorted(n.split("-")) == parts]
            near = near or get_close_matches(new, names, n=3, cutoff=0.6)
            ctx.fail(f"No such command '{name}'.{_did_you_mean(near)}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the program's own options from wherever they stand, then parse as usual."""
        _tell_command(ctx)
        known = options_of(self)
        words = self._hoist(ctx, list(args), known)
        cut = self._first_command(words, known)
        ctx.meta["alone"] = bool(ALONE & set(words))  # then nothing else may be printed
        ctx.meta["dash"] = "-" in words[cut:] or any(w.endswith("=-") for w in words[cut:])
        head = modern(words[:cut], known, self.renamed)
        head = spread(head, known, 0, self.is_command)
        ctx.meta[CHIP_META] = value_of(head, ("-c", "--chip"))
        return super().parse_args(ctx, head + words[cut:])

    def first_command(self, words: Sequence[str]) -> int:
        """Index of the word that names the command (or the end)."""
        return self._first_command(words, options_of(self))

    def _first_command(self, words: Sequence[str], known: Mapping[str, click.Option]) -> int:
        i = 0
        eating = False
        while i < len(words):
            word = words[i]
            name, sep, _ = word.partition("=")
            option = known.get(name) or known.get(name.replace("_", "-"))
            i += 1
            if option is not None:
                eating = isinstance(option, EatAll)
                if not eating and not option.is_flag and not option.count and not sep:
                    i += option.nargs
            elif word == "--" or (
                not looks_like_option(word, known) and not (eating and not self.is_command(word))
            ):
                return i - 1
        return len(words)

    def _hoist(
        self, ctx: click.Context, words: list[str], known: Mapping[str, click.Option]
    ) -> list[str]:
        """Move the program's own long options that stand behind the command in front of it.

        Only an option that no command on the line has itself is moved, nor one of a group's.
        """
        cut = self._first_command(words, known)
        head, tail = words[:cut], words[cut:]
        candidates = {
            name
            for word in tail
            if (name := word.partition("=")[0].replace("_", "-")).startswith("--")
            and name in known
            and name != "--help"
        }
        if not candidates:
            return words
        taken: set[str] = set()
        groups: list[Group] = [self]
        for word in tail:
            for group in tuple(groups):
                command = group.command_of(ctx, word)
                if command is not None:
                    taken |= set(options_of(command))
                if isinstance(command, Group):
                    groups.append(command)
        candidates -= taken
        rest: list[str] = []
        i = 0
        while i < len(tail):
            word = tail[i]
            if word == "--":
                return head + rest + tail[i:]
            name, sep, _ = word.partition("=")
            name = name.replace("_", "-")
            i += 1
            if name not in candidates or not word.startswith("--"):
                rest.append(word)
                continue
            head.append(word)
            option = known[name]
            if not option.is_flag and not option.count and not sep:
                head.extend(tail[i : i + option.nargs])
                i += option.nargs
        return head + rest


def _did_you_mean(near: Sequence[str]) -> str:
    if not near:
        return ""
    if len(near) == 1:
        return f" Did you mean '{near[0]}'?"
    return f" (Did you mean one of: {', '.join(repr(n) for n in sorted(near))}?)"


# --- running -----------------------------------------------------------------------------------


def _expanded(group: click.Command, argv: Sequence[str], prog: str) -> list[str]:
    """All words of a command line; those from files are shown, unless other output is wanted."""
    words = expand_file_arguments(argv)
    if words == list(argv) or {*ALONE, "--silent"} & set(words):
        return words
    head = words[: group.first_command(words)] if isinstance(group, Group) else []
    if "-s" not in head:
        log.print(f"{prog} {' '.join(words)}")
    return words


_NO_ARGS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())  # click 8.2 and later


def call(group: click.Command, argv: Sequence[str], prog: str, obj: Any = None) -> None:
    """Run a command line within a program.

    Returns None when it went well.

    Raises:
        SystemExit: with 2 after a usage error, which has been shown on standard error.
        FatalError: the operation failed.
    """
    args = _expanded(group, argv, prog)
    asked = os.environ.get(f"_{prog}_COMPLETE".replace("-", "_").upper())
    if asked:
        if asked.startswith("powershell"):
            from esptool.cli import completion

            completion.register()
        group.main(args=args, prog_name=prog)  # answers the shell and ends
    # Not `group.main`: that one takes a port or output that has gone for a reason to end with exit
    # code 1 and not a word.
    with (
        machine.run_of(prog, args),
        _ends_of_click(group, argv),
        group.make_context(prog, list(args), obj=obj) as ctx,
    ):
        try:
            group.invoke(ctx)
            if ctx.meta.get("dash"):
                stdio.deliver(ctx)
        except FatalError as e:
            stdio.name_in(e, ctx)
            raise
        run = machine.active()
        if run is not None:
            run.started = True


@contextmanager
def _ends_of_click(group: click.Command, argv: Sequence[str]) -> Iterator[None]:
    """Make of click's ways to end a command what programs of ours are documented to raise."""
    code: Any = None
    try:
        yield
    except _NO_ARGS as e:
        log.print(e.format_message())
        raise machine.UsageMistake("No command was named.") from None
    except click.exceptions.Exit as e:
        code = e.exit_code
    except click.Abort as e:
        # click makes this of an interruption; its text says what was left undone.
        cause = e.__cause__
        raise KeyboardInterrupt(str(cause) if cause is not None else "") from None
    except click.ClickException as e:
        show_usage_error(e)
        raise machine.UsageMistake(e.format_message(), at_fault(e)) from None
    except BrokenPipeError as e:
        raise FatalError(f"The other end has gone: {e.strerror or e}.") from e
    if not argv and group.no_args_is_help:
        raise machine.UsageMistake("No command was named.")  # click before 8.2: a success
    if code:
        raise SystemExit(code)


def at_fault(error: click.ClickException) -> dict[str, str]:
    """The option or argument that a mistake of usage is about, by its name on a command line."""
    if isinstance(error, click.NoSuchOption):
        return {"option": error.option_name}
    if isinstance(error, click.BadOptionUsage):
        return {"option": error.option_name}
    if isinstance(error, click.exceptions.BadParameter) and error.param is not None:
        param = error.param
        if isinstance(param, click.Option):
            return {"option": max(param.opts, key=len)}
        return {"argument": param.name or ""}
    return {}


def show_usage_error(error: click.ClickException) -> None:
    """Say what is wrong with a command line, and where its help is, on standard error."""
    message = error.format_message()
    if isinstance(error, click.NoSuchOption) and error.option_name[1:2].isdigit():
        message += " No number is negative here: write a value as its bits, such as 0xfffffffc."
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    tell_ide("error", (message,))
    if sys.stderr is None:
        return
    if ctx is not None:
        click.echo(ctx.get_usage(), file=sys.stderr)
        click.echo(f"Try '{ctx.command_path} -h' for help.\n", file=sys.stderr)
    click.echo(f"Error: {message}", file=sys.stderr)
