# SPDX-License-Identifier: Apache-2.0
"""Turns the events of operations into lines of `log`. Decides nothing about the work itself."""

from __future__ import annotations

from esptool.events import Connecting, Event, Level, Listener, Message, Progress, Stage
from esptool.logger import log

_FIRST_DOTS = 8
_MORE_DOTS = 5


class Renderer:
    """A listener that prints through `log`; with `progress` off, bars are left out."""

    def __init__(self, progress: bool = True) -> None:
        self._progress = progress
        self._last: tuple[str, int | None, int, int] | None = None

    def __call__(self, event: Event) -> None:
        if not self._progress and isinstance(event, Progress):
            return
        if log.event(event) is True:  # a logger for programs
            return
        if isinstance(event, Progress):
            self._bar(event)
        elif isinstance(event, Message):
            self._message(event)
        elif isinstance(event, Stage):
            log.stage(finish=event.done)
        elif isinstance(event, Connecting):
            self._connecting(event)

    @staticmethod
    def _message(event: Message) -> None:
        if event.level is Level.INFO:
            log.print(event.text)
        elif event.level is Level.NOTE:
            log.note(event.text)
        elif event.level is Level.WARNING:
            log.warning(event.text)
        elif event.level is Level.ERROR:
            log.err(event.text)
        elif event.level is Level.HINT:
            log.hint(event.text)
        else:
            log.debug(event.text)

    def _bar(self, event: Progress) -> None:
        shown = (event.action, event.address, event.done, event.total)
        if shown == self._last:  # the end of the data, and then of the writing
            return
        self._last = shown
        where = f" {event.address:#010x}" if event.address is not None else ""
        verb = event.action
        if where and verb.split()[-1] not in ("at", "from", "to"):
            verb += " at"
        suffix = event.suffix or f"{event.done}/{event.total} bytes..."
        log.time_left(event.seconds_left)
        log.progress_bar(event.done, event.total, prefix=f"{verb}{where} ", suffix=f" {suffix}")

    @staticmethod
    def _connecting(event: Connecting) -> None:
        if event.done:
            log.print()
        elif event.attempt == 1:
            log.print("Connecting" + "." * _FIRST_DOTS, end="")
        else:
            log.print("." * _MORE_DOTS, end="")


def without_progress(listener: Listener) -> Listener:
    """The listener, spared of progress."""

    def tell(event: Event) -> None:
        if not isinstance(event, Progress):
            listener(event)

    return tell


#: The usual listener of the command line and of the documented Python functions.
to_log = Renderer()
#: The same without progress bars.
to_log_quietly = Renderer(progress=False)
