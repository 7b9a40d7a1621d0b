# SPDX-License-Identifier: Apache-2.0
"""From ports to loader objects: which port, which chip, how often. Speaks through `log`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from esptool import device
from esptool.errors import ConnectError, FatalError
from esptool.events import Level, Listener, Message
from esptool.faces.base import print_trace
from esptool.loader import (
    DEFAULT_CONNECT_ATTEMPTS,
    DEFAULT_OPEN_PORT_ATTEMPTS,
    ESP_ROM_BAUD,
    TROUBLESHOOTING_GUIDE_URL,
    ESPLoader,
    settings_in_force,
)
from esptool.nearest import checks_keywords
from esptool.render import to_log
from esptool.targets import CHIP_DEFS
from esptool.transport import discovery
from esptool.transport.ports import check_url

if TYPE_CHECKING:
    from serial import Serial

    from esptool.transport.settings import Settings

RETRY_PAUSE_S = 0.1


@checks_keywords()
def get_port_list(
    vids: Sequence[int] = (),
    pids: Sequence[int] = (),
    names: Sequence[str] = (),
    serials: Sequence[str] = (),
) -> list[str]:
    """Names of this machine's serial ports that pass the filters, the most promising last.

    Callers try them from the end.
    """
    wanted = discovery.PortFilter(tuple(vids), tuple(pids), tuple(names), tuple(serials))
    return [p.device for p in reversed(discovery.list_ports(wanted))]


def open_loader(
    port: str | Serial,
    *,
    chip: str = "auto",
    baud: int = ESP_ROM_BAUD,
    before: str = "default-reset",
    trace: bool = False,
    attempts: int = DEFAULT_CONNECT_ATTEMPTS,
    settings: Settings | None = None,
    listener: Listener = to_log,
) -> ESPLoader:
    """Connect to the chip on one port, once; `listener` is told all that this chip has to tell.

    Args:
        settings: those in force where None.

    Raises:
        FatalError: the port cannot be opened, or no (or another) chip answers.
    """
    settings = settings or settings_in_force()
    if attempts == DEFAULT_CONNECT_ATTEMPTS:
        attempts = settings.connect_attempts
    session = device.connect(
        port,
        chip=None if chip == "auto" else chip,
        baud=baud,
        before=before.replace("_", "-"),
        attempts=attempts,
        trace=print_trace if trace else None,
        settings=replace(settings, open_port_attempts=1),
        listener=listener,
    )
    if chip == "auto":
        listener(Message(f"Detecting chip type... {session.spec.name}"))
    return CHIP_DEFS[session.spec.key].from_session(session)


@checks_keywords()
def detect_chip(
    port: str = ESPLoader.DEFAULT_PORT,
    baud: int = ESP_ROM_BAUD,
    connect_mode: str = "default-reset",
    trace_enabled: bool = False,
    connect_attempts: int = DEFAULT_CONNECT_ATTEMPTS,
    *,
    listener: Listener = to_log,
) -> ESPLoader:
    """Connect to whatever chip is on `port` and return the loader object of its class.

    Raises:
        FatalError: nothing answers, or a chip that is not known.
    """
    return open_loader(
        port,
        baud=baud,
        before=connect_mode,
        trace=trace_enabled,
        attempts=connect_attempts,
        listener=listener,
    )


@checks_keywords()
def connect_with_retries(
    port: str,
    initial_baud: int,
    chip: str,
    max_retries: int,
    trace: bool = False,
    before: str = "default-reset",
    *,
    listener: Listener = to_log,
) -> ESPLoader:
    """Connect to `port`, opening it up to `max_retries` times (0 or less: for ever).

    Raises:
        FatalError: the last attempt failed.
    """
    for attempt in itertools.count(1):
        try:
            return open_loader(
                port,
                chip=chip,
                baud=initial_baud,
                before=before,
                trace=trace,
                listener=listener,
            )
        except FatalError as e:
            if attempt == max_retries:
                raise
            listener(Message(str(e)))
            listener(Message("Retrying failed connection..."))
            time.sleep(RETRY_PAUSE_S)
    raise AssertionError("unreachable")


@checks_keywords()
def connect_first_available(
    serial_list: Sequence[str],
    port: str | None,
    connect_attempts: int,
    initial_baud: int,
    chip: str = "auto",
    trace: bool = False,
    before: str = "default-reset",
    *,
    listener: Listener = to_log,
) -> ESPLoader | None:
    """Connect to the first port that answers: `port`, or those of `serial_list` from the end.

    Returns None when none of the list answers; with `port` given, its failure is raised.
    """
    for candidate in [port] if port else reversed(list(serial_list)):
        listener(Message(f"Serial port {candidate}:"))
        try:
            return open_loader(
                candidate,
                chip=chip,
                baud=initial_baud,
                before=before,
                trace=trace,
                attempts=connect_attempts,
                listener=listener,
            )
        except FatalError as e:
            if port is not None:
                raise
            listener(Message(f"{candidate} failed to connect: {e}", Level.ERROR))
    return None


@checks_keywords()
def connect_esp(
    port: str | None = None,
    chip: str = "auto",
    initial_baud: int = ESP_ROM_BAUD,
    port_filter: list[str] | None = None,
    before: str = "default-reset",
    trace: bool = False,
    connect_attempts: int = DEFAULT_CONNECT_ATTEMPTS,
    open_port_attempts: int = DEFAULT_OPEN_PORT_ATTEMPTS,
    *,
    listener: Listener = to_log,
) -> ESPLoader:
    """Connect to a chip.

    Args:
        port: name or URL; None tries this machine's ports.
        chip: the chip expected, or "auto".
        initial_baud: the rate to call at.
        port_filter: filters such as "vid=0x303A", when no port is named.
        before: what to do with the reset lines first.
        trace: show the traffic.
        connect_attempts: resets to try, 0 or less for ever.
        open_port_attempts: times to open the port, 0 or less for ever.
        listener: told what goes on, also by the functions that the chip is then given to.

    Raises:
        FatalError: no chip answers.
    """
    if port is not None:
        check_url(port)
    settings = settings_in_force()
    if open_port_attempts == DEFAULT_OPEN_PORT_ATTEMPTS:
        open_port_attempts = settings.open_port_attempts
    if port is not None:
        listener(Message(f"Serial port {port}:"))
        if open_port_attempts != 1:
            return connect_with_retries(
                port, initial_baud, chip, open_port_attempts, trace, before, listener=listener
            )
        return open_loader(
            port,
            chip=chip,
            baud=initial_baud,
            before=before,
            trace=trace,
            attempts=connect_attempts,
            settings=settings,
            listener=listener,
        )
    ports = _candidates(port_filter)
    listener(Message(f"Found {len(ports)} serial ports..."))
    esp = connect_first_available(
        *(ports, None, connect_attempts, initial_baud, chip, trace, before), listener=listener
    )
    if esp is None:
        raise ConnectError(
            "Could not connect to an Espressif device on any of the "
            f"{len(ports)} available serial ports.",
            remedy=f"For troubleshooting steps visit: {TROUBLESHOOTING_GUIDE_URL}",
        )
    return esp


def _candidates(port_filter: Sequence[str] | None) -> list[str]:
    wanted = discovery.parse_port_filters(port_filter or ())
    return [p.device for p in reversed(discovery.list_ports(wanted))]
