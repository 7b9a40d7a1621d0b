# SPDX-License-Identifier: Apache-2.0
"""`esptool merge-bin`: join files for several flash addresses into one."""

from __future__ import annotations

from typing import Any

import click

from esptool.chips.nor import SECTOR
from esptool.cli.common import Command
from esptool.cli.elf2image import flash_options, needed_chip
from esptool.cli.params import SIZES, AnyInt, OutputFile, PairsArgument
from esptool.cli.places import table_options


class ChunkSize(AnyInt):
    """A positive multiple of 4."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        size = super().convert(value, param, ctx)
        if size % 4:
            self.fail("Chunk size should be a 4-byte aligned number.", param, ctx)
        return size


@click.pass_context
def _run(
    ctx: click.Context, /, addr_filename: list[tuple[int | str, str]], output: str, **options: Any
) -> None:
    chip = needed_chip(ctx)
    from esptool.cmds_image import merge_bin
    from esptool.files import refuse_input_as_output
    from esptool.image.regions import refuse_overlap
    from esptool.image.sources import read_source, split_regions

    refuse_input_as_output(output, (name for _, name in addr_filename))
    where = options.pop("partition_table_offset"), options.pop("partition_table")
    if all(isinstance(address, int) for address, _ in addr_filename):
        names = None
    else:
        from esptool.ops.addresses import names_without_flash
        from esptool.ops.places import TableSource

        names = names_without_flash(chip, addr_filename, TableSource(*where))
    regions = []
    for address, filename in addr_filename:
        if isinstance(address, int):
            data, name = read_source(filename)
            regions += split_regions(data, address, name)
        else:
            from esptool.ops.planning import load_named

            regions += load_named((address, filename), names)[1]
    # Files are flashed sector by sector, so two may not even share a sector.
    refuse_overlap(regions, SECTOR)
    merge_bin([(r.address, r) for r in regions], chip, output, **options)


command = Command(
    "merge-bin",
    callback=_run,
    help="Join files for several flash addresses into one. Intel HEX files bring their own "
    "addresses. The name of a partition may stand for an address where a partition table is among "
    "the files, or given. Needs no device.",
    params=[
        PairsArgument(["addr_filename"], nargs=-1, required=True),
        click.Option(
            ["--output", "-o"], type=OutputFile(), required=True, help="Name of the merged file."
        ),
        click.Option(
            ["--format", "-f"],
            type=click.Choice(["raw", "uf2", "hex"]),
            default="raw",
            help="Format of the merged file.",
        ),
        click.Option(
            ["--chunk-size"],
            type=ChunkSize(),
            help="UF2: data bytes in each 512-byte block; by default as many as fit.",
        ),
        click.Option(["--md5-disable"], is_flag=True, help="UF2: leave out the MD5 of each block."),
        click.Option(
            ["--target-offset", "-t"],
            type=AnyInt(),
            default=0,
            help="Raw: flash offset for which the merged file is meant.",
        ),
        click.Option(
            ["--pad-to-size"],
            type=click.Choice([s for s in SIZES if not s.endswith("-c1")]),
            help="Raw: fill with 0xFF up to this flash size.",
        ),
        *flash_options(keep=True),
        *table_options(),
    ],
)
