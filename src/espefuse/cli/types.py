# SPDX-License-Identifier: Apache-2.0
"""click types of eFuse arguments: groups of values, MAC addresses, names with old spellings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


class ModeChoice(click.Choice):  # type: ignore[type-arg]
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


class ChipType(click.Choice):  # type: ignore[type-arg]
    """A chip's name in any case, with or without dashes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert("".join(c for c in str(value).lower() if c.isalnum()), param, ctx)


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


class PairsType(click.ParamType):  # type: ignore[type-arg]
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


class MacType(click.ParamType):  # type: ignore[type-arg]
    """A MAC address as text; the command checks it."""

    name = "MAC AA:BB:CC:DD:EE:FF"


def file(mode: str) -> click.File:
    """A file that is opened when it is used, in `mode`."""
    return click.File(mode)
