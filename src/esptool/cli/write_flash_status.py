# SPDX-License-Identifier: Apache-2.0
"""`esptool write-flash-status`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.params import AnyInt
from esptool.cli.state import Globals


@click.pass_obj
def _run(
    state: Globals, /, value: int, bytes: str, non_volatile: bool, spi_connection: Any
) -> None:
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.attach_flash(esp, spi_connection)
        cmds.write_flash_status(esp, value, int(bytes), non_volatile)


command = Command(
    "write-flash-status",
    callback=_run,
    help="Write VALUE to the status registers of the flash.",
    params=[
        click.Argument(["value"], type=AnyInt()),
        click.Option(
            ["--non-volatile"],
            is_flag=True,
            help="Keep the value over a power cycle. Some bits cannot be taken back.",
        ),
        click.Option(
            ["--bytes"],
            type=click.Choice(["1", "2", "3"]),
            default="2",
            help="How many registers.",
        ),
        params.spi_connection(),
    ],
)
