# SPDX-License-Identifier: Apache-2.0
"""What the commands on file systems share: where it is, and what cannot be found out."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from esptool.cli.help import Sectioned
from esptool.cli.params import Size
from esptool.cli.places import opened_flash, partition_name, place_options

if TYPE_CHECKING:
    from esptool.cli.state import Globals
    from esptool.ops.places import Place
    from esptool.storage.fs import FileSystem, Shape

SECTION = "What the file system is like"
_KINDS = ("littlefs", "fat", "spiffs")
_PRESETS = ("esp-idf", "arduino", "esp8266", "micropython")


def partition_argument() -> click.Argument:
    """PARTITION."""
    return click.Argument(["partition"])


def _number(name: str, text: str) -> click.Option:
    return Sectioned([name], type=Size(), section=SECTION, help=text)


def kind_options() -> list[click.Option]:
    """--type and --preset, and what a SPIFFS without magic numbers cannot tell."""
    return [
        Sectioned(
            ["--type", "kind"],
            type=click.Choice(_KINDS),
            section=SECTION,
            help="Which file system. Without it, the image tells.",
        ),
        Sectioned(
            ["--preset"],
            type=click.Choice(_PRESETS),
            section=SECTION,
            help="Whose defaults count for what the image does not tell.",
        ),
        _number("--block-size", "LittleFS and SPIFFS: bytes of a block."),
        _number("--page-size", "SPIFFS: bytes of a page."),
        _number("--name-length", "LittleFS: longest name. SPIFFS: longest path and its NUL."),
        _number("--meta-length", "SPIFFS: bytes of metadata of a file."),
        Sectioned(
            ["--aligned/--not-aligned"],
            default=None,
            section=SECTION,
            help="SPIFFS: tables of index pages begin at even offsets.",
        ),
        Sectioned(
            ["--no-magic"],
            is_flag=True,
            section=SECTION,
            help="SPIFFS: blocks have no magic number.",
        ),
        Sectioned(
            ["--no-magic-length"],
            is_flag=True,
            section=SECTION,
            help="SPIFFS: the magic number does not depend on the size.",
        ),
    ]


def source_options() -> list[click.Option]:
    """All options that say where the file system is, and what it is like."""
    return [*kind_options(), *place_options()]


def shape_of(values: MutableMapping[str, Any]) -> tuple[Shape | None, str | None]:
    """What the options of `kind_options` and those of `build` say, and the preset.

    Takes them out of `values`; no shape if nothing was said.
    """
    from esptool.storage.fs import Shape

    preset = values.pop("preset")
    said = {
        name: values.pop(name)
        for name in ("block_size", "page_size", "name_length", "meta_length", "aligned")
    }
    said["magic"] = not values.pop("no_magic")
    said["magic_length"] = not values.pop("no_magic_length")
    more = {name: values.pop(name, None) for name in ("wear", "sector_size", "version")}
    counts = {
        name: values.pop(name)
        for name in ("cluster_sectors", "fats", "root_entries")
        if name in values
    }
    shape = Shape(preset or "esp-idf", **said, **more, **counts)
    return (None if preset is None and shape == Shape() else shape), preset


@contextmanager
def opened_place(
    state: Globals, values: MutableMapping[str, Any], command: str, *, to_change: bool = False
) -> Iterator[Place]:
    """The partition that PARTITION and the options name; takes them out of `values`.

    Raises:
        FatalError: it cannot be read, or with `to_change` is none for files.
    """
    from esptool.ops.file_systems import require_for_files

    name = partition_name(values)
    with opened_flash(state, values, command=f"fs {command}") as flash:
        place = flash.place(name)
        if to_change:
            require_for_files(place)
        yield place


@contextmanager
def opened_fs(
    state: Globals, values: MutableMapping[str, Any], command: str, *, to_change: bool = False
) -> Iterator[tuple[Place, FileSystem]]:
    """The file system in the partition that PARTITION and the options name.

    Raises:
        FatalError: it cannot be read.
    """
    from esptool.ops.file_systems import open_file_system

    kind = values.pop("kind")
    shape, _ = shape_of(values)
    with opened_place(state, values, command, to_change=to_change) as place:
        yield place, open_file_system(place, kind, shape)


def plain(text: str) -> str:
    """A name on a terminal: what cannot be shown is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
