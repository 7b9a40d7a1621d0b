# SPDX-License-Identifier: Apache-2.0
"""What the commands on partition tables share: options, tables from files, and lines."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from esptool.cli.help import Sectioned
from esptool.cli.params import AnyInt, Size
from esptool.cli.places import SECTION
from esptool.errors import StorageError, UsageError

if TYPE_CHECKING:
    from esptool.storage.partition_rules import Problem
    from esptool.storage.partitions import PartitionTable


def flash_size() -> click.Option:
    """--flash-size, in any unit."""
    return click.Option(
        ["--flash-size"], type=Size(), help="Size of the flash that the partitions must fit."
    )


def secure() -> click.Option:
    """--secure."""
    return click.Option(
        ["--secure"],
        type=click.Choice(["v1", "v2"]),
        help="Check what this version of secure boot asks of apps.",
    )


def making_options(*, table_offset: bool = True) -> list[click.Option]:
    """Options for reading CSV; `table_offset` is left out where a command has its own."""
    options: list[click.Option] = [
        Sectioned(
            ["--partition-table-offset"],
            type=AnyInt(),
            default=0x8000,
            envvar="ESPTOOL_PARTITION_TABLE_OFFSET",
            section=SECTION,
            help="Where the table will stand in flash.",
        ),
        Sectioned(
            ["--bootloader-offset"],
            type=AnyInt(),
            section=SECTION,
            help="Where the boot loader stands, for partitions of that type. --chip tells it, too.",
        ),
        Sectioned(
            ["--recovery-bootloader-offset"],
            type=AnyInt(),
            section=SECTION,
            help="Where the recovery boot loader stands.",
        ),
        click.Option(
            ["--extra-subtype"],
            multiple=True,
            metavar="TYPE,NAME,NUMBER",
            callback=lambda ctx, param, value: _extra_subtypes(value),
            help="A name for a subtype of one's own. May be given several times.",
        ),
    ]
    return options if table_offset else options[1:]


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """A line for each."""
    return [f"{'Wrong' if problem.fatal else 'Note'}: {problem.text}" for problem in problems]


def from_csv(
    ctx: click.Context, path: str, table_offset: int, values: Mapping[str, Any]
) -> PartitionTable:
    """The table of a file in CSV, by the values of `making_options`.

    Raises:
        FatalError: it cannot be read, or a line is wrong.
    """
    from esptool.storage.partitions import PartitionTable
    from esptool.textfile import read_text

    text = read_text(path, "partition table")
    try:
        return PartitionTable.from_csv(
            text,
            table_offset=table_offset,
            bootloader_offset=_bootloader_offset(ctx, values),
            recovery_offset=values["recovery_bootloader_offset"],
            variables=os.environ,
            extra_subtypes=values["extra_subtype"],
        )
    except StorageError as e:
        raise StorageError(f"'{path}': {e.message}", remedy=e.remedy) from None


def _bootloader_offset(ctx: click.Context, values: Mapping[str, Any]) -> int | None:
    told: int | None = values["bootloader_offset"]
    chip = ctx.find_root().obj.chip
    if told is not None or chip == "auto":
        return told
    from esptool import chips

    return chips.get(chip).flash.bootloader_offset


def _extra_subtypes(words: Sequence[str]) -> dict[tuple[int, str], int]:
    from esptool.storage.partition import TYPES
    from esptool.storage.partition_csv import number

    found: dict[tuple[int, str], int] = {}
    for word in words:
        fields = [field.strip() for field in word.split(",")]
        if len(fields) != 3 or not fields[1]:
            raise UsageError(f"'{word}' is not a subtype: write for instance app,my_app,0x40.")
        kind, name, value = fields
        try:
            code = TYPES[kind] if kind in TYPES else number(kind, "type")
            found[code, name] = number(value, "subtype")
        except StorageError as e:
            raise UsageError(f"'{word}': {e.message}") from None
    return found
