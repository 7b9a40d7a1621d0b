# SPDX-License-Identifier: Apache-2.0
"""Kinds of options and groups by the names under which wrappers of the command line import them.

Programs that add commands to `esptool.cli`, or take values as it does, are served by this module;
the tool's own command line does not use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from esptool.cli.baud import Baud as BaudRateType
from esptool.cli.common import Group as EsptoolGroup
from esptool.cli.connection import prepare_esp_object
from esptool.cli.params import AnyInt as AnyIntType
from esptool.cli.params import Chip as ChipType
from esptool.cli.params import DiffFile as DiffWithType
from esptool.cli.params import OldSpellingChoice as ResetModeType
from esptool.cli.params import Port as SerialPortType
from esptool.cli.params import Size, parse_pairs
from esptool.cli.params import SpiConnection as SpiConnectionType
from esptool.cli.words import EatAll as OptionEatAll
from esptool.cli.words import Exclusive as MutuallyExclusiveOption
from esptool.transport.discovery import parse_port_filters

if TYPE_CHECKING:
    from esptool.loader import ESPLoader

__all__ = [
    "AddrFilenamePairType",
    "AnyIntType",
    "AutoHex2BinType",
    "AutoSizeType",
    "BaudRateType",
    "ChipType",
    "DiffWithType",
    "EspRichGroup",
    "EsptoolGroup",
    "MutuallyExclusiveOption",
    "OptionEatAll",
    "ResetModeType",
    "SerialPortType",
    "SpiConnectionType",
    "arg_auto_int",
    "parse_port_filters",
    "parse_size_arg",
    "prepare_esp_object",
]

EspRichGroup = EsptoolGroup


class AutoSizeType(Size):
    """A size with a suffix k or M, or "all"."""

    def __init__(self, allow_all: bool = True) -> None:
        super().__init__(allow_all)


class AddrFilenamePairType(click.Path):
    """Words "address file address file ..." of an argument with many values, as open files."""

    name = "addr-filename pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Pairs of address and open file."""
        if isinstance(value, str) or (value and isinstance(value[0], tuple)):
            return value
        words: Sequence[str] = value

        def fail(message: str) -> None:
            self.fail(message, param, ctx)

        return [(address, open(name, "rb")) for address, name in parse_pairs(words, fail)]


class AutoHex2BinType(click.Path):
    """A file, of which Intel HEX is taken apart: pairs of address (None for others) and file."""

    def __init__(self, exists: bool = True) -> None:
        super().__init__(exists=exists)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See the class."""
        from esptool.bin_image import intel_hex_to_bin

        return intel_hex_to_bin(open(super().convert(value, param, ctx), "rb"))


def arg_auto_int(x: str) -> int:
    """A number in decimal, or with 0x, 0o or 0b in front of it."""
    return int(x, 0)


def parse_size_arg(esp: ESPLoader, size: int | str) -> int:
    """A size in bytes; "all" is the size of the flash.

    Raises:
        FatalError: "all", and the size of the flash cannot be found out.
    """
    if isinstance(size, int):
        return size
    if size.lower() != "all":
        return int(Size().convert(size, None, None))
    from esptool.ops.flash_info import require_known_size

    return require_known_size(esp.session, "This command on")
