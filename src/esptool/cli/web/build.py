# SPDX-License-Identifier: Apache-2.0
"""`esptool web build`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.elf2image import chip_name
from esptool.cli.params import PairsArgument, ReadableFile
from esptool.cli.places import table_options
from esptool.errors import UsageError
from esptool.sizes import counted

if TYPE_CHECKING:
    from esptool.image.regions import Region


@click.pass_context
def _run(
    ctx: click.Context,
    /,
    output: str,
    addr_filename: list[tuple[int | str, str]],
    manifest: str | None,
    title: str | None,
    core: str,
    with_burning: bool,
    **where: Any,
) -> None:
    if manifest is not None and addr_filename:
        raise UsageError("--manifest names the files already: leave the others out.")
    from esptool.logger import log
    from esptool.render import to_log
    from esptool.web.build import build

    chip = chip_name(ctx)
    regions = _regions(chip, addr_filename, where)
    site = build(
        output,
        manifest_file=manifest,
        regions=regions,
        chip=chip or _chip_of(regions),
        title=title,
        core_from=core,
        burning=with_burning,
        listener=to_log,
    )
    machine.result({"folder": site.folder, "file_count": len(site.files), "size": site.size})
    log.print(f"Made '{output}': {counted(len(site.files), 'file')}, {site.size / 1e6:.1f} MB.")
    log.print(f"Look at it with 'esptool web serve {output}', or put it on any web server.")


def _regions(
    chip: str | None, pairs: list[tuple[int | str, str]], where: dict[str, Any]
) -> list[Region]:
    """The files as `write-flash` takes them."""
    from esptool.chips.nor import SECTOR
    from esptool.image.regions import refuse_overlap
    from esptool.image.sources import read_source, split_regions
    from esptool.ops.planning import load_named

    names = None
    if any(not isinstance(address, int) for address, _ in pairs):
        from esptool.ops.addresses import names_without_flash
        from esptool.ops.places import TableSource

        if chip is None:
            raise UsageError("Names of partitions need the chip.", remedy="Add --chip in front.")
        source = TableSource(where["partition_table_offset"], where["partition_table"])
        names = names_without_flash(chip, pairs, source)
    regions: list[Region] = []
    for address, filename in pairs:
        if isinstance(address, int):
            data, name = read_source(filename)
            regions += split_regions(data, address, name)
        else:
            regions += load_named((address, filename), names)[1]
    refuse_overlap(regions, SECTOR)
    return regions


def _chip_of(regions: list[Region]) -> str | None:
    """The chip that an image among the files is for, where just one says so."""
    from esptool.errors import FatalError
    from esptool.image.info import examine, find_images

    found = set()
    for region in regions:
        for image in find_images(bytes(region.data)):
            try:
                found.add(examine(bytes(image.data)).chip.key)
            except FatalError:
                continue
    return found.pop() if len(found) == 1 else None


command = Command(
    "build",
    callback=_run,
    help="Make the folder OUTPUT with a page that installs firmware and works on boards, all of it "
    "in the browser: any web server can serve it. The firmware is that of a manifest (format of "
    "ESP Web Tools), or files as write-flash takes them; without either, visitors bring their "
    "own. Needs no device.",
    params=[
        click.Argument(["output"], type=click.Path(file_okay=False)),
        PairsArgument(["addr_filename"], nargs=-1),
        click.Option(
            ["--manifest", "-m"],
            type=ReadableFile(),
            help="A manifest of ESP Web Tools; the files that it names are copied.",
        ),
        click.Option(["--title"], help="Name of the firmware, where no manifest says it."),
        click.Option(
            ["--core"],
            default="npm",
            metavar="FOLDER|npm",
            help="Where Python for the browser comes from: the npm client, or a node_modules "
            "folder that has pyodide, @xterm/xterm and web-serial-polyfill.",
        ),
        click.Option(
            ["--with-burning"],
            is_flag=True,
            help="Let the workbench burn eFuses, after a plan and the word BURN. Without this "
            "option what burns is not part of the page.",
        ),
        *table_options(),
    ],
)
