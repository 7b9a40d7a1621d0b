# SPDX-License-Identifier: Apache-2.0
"""The words of a command line: which begin a command, which are values, and what kinds of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from espefuse import output
from espefuse._index import CHIP_ALIASES, CHIP_NAMES
from esptool.chips import normalize
from esptool.cli.kinds import AnyType, StrChoice


class ModeChoice(StrChoice):
    """A choice of dashed words that still takes underscores, with a note."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value)
        if "_" in text and text.replace("_", "-") in self.choices:
            new = text.replace("_", "-")
            click.echo(
                f"WARNING: Deprecated: Choice '{text}' for option '--{param.name}' is deprecated. "
                f"Use '{new}' instead."
                if param is not None
                else "",
                err=True,
            )
            text = new
        return super().convert(text, param, ctx)


class ChipType(StrChoice):
    """A chip's name in any case, with or without dashes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(normalize(str(value)), param, ctx)


class Choice(AnyType):
    """One of some words, any of which may also be the name of a command."""

    name = "choice"

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).replace("_", "-")
        if text not in self.words:
            self.fail(f"{value!r} is not one of {', '.join(self.words)}.", param, ctx)
        return text


class Groups(click.Argument):
    """Values that come in groups of a fixed kind, e.g. BLOCK KEYFILE PURPOSE, many times.

    The value is a list of tuples; files are opened for reading bytes and closed at the end.
    """

    def __init__(
        self, names: Sequence[str], parts: Sequence[str], types: Sequence[Any], most: int | None
    ) -> None:
        self.parts = list(types)
        self.most = most
        metavar = f"[{' '.join(f'<{p}>' for p in parts)}] ..."
        if most:
            metavar += f" (max {most} groups)"
        super().__init__(list(names), nargs=-1, required=True, metavar=metavar)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        size = len(self.parts)
        values = tuple(value or ())
        if len(values) % size:
            raise click.BadParameter(
                f"Expected multiple of {size} values, got {len(values)} (values: {values})",
                ctx=ctx,
                param=self,
            )
        if self.most and len(values) // size > self.most:
            raise click.BadParameter(
                f"Expected at most {self.most} groups ({self.most * size} values), "
                f"got {len(values)} values",
                ctx=ctx,
                param=self,
            )
        return [
            tuple(
                kind.convert(text, self, ctx)
                for kind, text in zip(self.parts, values[at : at + size], strict=True)
            )
            for at in range(0, len(values), size)
        ]


class PairsType(AnyType):
    """The raw words of NAME VALUE pairs."""

    name = "name value pairs"


def pairs(words: Sequence[str], known: Any, ctx: click.Context, param: click.Parameter) -> Any:
    """NAME VALUE pairs as a dictionary; one name alone stands for its next step (None)."""
    if len(words) == 1:
        return {_known(words[0], known, ctx, param): None}
    if len(words) % 2:
        raise click.BadParameter(
            f"The list does not have a valid pair (name value) {tuple(words)}",
            ctx=ctx,
            param=param,
        )
    return {_known(words[at], known, ctx, param): words[at + 1] for at in range(0, len(words), 2)}


def _known(name: str, known: Any, ctx: click.Context, param: click.Parameter) -> str:
    """A name of a field that the chip has now, in whatever case it was written."""
    present = known.present()
    for spelling in (name, name.upper()):
        if spelling in present:
            return spelling
    from espefuse.state import unknown_field

    raise click.BadParameter(str(unknown_field(known, name)), ctx=ctx, param=param)


class MacType(AnyType):
    """A MAC address as text; the command checks it."""

    name = "MAC AA:BB:CC:DD:EE:FF"


def file(mode: str) -> click.File:
    """A file that is opened when it is used, in `mode`."""
    return click.File(mode)


BURN_ORDER = (
    "read-protect-efuse",
    "write-protect-efuse",
    "burn-efuse",
    "burn-block-data",
    "burn-bit",
    "burn-key",
    "burn-key-digest",
    "burn-custom-mac",
    "set-flash-voltage",
)
READ_ORDER = ("summary", "dump", "get-custom-mac", "adc-info", "check-error")
PLAN_ORDER = ("plan", "apply", "recipe")
OLD_OPTIONS = {"--file_name": "--file-name"}
REMOVED = {"execute-scripts"}

ALL_NAMES = frozenset(
    spelling
    for name in (*BURN_ORDER, *READ_ORDER, *PLAN_ORDER, *REMOVED)
    for spelling in (name, name.replace("-", "_"))
)

Segment = tuple[str, list[str]]


def value_options(params: Sequence[click.Parameter]) -> set[str]:
    """The options, in all spellings, that are followed by a value."""
    return {
        spelling
        for param in params
        if isinstance(param, click.Option) and not param.is_flag and not param.count
        for spelling in (*param.opts, *param.secondary_opts)
    }


def chip_of(args: Sequence[str], params: Sequence[click.Parameter]) -> str | None:
    """The chip named by the group's options or the environment, None where none is."""
    found = os.environ.get("ESPTOOL_CHIP")
    with_value = value_options(params)
    words = iter(args)
    for word in words:
        if word in ("--chip", "-c"):
            found = next(words, found)
        elif word in with_value:
            next(words, None)
        elif word.startswith("--chip="):
            found = word[7:]
        elif word in ALL_NAMES:
            break
    if found is None:
        return None
    key = normalize(found)
    return key if key in (*CHIP_ALIASES, *CHIP_NAMES) else None


def split(
    words: Sequence[str], command_of: Callable[[str], click.Command | None], chip_known: bool
) -> list[Segment]:
    """The words of one run as (command, its words), with old spellings replaced and noted.

    A word that is a command's name begins a command, unless an option or an argument that takes
    any text waits for it. Which arguments of groups do depends on the chip.
    """
    segments: list[Segment] = []
    waiting: Iterator[bool] = iter(())
    with_value: set[str] = set()
    takes_next = False
    for word in words:
        value, takes_next = takes_next, False
        if not value and word.startswith("-") and segments:
            new = OLD_OPTIONS.get(word, word)
            if new != word:
                output.deprecated(f"Option '{word}' is deprecated. Use '{new}' instead.")
            segments[-1][1].append(new)
            takes_next = new in with_value
            continue
        if segments and (value or next(waiting, False) or word not in ALL_NAMES):
            segments[-1][1].append(word)
            continue
        if word not in ALL_NAMES:
            raise click.UsageError(f"No such command '{word}'.")
        name = word.replace("_", "-")
        if name != word:
            output.deprecated(f"Command '{word}' is deprecated. Use '{name}' instead.")
        segments.append((name, []))
        command = command_of(name)
        params = command.params if command is not None else []
        with_value = value_options(params)
        waiting = _free_arguments(params, chip_known)
    return segments


def _free_arguments(params: Sequence[click.Parameter], chip_known: bool) -> Iterator[bool]:
    """For each argument of a command in turn: whether it is a file or text of any name."""
    for param in params:
        if isinstance(param, Groups):
            while chip_known:
                yield from (isinstance(kind, click.File) for kind in param.parts)
        elif isinstance(param, click.Argument) and param.nargs == 1:
            yield not isinstance(param.type, click.Choice)
        elif isinstance(param, click.Argument):
            return
