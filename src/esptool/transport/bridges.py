# SPDX-License-Identifier: Apache-2.0
"""What a USB device is by its vendor and product id. The names are those of the makers' drivers.

Sources: the id tables of the Linux drivers cp210x, ftdi_sio, ch341, cdc-acm (WCH) and pl2303, and
Espressif's list of ids allotted under 0x303A.
"""

from __future__ import annotations

ESPRESSIF = 0x303A
USB_JTAG_SERIAL = 0x1001

_BRIDGES: dict[tuple[int, int], str] = {
    (0x10C4, 0xEA60): "CP210x bridge (Silicon Labs)",
    (0x10C4, 0xEA63): "CP210x bridge (Silicon Labs)",
    (0x10C4, 0xEA64): "CP2102C bridge (Silicon Labs)",
    (0x10C4, 0xEA70): "CP2105 bridge (Silicon Labs), two ports",
    (0x10C4, 0xEA71): "CP2108 bridge (Silicon Labs), four ports",
    (0x0403, 0x6001): "FT232R bridge (FTDI)",
    (0x0403, 0x6010): "FT2232 bridge (FTDI), such as ESP-Prog",
    (0x0403, 0x6011): "FT4232 bridge (FTDI), four ports",
    (0x0403, 0x6014): "FT232H bridge (FTDI)",
    (0x0403, 0x6015): "FT231X or FT230X bridge (FTDI)",
    (0x1A86, 0x5523): "CH341 bridge (WCH)",
    (0x1A86, 0x7522): "CH340K bridge (WCH)",
    (0x1A86, 0x7523): "CH340 bridge (WCH)",
    (0x1A86, 0x55D2): "CH342 bridge (WCH), two ports",
    (0x1A86, 0x55D3): "CH343 bridge (WCH)",
    (0x1A86, 0x55D4): "CH9102 bridge (WCH)",
    (0x1A86, 0x55D5): "CH344 bridge (WCH), four ports",
    (0x1A86, 0x55D8): "CH9101 bridge (WCH)",
    (0x067B, 0x2303): "PL2303 bridge (Prolific)",
    (ESPRESSIF, USB_JTAG_SERIAL): "USB-Serial/JTAG of an Espressif chip",
    (ESPRESSIF, 0x1002): "ESP USB bridge (Espressif)",
    (ESPRESSIF, 0x0002): "ESP32-S2 by its USB-OTG, in its ROM loader",
    (ESPRESSIF, 0x0009): "ESP32-S3 by its USB-OTG, in its ROM loader",
    (ESPRESSIF, 0x0012): "ESP32-P4 by its USB-OTG, in its ROM loader",
}
_MAKERS = {
    0x10C4: "Silicon Labs device",
    0x0403: "FTDI device",
    0x1A86: "WCH device",
    0x067B: "Prolific device",
    0x2341: "Arduino board",
    0x239A: "Adafruit board, by an application of its own",
    ESPRESSIF: "Espressif chip, by an application with USB of its own",
}


def describe(vid: int | None, pid: int | None) -> str | None:
    """What a device with these ids is; None where that is not known."""
    if vid is None or pid is None:
        return None
    return _BRIDGES.get((vid, pid)) or _MAKERS.get(vid)


def is_chip(vid: int | None) -> bool:
    """It is the chip itself, and no bridge in front of one."""
    return vid == ESPRESSIF
