# SPDX-License-Identifier: Apache-2.0
"""Ports: opening and finding them, and moving their reset lines. Knows nothing of the protocol."""

from __future__ import annotations

from esptool.transport.adapters import adapt
from esptool.transport.discovery import PortFilter, PortInfo, list_ports, parse_port_filters
from esptool.transport.port import NoLinesError, Port
from esptool.transport.ports import open_port
from esptool.transport.settings import Settings

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
