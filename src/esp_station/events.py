# SPDX-License-Identifier: Apache-2.0
"""What a station tells while it runs: small values for terminals, pages and programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from esp_station.clock import stamp


@dataclass(frozen=True, slots=True)
class StationStarted:
    """The job was checked and the slots are watched."""

    run: int
    station: str
    product: str
    job: str
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SlotWaiting:
    """A slot is free for the next board. `reason` says what it waits for."""

    slot: str
    reason: str


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """Work on the board in a slot begins."""

    slot: str
    attempt: int
    port: str


@dataclass(frozen=True, slots=True)
class BoardKnown:
    """The board has said who it is. `row` is the key of its row."""

    slot: str
    attempt: int
    mac: str
    chip: str
    row: str | None


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step of the job begins; `number` counts from 1, of `total`."""

    slot: str
    attempt: int
    step: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class StepProgress:
    """How far a step is, in percent."""

    slot: str
    attempt: int
    step: str
    percent: int


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """Work on a board has ended: `result` is PASS, FAIL or INTERRUPTED.

    `code` names the kind of failure as errors of `--json` do.
    """

    slot: str
    attempt: int
    result: str
    mac: str | None
    row: str | None
    step: str | None
    code: str | None
    reason: str | None
    remedy: str | None
    seconds: float
    measured: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Counts:
    """How the run stands after an attempt. `boards_an_hour` is that of the last hour."""

    passed: int
    failed: int
    interrupted: int
    boards: int
    good: int
    boards_an_hour: float | None
    rows_left: int | None


@dataclass(frozen=True, slots=True)
class StationStopping:
    """No board is begun any more; those in work go on until they are done."""

    in_work: int


@dataclass(frozen=True, slots=True)
class StationEnded:
    """All slots are at rest."""

    run: int


#: What happens in one slot.
SlotEvent = SlotWaiting | AttemptStarted | BoardKnown | StepStarted | StepProgress | AttemptEnded
Event = StationStarted | SlotEvent | Counts | StationStopping | StationEnded
Listener = Callable[[Event], None]

#: The word for each kind in JSON.
NAMES: Mapping[type, str] = {
    StationStarted: "station_started",
    SlotWaiting: "slot_waiting",
    AttemptStarted: "attempt_started",
    BoardKnown: "board_known",
    StepStarted: "step_started",
    StepProgress: "step_progress",
    AttemptEnded: "attempt_ended",
    Counts: "counts",
    StationStopping: "station_stopping",
    StationEnded: "station_ended",
}


def to_json(event: Event) -> dict[str, Any]:
    """An event as plain values, with its kind and the present time."""
    return {"event": NAMES[type(event)], "time": stamp(), **asdict(event)}
