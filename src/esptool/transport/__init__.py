# SPDX-License-Identifier: Apache-2.0
"""Ports: opening and finding them, and moving their reset lines. Knows nothing of the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.transport.port import NoLinesError, Port
from esptool.transport.settings import Settings

if TYPE_CHECKING:
    from esptool.transport.adapters import adapt
    from esptool.transport.discovery import PortFilter, PortInfo, list_ports, parse_port_filters
    from esptool.transport.ports import open_port
else:
    from esptool.lazily import borrowed

    # A web page has none of the terminals and sockets that these need.
    _HERE = "esptool.transport."
    __getattr__ = borrowed(
        __name__,
        {
            "adapt": _HERE + "adapters",
            **dict.fromkeys(
                ("PortFilter", "PortInfo", "list_ports", "parse_port_filters"),
                _HERE + "discovery",
            ),
            "open_port": _HERE + "ports",
        },
    )

__all__ = [
    "NoLinesError",
    "Port",
    "PortFilter",
    "PortInfo",
    "Settings",
    "adapt",
    "list_ports",
    "open_port",
    "parse_port_filters",
]
