# SPDX-License-Identifier: Apache-2.0
"""The ports of this machine: what each is, who has it, and with a probe which board is behind it.

Without a probe no port is opened, so that no line moves and no board is reset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from esptool.errors import ConnectError, FatalError, UsageError
from esptool.events import ignore
from esptool.transport import bridges, discovery, holders
from esptool.transport.discovery import PortInfo

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.transport.settings import Settings

#: A port on which nothing answers is not called for long.
PROBE_ATTEMPTS = 2
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Probe:
    """What a board said.

    Attributes:
        chip: key of the chip; None where nothing answered.
        description: name, package and revision.
        mac: its factory MAC address, "" where it was not told.
        flash_size: bytes; None where they are not known.
        app: name and version of the application that boots, None where that is not known.
        error: why nothing is known.
        error_code: kind of that failure.
    """

    chip: str | None = None
    description: str = ""
    mac: str = ""
    flash_size: int | None = None
    app: str | None = None
    error: str | None = None
    error_code: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "chip": self.chip,
            "description": self.description or None,
            "mac": self.mac or None,
            "flash_size": self.flash_size,
            "app": self.app,
            "error": self.error,
            "error_code": self.error_code,
        }


@dataclass(frozen=True, slots=True)
class PortReport:
    """What is known of a port.

    Attributes:
        info: name and USB facts.
        what: what it is, in words; None where that is not known.
        driver: the system's driver; None where it cannot be told.
        permitted: we may open it; None where that cannot be told.
        group: the group whose members may.
        holders: who has it open; None where that cannot be told.
        probe: what the board behind it said.
    """

    info: PortInfo
    what: str | None
    driver: str | None
    permitted: bool | None
    group: str | None
    holders: tuple[holders.Holder, ...] | None
    probe: Probe | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        info = self.info
        return {
            "port": info.device,
            "vid": info.vid,
            "pid": info.pid,
            "product": info.product,
            "what": self.what,
            "is_chip": bridges.is_chip(info.vid),
            "serial": info.serial_number,
            "location": info.location,
            "driver": self.driver,
            "permitted": self.permitted,
            "group": self.group,
            "holders": None
            if self.holders is None
            else [{"pid": h.pid, "name": h.name} for h in self.holders],
            "probe": None if self.probe is None else self.probe.to_json(),
        }


def look(info: PortInfo) -> PortReport:
    """What the system knows of a port."""
    device = info.device
    return PortReport(
        info,
        bridges.describe(info.vid, info.pid),
        holders.driver_of(device),
        holders.may_open(device),
        holders.group_of(device),
        holders.holders_of(device),
    )


def list_ports(
    port_filter: discovery.PortFilter | None = None, ports: Iterable[PortInfo] | None = None
) -> list[PortReport]:
    """All ports that pass the filter, Espressif's own USB devices first.

    Args:
        port_filter: which ones; None takes all.
        ports: those to choose from; None takes the system's.
    """
    return [look(info) for info in discovery.list_ports(port_filter, ports)]


def probed(reports: Sequence[PortReport], settings: Settings | None = None) -> list[PortReport]:
    """The ports with what the board behind each says; each board is reset by that."""
    if not reports:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(reports))) as pool:
        return list(pool.map(lambda report: _with_probe(report, settings), reports))


def _with_probe(report: PortReport, settings: Settings | None) -> PortReport:
    if report.permitted is False:
        error = f"Opening {report.info.device} is not permitted."
        return replace(report, probe=Probe(error=error, error_code="port_permission"))
    return replace(report, probe=probe(report.info.device, settings))


def probe(device: str, settings: Settings | None = None) -> Probe:
    """Connect to a port, ask who is there, and start its application again."""
    from esptool.device.connect import connect

    try:
        session = connect(device, attempts=PROBE_ATTEMPTS, settings=settings, listener=ignore)
    except FatalError as e:
        return Probe(error=e.message, error_code=e.error_code)
    try:
        return _ask(session)
    except FatalError as e:
        return Probe(
            chip=session.spec.key,
            description=session.spec.name,
            error=e.message,
            error_code=e.error_code,
        )
    finally:
        try:
            session.power.hard_reset()
        except FatalError:
            pass  # what was found out is worth more
        finally:
            session.close()


def _ask(session: Session) -> Probe:
    from esptool.ops.attach import attach_flash
    from esptool.ops.flash_info import flash_info
    from esptool.ops.identity import format_mac
    from esptool.sizes import flash_size

    if session.secure_download:
        text = f"{session.spec.name} in secure download mode"
        return Probe(chip=session.spec.key, description=text)
    known = session.facts
    found = Probe(session.spec.key, known.description, format_mac(known.macs.base))
    try:
        session.run_stub()
        attach_flash(session)
        word = flash_info(session).size
        size = None if word is None else flash_size(word)
        return replace(found, flash_size=size, app=_running(session))
    except FatalError as e:
        return replace(found, error=e.message, error_code=e.error_code)


def _running(session: Session) -> str | None:
    """Name and version of the application that boots."""
    from esptool.ops.ota import ota_status
    from esptool.ops.places import DeviceFlash, TableSource

    try:
        boots = ota_status(DeviceFlash(session, TableSource(), listener=ignore)).boots
    except FatalError:
        return None
    app = None if boots is None else boots.content.app
    return None if app is None else f"{app.project_name} {app.version}".strip()


# --- choosing a board ----------------------------------------------------------------------------


def plain_mac(text: str) -> str:
    """A MAC address in twelve lower-case digits, however it is written.

    Raises:
        UsageError: it is none.
    """
    digits = text.lower().replace(":", "").replace("-", "")
    if len(digits) != 12 or any(c not in "0123456789abcdef" for c in digits):
        raise UsageError(f"'{text}' is not a MAC address.", remedy="Write 60:55:f9:00:00:01.")
    return digits


def find_board(
    *,
    serial: str | None = None,
    mac: str | None = None,
    port_filter: discovery.PortFilter | None = None,
    settings: Settings | None = None,
) -> str:
    """The port of one board.

    A serial number is looked up in the list of ports. A MAC address is looked for there, too, as
    it is the serial number of a chip's own USB; else the boards are asked, which resets them.

    Args:
        serial: USB serial number, in any case, whole.
        mac: MAC address of the chip.
        port_filter: which ports count.
        settings: of the connections, where boards are asked.

    Raises:
        UsageError: `mac` is none.
        ConnectError: there is no such board, or more than one.
    """
    ports = discovery.list_ports(port_filter)
    if serial is not None:
        found = [p for p in ports if (p.serial_number or "").lower() == serial.lower()]
        if mac is None or len(found) != 1:
            return _only(found, f"with the serial number {serial}", ports)
        return found[0].device
    assert mac is not None
    digits = plain_mac(mac)
    found = [p for p in ports if (p.serial_number or "").lower().replace(":", "") == digits]
    if not found:
        others = [p for p in ports if not (bridges.is_chip(p.vid) and _is_mac(p.serial_number))]
        found = [
            r.info
            for r in probed([look(p) for p in others], settings)
            if r.probe is not None and r.probe.mac and plain_mac(r.probe.mac) == digits
        ]
    return _only(found, f"with the MAC address {mac}", ports)


def _is_mac(text: str | None) -> bool:
    return len((text or "").replace(":", "")) == 12


def _only(found: Sequence[PortInfo], what: str, ports: Sequence[PortInfo]) -> str:
    if len(found) == 1:
        return found[0].device
    if found:
        names = ", ".join(p.device for p in found)
        raise ConnectError(
            f"There are {len(found)} boards {what}: {names}.",
            remedy="Choose one with --port.",
            code="port_not_found",
        )
    raise ConnectError(
        f"There is no board {what} among {len(ports)} serial port{'s'[: len(ports) != 1]}.",
        remedy="'esptool ports --probe' shows the boards that answer.",
        code="port_not_found",
    )
