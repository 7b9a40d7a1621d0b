# SPDX-License-Identifier: Apache-2.0
"""`esptool read-mac`."""

from __future__ import annotations

import click

from esptool.cli.common import Command
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /) -> None:
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.read_mac(esp)


command = Command(
    "read-mac",
    callback=_run,
    help="Show the MAC address that the chip was made with.",
)
