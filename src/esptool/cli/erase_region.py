# SPDX-License-Identifier: Apache-2.0
"""`esptool erase-region`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.params import RangeArgument, Size
from esptool.cli.places import table_options
from esptool.cli.state import Globals


@click.pass_obj
def _run(
    state: Globals,
    /,
    address: int | str,
    size: int | str,
    force: bool,
    flash_type: str,
    spi_connection: Any,
    **values: Any,
) -> None:
    params.refuse_nand_without_pins({"flash_type": flash_type, "spi_connection": spi_connection})
    with state.chip_session(flash_type=flash_type) as esp:
        from esptool import cmds
        from esptool.ops.erase import ALL

        cmds.attach_flash(esp, spi_connection, flash_type)
        length = ALL if isinstance(size, str) else size
        cmds.erase_region(esp, address, length, force, flash_type, **values)


command = Command(
    "erase-region",
    callback=_run,
    help="Erase SIZE bytes of flash from ADDRESS; both are multiples of 4096. SIZE may have the "
    "suffix k or M, or be ALL. ADDRESS may be the name of a partition; without SIZE, all of it is "
    "erased.",
    params=[
        RangeArgument(["address"], behind=("size",)),
        click.Argument(["size"], type=Size(allow_all=True)),
        click.Option(
            ["--force"],
            is_flag=True,
            help="Erase also where secure boot or flash encryption is active.",
        ),
        params.flash_type(),
        params.spi_connection(),
        *table_options(),
    ],
)
