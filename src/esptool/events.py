# SPDX-License-Identifier: Apache-2.0
"""What long work tells its caller while it runs: small frozen values, no text layout, no output.

An operation takes a `Listener` and calls it with events in order; whoever draws them (the command
line, an IDE, a test) decides how. A listener must not raise, except to cancel the operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from esptool.records import dataclass, field

TYPE_CHECKING = False  # as in `typing`, whose import would be a good part of the start-up time
if TYPE_CHECKING:
    from typing import Any


class Level(Enum):
    """How much a message matters to a person."""

    DEBUG = "debug"
    INFO = "info"
    HINT = "hint"
    NOTE = "note"
    WARNING = "warning"
    #: Something failed, and the work goes on without it; what ends the work is an exception.
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Message:
    """A line for a person."""

    text: str
    level: Level = Level.INFO


@dataclass(frozen=True, slots=True)
class Stage:
    """A group of messages begins (`done=False`) or ends; a terminal may collapse it."""

    title: str = ""
    done: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Work on a range advanced.

    Attributes:
        action: what is going on, e.g. "Writing" or "Reading".
        address: the flash offset reached, or None where there is none.
        done: units finished, of `total`.
        total: all units (bytes unless the action says otherwise).
        suffix: extra text for the bar, e.g. "12/96 KB".
        seconds_left: how long this work and the check that belongs to it will still take, by what
            is left of it and the pace measured so far; None until there is something measured.
    """

    action: str
    address: int | None
    done: int
    total: int
    suffix: str = ""
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Connecting:
    """The chip is being called: `attempt` counts from 1; `done` ends the series either way."""

    attempt: int
    done: bool = False


@dataclass(frozen=True, slots=True)
class Began:
    """A stage of the work begins, for programs that follow it; a person reads messages.

    Attributes:
        stage: one of `STAGES`.
        values: what it works on, as JSON takes it: `address` and `size` in bytes, `file`.
    """

    stage: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """Something was found out or done that a program wants to know, as JSON takes it.

    What several events say of one operation belongs together; the last one counts where two name
    the same. The names are those of the schema of `--json` (docs/reference/json.md).
    """

    values: Mapping[str, Any]


#: Names of stages, in the order in which a command usually comes by them.
STAGES = (
    *("connecting", "starting-stub", "preparing", "erasing", "writing", "reading", "verifying"),
    *("loading", "testing", "resetting"),
)

Event = Message | Stage | Progress | Connecting | Began | Result
Listener = Callable[[Event], None]


def without_results(listener: Listener) -> Listener:
    """The listener, not told results: those of a step that is only part of the operation."""

    def tell(event: Event) -> None:
        if not isinstance(event, Result):
            listener(event)

    return tell


def ignore(_event: Event) -> None:
    """A listener that drops everything."""
