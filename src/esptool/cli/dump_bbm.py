# SPDX-License-Identifier: Apache-2.0
"""`esptool dump-bbm`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.params import OutputFile
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, output: str, block_count: int | None, spi_connection: Any) -> None:
    params.refuse_nand_without_pins({"flash_type": "nand", "spi_connection": spi_connection})
    with state.chip_session(flash_type="nand") as esp:
        from esptool import cmds

        cmds.attach_flash(esp, spi_connection, "nand")
        cmds.dump_bbm(esp, output, block_count)


command = Command(
    "dump-bbm",
    callback=_run,
    hidden=True,
    help="Read the bad-block marks of a NAND flash into the file OUTPUT, a byte a block.",
    params=[
        click.Argument(["output"], type=OutputFile()),
        click.Option(["--block-count"], type=click.INT, default=None, hidden=True),
        params.spi_connection(),
    ],
)
