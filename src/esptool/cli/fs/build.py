# SPDX-License-Identifier: Apache-2.0
"""`esptool fs build`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.fs import common
from esptool.cli.help import Sectioned
from esptool.cli.params import IntRange, OutputFile, Size
from esptool.cli.places import place_options
from esptool.cli.state import Globals
from esptool.sizes import counted

if TYPE_CHECKING:
    from esptool.storage.partition import Partition


@click.pass_obj
def _run(
    state: Globals,
    /,
    folder: str,
    output: str | None,
    size: int | None,
    kind: str | None,
    **values: Any,
) -> None:
    from esptool.errors import UsageError
    from esptool.files import check_output, write_atomic
    from esptool.logger import log
    from esptool.ops import file_systems
    from esptool.storage.fs import Shape

    shape, preset = common.shape_of(values)
    shape = shape or Shape()
    if size is not None and output is None:
        raise UsageError("--size is for a file: add --output. A partition has its own size.")
    if output is not None:
        inside = os.path.realpath(folder)
        if os.path.commonpath([inside, os.path.realpath(output)]) == inside:
            raise UsageError(f"'{output}' lies in '{folder}': the image would hold itself.")
        check_output(output)
        partition = None if size is not None else _of_table(values)
        if size is None and partition is None:
            with common.opened_place(state, values, "build") as place:
                size, partition = place.size, place.partition
                kind = kind or file_systems.kind_in(place)
        elif partition is not None:
            size = partition.size
        if kind is None:
            if partition is None:
                raise UsageError("Say which file system: --type littlefs, fat or spiffs.")
            kind = file_systems.kind_for(partition, preset)
        assert size is not None
        files = file_systems.read_folder(folder, size)
        write_atomic(output, file_systems.build(kind, size, files, shape))
    else:
        with common.opened_place(state, values, "build", to_change=True) as place:
            kind = kind or file_systems.kind_in(place)
            kind = kind or file_systems.kind_for(place.partition, preset)
            files = file_systems.read_folder(folder, place.size)
            image = file_systems.build(kind, place.size, files, shape)
            where = place.label
            place.write(0, image)
    empty = [path for path, data in files.items() if data is None]
    if kind == "spiffs" and any(not _holds(path, files) for path in empty):
        log.note("SPIFFS has no folders: those that are empty were left out.")
    machine.result({"type": kind, "file_count": len(files) - len(empty), "file": output})
    number = counted(len(files) - len(empty), "file")
    if output is None:
        log.print(f"Built {kind} of {number} in {where}.")
    else:
        log.print(f"Wrote {kind} of {number} to '{output}'.")


def _of_table(values: dict[str, Any]) -> Partition | None:
    """The partition in a table that is told, where no flash is: the table has its size."""
    if values["file"] is not None or values["partition_table"] is None:
        return None
    from esptool.cli.places import table_source

    loaded = table_source(values).loaded()
    assert loaded is not None
    return loaded[1][values["partition"]]


def _holds(folder: str, files: dict[str, bytes | None]) -> bool:
    return any(data is not None and path.startswith(f"{folder}/") for path, data in files.items())


command = Command(
    "build",
    callback=_run,
    help="Make a file system of all that is in FOLDER and write it to PARTITION, of which only "
    "sectors that change are written. With --output it goes to a file, in the size of PARTITION; "
    "with --partition-table or --size no device is asked for that. The same files give the same "
    "image.",
    params=[
        common.partition_argument(),
        click.Argument(["folder"], type=click.Path(exists=True, file_okay=False)),
        click.Option(["--output", "-o"], type=OutputFile(), help="Write the image to this file."),
        click.Option(["--size"], type=Size(), help="Bytes of the image, such as 0x100000 or 1M."),
        *common.kind_options(),
        Sectioned(
            ["--disk-version", "version"],
            type=click.Choice(["2.0", "2.1"]),
            section=common.SECTION,
            callback=lambda ctx, param, value: None if value is None else int(value[-1]),
            help="LittleFS: version of the disk format. Old code reads 2.0 only.",
        ),
        Sectioned(
            ["--wear-levelling", "wear"],
            type=click.Choice(["none", "plain", "perf", "safe"]),
            section=common.SECTION,
            help="FAT: 'plain' has sectors of 4096 bytes, 'perf' and 'safe' are ESP-IDF's modes "
            "with sectors of 512. The default is 'plain', but none for MicroPython.",
        ),
        Sectioned(
            ["--sector-size"],
            type=Size(),
            section=common.SECTION,
            help="FAT: bytes of a sector; 4096 by default.",
        ),
        Sectioned(
            ["--cluster-sectors"],
            type=click.INT,
            default=1,
            section=common.SECTION,
            help="FAT: sectors of a cluster.",
        ),
        Sectioned(
            ["--fats"],
            type=IntRange(1, 2),
            default=2,
            section=common.SECTION,
            help="FAT: number of tables.",
        ),
        Sectioned(
            ["--root-entries"],
            type=click.INT,
            default=512,
            section=common.SECTION,
            help="FAT: entries of the root folder.",
        ),
        *place_options(),
    ],
)
