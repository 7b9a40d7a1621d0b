# SPDX-License-Identifier: Apache-2.0
"""`esptool read-flash-sfdp`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.params import AnyInt
from esptool.cli.state import Globals


@click.pass_obj
def _run(
    state: Globals, /, address: int, bytes: int, spi_connection: Any, **_flash_params: Any
) -> None:
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.attach_flash(esp, spi_connection)
        cmds.read_flash_sfdp(esp, address, bytes)


command = Command(
    "read-flash-sfdp",
    callback=_run,
    help="Read BYTES (1 to 4) bytes of the flash's SFDP tables from ADDRESS.",
    params=[
        click.Argument(["address"], type=AnyInt()),
        click.Argument(["bytes"], type=AnyInt()),
        *params.flash_params(),
        params.spi_connection(),
    ],
)
