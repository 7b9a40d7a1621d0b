# SPDX-License-Identifier: Apache-2.0
"""`esptool read-sdc-chip-info`."""

from __future__ import annotations

import click

from esptool.cli.common import Command
from esptool.cli.params import OutputFile
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, output: str) -> None:
    with state.chip_session(stub=False) as esp:
        from esptool import cmds

        cmds.read_sdc_chip_info(esp, output)


command = Command(
    "read-sdc-chip-info",
    callback=_run,
    help="Read the chip info that a Secure Debug Certificate is made for.",
    params=[
        click.Option(
            ["--output", "-o"],
            type=OutputFile(),
            default="chip_info.bin",
            help="File for chip info and nonce.",
        )
    ],
)
