# SPDX-License-Identifier: Apache-2.0
"""`esptool ports`: which serial ports there are, and what is behind them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.state import Globals
from esptool.errors import UsageError
from esptool.logger import log

if TYPE_CHECKING:
    from esptool.ops.ports import PortReport

#: How often the list is looked at.
WATCH_PAUSE_S = 0.5
_INDENT = "    "


@click.pass_obj
def _run(state: Globals, /, probe: bool, watch: bool) -> None:
    from esptool.config import load_settings
    from esptool.ops.ports import probed

    run = machine.active()
    if watch and run is not None and not run.events:
        raise UsageError("--watch has no end to print a document at.", remedy="Use --events.")
    reports = _reports(state)
    if not reports and not watch:
        _refuse_none(state)
    if probe:
        reports = probed(reports, load_settings())
    machine.result({"ports": [report.to_json() for report in reports]})
    _show(reports)
    if watch:
        _watch(state, reports, probe)


def _reports(state: Globals) -> list[PortReport]:
    from esptool.ops.ports import list_ports
    from esptool.transport import discovery

    port, serial, mac = (state.options[name] for name in ("port", "serial", "mac"))
    if mac is not None:
        raise UsageError(
            "A list asks no board for its MAC address.",
            remedy="'esptool ports --probe' shows all of them; 'esptool --mac MAC read-mac' looks "
            "for one.",
        )
    wanted = discovery.parse_port_filters(state.options["port_filter"] or ())
    if port is not None:
        return list_ports(ports=[discovery.named(port)]) if discovery.exists(port) else []
    reports = list_ports(wanted)
    if serial is not None:
        reports = [r for r in reports if (r.info.serial_number or "").lower() == serial.lower()]
    return reports


def _refuse_none(state: Globals) -> None:
    """
    Raises:
        PortError: a port was named that is not there.
    """
    from esptool.errors import PortError

    port, serial = state.options["port"], state.options["serial"]
    if port is None and serial is None:
        return
    what = f"port {port}" if port is not None else f"port with the serial number {serial}"
    raise PortError(
        f"There is no {what}.",
        remedy="'esptool ports' alone shows all of them.",
        code="port_not_found",
        operands={} if port is None else {"port": port},
    )


def _watch(state: Globals, reports: list[PortReport], probe: bool) -> None:
    from esptool.config import load_settings
    from esptool.ops.ports import probed

    known = {r.info: r for r in reports}
    log.print("Watching; Ctrl-C ends.")
    try:
        while True:
            time.sleep(WATCH_PAUSE_S)
            now = {r.info: r for r in _reports(state)}
            for info in known.keys() - now.keys():
                _tell("removed", known[info])
            new = [now[info] for info in now if info not in known]
            for report in probed(new, load_settings()) if probe else new:
                _tell("added", report)
                now[report.info] = report
            known = now
    except KeyboardInterrupt:
        return


def _tell(change: str, report: PortReport) -> None:
    run = machine.active()
    if run is not None:
        run.emit("plug", change=change, port=report.to_json())
        return
    first, *rest = lines(report, log_width())
    log.print(f"{'+' if change == 'added' else '-'} {first}")
    for line in rest if change == "added" else ():
        log.print(line)


def _show(reports: list[PortReport]) -> None:
    if not reports:
        log.print("There are no serial ports.")
        log.hint("Is the board plugged in, by a cable that carries data? 'esptool doctor' helps.")
    width = log_width()
    for report in reports:
        for line in lines(report, width):
            log.print(line)


def log_width() -> int:
    """Columns of a terminal, or those of a page."""
    from shutil import get_terminal_size

    return max(30, min(100, get_terminal_size((80, 24)).columns))


def lines(report: PortReport, width: int) -> list[str]:
    """A port in lines of at most `width` columns, its name in the first."""
    info = report.info
    usb = None if info.vid is None or info.pid is None else f"{info.vid:04x}:{info.pid:04x}"
    facts = [
        usb,
        info.serial_number and f"serial {info.serial_number}",
        info.location and f"socket {info.location}",
        report.driver and f"driver {report.driver}",
    ]
    what = report.what or info.product or "serial port"
    texts = [", ".join(filter(None, facts)), _access(report), *_probe(report)]
    return [info.device, *(row for text in (what, *texts) for row in _wrapped(text, width))]


def _wrapped(text: str | None, width: int) -> list[str]:
    from textwrap import wrap

    if not text:
        return []
    return wrap(
        text,
        width,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT + "  ",
        break_on_hyphens=False,
    )


def _access(report: PortReport) -> str:
    if report.permitted is False:
        group = f" The group '{report.group}' may." if report.group else ""
        return f"not permitted: you may not open it.{group}"
    if report.holders:
        names = ", ".join(f"{h.name} (process {h.pid})" for h in report.holders)
        return f"in use by {names}"
    return ""


def _probe(report: PortReport) -> list[str]:
    found = report.probe
    if found is None:
        return []
    facts: list[Any] = []
    if found.chip is not None:
        facts += [found.description, found.mac and f"MAC {found.mac}"]
        if found.flash_size is not None:
            facts.append(f"{found.flash_size >> 20} MB of flash")
        facts.append(found.app and f"boots {found.app}")
    rows = [", ".join(filter(None, facts))] if facts else []
    return [*rows, found.error] if found.error else rows


command = Command(
    "ports",
    callback=_run,
    help="Show the serial ports: what each is, by USB ids, serial number and socket, and whether "
    "it can be used. No port is opened, and no board reset, unless --probe asks for it.",
    params=[
        click.Option(
            ["--probe"],
            is_flag=True,
            help="Ask the boards, too: chip, MAC address, flash and application. Resets them.",
        ),
        click.Option(
            ["--watch"], is_flag=True, help="Go on, and show what is plugged in and pulled out."
        ),
    ],
)
