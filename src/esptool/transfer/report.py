# SPDX-License-Identifier: Apache-2.0
"""How operations speak: one small object that turns texts and numbers into events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

from esptool.events import Began, Event, Level, Listener, Message, Progress, Result, Stage
from esptool.transfer.pace import EvenPace

if TYPE_CHECKING:
    from esptool.device import Session


class Report:
    """Sends events to the listener of an operation (the session's own unless one is given)."""

    def __init__(self, session: Session, listener: Listener | None) -> None:
        self._listener: Listener = listener if listener is not None else session.listener
        self._now = session.link.now
        self._work: tuple[str, int] | None = None
        self._pace: EvenPace | None = None

    @property
    def listener(self) -> Listener:
        """The receiving function, to hand on to another operation."""
        return self._listener

    def without_progress(self) -> Report:
        """The same for work so short that nobody wonders how far it is."""
        listener, result = self._listener, copy(self)

        def pass_on(event: Event) -> None:
            if not isinstance(event, Progress):
                listener(event)

        result._listener = pass_on
        return result

    def line(self, text: str) -> None:
        """A plain line."""
        self._listener(Message(text))

    def note(self, text: str) -> None:
        """Something worth knowing; work goes on as asked."""
        self._listener(Message(text, Level.NOTE))

    def warning(self, text: str) -> None:
        """Something probably not wanted; work goes on."""
        self._listener(Message(text, Level.WARNING))

    def began(self, stage: str, **values: Any) -> None:
        """A stage begins (see `esptool.events.Began`)."""
        self._listener(Began(stage, values))

    def result(self, **values: Any) -> None:
        """What a program wants to know of the outcome (see `esptool.events.Result`)."""
        self._listener(Result(values))

    def debug(self, text: str) -> None:
        """Detail for a verbose run."""
        self._listener(Message(text, Level.DEBUG))

    def begin(self, action: str, total: int, after_s: float = 0.0) -> None:
        """Work on `total` bytes begins, of which steps will be told; `after_s` is what follows."""
        self._work = (action, total)
        self._pace = EvenPace(self._now, total, after_s)

    def progress(self, action: str, address: int | None, done: int, total: int) -> None:
        """A step of work that goes on at an even pace."""
        if self._work != (action, total) or self._pace is None:
            self.begin(action, total)
        assert self._pace is not None
        self.step(action, address, done, total, self._pace.left(done))

    def step(
        self,
        action: str,
        address: int | None,
        done: int,
        total: int,
        seconds_left: float | None,
    ) -> None:
        """A step on the way; the event's suffix gives both amounts in readable units."""
        suffix = f"{readable(done)}/{readable(total)}"
        self._listener(Progress(action, address, done, total, suffix, seconds_left))

    def heading(self, title: str) -> None:
        """A title line with a rule below."""
        self.line(title)
        self.line("=" * len(title))

    @contextmanager
    def stage(self, title: str = "") -> Iterator[None]:
        """Lines that a terminal may fold away once the stage has gone well."""
        self._listener(Stage(title))
        yield
        self._listener(Stage(title, done=True))


#: Less is not time that a transfer took, but that of a line without a clock.
SHORTEST_S = 1e-4


class Stopwatch:
    """Seconds since it was made, by the clock of a session's line."""

    def __init__(self, session: Session) -> None:
        self._now = session.link.now
        self._start = self._now()

    @property
    def seconds(self) -> float:
        """Elapsed time, never zero, so that rates can be computed."""
        return max(self._now() - self._start, 1e-9)

    def summary(self, num_bytes: int) -> str:
        """'S seconds (K kbit/s)' for `num_bytes` moved since the start.

        Without a rate where no time passed by which one could be told.
        """
        elapsed = self.seconds
        if elapsed < SHORTEST_S:
            return f"{elapsed:.1f} seconds"
        return f"{elapsed:.1f} seconds ({num_bytes * 8 / 1000 / elapsed:.1f} kbit/s)"


def readable(num_bytes: int) -> str:
    """'985B', '25.46kB', '1.00MB': units of 1024."""
    if num_bytes < 1024:
        return f"{num_bytes}B"
    if num_bytes < 1024 * 1024:
        return f"{num_bytes / 1024:.2f}kB"
    return f"{num_bytes / (1024 * 1024):.2f}MB"
