# SPDX-License-Identifier: Apache-2.0
"""`esptool chip-id`."""

from __future__ import annotations

import click

from esptool.cli.common import Command
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /) -> None:
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.chip_id(esp)


command = Command(
    "chip-id",
    callback=_run,
    help="Show the chip id (ESP8266), or the MAC address of other chips.",
)
