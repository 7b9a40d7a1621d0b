# SPDX-License-Identifier: Apache-2.0
"""A simulated chip behind a pyserial URL, `virtual://esp32s3?flash=8MB`. Importing this is cheap.

It shares chip data with the tool but no codec: requests are parsed by its own code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esptool.virtual.board import Board

__all__ = ["find_board", "register"]

#: The package in which pyserial finds `protocol_virtual`.
HANDLERS = "esptool.virtual.handlers"


def register() -> None:
    """Let `serial.serial_for_url("virtual://...")` work in this process."""
    import serial

    if HANDLERS not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(HANDLERS)


def find_board(name: str) -> Board:
    """The board opened as `virtual://CHIP?name=NAME` in this process.

    Raises:
        KeyError: none of that name has been opened yet.
    """
    from esptool.virtual.board import NAMED

    return NAMED[name]
