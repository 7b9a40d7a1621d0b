# SPDX-License-Identifier: Apache-2.0
"""`esptool run`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import monitor
from esptool.cli.common import Command
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, **values: Any) -> None:
    settings = monitor.taken(values)
    state.keep_port = settings is not None
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.run(esp)
    monitor.run_afterwards(state, settings)


command = Command(
    "run",
    callback=_run,
    help="Leave the loader and start the application in flash.",
    params=[*monitor.monitor_options()],
)
