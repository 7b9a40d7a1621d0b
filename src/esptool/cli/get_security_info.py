# SPDX-License-Identifier: Apache-2.0
"""`esptool get-security-info`."""

from __future__ import annotations

import click

from esptool.cli.common import Command
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /) -> None:
    with state.chip_session() as esp:
        from esptool import cmds

        cmds.get_security_info(esp)


command = Command(
    "get-security-info",
    callback=_run,
    help="Show what the chip tells of its security: secure boot, flash encryption, keys.",
)
