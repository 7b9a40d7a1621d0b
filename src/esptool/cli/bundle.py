# SPDX-License-Identifier: Apache-2.0
"""`esptool bundle`: a build as one file that any `flash` takes."""

from __future__ import annotations

import os
from typing import Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.elf2image import chip_name
from esptool.cli.flash import What, build_options, found_build, tell
from esptool.cli.params import OutputFile


@click.pass_context
def _run(
    ctx: click.Context,
    /,
    what: tuple[str, ...],
    output: str,
    compress: bool,
    no_elf: bool,
    **values: Any,
) -> None:
    chip = chip_name(ctx)
    found = found_build(what, values)
    tell(found.build)
    from esptool.builds.jobs import build_json, make_bundle, part_json
    from esptool.logger import log
    from esptool.render import to_log

    build = make_bundle(
        found, output, chip=chip, compress=compress, with_elf=not no_elf, listener=to_log
    )
    machine.result(
        {
            "build": build_json(build),
            "parts": [part_json(part) for part in build.parts],
            "file": output,
            "size": os.path.getsize(output),
        }
    )
    for note in build.notes:
        log.note(note)


command = Command(
    "bundle",
    callback=_run,
    help="Put a build into one file that any 'esptool flash' takes: images, addresses, hashes, "
    "flash parameters, and the ELF file. The same build gives the same bytes. Needs no device.",
    params=[
        click.Argument(["what"], nargs=-1, type=What(), metavar="[WHAT]..."),
        click.Option(
            ["--output", "-o"], type=OutputFile(), required=True, help="Name of the bundle."
        ),
        click.Option(
            ["--compress"],
            is_flag=True,
            help="Deflate: smaller, but not the same bytes with every version of zlib.",
        ),
        click.Option(["--no-elf"], is_flag=True, help="Leave out the ELF file."),
        *build_options(),
    ],
)
