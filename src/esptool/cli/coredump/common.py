# SPDX-License-Identifier: Apache-2.0
"""Where a core dump is, for all commands on them."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import click

from esptool.cli import stdio
from esptool.cli.places import opened_flash, partition_name

if TYPE_CHECKING:
    from esptool.cli.state import Globals
    from esptool.monitor.coredump import Core

_HEAD = 64


def source_argument() -> click.Argument:
    """FILE-or-PARTITION; the partition that ESP-IDF calls so where it is left away."""
    return click.Argument(["partition"], metavar="[FILE-or-PARTITION]", default="coredump")


def read(state: Globals, values: MutableMapping[str, Any], command: str) -> tuple[Core, str]:
    """The core dump that the options name, and how it is called; takes them out of `values`.

    Raises:
        FatalError: it cannot be read, is none, or is damaged.
    """
    from esptool.monitor import coredump
    from esptool.monitor.coredump.container import from_text, size_of

    name = values["partition"]
    if name == stdio.DASH and values["file"] is None:
        name = values["partition"] = stdio.read_from(None)
    if values["file"] is None and os.path.isfile(name):
        data = _file(name)
        if data.startswith(b"\x7fELF") or size_of(data) is not None or from_text(data) is not None:
            return coredump.load(data), f"'{name}'"
    name = partition_name(values) or "coredump"
    with opened_flash(state, values, command=f"coredump {command}") as flash:
        place = flash.place(name)
        size = size_of(place.read(0, min(_HEAD, place.size)))
        if size is not None and size > place.size:
            size = None
        data = place.read(0, place.size if size is None else size)
        return coredump.load(data), place.label


def _file(name: str) -> bytes:
    from esptool.errors import FatalError

    try:
        with open(name, "rb") as file:
            return file.read()
    except OSError as e:
        raise FatalError(f"Cannot read {name}: {e.strerror}.") from e
