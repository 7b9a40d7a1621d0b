# SPDX-License-Identifier: Apache-2.0
"""`esptool partitions check`: what is wrong with a table, wherever it is."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.params import ReadableFile
from esptool.cli.partitions import common
from esptool.cli.partitions.common import from_csv, problem_lines
from esptool.cli.places import opened_flash, place_options
from esptool.cli.state import Globals
from esptool.errors import StorageError, UsageError
from esptool.sizes import counted


@click.pass_context
def _check(
    ctx: click.Context,
    /,
    table: str | None,
    flash_size: int | None,
    secure: str | None,
    **values: Any,
) -> None:
    from esptool.logger import log
    from esptool.ops.places import is_csv
    from esptool.storage.partition_rules import check_table
    from esptool.storage.partitions import DEFAULT_OFFSET

    if table is not None:
        if values["file"] is not None:
            raise UsageError("Name the table once: as an argument or with --file.")
        values["file"] = table
    path, told = values["file"], values["partition_table_offset"]
    if path is not None and is_csv(path):
        offset = DEFAULT_OFFSET if told is None else told
        made = from_csv(ctx, path, offset, values)
    else:
        state: Globals = ctx.find_root().obj
        with opened_flash(state, values, command="partitions check") as flash:
            made, offset = flash.table, flash.table_offset
    problems = check_table(made, table_offset=offset, flash_size=flash_size, secure=secure)
    wrong = [problem for problem in problems if problem.fatal]
    machine.result(
        {
            "table_offset": offset,
            "valid": not wrong,
            "partition_count": len(made),
            "problems": [problem.to_json() for problem in problems],
        }
    )
    for line in problem_lines(problems):
        log.print(line)
    if wrong:
        raise StorageError(f"The partition table is wrong: {wrong[0].text}")
    log.print(
        f"The partition table is valid: {counted(len(made), 'partition')} up to {made.end:#x}."
    )


command = Command(
    "check",
    callback=_check,
    help="Check a partition table: one in CSV or binary, that of a dump, or that of a device.",
    params=[
        click.Argument(["table"], type=ReadableFile(), required=False),
        *place_options(),
        *common.making_options(table_offset=False),
        common.flash_size(),
        common.secure(),
    ],
)
