# SPDX-License-Identifier: Apache-2.0
"""How a station stands: made of its events, for whoever draws it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from esp_station import events
from esp_station.records import FAIL, INTERRUPTED, PASS

#: States of a slot.
WAITING, WORKING = "WAITING", "WORKING"
_HOUR = 3600.0
_RECOUNT_S = 30.0


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """What is to be seen of one slot.

    Attributes:
        name: the slot.
        state: "WAITING", "WORKING", "PASS", "FAIL" or "INTERRUPTED".
        step: what goes on, or what failed.
        number, total: the step is this one of so many.
        percent: how far the step is.
        reason, remedy: why it failed, or what it waits for.
        mac, row, chip: the board.
        attempt: its number in the records.
        seconds: how long the last attempt took.
        began: when the present one began, by the clock of `time.time`.
    """

    name: str
    state: str = WAITING
    step: str = ""
    number: int = 0
    total: int = 0
    percent: int = 0
    reason: str = ""
    remedy: str = ""
    mac: str = ""
    row: str = ""
    chip: str = ""
    attempt: int = 0
    seconds: float = 0.0
    began: float = 0.0


class Status:
    """Slots and counts as they are now. Takes events from all threads."""

    def __init__(
        self,
        slots: tuple[str, ...],
        rows_left: Callable[[], int | None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self._slots = {name: SlotStatus(name) for name in slots}
        self._rows_left = rows_left
        self._now = now
        self._began = now()
        self._results = {PASS: 0, FAIL: 0, INTERRUPTED: 0}
        self._boards: dict[str, str] = {}
        self._passes: list[float] = []
        self._counts: tuple[float, events.Counts] | None = None
        self.stopping = False

    def take(self, event: events.Event) -> None:
        """Note what happened."""
        with self._lock:
            if isinstance(event, events.StationStopping):
                self.stopping = True
            if isinstance(event, events.SlotEvent) and event.slot in self._slots:
                self._slots[event.slot] = _after(self._slots[event.slot], event)
            if isinstance(event, events.AttemptEnded):
                self._counts = None
                self._results[event.result] += 1
                if event.mac is not None:
                    self._boards[event.mac] = event.result
                if event.result == PASS:
                    self._passes.append(self._now())

    def slots(self) -> list[SlotStatus]:
        """All slots, in the order of the job."""
        with self._lock:
            return list(self._slots.values())

    def counts(self) -> events.Counts:
        """How the run stands; counted anew when a board is done, and now and then."""
        moment = self._now()
        with self._lock:
            if self._counts is not None and moment - self._counts[0] < _RECOUNT_S:
                return self._counts[1]
        left = self._rows_left()
        with self._lock:
            self._passes = [at for at in self._passes if moment - at <= _HOUR]
            span = min(_HOUR, moment - self._began)
            good = sum(result == PASS for result in self._boards.values())
            counts = events.Counts(
                passed=self._results[PASS],
                failed=self._results[FAIL],
                interrupted=self._results[INTERRUPTED],
                boards=len(self._boards),
                good=good,
                boards_an_hour=round(len(self._passes) / span * _HOUR, 1) if span > 1 else None,
                rows_left=left,
            )
            self._counts = moment, counts
            return counts

    def to_json(self) -> dict[str, Any]:
        """Slots and counts as plain values."""
        return {
            "slots": [asdict(slot) for slot in self.slots()],
            "counts": asdict(self.counts()),
            "stopping": self.stopping,
        }


def _after(slot: SlotStatus, event: events.Event) -> SlotStatus:
    """A slot after an event that is its own."""
    match event:
        case events.SlotWaiting():
            if slot.state in (PASS, FAIL, INTERRUPTED):
                # The result stays to be seen until the next board.
                return slot
            return replace(slot, state=WAITING, step="", reason=event.reason, remedy="")
        case events.AttemptStarted():
            return SlotStatus(slot.name, WORKING, attempt=event.attempt, began=time.time())
        case events.BoardKnown():
            return replace(slot, mac=event.mac, chip=event.chip, row=event.row or "")
        case events.StepStarted():
            return replace(slot, step=event.step, number=event.number, total=event.total, percent=0)
        case events.StepProgress():
            return replace(slot, percent=event.percent)
        case events.AttemptEnded():
            return replace(
                slot,
                state=event.result,
                step=event.step or "",
                reason=event.reason or "",
                remedy=event.remedy or "",
                mac=event.mac or "",
                row=event.row or "",
                seconds=event.seconds,
            )
        case _:
            return slot
