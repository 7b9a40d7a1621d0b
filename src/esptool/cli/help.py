# SPDX-License-Identifier: Apache-2.0
"""How help looks: sections of commands and options that fit 80 columns, drawn by click alone.

Short help lines of commands come from the group's table, so that help loads no command.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esptool.chips.spec import ChipSpec
    from esptool.cli.common import Entry

#: Where a context keeps the chip that the command line names.
CHIP_META = "esptool.chip"

COLUMN_MAX = 26


class Sectioned(click.Option):
    """An option that help lists under the heading `section`."""

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        self.section = section
        super().__init__(*args, **kwargs)


class HelpMixin(click.Command):
    """Draws options in sections, choices below the option, and commands in sections.

    Attributes:
        entries: commands that need not be loaded to be listed, by name.
    """

    entries: Mapping[str, Entry] = MappingProxyType({})

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and not param.hidden:
                section = param.section if isinstance(param, Sectioned) else "Options"
                sections.setdefault(section, []).append(_row(param, ctx))
        for title, rows in sections.items():
            with formatter.section(title):
                _write_rows(formatter, rows)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        entries = self.entries
        assert isinstance(self, click.Group)
        for name in self.list_commands(ctx):
            entry = entries.get(name)
            if entry is not None:
                if not entry.hidden and _applies(entry.needs, ctx):
                    sections.setdefault(entry.section, []).append((name, entry.help))
                continue
            command = self.commands[name]
            if not command.hidden:
                sections.setdefault("Commands", []).append((name, command.get_short_help_str(60)))
        for title, rows in sections.items():
            with formatter.section(title):
                _write_rows(formatter, rows)


def _write_rows(formatter: click.HelpFormatter, rows: list[tuple[str, str]]) -> None:
    """Two columns; words such as 'no-reset' are not broken at their hyphens."""
    from textwrap import wrap

    first = min(max(len(name) for name, _ in rows), COLUMN_MAX)
    indent = " " * formatter.current_indent
    room = max(20, formatter.width - formatter.current_indent - first - 2)
    for name, text in rows:
        lines = wrap(text, room, break_on_hyphens=False) or [""]
        if len(name) > first:
            formatter.write(f"{indent}{name}\n")
        else:
            formatter.write(f"{indent}{name:<{first}}  {lines.pop(0)}".rstrip() + "\n")
        for line in lines:
            formatter.write(f"{indent}{' ' * first}  {line}\n")


def _row(option: click.Option, ctx: click.Context) -> tuple[str, str]:
    short = [o for o in option.opts if not o.startswith("--")]
    long = [o for o in option.opts if o.startswith("--")]
    names = ", ".join(short + long)
    if option.secondary_opts:
        names += " / " + ", ".join(option.secondary_opts)
    text = option.help or ""
    if not option.is_flag and not option.count:
        names += f" {_metavar(option)}"
    extra = []
    if isinstance(option.type, click.Choice) and not option.is_flag:
        extra.append("one of: " + ", ".join(_choices(option, option.type, ctx)))
    if option.required:
        extra.append("required")
    default = option.default
    if isinstance(default, (str, int)) and not isinstance(default, bool) and not option.count:
        extra.append(f"default: {default}")
    if option.envvar:
        extra.append(f"env: {option.envvar}")
    if extra:
        text = f"{text} [{'; '.join(extra)}]".strip()
    return names, text


def _chip(ctx: click.Context) -> ChipSpec | None:
    """The chip that the command line names in front of the command, if any."""
    name = ctx.find_root().meta.get(CHIP_META)
    if not name or name == "auto":
        return None
    from esptool import chips
    from esptool.errors import UsageError

    try:
        return chips.get(name)
    except UsageError:
        return None


def _applies(needs: str, ctx: click.Context) -> bool:
    chip = _chip(ctx) if needs else None
    return chip is None or bool(getattr(chip, needs))


def _choices(option: click.Option, choice: click.Choice[Any], ctx: click.Context) -> list[str]:
    """The words that an option takes; of flash sizes and clocks those that the chip knows."""
    words = [str(c) for c in choice.choices]
    if option.name not in ("flash_size", "flash_freq"):
        return words
    chip = _chip(ctx)
    if chip is None:
        return words
    known = chip.flash.sizes if option.name == "flash_size" else chip.flash.frequencies
    return [w for w in words if w in known or w in ("keep", "detect")]


def _metavar(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    long = max(option.opts, key=len).lstrip("-")
    return long.rpartition("-")[2].upper()
