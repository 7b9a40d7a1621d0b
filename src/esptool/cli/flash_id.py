# SPDX-License-Identifier: Apache-2.0
"""`esptool flash-id`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, spi_connection: Any) -> None:
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.attach_flash(esp, spi_connection)
        cmds.flash_id(esp)


command = Command(
    "flash-id",
    callback=_run,
    help="Show manufacturer, device and size of the flash.",
    params=[params.spi_connection()],
)
