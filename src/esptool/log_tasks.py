# SPDX-License-Identifier: Apache-2.0
"""Bars and counters as context managers, drawn by any logger that has `progress_bar`.

Programs of the same family draw their own progress through our logger with these; the tool itself
sends events instead.
"""

from __future__ import annotations

import time
from typing import Protocol


class BarLogger(Protocol):
    """What a `ProgressTask` draws on."""

    def progress_bar(
        self, cur_iter: int, total_iters: int, prefix: str, suffix: str, bar_length: int
    ) -> None:
        """Draw a bar."""


class CounterLogger(Protocol):
    """What a `CounterTask` draws on."""

    def counter_line(self, prefix: str, suffix: str, *, final: bool) -> None:
        """Draw a count; `final` ends its line."""


class ProgressTask:
    """Progress towards a known total; made by `log.progress(...)`.

    Args:
        logger: what draws the bar.
        total: units of all the work.
        description: text in front of the bar.
        bar_length: columns of the bar.
        disabled: draw nothing.
        unit: "B" to show the numbers as sizes.
    """

    def __init__(
        self,
        logger: BarLogger,
        total: int,
        description: str,
        bar_length: int,
        disabled: bool,
        unit: str | None,
    ) -> None:
        self._logger = logger
        self._total = total
        self._description = description
        self._bar_length = bar_length
        self._disabled = disabled
        self._unit = unit
        self._current = 0
        self._start = time.monotonic()
        self._shown: int | None = None

    def update(self, advance: int = 1, description: str | None = None) -> None:
        """Say that `advance` more units are done, and from now on another description."""
        if description is not None:
            self._description = description
        self._current = max(0, min(self._current + advance, self._total))
        self._draw()

    def finish(self) -> None:
        """Draw the bar full, unless it is."""
        if self._shown != self._total:
            self._current = self._total
            self._draw()

    def _draw(self) -> None:
        self._shown = self._current
        if self._disabled:
            return
        done, total = (_amount(n, self._unit) for n in (self._current, self._total))
        self._logger.progress_bar(
            self._current,
            self._total,
            f"{self._description} " if self._description else "",
            f" {done}/{total} [{_elapsed(self._start)}]",
            self._bar_length,
        )


class CounterTask:
    """Progress of work whose end is not known; made by `log.counter(...)`."""

    def __init__(self, logger: CounterLogger, description: str, disabled: bool) -> None:
        self._logger = logger
        self._description = description
        self._disabled = disabled
        self._current = 0
        self._start = time.monotonic()
        self._draw()

    def update(self, advance: int = 1, description: str | None = None) -> None:
        """Say that `advance` more units are done, and from now on another description."""
        if description is not None:
            self._description = description
        self._current += advance
        self._draw()

    def finish(self) -> None:
        """End the counter's line."""
        self._draw(final=True)

    def _draw(self, *, final: bool = False) -> None:
        if self._disabled:
            return
        suffix = f"{self._current} [{_elapsed(self._start)}]"
        prefix = f"{self._description}: " if self._description else ""
        self._logger.counter_line(prefix, suffix, final=final)


def _amount(count: int, unit: str | None) -> str:
    if unit != "B":
        return str(count)
    if count < 1024:
        return f"{count}B"
    size = count / 1024
    for name in ("kB", "MB"):
        if size < 1024:
            return f"{size:.2f}{name}"
        size /= 1024
    return f"{size:.2f}GB"


def _elapsed(start: float) -> str:
    seconds = int(time.monotonic() - start)
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}:{rest:02}" if minutes else f"{rest}s"
