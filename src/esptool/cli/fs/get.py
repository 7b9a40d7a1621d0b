# SPDX-License-Identifier: Apache-2.0
"""`esptool fs get`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.fs import common
from esptool.cli.params import OutputFile
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, path: str, output: str | None, **values: Any) -> None:
    from esptool.files import check_output, write_atomic
    from esptool.logger import log
    from esptool.storage.fs.model import clean

    name = clean(path).rpartition("/")[2]
    target = output or name
    if output is None:
        check_output(target)
    with common.opened_fs(state, values, "get") as (_, fs):
        data = fs.read(path)
        write_atomic(target, data)
        machine.result({"path": path, "file": target, "size": len(data)})
        log.print(f"Wrote {len(data):,} bytes to '{target}'.")


command = Command(
    "get",
    callback=_run,
    help="Read the file PATH of the file system in PARTITION and write it to OUTPUT, by default "
    "under its own name into the current folder.",
    params=[
        common.partition_argument(),
        click.Argument(["path"]),
        click.Argument(["output"], type=OutputFile(), required=False),
        *common.source_options(),
    ],
)
