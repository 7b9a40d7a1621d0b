# SPDX-License-Identifier: Apache-2.0
"""`esptool read-nand-spare`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.params import AnyInt
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, page_number: int, spi_connection: Any) -> None:
    params.refuse_nand_without_pins({"flash_type": "nand", "spi_connection": spi_connection})
    with state.chip_session(flash_type="nand") as esp:
        from esptool import cmds

        cmds.attach_flash(esp, spi_connection, "nand")
        cmds.read_nand_spare(esp, page_number)


command = Command(
    "read-nand-spare",
    callback=_run,
    hidden=True,
    help="Read the bad-block mark in the spare area of a NAND page.",
    params=[click.Argument(["page_number"], type=AnyInt()), params.spi_connection()],
)
