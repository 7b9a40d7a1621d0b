# SPDX-License-Identifier: Apache-2.0
"""`doctor`: tries in order what a person would try, and says what was found and what to do.

It resets the chip, reads, and loads code into its RAM; flash and eFuses stay as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.errors import FatalError, LineLossError, PortError
from esptool.events import Began, Listener, ignore
from esptool.ops import ports
from esptool.ops.doctor.board import Examiner, check_port, report_of
from esptool.ops.doctor.inside import examine_chip
from esptool.ops.doctor.words import LEVELS, OK, PROBLEM, WARNING, Finding
from esptool.transport import Settings, discovery

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.transport.port import Port

__all__ = ["LEVELS", "OK", "PROBLEM", "WARNING", "Finding", "diagnose", "examine", "worst"]


def diagnose(
    port: str | None = None,
    *,
    chip: str | None = None,
    baud: int | None = None,
    before: str = "default-reset",
    quick: bool = False,
    port_filter: discovery.PortFilter | None = None,
    settings: Settings | None = None,
    tell: Callable[[Finding], None] = lambda _finding: None,
    listener: Listener = ignore,
) -> list[Finding]:
    """Examine a board.

    Args:
        port: name or URL of its port; None takes the most promising one of this machine.
        chip: the chip expected; None recognises it.
        baud: the rate that work is to be done at; None is a usual one.
        before: "no-reset" for a chip that was brought into download mode by hand.
        quick: do not read the application whole.
        port_filter: which ports count where none is named.
        settings: how long to wait for what.
        tell: told each finding as it is made.
        listener: told which part of the examination begins.

    Returns:
        What was found, in order.
    """
    found: list[Finding] = []

    def note(finding: Finding) -> None:
        found.append(finding)
        tell(finding)

    known = ports.list_ports(port_filter)
    if port is None:
        if not known:
            note(Finding("no_port"))
            return found
        port = known[0].info.device
        if len(known) > 1:
            names = ", ".join(r.info.device for r in known)
            note(Finding("choose_port", {"ports": names, "port": port}))
    if not check_port(port, known, report_of(port), note):
        return found
    from esptool.transport import open_port  # a page in a browser has its port already

    try:
        opened = open_port(port, 115200)
    except PortError as e:
        note(Finding("port_fails", {"port": port, "reason": e.message}))
        return found
    try:
        examine(opened, chip, baud, before, quick, settings or Settings(), note, listener)
    finally:
        opened.close()
    return found


def examine(
    port: Port,
    chip: str | None,
    baud: int | None,
    before: str,
    quick: bool,
    settings: Settings,
    note: Callable[[Finding], None],
    listener: Listener,
) -> None:
    """Examine the board on a port that is open, and leave it open.

    Args:
        port: the port.
        chip, baud, before, quick: as `diagnose` takes them.
        settings: how long to wait for what.
        note: told each finding as it is made.
        listener: told which part of the examination begins.
    """
    examiner = Examiner(port, settings, before, note)
    if before != "no-reset":
        listener(Began("testing", {"what": "boot"}))
        examiner.listen()
    listener(Began("connecting"))
    session = examiner.call(chip)
    if session is None:
        return
    try:
        listener(Began("testing", {"what": "chip"}))
        examine_chip(session, baud, note, quick=quick)
    except LineLossError as e:
        note(Finding("line_bad", {"baud": port.baud, "reason": e.message.replace("\n", " ")}))
    except FatalError as e:
        note(Finding("no_answer", {"reason": e.message.replace("\n", " ")}))
    finally:
        _leave(session)


def _leave(session: Session) -> None:
    """Have the chip start its application again."""
    with contextlib.suppress(FatalError):
        session.power.hard_reset()


def worst(found: list[Finding]) -> str:
    """The level of the worst finding."""
    return max((f.level for f in found), key=LEVELS.index, default=OK)
