# SPDX-License-Identifier: Apache-2.0
"""A simulated chip behind a pyserial URL, `virtual://esp32s3?flash=8MB`. Importing this is cheap.

It shares chip data with the tool but no codec: requests are parsed by its own code.
"""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False  # as type checkers know it, without the cost of importing `typing`
if TYPE_CHECKING:
    from esptool.virtual.board import Board

__all__ = ["announce", "find_board", "register"]

#: The package in which pyserial finds `protocol_virtual`.
HANDLERS = "esptool.virtual.handlers"


def register() -> None:
    """Let `serial.serial_for_url("virtual://...")` work in this process."""
    import serial

    if HANDLERS not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(HANDLERS)


def announce() -> None:
    """Make the URL known without importing pyserial, for a program that may never need it."""
    if "serial" in sys.modules:
        register()
        return
    # pyserial imports `protocol_<scheme>` from a package that it knows; this stands there for it.
    name = "serial.urlhandler.protocol_virtual"
    if name not in sys.modules:
        sys.modules[name] = _Handler(name)


class _Handler(ModuleType):
    """The handler module, loaded when its class is asked for."""

    def __getattr__(self, name: str) -> type:
        if name != "Serial":
            raise AttributeError(name)
        from esptool.virtual.handlers.protocol_virtual import Serial

        return Serial


def find_board(name: str) -> Board:
    """The board opened as `virtual://CHIP?name=NAME` in this process.

    Raises:
        KeyError: none of that name has been opened yet.
    """
    from esptool.virtual.board import NAMED

    return NAMED[name]
