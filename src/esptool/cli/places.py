# SPDX-License-Identifier: Apache-2.0
"""Options of commands that work on partitions, and the flash that they mean: a device or a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from esptool.cli import stdio
from esptool.cli.help import Sectioned
from esptool.cli.params import AnyInt, ReadableFile, spi_connection

if TYPE_CHECKING:
    from esptool.cli.state import Globals
    from esptool.events import Listener
    from esptool.ops.places import Flash, TableSource

SECTION = "Where the partitions are"
#: Commands that write to the flash or file that they are given.
CHANGING = frozenset(
    (
        *("ota write", "ota boot", "ota erase", "nvs set", "nvs delete"),
        *("fs put", "fs rm", "fs build"),
    )
)


def table_options() -> list[click.Option]:
    """--partition-table-offset and --partition-table, of all commands that take names."""
    return [
        Sectioned(
            ["--partition-table-offset"],
            type=AnyInt(),
            envvar="ESPTOOL_PARTITION_TABLE_OFFSET",
            section=SECTION,
            help="Where the partition table is. Without it, it is looked for from 0x8000 on.",
        ),
        Sectioned(
            ["--partition-table"],
            type=ReadableFile(),
            envvar="ESPTOOL_PARTITION_TABLE",
            section=SECTION,
            help="A table (CSV or binary) to use in place of the one in flash.",
        ),
    ]


def place_options() -> list[click.Option]:
    """The same, and --file to work on a file in place of a device. For `opened_flash`."""
    return [
        Sectioned(
            ["--file", "-f"],
            type=ReadableFile(),
            section=SECTION,
            help="Work on this file, without a device: a flash dump, a merged image, a state file "
            "of the virtual chip, or a single partition.",
        ),
        *table_options(),
        spi_connection(),
    ]


def table_source(values: MutableMapping[str, Any]) -> TableSource:
    """Takes the values of `table_options` out of `values`."""
    from esptool.ops.places import TableSource

    return TableSource(values.pop("partition_table_offset"), values.pop("partition_table"))


def partition_name(values: MutableMapping[str, Any]) -> str:
    """PARTITION, taken out of `values`; a file that is named in its place is as good as --file.

    Raises:
        UsageError: it can only be the path of a file, and there is none.
    """
    name: str = values.pop("partition")
    if name == stdio.DASH and values["file"] is None:
        values["file"] = stdio.read_from(None)
        return ""
    is_path = bool(os.path.dirname(name))
    if values["file"] is not None or not (is_path or "." in name):
        return name
    if os.path.exists(name) and not os.path.isdir(name):
        values["file"] = name
        return ""
    if is_path:
        from esptool.errors import UsageError

        raise UsageError(
            f"'{name}' is a folder." if os.path.isdir(name) else f"There is no file '{name}'.",
            remedy="Give a file, or the name of a partition.",
        )
    from esptool.logger import log

    log.note(f"There is no file '{name}': it is taken for the name of a partition.")
    return name


@contextmanager
def opened_flash(
    state: Globals,
    values: MutableMapping[str, Any],
    *,
    command: str = "",
    listener: Listener | None = None,
) -> Iterator[Flash]:
    """The flash that the options of `place_options` name; takes them out of `values`.

    Args:
        state: the program's options.
        values: the command's.
        command: its full name where it is one of a group, such as "nvs set".
        listener: told what goes on; None prints it.

    Raises:
        FatalError: no chip, or the file cannot be read.
    """
    source, path = table_source(values), values.pop("file")
    wiring = values.pop("spi_connection")
    if path is not None:
        if stdio.is_input(path) and command in CHANGING:
            from esptool.errors import UsageError

            raise UsageError(f"'{command}' cannot change standard input.", remedy="Name a file.")
        from esptool.config import load_settings
        from esptool.ops.places import opened_file

        with opened_file(path, source.completed(load_settings())) as file:
            yield file
        return
    state.command = command or state.command
    with state.chip_session() as esp:
        from esptool import cmds
        from esptool.ops.places import DeviceFlash

        cmds.attach_flash(esp, wiring, listener=listener)
        yield DeviceFlash(esp.session, source, listener=listener)
