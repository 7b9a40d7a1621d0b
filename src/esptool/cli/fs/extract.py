# SPDX-License-Identifier: Apache-2.0
"""`esptool fs extract`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.fs import common
from esptool.cli.state import Globals
from esptool.sizes import counted


@click.pass_obj
def _run(state: Globals, /, folder: str, path: str | None, **values: Any) -> None:
    from esptool.logger import log
    from esptool.ops import file_systems

    with common.opened_fs(state, values, "extract") as (_, fs):
        written = file_systems.extract(fs, folder, path)
        files = [entry for entry in written if not entry.is_dir]
        size = sum(entry.size for entry in files)
        machine.result({"folder": folder, "file_count": len(files), "size": size})
        log.print(f"Wrote {counted(len(files), 'file')} of {size:,} bytes to '{folder}'.")


command = Command(
    "extract",
    callback=_run,
    help="Read all files of the file system in PARTITION, or those in its folder PATH, into "
    "FOLDER, which is made. Nothing is written if one of them is damaged, or has a name that would "
    "lead out of FOLDER.",
    params=[
        common.partition_argument(),
        click.Argument(["folder"], type=click.Path(file_okay=False)),
        click.Argument(["path"], required=False),
        *common.source_options(),
    ],
)
