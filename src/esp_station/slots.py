# SPDX-License-Identifier: Apache-2.0
"""Which port a slot has: USB devices that come and go, and ports that stay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from esp_station.model import Slot
from esptool.transport.discovery import all_ports
from esptool.transport.port import PortInfo

#: A device that is away for less is taken to have been reset: USB of a chip's own goes and comes
#: with each reset, and a little later when a program sets it up anew.
UNPLUGGED_S = 3.0

Lister = Callable[[], list[PortInfo]]


class PortWatch:
    """Knows for each slot that is no fixed port which device is in it.

    One thread calls `look` again and again; slots ask from theirs.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        ports: Lister = all_ports,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = [slot for slot in slots if slot.port is None]
        self._ports = ports
        self._now = now
        self._lock = threading.Lock()
        self._there: dict[str, PortInfo] = {}
        self._seen: dict[str, float] = {}
        self._sockets: dict[str, str] = {}
        # What is there already was not plugged in for us, where any port would do.
        self._old = {_socket(p) for p in ports()} if self.needed else set()

    @property
    def needed(self) -> bool:
        """There is something to watch."""
        return bool(self._slots)

    def look(self) -> None:
        """See what is plugged in now."""
        found = self._ports()
        moment = self._now()
        with self._lock:
            self._old &= {_socket(p) for p in found}
            taken = {_socket(p) for s in self._slots if s.any is None for p in found if _is(p, s)}
            for slot in self._slots:
                port = self._find(slot, found, taken)
                if port is not None:
                    self._there[slot.name] = port
                    self._seen[slot.name] = moment
                elif moment - self._seen.get(slot.name, 0.0) >= UNPLUGGED_S:
                    self._there.pop(slot.name, None)
                    self._sockets.pop(slot.name, None)

    def _find(self, slot: Slot, found: Iterable[PortInfo], taken: set[str]) -> PortInfo | None:
        if slot.any is None:
            return next((p for p in found if _is(p, slot)), None)
        mine = self._sockets.get(slot.name)
        if mine is not None:
            return next((p for p in found if _socket(p) == mine), None)
        others = {*taken, *self._old, *self._sockets.values()}
        for port in found:
            if _socket(port) not in others and slot.any.accepts(port):
                self._sockets[slot.name] = _socket(port)
                return port
        return None

    def device(self, slot: Slot) -> PortInfo | None:
        """What is in a slot, None where nothing is."""
        with self._lock:
            return self._there.get(slot.name)


def _is(port: PortInfo, slot: Slot) -> bool:
    if slot.usb is not None:
        location = port.location or ""
        # Linux shows the interface behind the socket: 1-4.2:1.0.
        return location == slot.usb or location.startswith(f"{slot.usb}:")
    serial = (port.serial_number or "").lower()
    return slot.serial is not None and serial == slot.serial.lower()


def _socket(port: PortInfo) -> str:
    """What stays the same of a board that is reset: its socket, else its serial number."""
    location = (port.location or "").partition(":")[0]
    return location or port.serial_number or port.device
