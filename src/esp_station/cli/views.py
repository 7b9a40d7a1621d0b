# SPDX-License-Identifier: Apache-2.0
"""What is seen of a running station: lines, events for programs, or a table on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from esp_station import events
from esp_station.cli.common import percent, rate
from esp_station.records import FAIL, PASS
from esp_station.status import WAITING, WORKING, SlotStatus
from esptool.cli import machine
from esptool.logger import log
from esptool.sizes import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from esp_station.station import Station

#: Signs beside the words and colours of states, so that none of them is needed to tell.
SIGNS = {WAITING: "…", WORKING: "▶", PASS: "✔", FAIL: "✘", "INTERRUPTED": "■"}
_COLOURS = {WAITING: "dim", WORKING: "cyan", PASS: "bold green", FAIL: "bold red"}
_REFRESH = 8


class Switch:
    """Hands events to the views that are there, also to those that come later."""

    def __init__(self) -> None:
        self._views: list[events.Listener] = []

    def use(self, view: events.Listener) -> None:
        """Hand events to this one, too."""
        self._views.append(view)

    def take(self, event: events.Event) -> None:
        """An event of the station."""
        for view in self._views:
            view(event)


@contextmanager
def chosen(station: Station, *, plain: bool) -> Iterator[events.Listener]:
    """The view that suits the output."""
    run = machine.active()
    if run is not None:
        yield lambda event: run.emit(**_renamed(events.to_json(event)))
    elif plain or not _is_terminal():
        yield Lines(lambda text: log.print(text)).take
    else:
        from rich.console import Console
        from rich.live import Live

        console = Console()
        with Live(
            get_renderable=lambda: Screen(station).render(),
            console=console,
            refresh_per_second=_REFRESH,
        ):
            yield Lines(lambda text: console.print(text, markup=False), quiet=True).take


def _is_terminal() -> bool:
    return (
        sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    )


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    values["kind"] = values.pop("event")
    return values


class Lines:
    """A line for what matters; with `quiet` only for what should stay above a table."""

    def __init__(self, say: Callable[[str], None], *, quiet: bool = False) -> None:
        self._say = say
        self._quiet = quiet

    def take(self, event: events.Event) -> None:
        """An event of the station."""
        for line in self._lines(event):
            self._say(line)

    def _lines(self, event: events.Event) -> Iterator[str]:
        match event:
            case events.StationStarted():
                slots = ", ".join(event.slots)
                yield f"Station '{event.station}', run {event.run}: {event.product}"
                yield f"Slots: {slots}. End with Ctrl-C."
            case events.AttemptEnded():
                yield from _result(event)
            case events.StationStopping() if event.in_work:
                boards = counted(event.in_work, "board is", "boards are")
                them = "it" if event.in_work == 1 else "them"
                yield f"Ending: {boards} in work. Ctrl-C again gives {them} up."
            case events.Counts() if not self._quiet:
                yield _counts(event)
            case events.SlotWaiting() if not self._quiet:
                yield f"[{event.slot}] {event.reason}"
            case events.AttemptStarted() if not self._quiet:
                yield f"[{event.slot}] attempt {event.attempt} on {event.port}"
            case events.BoardKnown() if not self._quiet:
                row = f", row {event.row}" if event.row else ""
                yield f"[{event.slot}] {event.mac} {event.chip}{row}"
            case events.StepStarted() if not self._quiet:
                yield f"[{event.slot}] {event.number}/{event.total} {event.step}"
            case _:
                pass


def _result(event: events.AttemptEnded) -> Iterator[str]:
    board = " ".join(filter(None, (event.mac, event.row)))
    if event.result == PASS:
        yield f"[{event.slot}] {SIGNS[PASS]} PASS {board} in {event.seconds:.1f} s"
        return
    head, *more = (event.reason or "").splitlines() or [""]
    where = f"at '{event.step}': " if event.step else ""
    yield f"[{event.slot}] {SIGNS[event.result]} {event.result} {board} {where}{head}"
    for line in [*more, *(event.remedy or "").splitlines()]:
        yield f"    {line}"


def _counts(event: events.Counts) -> str:
    share = event.good / event.boards if event.boards else None
    parts = [f"{counted(event.boards, 'board')}, {event.good} good ({percent(share)})"]
    if event.boards_an_hour is not None:
        parts.append(f"{rate(event.boards_an_hour)} an hour")
    if event.rows_left is not None:
        parts.append(f"{counted(event.rows_left, 'row')} left")
    return ", ".join(parts)


class Screen:
    """The table of slots on a terminal."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def render(self) -> RenderableType:
        """What stands there now."""
        from rich.console import Group
        from rich.text import Text

        status = self._station.status
        return Group(self._table(status.slots()), Text(_counts(status.counts()), style="bold"))

    def _table(self, slots: list[SlotStatus]) -> Table:
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(expand=True)
        for title in ("Slot", "State", "Board", "Step", "Time"):
            grid.add_column(title, no_wrap=title != "Step")
        for slot in slots:
            state = f"{SIGNS.get(slot.state, '?')} {slot.state}"
            grid.add_row(
                Text(slot.name),
                Text(state, style=_COLOURS.get(slot.state, "bold yellow")),
                Text("\n".join(filter(None, (slot.row, slot.mac)))),
                Text(_step(slot)),
                Text(_time(slot)),
            )
        return grid


def _step(slot: SlotStatus) -> str:
    if slot.state == WORKING:
        bar = f" {slot.percent:3} %" if slot.percent else ""
        return f"{slot.number}/{slot.total} {slot.step}{bar}"
    where = f"{slot.step}: " if slot.step else ""
    return "\n".join(filter(None, (f"{where}{slot.reason}", slot.remedy)))


def _time(slot: SlotStatus) -> str:
    if slot.state == WORKING:
        return f"{time.time() - slot.began:.0f} s"
    return f"{slot.seconds:.1f} s" if slot.seconds else ""
