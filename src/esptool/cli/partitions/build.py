# SPDX-License-Identifier: Apache-2.0
"""`esptool partitions build`: a table in CSV made the bytes that go to flash."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.params import OutputFile, ReadableFile
from esptool.cli.partitions import common
from esptool.cli.partitions.common import from_csv
from esptool.errors import StorageError


@click.pass_context
def _build(
    ctx: click.Context,
    /,
    table: str,
    output: str,
    flash_size: int | None,
    secure: str | None,
    no_md5: bool,
    **values: Any,
) -> None:
    from esptool.files import refuse_input_as_output, write_atomic
    from esptool.logger import log
    from esptool.ops.places import starts_with_table
    from esptool.sizes import counted
    from esptool.storage.partition_rules import check_table, refuse_wrong

    refuse_input_as_output(output, [table])
    offset = values["partition_table_offset"]
    if starts_with_table(table):
        raise StorageError(
            f"'{table}' is a binary partition table already.",
            remedy="'esptool partitions --csv --file FILE' shows it as CSV.",
        )
    made = from_csv(ctx, table, offset, values)
    problems = check_table(made, table_offset=offset, flash_size=flash_size, secure=secure)
    refuse_wrong(problems)
    for problem in problems:
        log.warning(problem.text)
    data = made.to_bytes(md5=not no_md5)
    write_atomic(output, data)
    machine.result({"file": output, "size": len(data), "partition_count": len(made)})
    log.print(f"Wrote {counted(len(made), 'partition')} ({len(data)} bytes) to '{output}'.")


command = Command(
    "build",
    callback=_build,
    help="Make a binary partition table of one in CSV, for write-flash.",
    params=[
        click.Argument(["table"], type=ReadableFile(), metavar="CSV"),
        click.Argument(["output"], type=OutputFile()),
        *common.making_options(),
        common.flash_size(),
        common.secure(),
        click.Option(["--no-md5"], is_flag=True, help="Leave out the MD5 of the entries."),
    ],
)
