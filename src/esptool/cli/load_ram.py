# SPDX-License-Identifier: Apache-2.0
"""`esptool load-ram`."""

from __future__ import annotations

import click

from esptool.cli.common import Command
from esptool.cli.params import ReadableFile
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, filename: str) -> None:
    # The program may want the RAM that a stub would sit in.
    with state.chip_session(stub=False) as esp:
        from esptool import cmds

        cmds.load_ram(esp, filename)


command = Command(
    "load-ram",
    callback=_run,
    help="Send an image (or Intel HEX file) into RAM and run it. Flash is not touched, and the "
    "chip is not reset afterwards.",
    params=[click.Argument(["filename"], type=ReadableFile())],
)
