# SPDX-License-Identifier: Apache-2.0
"""`esptool fs put`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import machine, stdio
from esptool.cli.common import Command
from esptool.cli.fs import common
from esptool.cli.state import Globals
from esptool.sizes import counted


@click.pass_obj
def _run(state: Globals, /, source: str, path: str | None, **values: Any) -> None:
    from esptool.logger import log
    from esptool.ops import file_systems

    if source == stdio.DASH:
        if path is None or path.endswith("/"):
            from esptool.errors import UsageError

            raise UsageError("Standard input has no name.", remedy="Give the whole PATH.")
        source = stdio.read_from(None)
    with common.opened_fs(state, values, "put", to_change=True) as (place, fs):
        files = file_systems.put(fs, source, path)
        count = file_systems.write_back(place, fs)
        machine.result({"file_count": len(files), "sectors_changed": count})
        sectors = f"{counted(count, 'sector')} changed" if count else "nothing had to change"
        log.print(f"Put {counted(len(files), 'file')} into {place.label}: {sectors}.")


command = Command(
    "put",
    callback=_run,
    help="Write the file SOURCE, or all that is in the folder SOURCE, into the file system of "
    "PARTITION. PATH is where: a file's new path, or the folder to put it into (one that exists or "
    "ends with '/'). Folders on the way are made, files of the same name replaced. Only sectors "
    "that change are written, and nothing is written if it does not all fit. The application must "
    "not be running meanwhile, and on a device it is not.",
    params=[
        common.partition_argument(),
        click.Argument(["source"], type=click.Path(exists=True, allow_dash=True)),
        click.Argument(["path"], required=False),
        *common.source_options(),
    ],
)
