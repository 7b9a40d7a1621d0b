# SPDX-License-Identifier: Apache-2.0
"""What the options in front of a command say, and the chip that the command works with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from esptool.errors import FatalError
from esptool.logger import log

if TYPE_CHECKING:
    from esptool.loader import ESPLoader
    from esptool.transport.port import Port


class Globals:
    """The options in front of the command, and `chip_session` to work with the chip.

    Attributes:
        options: the values of the options, by name.
        command: name of the command.
        esp: a loader object that the caller brought along, or None.
        stub_plugins: plug-ins that the stub needs for this command.
        keep_port: the port is left open when the chip's work is done, as `port_left`.
        port_left: that port, for whoever goes on with it and closes it.
    """

    def __init__(self, options: dict[str, Any], command: str, esp: ESPLoader | None) -> None:
        self.options = options
        self.command = command
        self.esp = esp
        self.stub_plugins: list[str] = []
        self.keep_port = False
        self.port_left: Port | None = None

    def __getitem__(self, name: str) -> Any:
        """An option's value: commands of other programs take `ctx.obj` for a dict of them."""
        return {"esp": self.esp, "invoked_subcommand": self.command, **self.options}[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.options[name] = value

    def get(self, name: str, default: Any = None) -> Any:
        """An option's value, or `default`."""
        try:
            return self[name]
        except KeyError:
            return default

    @property
    def chip(self) -> str:
        """The chip that --chip names, or "auto"."""
        chip: str = self.options["chip"]
        return chip

    @contextmanager
    def chip_session(self, *, stub: bool = True, flash_type: str = "nor") -> Iterator[ESPLoader]:
        """Connect, show who is there, start the stub, and at the end reset as --after says.

        Args:
            stub: whether this command works with the stub at all.
            flash_type: "nand" loads the plug-in for it with the stub.

        Raises:
            FatalError: no chip, or the chip cannot do the command.
        """
        from esptool.cli import connection

        self.stub_plugins = ["nand"] if flash_type == "nand" else []
        if self.stub_plugins and self.options["no_stub"]:
            raise FatalError(
                "NAND flash is reached by a plug-in of the flasher stub.",
                remedy="Leave out --no-stub.",
            )
        esp = connection.begin(self, stub)
        try:
            try:
                yield esp
            except FatalError:
                # A command that failed must not leave the board in its loader.
                with suppress(FatalError):
                    connection.end(self, esp)
                raise
            except KeyboardInterrupt:
                # Nor because somebody ended it. What is in flash by half is not to be started.
                writes = self.command in connection.FLASH_WRITERS
                if not writes and self.options["after"] == "hard-reset":
                    with suppress(FatalError):
                        connection.end(self, esp)
                raise
            connection.end(self, esp)
            if self.keep_port:
                self.port_left = esp.session.link.port
        finally:
            if self.esp is None and self.port_left is None:
                esp.session.close()

    @property
    def open_port_attempts(self) -> int:
        """How often to open the port; ESPTOOL_OPEN_PORT_ATTEMPTS says so."""
        text = os.environ.get("ESPTOOL_OPEN_PORT_ATTEMPTS", "1")
        try:
            return int(text)
        except ValueError:
            log.warning(f"ESPTOOL_OPEN_PORT_ATTEMPTS is not a number: '{text}' is ignored.")
            return 1
