# SPDX-License-Identifier: Apache-2.0
"""`esptool write-nand-spare`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.params import AnyInt, IntRange
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, page_number: int, is_bad: int, spi_connection: Any) -> None:
    params.refuse_nand_without_pins({"flash_type": "nand", "spi_connection": spi_connection})
    with state.chip_session(flash_type="nand") as esp:
        from esptool import cmds

        cmds.attach_flash(esp, spi_connection, "nand")
        cmds.write_nand_spare(esp, page_number, is_bad)


command = Command(
    "write-nand-spare",
    callback=_run,
    hidden=True,
    help="Mark the block of a NAND page as bad (1) or good (0).",
    params=[
        click.Argument(["page_number"], type=AnyInt()),
        click.Argument(["is_bad"], type=IntRange(0, 1)),
        params.spi_connection(),
    ],
)
