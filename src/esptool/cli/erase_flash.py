# SPDX-License-Identifier: Apache-2.0
"""`esptool erase-flash`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, force: bool, flash_type: str, spi_connection: Any) -> None:
    params.refuse_nand_without_pins({"flash_type": flash_type, "spi_connection": spi_connection})
    with state.chip_session(flash_type=flash_type) as esp:
        from esptool import cmds

        cmds.attach_flash(esp, spi_connection, flash_type)
        cmds.erase_flash(esp, force, flash_type)


command = Command(
    "erase-flash",
    callback=_run,
    help="Erase the whole flash.",
    params=[
        click.Option(
            ["--force"],
            is_flag=True,
            help="Erase also where secure boot or flash encryption is active: the chip may never "
            "boot again.",
        ),
        params.flash_type(),
        params.spi_connection(),
    ],
)
