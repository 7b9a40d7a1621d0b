# SPDX-License-Identifier: Apache-2.0
"""`esptool coredump elf`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.coredump import common
from esptool.cli.params import OutputFile
from esptool.cli.places import place_options
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, output: str, **values: Any) -> None:
    from esptool import files
    from esptool.logger import log
    from esptool.monitor import coredump

    core, label = common.read(state, values, "elf")
    data = coredump.to_elf(core)
    files.write_atomic(output, data)
    machine.result({"where": label, "file": output, "size": len(data)})
    log.print(f"Wrote {len(data)} bytes to {output}: {len(core.tasks)} tasks.")


command = Command(
    "elf",
    callback=_run,
    help="Write a core file in ELF, for GDB: gdb app.elf core.elf.",
    params=[
        common.source_argument(),
        click.Option(["--output", "-o"], type=OutputFile(), required=True, help="The file."),
        *place_options(),
    ],
)
