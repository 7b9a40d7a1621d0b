# SPDX-License-Identifier: Apache-2.0
"""The words of a command line before click parses them: old spellings, options of many values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import click

from esptool.cli.help import Sectioned
from esptool.errors import FatalError
from esptool.logger import log

_noted: set[str] = set()


def deprecated(what: str, instead: str) -> None:
    """Say on standard error, once a run, that `what` has a new name."""
    if what not in _noted:
        _noted.add(what)
        log.warning(f"Deprecated: {what} is deprecated. Use '{instead}' instead.")


class EatAll(Sectioned):
    """An option whose values are all following words up to the next option.

    `gives_back(words)` tells how many of the last words belong to what follows after all (a
    command, a pair of address and file); words that a required argument lacks are given back too.
    """

    def __init__(
        self,
        *args: Any,
        gives_back: Callable[[Sequence[str]], int] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple", True)
        self.gives_back = gives_back
        super().__init__(*args, **kwargs)


class Exclusive(Sectioned):
    """An option that cannot be used together with those named in `exclusive_with`."""

    def __init__(self, *args: Any, exclusive_with: Sequence[str] = (), **kwargs: Any) -> None:
        self.exclusive_with = tuple(exclusive_with)
        super().__init__(*args, **kwargs)

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> Any:
        names = {o.strip("-").replace("-", "_") for o in self.exclusive_with}
        if opts.get(self.name or "") and any(opts.get(n) for n in names):
            raise click.UsageError(
                f"Illegal usage: {max(self.opts, key=len)} is mutually exclusive with "
                f"arguments: {', '.join(sorted(self.exclusive_with))}.",
                ctx,
            )
        return super().handle_parse_result(ctx, opts, args)


def options_of(command: click.Command) -> dict[str, click.Option]:
    """The options of a command by each of their spellings, help included."""
    found: dict[str, click.Option] = {"-h": _HELP, "--help": _HELP}
    for param in command.params:
        if isinstance(param, click.Option):
            for opt in (*param.opts, *param.secondary_opts):
                found[opt] = param
    return found


_HELP = click.Option(["-h", "--help"], is_flag=True)


def modern(args: Sequence[str], known: Mapping[str, Any], renamed: Mapping[str, str]) -> list[str]:
    """Spell options the new way; noting the old one. Words after '--' are left alone."""
    result: list[str] = []
    for i, arg in enumerate(args):
        if arg == "--":
            return result + list(args[i:])
        name, sep, value = arg.partition("=")
        if name.startswith("--") and name not in known:
            new = renamed.get(name) or name.replace("_", "-")
            if new != name and new in known:
                deprecated(f"Option '{name}'", new)
                arg = new + sep + value
        result.append(arg)
    return result


def looks_like_option(word: str, known: Mapping[str, Any]) -> bool:
    """It begins as an option does, and is no negative number."""
    return word.startswith("-") and word != "-" and not _is_number(word, known)


def _is_number(word: str, known: Mapping[str, Any]) -> bool:
    return word not in known and word[1:2].isdigit()


def spread(
    args: Sequence[str], known: Mapping[str, click.Option], spare: int, stop: Callable[[str], bool]
) -> list[str]:
    """Give every word of an eat-all option the option's name; `spare` words of the last one and
    whatever `gives_back` claims are moved behind, as positional words."""
    result: list[str] = []
    behind: list[str] = []
    i = 0
    while i < len(args):
        arg = args[i]
        if arg == "--":
            return result + behind + list(args[i:])
        name, sep, value = arg.partition("=")
        option = known.get(name)
        if option is None and isinstance(known.get(arg[:2]), EatAll):
            name, sep, value = arg[:2], "=", arg[2:]  # '-kFILE'
            option = known[name]
        i += 1
        if not isinstance(option, EatAll):
            result.append(arg)
            if option is not None and not option.is_flag and not option.count and not sep:
                result.extend(args[i : i + option.nargs])
                i += option.nargs
            continue
        words = [value] if sep else []
        while i < len(args) and not looks_like_option(args[i], known) and not stop(args[i]):
            words.append(args[i])
            i += 1
        back = option.gives_back(words) if option.gives_back else 0
        last = i >= len(args) or args[i] == "--"
        back = max(back, min(spare, len(words) - 1) if last else 0)
        if back:
            behind.extend(words[len(words) - back :])
            words = words[: len(words) - back]
        if not words:
            result.append(arg)  # lets click say that a value is missing
        for word in words:
            result.extend((name, word))
    return result + behind


def joined_short(word: str, known: Mapping[str, Any]) -> str:
    """'-fs4MB' is not split by click where -f does not exist: name what is meant."""
    if word.startswith("-") and not word.startswith("--") and len(word) > 3:
        name = word[:3]
        if name in known and word not in known and word[3] != "=" and word[:2] not in known:
            return f"{name}={word[3:]}"
    return word


def value_of(words: Sequence[str], names: Sequence[str]) -> str | None:
    """The last value given to an option, before the words are parsed; None without it."""
    found = None
    for word, behind in zip_longest(words, words[1:]):
        name, sep, value = word.partition("=")
        if name in names:
            found = value if sep else behind
    return found


def expand_file_arguments(argv: Sequence[str], prog: str | None = None) -> list[str]:
    """Replace every '@file' word by the words in that file (shell quoting applies).

    When one was replaced and `prog` is given, the full command line is shown.

    Raises:
        FatalError: the file cannot be read.
    """
    if not any(a.startswith("@") for a in argv):
        return list(argv)
    import shlex

    from esptool.textfile import read_text

    result: list[str] = []
    for word in argv:
        if not word.startswith("@"):
            result.append(word)
            continue
        for number, line in enumerate(read_text(word[1:], "argument file").split("\n"), 1):
            try:
                result.extend(shlex.split(line, comments=True))
            except ValueError as e:
                raise FatalError(
                    f"Cannot read the argument file '{word[1:]}': {e} in line {number}."
                ) from e
    if prog:
        log.print(f"{prog} {' '.join(result)}")
    return result
