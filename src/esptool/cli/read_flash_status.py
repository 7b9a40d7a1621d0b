# SPDX-License-Identifier: Apache-2.0
"""`esptool read-flash-status`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, bytes: str, spi_connection: Any) -> None:
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.attach_flash(esp, spi_connection)
        cmds.read_flash_status(esp, int(bytes))


command = Command(
    "read-flash-status",
    callback=_run,
    help="Read the status registers of the flash.",
    params=[
        click.Option(
            ["--bytes"],
            type=click.Choice(["1", "2", "3"]),
            default="2",
            help="How many registers.",
        ),
        params.spi_connection(),
    ],
)
