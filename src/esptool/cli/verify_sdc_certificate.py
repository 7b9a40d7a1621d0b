# SPDX-License-Identifier: Apache-2.0
"""`esptool verify-sdc-certificate`."""

from __future__ import annotations

import click

from esptool.cli.common import Command
from esptool.cli.params import ReadableFile
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, filename: str) -> None:
    with state.chip_session(stub=False) as esp:
        from esptool import cmds

        cmds.verify_sdc_certificate(esp, filename)


command = Command(
    "verify-sdc-certificate",
    callback=_run,
    help="Have the chip judge a Secure Debug Certificate, which may open debug access.",
    params=[click.Argument(["filename"], type=ReadableFile())],
)
