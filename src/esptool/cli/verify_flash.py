# SPDX-License-Identifier: Apache-2.0
"""`esptool verify-flash`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import params
from esptool.cli.common import Command
from esptool.cli.params import PairsArgument
from esptool.cli.places import table_options
from esptool.cli.state import Globals
from esptool.cli.words import deprecated


@click.pass_obj
def _run(
    state: Globals,
    /,
    addr_filename: list[tuple[int | str, str]],
    diff: bool,
    flash_freq: str,
    flash_mode: str,
    flash_size: str,
    flash_type: str,
    spi_connection: Any,
    **values: Any,
) -> None:
    params.refuse_nand_without_pins({"flash_type": flash_type, "spi_connection": spi_connection})
    with state.chip_session(flash_type=flash_type) as esp:
        from esptool import cmds

        cmds.attach_flash(esp, spi_connection, flash_type)
        cmds.verify_flash(
            esp, list(addr_filename), flash_freq, flash_mode, flash_size, diff, flash_type, **values
        )


class _VerifyFlash(Command):
    """Takes '--diff=yes' and '--diff=no' as they were written before."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = []
        for arg in args:
            if arg in ("--diff=yes", "--diff=no"):
                deprecated(f"'{arg}'", "--diff")
                if arg.endswith("no"):
                    continue
                arg = "--diff"
            words.append(arg)
        return super().parse_args(ctx, words)


command = _VerifyFlash(
    "verify-flash",
    callback=_run,
    help="Compare flash with files, by a hash that the chip makes. The name of a partition may "
    "stand for an address. Flash parameters given when "
    "the boot loader was written must be given again.",
    params=[
        PairsArgument(["addr_filename"], nargs=-1, required=True),
        click.Option(
            ["--diff", "-d"], is_flag=True, help="Read back what differs and show every byte."
        ),
        *params.flash_params(),
        params.flash_type(),
        params.spi_connection(),
        *table_options(),
    ],
)
