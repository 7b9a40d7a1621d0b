# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have: flash parameters, flash type and wiring."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli.help import Sectioned
from esptool.cli.params import SpiConnection

SECTION = "The flash"
MODES = ("qio", "qout", "dio", "dout")
FREQUENCIES = (
    *("80m", "64m", "60m", "48m", "40m", "32m", "30m"),
    *("26m", "24m", "20m", "16m", "15m", "12m"),
)
SIZES = (
    *("256KB", "512KB", "1MB", "2MB", "2MB-c1", "4MB", "4MB-c1"),
    *("8MB", "16MB", "32MB", "64MB", "128MB"),
)


def flash_size() -> click.Option:
    """--flash-size, which may also be detected or kept."""
    return Sectioned(
        ["--flash-size", "-fs"],
        type=click.Choice(["detect", "keep", *SIZES]),
        default="keep",
        envvar="ESPTOOL_FS",
        section=SECTION,
        help="Size of the flash.",
    )


def flash_params() -> list[click.Option]:
    """--flash-freq, --flash-mode and --flash-size of what stands at the boot loader's offset."""
    return [
        Sectioned(
            ["--flash-freq", "-ff"],
            type=click.Choice(["keep", *FREQUENCIES]),
            default="keep",
            envvar="ESPTOOL_FF",
            section=SECTION,
            help="Clock of the flash, put into the boot loader's header.",
        ),
        Sectioned(
            ["--flash-mode", "-fm"],
            type=click.Choice(["keep", *MODES]),
            default="keep",
            envvar="ESPTOOL_FM",
            section=SECTION,
            help="Data lines of the flash, put into the boot loader's header.",
        ),
        flash_size(),
    ]


def flash_type() -> click.Option:
    """--flash-type."""
    return click.Option(
        ["--flash-type", "-ft"],
        type=click.Choice(["nor", "nand"]),
        default="nor",
        hidden=True,
    )


def spi_connection() -> click.Option:
    """--spi-connection."""
    return Sectioned(
        ["--spi-connection", "-sc"],
        type=SpiConnection(),
        metavar="PINS",
        section=SECTION,
        help="Where the flash is wired: SPI, HSPI, or the GPIO numbers CLK,Q,D,HD,CS.",
    )


def refuse_nand_without_pins(options: dict[str, Any]) -> None:
    """NAND flash is never on the pins that the chip boots from.

    Raises:
        UsageError: --flash-type nand without --spi-connection.
    """
    if options.get("flash_type") == "nand" and options.get("spi_connection") is None:
        raise click.UsageError("--flash-type nand requires --spi-connection.")
