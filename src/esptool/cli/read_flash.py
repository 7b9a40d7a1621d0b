# SPDX-License-Identifier: Apache-2.0
"""`esptool read-flash`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.params import OutputFile, RangeArgument, Size
from esptool.cli.places import table_options
from esptool.cli.state import Globals


@click.pass_obj
def _run(
    state: Globals,
    /,
    address: int | str,
    size: int | str,
    output: str,
    no_progress: bool,
    flash_size: str,
    flash_type: str,
    spi_connection: Any,
    **values: Any,
) -> None:
    params.refuse_nand_without_pins({"flash_type": flash_type, "spi_connection": spi_connection})
    with state.chip_session(flash_type=flash_type) as esp:
        from esptool import cmds
        from esptool.ops.read import ALL

        cmds.attach_flash(esp, spi_connection, flash_type)
        length = ALL if isinstance(size, str) else size
        cmds.read_flash(esp, address, length, output, flash_size, no_progress, flash_type, **values)


command = Command(
    "read-flash",
    callback=_run,
    help="Read SIZE bytes of flash from ADDRESS into the file OUTPUT. SIZE may have the suffix k "
    "or M, or be ALL. ADDRESS may be the name of a partition; without SIZE, all of it is read.",
    params=[
        RangeArgument(["address"], behind=("size", "output")),
        click.Argument(["size"], type=Size(allow_all=True)),
        click.Argument(["output"], type=OutputFile()),
        params.no_progress(),
        params.flash_size(),
        params.flash_type(),
        params.spi_connection(),
        *table_options(),
    ],
)
