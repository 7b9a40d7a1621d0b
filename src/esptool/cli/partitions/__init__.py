# SPDX-License-Identifier: Apache-2.0
"""`esptool partitions`: the map of a device or file; tables made and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from esptool.cli import machine
from esptool.cli.common import Entry, Group
from esptool.cli.partitions.common import problem_lines
from esptool.cli.places import opened_flash, place_options
from esptool.cli.state import Globals
from esptool.errors import UsageError

if TYPE_CHECKING:
    from esptool.ops.partition_map import PartitionMap


@click.pass_context
def _show(ctx: click.Context, /, as_csv: bool, **values: Any) -> None:
    if ctx.invoked_subcommand is not None:
        _refuse_misplaced(ctx)
        return
    if as_csv and machine.active() is not None:
        raise UsageError("Options --json and --csv exclude each other.")
    state: Globals = ctx.obj
    from esptool.logger import log
    from esptool.ops.partition_map import partition_map
    from esptool.ops.places import DeviceFlash

    with opened_flash(state, values) as flash:
        if as_csv:
            csv = flash.table.to_csv()
        else:
            size = flash.limit.size if isinstance(flash, DeviceFlash) else None
            found = partition_map(flash, flash_size=size)
    if as_csv:
        click.echo(csv, nl=False)
    else:
        machine.result(found.to_json())
        for line in _map_lines(found):
            log.print(line)


def _refuse_misplaced(ctx: click.Context) -> None:
    """Options in front of a subcommand belong to showing the map: they would have no effect."""
    for param in ctx.command.params:
        name = param.name or ""
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = max(param.opts, key=len)
            raise UsageError(
                f"{option} has no effect in front of '{ctx.invoked_subcommand}'.",
                remedy=f"Write it behind: partitions {ctx.invoked_subcommand} ... {option} ...",
            )


_HEADINGS = ("Name", "Type", "Subtype", "Offset", "Size", "Flags", "Content")


def _map_lines(found: PartitionMap) -> list[str]:
    from esptool.storage.partition_csv import size_text

    rows: list[tuple[str, ...]] = [
        ("Name", "Type", "Subtype", "Offset", "Size", "Flags", "Content")
    ]
    for use in found.uses:
        p = use.partition
        rows.append(
            (
                *(p.name, p.type_name, p.subtype_name, f"{p.offset:#010x}", size_text(p.size)),
                *(":".join(p.flag_names), use.describe()),
            )
        )
    if all(not row[5] for row in rows[1:]):
        rows = [(*row[:5], row[6]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"Partition table at {found.table_offset:#x}:"]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    if found.signature is not None:
        known = found.signature != "unknown"
        what = f"A signature (secure boot {found.signature})" if known else "Something unknown"
        lines.append(f"{what} follows the table.")
    return lines + problem_lines(found.problems)


command = Group(
    "partitions",
    invoke_without_command=True,
    callback=_show,
    entries={
        "build": Entry("esptool.cli.partitions.build:command", "Make a binary table of CSV."),
        "check": Entry("esptool.cli.partitions.check:command", "Say what is wrong with a table."),
    },
    help="Show the partitions of a device or file, and what is in them.",
    params=[
        *place_options(),
        click.Option(["--csv", "as_csv"], is_flag=True, help="Show the table as CSV."),
    ],
)
