# SPDX-License-Identifier: Apache-2.0
"""Finding serial ports: filters by USB identity and name, most promising ports first.

And a USB device that was unplugged, under whatever name it comes back.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from esptool.errors import UsageError
from esptool.transport.port import Port
from esptool.transport.port import PortInfo as PortInfo

ESPRESSIF_VID = 0x303A
_LINUX = ("ttyUSB", "ttyACM")
_MACOS = ("usbserial", "usbmodem")
_MACOS_NEVER = ("Bluetooth-Incoming-Port", "wlan-debug", "cu.debug-console")
FILTER_KEYS = ("vid", "pid", "name", "serial")


@dataclass(frozen=True, slots=True)
class PortFilter:
    """What a port must be: each given key must match one of its values.

    `names` are case-insensitive parts of the product name, `serials` of the serial number.
    """

    vids: tuple[int, ...] = ()
    pids: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()

    def accepts(self, port: PortInfo) -> bool:
        """The port passes all keys."""
        if self.vids and port.vid not in self.vids:
            return False
        if self.pids and port.pid not in self.pids:
            return False
        if self.names and not _contains_any(port.product, self.names):
            return False
        return not self.serials or _contains_any(port.serial_number, self.serials)


def _contains_any(text: str | None, parts: Iterable[str]) -> bool:
    return text is not None and any(p.lower() in text.lower() for p in parts)


def parse_port_filters(values: Iterable[str]) -> PortFilter:
    """Filters as on the command line: `vid=0x303A`, `pid=4097`, `name=JTAG`, `serial=ab:cd`.

    Raises:
        UsageError: a text that is not KEY=VALUE, an unknown key, or a number that is none.
    """
    found: dict[str, list[str]] = {key: [] for key in FILTER_KEYS}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(
                f"Invalid port filter '{text}'. Expected key=value, such as vid=0x303a."
            )
        if key not in found:
            raise UsageError(
                f"Unknown port filter key '{key}'. Use one of {', '.join(FILTER_KEYS)}."
            )
        found[key].append(value)
    try:
        vids, pids = (tuple(int(v, 0) for v in found[key]) for key in ("vid", "pid"))
    except ValueError as e:
        raise UsageError(f"A port filter needs a number for vid and pid: {e}.") from None
    return PortFilter(vids, pids, tuple(found["name"]), tuple(found["serial"]))


def all_ports() -> list[PortInfo]:
    """Every port that the system shows, unsorted, and virtual boards that come and go."""
    from serial.tools import list_ports as system

    found = [
        PortInfo(p.device, p.vid, p.pid, p.product, p.serial_number, p.location)
        for p in system.comports()
    ]
    if "esptool.virtual.board" in sys.modules:
        from esptool.virtual.usb import present

        found += [PortInfo(url, *ids) for url, ids in present()]
    return found


def list_ports(
    port_filter: PortFilter | None = None, ports: Iterable[PortInfo] | None = None
) -> list[PortInfo]:
    """Ports that pass the filter, Espressif's own USB devices first, unlikely names last."""
    chosen = []
    for port in all_ports() if ports is None else ports:
        if sys.platform == "darwin" and port.device.endswith(_MACOS_NEVER):
            continue
        if port_filter is None or port_filter.accepts(port):
            chosen.append(port)
    return sorted(chosen, key=_rank)


def _rank(port: PortInfo) -> tuple[int, list[tuple[int, int, str]]]:
    patterns = _MACOS if sys.platform == "darwin" else _LINUX
    if port.vid == ESPRESSIF_VID:
        rank = 0
    elif any(p in port.device for p in patterns):
        rank = 1
    else:
        rank = 2
    # ttyUSB10 stands after ttyUSB9.
    words = [p for p in re.split(r"(\d+)", port.device) if p]
    return rank, [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in words]


def usb_ids(port: Port) -> tuple[int | None, int | None]:
    """Vendor and product id of a port, (None, None) where it is not known to be USB."""
    info = port.usb
    return (None, None) if info is None else (info.vid, info.pid)


def usb_device(name: str | None) -> PortInfo | None:
    """The USB device behind a port's name or URL, None where there is none or it is far away."""
    if not name or name.startswith(("socket:", "rfc2217:", "browser:")):
        return None
    names = (name, os.path.realpath(name))
    return next((p for p in all_ports() if p.device in names and p.vid is not None), None)


def named(port: str) -> PortInfo:
    """What is known of the port of this name or URL, without opening it."""
    if port.startswith("virtual:"):
        from esptool.virtual.usb import identity

        return PortInfo(port, *identity(port))
    return usb_device(port) or PortInfo(port)


def exists(port: str) -> bool:
    """A port of this name is there; URLs are, as only opening them tells."""
    if "://" in port or os.path.exists(port):
        return True
    return any(p.device == port for p in all_ports())


def find_again(wanted: PortInfo | None) -> str | None:
    """The present name of a USB device: by serial number, else by the socket it is plugged in.

    One that shows neither is looked for under its name; None where it is not there.
    """
    if wanted is None:
        return None
    ports = all_ports()
    if not wanted.serial_number and not wanted.location:
        ids = (wanted.device, wanted.vid, wanted.pid)
        return next((p.device for p in ports if (p.device, p.vid, p.pid) == ids), None)
    if wanted.serial_number:
        same = [p for p in ports if (p.vid, p.serial_number) == (wanted.vid, wanted.serial_number)]
        # Many bridges are made with one and the same number: then the socket tells them apart.
        for port in same:
            if len(same) == 1 or port.location == wanted.location:
                return port.device
        if same:
            return None
    if wanted.location:
        for port in ports:
            if port.location == wanted.location:
                return port.device
    return None
