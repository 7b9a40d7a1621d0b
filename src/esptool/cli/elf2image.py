# SPDX-License-Identifier: Apache-2.0
"""`esptool elf2image`: make a firmware image of an ELF file."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import machine, stdio
from esptool.cli.common import Command
from esptool.cli.help import Sectioned
from esptool.cli.params import (
    FREQUENCIES,
    MODES,
    SIZES,
    AnyInt,
    IntRange,
    OutputFile,
    ReadableFile,
)
from esptool.cli.state import Globals

SECTION = "Flash parameters for the header"


def flash_options(keep: bool) -> list[click.Option]:
    """--flash-freq, --flash-mode, --flash-size; with `keep`, that word is allowed and default."""
    word = ("keep",) if keep else ()
    return [
        Sectioned(
            ["--flash-freq", "-ff"],
            type=click.Choice([*word, *FREQUENCIES]),
            default="keep" if keep else None,
            envvar="ESPTOOL_FF",
            section=SECTION,
            help="Clock of the flash.",
        ),
        Sectioned(
            ["--flash-mode", "-fm"],
            type=click.Choice([*word, *MODES]),
            default="keep" if keep else "qio",
            envvar="ESPTOOL_FM",
            section=SECTION,
            help="Data lines of the flash.",
        ),
        Sectioned(
            ["--flash-size", "-fs"],
            type=click.Choice([*word, *SIZES]),
            default="keep" if keep else "1MB",
            envvar="ESPTOOL_FS",
            section=SECTION,
            help="Size of the flash. 256KB, 512KB and the -c1 sizes are ESP8266's.",
        ),
    ]


def chip_name(ctx: click.Context) -> str | None:
    """The chip that --chip names, None for "auto"."""
    state: Globals = ctx.obj
    return None if state.chip == "auto" else state.chip


def needed_chip(ctx: click.Context) -> str:
    """The chip that --chip names.

    Raises:
        UsageError: it was left out, and nothing else tells the chip.
    """
    chip = chip_name(ctx)
    if chip is None:
        from esptool.chips import KEYS
        from esptool.errors import UsageError

        raise UsageError(f"Specify the --chip argument (choose from {', '.join(KEYS)}).")
    return chip


@click.pass_context
def _run(ctx: click.Context, /, filename: str, **options: Any) -> None:
    chip = needed_chip(ctx)
    from esptool.cmds_image import elf2image

    options["append_digest"] = not options.pop("dont_append_digest")
    options["version"] = int(options["version"])
    output = options.pop("output") or "auto"
    if output == "auto" and stdio.is_input(filename):
        from esptool.errors import UsageError

        raise UsageError("Standard input has no name to make one of.", remedy="Add --output.")
    if not stdio.is_output(output):
        elf2image(filename, chip, output, **options)
        return
    image = elf2image(filename, chip, None, **options)
    if not isinstance(image, bytes):
        from esptool.errors import UsageError

        raise UsageError("Standard output takes one file.", remedy="Name the files with --output.")
    from esptool.files import write_atomic

    write_atomic(output, image)
    machine.result({"files": [{"file": f"{output}", "size": len(image)}]})


command = Command(
    "elf2image",
    callback=_run,
    help="Make a firmware image of an ELF file. Needs no device.",
    params=[
        click.Argument(["filename"], type=ReadableFile()),
        click.Option(
            ["--output", "-o"],
            type=OutputFile(checked=False),
            help="Name of the image (for ESP8266 version 1: the beginning of two names). "
            "By default it is made of the ELF file's.",
        ),
        click.Option(
            ["--version", "-e"],
            type=click.Choice(["1", "2", "3"]),
            default="1",
            help="ESP8266: layout of the image.",
        ),
        click.Option(["--min-rev", "-r"], type=IntRange(0, 255), default=0, hidden=True),
        click.Option(
            ["--min-rev-full"],
            type=IntRange(0, 65535),
            default=0,
            help="Oldest chip revision that may run the image, as major * 100 + minor.",
        ),
        click.Option(
            ["--max-rev-full"],
            type=IntRange(0, 65535),
            default=65535,
            help="Newest chip revision that may run the image, as major * 100 + minor.",
        ),
        click.Option(
            ["--secure-pad"],
            is_flag=True,
            help="Secure Boot V1: pad so that the signed image ends on a 64 KB boundary.",
        ),
        click.Option(
            ["--secure-pad-v2"],
            is_flag=True,
            help="Secure Boot V2: pad to 64 KB, so that the signature sector starts a block.",
        ),
        click.Option(
            ["--elf-sha256-offset"],
            type=AnyInt(),
            help="Put the ELF file's SHA-256 at this offset of the image, where zeros must be.",
        ),
        click.Option(
            ["--dont-append-digest"],
            is_flag=True,
            help="Leave out the SHA-256 of the image behind its checksum (not on ESP8266).",
        ),
        click.Option(
            ["--use-segments"],
            is_flag=True,
            help="Take the ELF's segments (program headers) instead of its sections.",
        ),
        click.Option(
            ["--flash-mmu-page-size"],
            type=click.Choice(["256KB", "128KB", "64KB", "32KB", "16KB", "8KB"]),
            help="Page size of the flash MMU, on chips where it can be chosen.",
        ),
        click.Option(
            ["--pad-to-size"],
            help="Fill the image with 0xFF to a multiple of this size, e.g. 512KB or 4MB.",
        ),
        click.Option(
            ["--ram-only-header"],
            is_flag=True,
            help="Put RAM segments first and count only them in the header, so that the ROM "
            "loader does not see the others. No digest is appended.",
        ),
        *flash_options(keep=False),
    ],
)
