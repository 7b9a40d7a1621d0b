# SPDX-License-Identifier: Apache-2.0
"""`esptool dump-mem`."""

from __future__ import annotations

import click

from esptool.cli.common import Command
from esptool.cli.params import AnyInt, OutputFile, Size
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, address: int, size: int, output: str) -> None:
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.dump_mem(esp, address, size, output)


command = Command(
    "dump-mem",
    callback=_run,
    help="Read SIZE bytes of memory into the file OUTPUT.",
    params=[
        click.Argument(["address"], type=AnyInt()),
        click.Argument(["size"], type=Size()),
        click.Argument(["output"], type=OutputFile()),
    ],
)
