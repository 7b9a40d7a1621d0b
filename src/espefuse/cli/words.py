# SPDX-License-Identifier: Apache-2.0
"""The words of a command line: which begin a command, and which are values named like one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import click

from espefuse import output
from espefuse._index import CHIP_ALIASES, CHIP_NAMES
from espefuse.cli.types import Groups

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
PLAN_ORDER = ("plan", "apply")
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
    key = "".join(c for c in found.lower() if c.isalnum())
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
