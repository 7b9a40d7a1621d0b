# SPDX-License-Identifier: Apache-2.0
"""`esptool run`."""

from __future__ import annotations

import click

from esptool.cli.common import Command
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /) -> None:
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.run(esp)


command = Command(
    "run",
    callback=_run,
    help="Leave the loader and start the application in flash.",
)
