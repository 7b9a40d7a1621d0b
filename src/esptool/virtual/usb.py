# SPDX-License-Identifier: Apache-2.0
"""The USB identity of a virtual board: a bridge chip, USB-Serial/JTAG, or the chip's own OTG."""

from __future__ import annotations

import sys

from esptool.virtual import silicon
from esptool.virtual.options import Options, parse_url

_ESPRESSIF = 0x303A
_JTAG_PID = 0x1001
_CP210X = (0x10C4, 0xEA60, "CP2102N USB to UART Bridge Controller")


def identity(url: str) -> tuple[int, int, str, str]:
    """(vendor id, product id, product, serial number) of the board behind a URL."""
    return of_options(parse_url(url))


def present() -> list[tuple[str, tuple[int, int, str, str]]]:
    """URL and identity of the boards of this process that a list of ports shows: those that may
    come back under another name."""
    board = sys.modules.get("esptool.virtual.board")
    if board is None:
        return []
    return [
        (b.url, of_options(b.options))
        for b in list(board.NAMED.values())
        if b.options.faults.rename and b.url is not None and not b.away_s()
    ]


def of_options(options: Options) -> tuple[int, int, str, str]:
    """The same for options already read."""
    serial = options.serial or "0001"
    if options.link == "usb-jtag":
        return _ESPRESSIF, _JTAG_PID, "USB JTAG/serial debug unit", serial
    if options.link == "usb-otg":
        chip = silicon.of(options.chip)
        return _ESPRESSIF, chip.otg_product or chip.chip_id or 0, "ESP ROM", serial
    return (*_CP210X, serial)
