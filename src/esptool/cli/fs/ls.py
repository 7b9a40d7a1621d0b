# SPDX-License-Identifier: Apache-2.0
"""`esptool fs ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.fs import common
from esptool.cli.state import Globals

if TYPE_CHECKING:
    from esptool.storage.fs import Entry, FileSystem


@click.pass_obj
def _run(state: Globals, /, path: str | None, **values: Any) -> None:
    with common.opened_fs(state, values, "ls") as (place, fs):
        entries = fs.entries()
        if path is not None and path.strip("/"):
            from esptool.storage.fs.model import clean

            base = clean(path)
            inside = [e for e in entries if e.path == base or e.path.startswith(f"{base}/")]
            entries = inside or [fs.find(base)]
        machine.result(_data(fs, entries, place.label))
        _show(fs, entries, place.label)


def _data(fs: FileSystem, entries: list[Entry], label: str) -> dict[str, Any]:
    usage = fs.usage()
    return {
        "where": label,
        "type": fs.kind,
        "parameters": dict(fs.details()),
        "total": usage.total,
        "used": usage.used,
        "free": usage.free,
        "entries": [
            {"path": e.path, "type": "folder" if e.is_dir else "file", "size": e.size}
            for e in entries
        ],
    }


_NAMES = {"littlefs": "LittleFS", "fat": "FAT", "spiffs": "SPIFFS"}


def _show(fs: FileSystem, entries: list[Entry], label: str) -> None:
    from esptool.logger import log

    usage, details = fs.usage(), fs.details()
    kind = _NAMES[fs.kind]
    if fs.kind == "fat":
        kind = f"FAT{details['fat']}{' below wear levelling' if details['wear_levelling'] else ''}"
    log.print(
        f"{kind} in {label}: {usage.used:,} of {usage.total:,} bytes used, {usage.free:,} free"
    )
    if not entries:
        log.print("It holds no files.")
    width = max((len(f"{entry.size:,}") for entry in entries), default=0)
    for entry in entries:
        size = "" if entry.is_dir else f"{entry.size:,}"
        log.print(f"{size:>{width}}  {common.plain(entry.path)}{'/' if entry.is_dir else ''}")


command = Command(
    "ls",
    callback=_run,
    help="Show the files and folders in the file system of PARTITION, or those below PATH, their "
    "sizes, and how much is free.",
    params=[
        common.partition_argument(),
        click.Argument(["path"], required=False),
        *common.source_options(),
    ],
)
