# SPDX-License-Identifier: Apache-2.0
"""`esptool load-ram`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import monitor
from esptool.cli.common import Command
from esptool.cli.params import ReadableFile
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, filename: str, **values: Any) -> None:
    settings = monitor.taken(values)
    state.keep_port = settings is not None
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.load_ram(esp, filename)
    monitor.run_afterwards(state, settings)


command = Command(
    "load-ram",
    callback=_run,
    help="Send an image (or Intel HEX file) into RAM and run it. Flash is not touched, and the "
    "chip is not reset afterwards. A program that wants the RAM where the stub is needs --no-stub.",
    params=[click.Argument(["filename"], type=ReadableFile()), *monitor.monitor_options()],
)
