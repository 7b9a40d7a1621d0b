# SPDX-License-Identifier: Apache-2.0
"""`esptool read-mem`."""

from __future__ import annotations

import click

from esptool.cli.common import Command
from esptool.cli.params import AnyInt
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, address: int) -> None:
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.read_mem(esp, address)


command = Command(
    "read-mem",
    callback=_run,
    help="Show the 32-bit word at an address.",
    params=[click.Argument(["address"], type=AnyInt())],
)
