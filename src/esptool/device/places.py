# SPDX-License-Identifier: Apache-2.0
"""Which USB device is behind a port, and under which name it is found again."""

from __future__ import annotations

import os

from esptool.transport.discovery import PortInfo, all_ports


def usb_place(port_name: str | None) -> PortInfo | None:
    """What identifies the USB device behind a port name, None where there is none."""
    if not port_name or port_name.startswith(("socket:", "rfc2217:")):
        return None
    names = (port_name, os.path.realpath(port_name))
    return next((p for p in all_ports() if p.device in names and p.vid is not None), None)


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
