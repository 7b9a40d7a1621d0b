# SPDX-License-Identifier: Apache-2.0
"""Who the chip is: its MAC address, and the chip id of ESP8266."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from esptool.chips.spec import MacLayout
from esptool.events import Listener
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.device.identity import Macs

_WIDTH = 20


def format_mac(mac: Sequence[int]) -> str:
    """'aa:bb:cc:dd:ee:ff'."""
    return ":".join(f"{octet:02x}" for octet in mac)


def mac_values(macs: Macs) -> dict[str, str | None]:
    """MAC addresses by the names of the schema: `mac`, `eui64` and `mac_ext`."""
    return {
        "mac": format_mac(macs.base),
        "eui64": None if macs.eui64 is None else format_mac(macs.eui64),
        "mac_ext": None if macs.ext is None else format_mac(macs.ext),
    }


def read_mac(session: Session, *, listener: Listener | None = None) -> Macs:
    """The factory MAC address; chips with 802.15.4 also have an EUI-64 made of it."""
    report = Report(session, listener)
    macs = session.facts.macs
    if macs.eui64 is None or macs.ext is None:
        rows = [("MAC:", macs.base)]
    else:
        rows = [("MAC:", macs.eui64), ("BASE MAC:", macs.base), ("MAC_EXT:", macs.ext)]
    report.result(**mac_values(macs))
    for label, mac in rows:
        report.line(f"{label:<{_WIDTH}}{format_mac(mac)}")
    return macs


def chip_id(session: Session, *, listener: Listener | None = None) -> int | None:
    """The 24-bit chip id of ESP8266; elsewhere None, and the MAC address is shown instead."""
    report = Report(session, listener)
    if session.spec.identity.mac.layout is MacLayout.OTP_8266:
        value = int.from_bytes(bytes(session.facts.macs.base[3:6]), "big")
        report.result(chip_id=value)
        report.line(f"Chip ID: {value:#010x}")
        return value
    report.result(chip_id=None)
    report.warning(f"{session.spec.name} has no chip ID. Reading MAC address instead.")
    read_mac(session, listener=report.listener)
    return None
