# SPDX-License-Identifier: Apache-2.0
"""`TemplateLogger`: what a logger has to do, and what it gets for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

TYPE_CHECKING = False  # as in `typing`, whose import would be a good part of the start-up time
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from esptool.events import Event
    from esptool.log_tasks import CounterTask, ProgressTask


class TemplateLogger(ABC):
    """What a replacement logger implements; install it with `log.set_logger(YourLogger())`."""

    @abstractmethod
    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a plain message; the arguments are those of the builtin `print`."""

    @abstractmethod
    def note(self, message: str) -> None:
        """Show something worth knowing."""

    @abstractmethod
    def warning(self, message: str) -> None:
        """Show something that may go wrong."""

    @abstractmethod
    def error(self, message: str) -> None:
        """Show a failure."""

    @abstractmethod
    def stage(self, finish: bool = False) -> None:
        """Begin a group of messages, or with `finish` end it: a terminal may then collapse it."""

    @abstractmethod
    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        """Show that `cur_iter` of `total_iters` is done; the last call ends the line."""

    @abstractmethod
    def set_verbosity(self, verbosity: str) -> None:
        """Set how much to show: "auto", "verbose", "silent" (errors only) or "compact"."""

    def warn(self, message: str, suggestion: str | None = None) -> None:
        """Another name of `warning`."""
        self.warning(with_suggestion(message, suggestion))

    def err(self, message: str, suggestion: str | None = None) -> None:
        """Another name of `error`."""
        self.error(with_suggestion(message, suggestion))

    def hint(self, *args: Any) -> None:
        """Show advice; by default a note."""
        self.note(joined(args))

    def debug(self, *args: Any) -> None:
        """Show a detail; empty arguments are dropped."""
        self.print(*[a for a in args if a != ""])

    def die(self, *args: Any, exit_code: int = 1, suggestion: str | None = None) -> NoReturn:
        """Show a failure and end the program that asked for it: raises `SystemExit`."""
        self.err(joined(args), suggestion=suggestion)
        raise SystemExit(exit_code)

    @contextmanager
    def progress(
        self,
        total: int,
        description: str = "",
        bar_length: int = 30,
        *,
        file: Any = None,
        disable: bool = False,
        unit: str | None = None,
    ) -> Iterator[ProgressTask]:
        """A bar for `total` units; call `update(advance=, description=)` on what it gives.

        With `unit="B"` numbers are shown as sizes. The bar is drawn full at the end, unless an
        exception ends it. `file` is another stream to draw on, where the logger has streams.
        """
        from esptool.log_tasks import ProgressTask

        task = ProgressTask(self, total, description, bar_length, disable, unit)
        with self._drawing_on(file):
            yield task
            task.finish()

    @contextmanager
    def counter(
        self, description: str = "", *, file: Any = None, disable: bool = False
    ) -> Iterator[CounterTask]:
        """A count of work whose end is not known; `update()` counts on."""
        with self._drawing_on(file):
            from esptool.log_tasks import CounterTask

            task = CounterTask(self, description, disable)
            try:
                yield task
            finally:
                task.finish()

    def counter_line(self, prefix: str, suffix: str, *, final: bool = False) -> None:
        """Show a counter; `final` ends its line. By default a line each time it changed."""
        if not final:
            self.print(f"{prefix}{suffix}")

    def event(self, event: Event) -> bool:
        """Take an event of an operation whole, rather than as lines and bars.

        Args:
            event: one of `esptool.events`.

        Returns:
            Whether it was taken; what is not taken comes by the other methods.
        """
        return False

    def set_info_stream(self, stream: Any) -> None:  # noqa: B027 - nothing to do without streams
        """Send notes, hints and details to `stream`; a logger without streams takes no notice."""

    def redirect(self, stream: Any) -> None:  # noqa: B027 - nothing to do without streams
        """Send plain messages and bars to `stream`, None to standard output again."""

    def time_left(self, seconds: float | None) -> None:  # noqa: B027 - need not be shown
        """Told before a bar how long its work will still take; by default not shown."""

    @contextmanager
    def _drawing_on(self, file: Any) -> Iterator[None]:
        """Bars and counters go to `file` meanwhile."""
        yield


def joined(args: tuple[Any, ...]) -> str:
    """Arguments as one text, as `print` would join them."""
    return " ".join(map(str, args))


def with_suggestion(message: str, suggestion: str | None) -> str:
    """A message with what may be done about it."""
    return f"{message} {suggestion}" if suggestion else message
