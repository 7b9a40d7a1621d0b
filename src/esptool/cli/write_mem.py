# SPDX-License-Identifier: Apache-2.0
"""`esptool write-mem`."""

from __future__ import annotations

import click

from esptool.cli.common import Command
from esptool.cli.params import AnyInt
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, address: int, value: int, mask: int) -> None:
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.write_mem(esp, address, value, mask)


command = Command(
    "write-mem",
    callback=_run,
    help="Write a 32-bit word to an address: those bits of VALUE that MASK names.",
    params=[
        click.Argument(["address"], type=AnyInt()),
        click.Argument(["value"], type=AnyInt()),
        click.Argument(["mask"], type=AnyInt(), required=False, default=0xFFFFFFFF),
    ],
)
