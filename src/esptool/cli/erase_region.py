# SPDX-License-Identifier: Apache-2.0
"""`esptool erase-region`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.params import AnyInt, Size
from esptool.cli.state import Globals


@click.pass_obj
def _run(
    state: Globals,
    /,
    address: int,
    size: int | str,
    force: bool,
    flash_type: str,
    spi_connection: Any,
) -> None:
    params.refuse_nand_without_pins({"flash_type": flash_type, "spi_connection": spi_connection})
    with state.chip_session(flash_type=flash_type) as esp:
        from esptool import cmds
        from esptool.ops.erase import ALL

        cmds.attach_flash(esp, spi_connection, flash_type)
        cmds.erase_region(esp, address, ALL if isinstance(size, str) else size, force, flash_type)


command = Command(
    "erase-region",
    callback=_run,
    help="Erase SIZE bytes of flash from ADDRESS; both are multiples of 4096. SIZE may have the "
    "suffix k or M, or be ALL.",
    params=[
        click.Argument(["address"], type=AnyInt()),
        click.Argument(["size"], type=Size(allow_all=True)),
        click.Option(
            ["--force"],
            is_flag=True,
            help="Erase also where secure boot or flash encryption is active.",
        ),
        params.flash_type(),
        params.spi_connection(),
    ],
)
