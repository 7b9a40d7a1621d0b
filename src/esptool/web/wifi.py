# SPDX-License-Identifier: Apache-2.0
"""What a web page can ask for once a board runs its firmware: Wi-Fi by Improv. Plain values out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from esptool.errors import UsageError
from esptool.transport.browser import BrowserPort, Channel
from esptool.web.improv import BAUD, Improv


class Wifi:
    """The firmware at the other end of a port, where it speaks Improv.

    Args:
        release: lets go of the port, whoever has it.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._port: BrowserPort | None = None
        self._improv: Improv | None = None

    def open(self, channel: Channel) -> None:
        """Listen to the firmware; it is left as it is.

        Raises:
            PortError: the port cannot be opened.
        """
        self._release()
        port = BrowserPort(channel, BAUD)
        port.open()
        self._port, self._improv = port, Improv(port)

    def close(self) -> None:
        """Let go of the port."""
        port, self._port, self._improv = self._port, None, None
        if port is not None:
            port.close()

    @property
    def _talking(self) -> Improv:
        if self._improv is None:
            raise UsageError("No board is listened to.", remedy="Connect one first.")
        return self._improv

    def ask(self, wait_s: float) -> dict[str, Any] | None:
        """State, firmware and address of the board; None where it does not speak Improv.

        Args:
            wait_s: give up after so many seconds.

        Raises:
            PortError: the port is gone.
        """
        improv = self._talking
        if not improv.find(wait_s):
            return None
        device = improv.device()
        return {
            "state": improv.state,
            "firmware": device[0] if device else "",
            "version": device[1] if len(device) > 1 else "",
            "address": improv.address(),
        }

    def networks(self) -> list[dict[str, Any]]:
        """The networks that the board sees, strongest first.

        Raises:
            FatalError: it does not answer.
        """
        return [
            {"name": n.name, "rssi": n.rssi, "secured": n.secured} for n in self._talking.networks()
        ]

    def join(self, name: str, password: str) -> str:
        """Have the board join a network; gives the address of its page.

        Raises:
            FatalError: it could not.
        """
        return self._talking.join(name, password)
