# SPDX-License-Identifier: Apache-2.0
"""`esptool fs rm`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.fs import common
from esptool.cli.state import Globals
from esptool.sizes import counted


@click.pass_obj
def _run(state: Globals, /, path: tuple[str, ...], recursive: bool, **values: Any) -> None:
    from esptool.logger import log
    from esptool.ops import file_systems

    with common.opened_fs(state, values, "rm", to_change=True) as (place, fs):
        for each in path:
            fs.remove(each, recursive=recursive)
        count = file_systems.write_back(place, fs)
        machine.result({"paths": list(path), "sectors_changed": count})
        log.print(
            f"Removed {', '.join(common.plain(each) for each in path)} from {place.label}: "
            f"{counted(count, 'sector')} changed."
        )


command = Command(
    "rm",
    callback=_run,
    help="Remove the files or empty folders PATH from the file system in PARTITION. If one of them "
    "is not there, none is removed.",
    params=[
        common.partition_argument(),
        click.Argument(["path"], nargs=-1, required=True),
        click.Option(["--recursive", "-r"], is_flag=True, help="Folders with all that is in them."),
        *common.source_options(),
    ],
)
