# SPDX-License-Identifier: Apache-2.0
"""Where the tools print: `log`, the terminal logger behind it, and the interface to replace it.

The only module of the library that writes to standard output or standard error. It draws with
plain control sequences and looks the streams up at every call, so that callers may replace them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType

from esptool import shared_log
from esptool.log_base import TemplateLogger, joined, with_suggestion
from esptool.log_streams import (
    BOLD_RED,
    BOLD_YELLOW,
    CYAN,
    DIM,
    RESET,
    Streams,
    clock,
    fitting,
    write_text,
)

TYPE_CHECKING = False  # as in `typing`, whose import would be a good part of the start-up time
if TYPE_CHECKING:
    from typing import Any

__all__ = ["EsptoolLogger", "TemplateLogger", "log"]

VERBOSITIES = ("auto", "verbose", "silent", "compact")
#: Levels by which other programs of the family know them, quiet ones first.
_LEVELS = ("silent", "auto", "verbose")

#: Redirected progress has a line for each tenth, and for each percent that takes so long.
LINE_PAUSE_S = 1.0

_RICH_WORDS = ("style", "markup", "highlight", "soft_wrap", "emoji", "justify", "overflow")


class EsptoolLogger(Streams, TemplateLogger):
    """The default logger: messages to standard output, warnings and errors to standard error.

    There is one instance; creating it again gives and activates the same one. On a terminal it
    collapses finished stages and redraws bars in place; otherwise every line stands by itself,
    without colour or carriage returns. NO_COLOR takes the colours away, FORCE_COLOR adds them.
    """

    instance: EsptoolLogger
    _initialized = False

    def __new__(cls) -> EsptoolLogger:
        if not isinstance(cls.__dict__.get("instance"), cls):
            cls.instance = super().__new__(cls)
            cls._initialized = False
        shared_log.activate(cls.instance)
        return cls.instance

    def __init__(self) -> None:
        if type(self)._initialized:
            return
        type(self)._initialized = True
        self._start()

    # --- messages --------------------------------------------------------------------------

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a plain message to standard output, as it is at this moment.

        Args:
            args: joined as the builtin `print` joins them.
            kwargs: `sep`, `end`, `flush`, and `file` for another stream; words that only `rich`
                knows (`style`, `markup`, ...) have no effect.

        Raises:
            TypeError: an argument that neither knows.
        """
        if self._verbosity == "silent":
            return
        self._leave_progress()
        for name in _RICH_WORDS:  # what a `rich` console would take
            kwargs.pop(name, None)
        if kwargs.get("file") not in (None, sys.stdout):
            print(*args, **kwargs)
            return
        kwargs.pop("file", None)
        flush = bool(kwargs.pop("flush", False))
        sep = kwargs.pop("sep", " ")
        end = kwargs.pop("end", "\n")
        if kwargs:
            raise TypeError(f"print() got an unexpected argument {next(iter(kwargs))!r}")
        text = (" " if sep is None else sep).join(map(str, args))
        self._out(text + ("\n" if end is None else end), flush=flush)

    def note(self, *args: Any) -> None:
        """Show something worth knowing, behind NOTE:."""
        self._inform("NOTE:", args)

    def hint(self, *args: Any) -> None:
        """Show advice, behind HINT:."""
        self._inform("HINT:", args)

    def _inform(self, label: str, args: tuple[Any, ...]) -> None:
        if self._verbosity == "silent":
            return
        self._leave_progress()
        stream = self._info_stream
        if stream is not None:
            write_text(stream, f"{self._paint(label, CYAN, stream)} {joined(args)}\n")
            return
        # A note inside a stage must outlive it, with all that was printed before it.
        self._out(f"{self._paint(label, CYAN, self._stdout_now())} {joined(args)}\n")
        self._stage_newline_count = 0

    def warning(self, message: str, suggestion: str | None = None) -> None:
        """Show something that may go wrong, on standard error."""
        self.warn(message, suggestion=suggestion)

    def error(self, message: str, suggestion: str | None = None) -> None:
        """Show a failure, on standard error, whatever the verbosity."""
        self.err(message, suggestion=suggestion)

    def warn(self, *args: Any, suggestion: str | None = None) -> None:
        """Show something that may go wrong, with what may be done about it."""
        tell_ide("warning", args, suggestion)
        if self._verbosity != "silent":
            self._err("WARNING:", BOLD_YELLOW, with_suggestion(joined(args), suggestion))

    def err(self, *args: Any, suggestion: str | None = None) -> None:
        """Show a failure, with what may be done about it."""
        tell_ide("error", args, suggestion)
        self._err("ERROR:", BOLD_RED, with_suggestion(joined(args), suggestion))

    def debug(self, *args: Any) -> None:
        """Show a detail, at the verbosity "verbose" alone."""
        if self._verbosity == "verbose":
            text = " ".join(str(a) for a in args if a != "")
            stream = self._info_stream
            self.print(self._paint(text, DIM, stream or self._stdout_now()), file=stream)

    def set_info_stream(self, stream: Any) -> None:
        """Send notes, hints and details to `stream`; standard output takes that back."""
        self._info_stream = None if stream is sys.stdout else stream

    def set_console_options(
        self,
        *,
        file: Any = None,
        no_color: bool | None = None,
        force_terminal: bool | None = None,
        width: int | None = None,
        soft_wrap: bool = True,
        highlight: bool = False,
        quiet: bool = False,
    ) -> None:
        """Pin standard output's messages to `file`, and settle what is otherwise found out.

        `soft_wrap` and `highlight` are taken and have no effect: lines are neither wrapped nor
        coloured by their words.
        """
        self._pinned = file
        self._forced_terminal = False if file is not None else force_terminal
        self._width = width
        if no_color is not None:
            self.no_color = no_color
        if quiet:
            self.set_verbosity("silent")

    def redirect(self, stream: Any) -> None:
        """Send plain messages and bars to `stream`, None to standard output again."""
        self._pinned = stream

    # --- stages and bars -------------------------------------------------------------------

    def stage(self, finish: bool = False) -> None:
        """Begin a group of messages, or end it.

        On a terminal its lines are erased at the end, down to the last note or warning in it.
        """
        if not finish:
            self._stage_active = True
            self._stage_newline_count = 0
            self._stage_progress_visible = False
            return
        if self._stage_active and self._stage_can_collapse():
            self._stage_erase_stdout()
        self._stage_active = False
        self._stage_newline_count = 0
        self._stage_progress_visible = False

    def _stage_can_collapse(self) -> bool:
        if self._verbosity in ("verbose", "silent"):
            return False
        return self._smart()

    def _stage_erase_stdout(self) -> None:
        lines = self._stage_newline_count
        text = "\x1b[1A\x1b[2K" * lines
        if self._stage_progress_visible or self._column:
            text = "\r\x1b[2K" + text
        if text:
            self._raw(text, flush=True)
        self._column = 0

    def time_left(self, seconds: float | None) -> None:
        """Say how long the work of the next bar will still take; only a terminal shows it."""
        self._time_left = "" if seconds is None else f"{clock(seconds)} left"

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        """Draw a bar in place on a terminal, else a line for each tenth and each second.

        Args:
            cur_iter: how much is done, in whatever unit; the last call has all of it.
            total_iters: all of it; below 0 nothing is drawn.
            prefix: stands before the bar.
            suffix: stands behind it, shortened or left out where there is no room.
            bar_length: columns of the bar, fewer where there is no room.
        """
        when, self._time_left = self._time_left, ""
        if self._verbosity == "silent" or total_iters < 0:
            return
        smart = self._smart()
        done = total_iters <= 0 or cur_iter >= total_iters
        share = 1.0 if total_iters <= 0 else min(1.0, max(0.0, cur_iter / total_iters))
        percent = f" {100 * share:5.1f}%"
        tail = suffix if not suffix or suffix.startswith(" ") else f" {suffix}"
        length = bar_length
        if smart:
            room = self._columns() - 1 - len(prefix) - len(percent)
            tail = fitting(tail, "" if done else when, room)
            length = max(0, min(bar_length, room - len(tail)))
        filled = int(length * share)
        on, off = ("━", "━") if self._unicode() else ("=", " ")
        if smart and not self._plain():
            bar = f"{CYAN}{on * filled}{RESET}{DIM}{off * (length - filled)}{RESET}"
        else:
            bar = on * filled + " " * (length - filled)
        line = f"{prefix}{bar}{percent}{tail}".rstrip()
        if not smart:
            # Lines of a log file, or of a program that follows work through a pipe.
            tenth, percent_now = (total_iters, int(10 * share)), int(100 * share)
            slow = self._now() >= self._next_line and percent_now != self._last_percent
            if done or tenth != self._last_mark or slow:
                self._out(line + "\n", flush=True)
                self._last_mark, self._last_percent = tenth, percent_now
                self._next_line = self._now() + LINE_PAUSE_S
            return
        self._redraw(line, done)

    def _redraw(self, line: str, done: bool) -> None:
        self._raw(f"\r\x1b[2K{line}" + ("\n" if done else ""), flush=True)
        self._stage_progress_visible = not done
        if done and self._stage_active:
            self._stage_newline_count += 1

    def counter_line(self, prefix: str, suffix: str, *, final: bool = False) -> None:
        """Draw a counter in place on a terminal, else a line for each change."""
        if self._verbosity == "silent":
            return
        if self._smart():
            self._redraw(f"{prefix}{suffix}", final)
        elif not final:
            self._out(f"{prefix}{suffix}\n")

    @contextmanager
    def _drawing_on(self, file: Any) -> Iterator[None]:
        before, self._last_mark = self._bar_stream, (0, -1)
        self._bar_stream = None if file is sys.stdout else file
        try:
            yield
        finally:
            self._bar_stream = before

    def set_verbosity(self, verbosity: str | int) -> None:
        """Set how much is shown.

        Args:
            verbosity: "auto" (also "normal"; a terminal is drawn on), "verbose" (details too,
                nothing is erased), "compact" (as on a terminal), or "silent" (errors alone);
                0, 1 and 2 are silent, auto and verbose.

        Raises:
            ValueError: there is no such verbosity.
        """
        if isinstance(verbosity, int):
            verbosity = _LEVELS[verbosity] if 0 <= verbosity < len(_LEVELS) else str(verbosity)
        verbosity = {"normal": "auto"}.get(verbosity.lower(), verbosity.lower())
        if verbosity not in VERBOSITIES:
            raise ValueError(
                f"Unknown verbosity '{verbosity}'. Choose one of: {', '.join(VERBOSITIES)}."
            )
        self._verbosity = verbosity
        self._smart_features = {"auto": None, "verbose": False, "silent": False, "compact": True}[
            verbosity
        ]

    def set_logger(self, new_logger: Any) -> None:
        """Send all further messages to `new_logger`.

        Raises:
            TypeError: it lacks one of the methods of `TemplateLogger`.
        """
        _install(new_logger)


def tell_ide(kind: str, args: tuple[Any, ...], suggestion: str | None = None) -> None:
    """Hand a warning or an error on to an IDE, where one listens."""
    if os.environ.get("ESP_IDE_WS"):
        from esptool.log_ide import tell

        tell(kind, joined(args), suggestion)


_REQUIRED = (
    ("print",),
    ("note",),
    ("warning", "warn"),
    ("error", "err"),
    ("stage",),
    ("progress_bar",),
    ("set_verbosity",),
)


#: Another name to look for where a logger lacks one.
_OTHER_NAMES = {"warning": "warn", "warn": "warning", "error": "err", "err": "error"}


def _install(new_logger: Any) -> None:
    complete = all(
        any(callable(getattr(new_logger, name, None)) for name in names) for names in _REQUIRED
    )
    if not complete:
        raise TypeError(
            "New logger must implement the TemplateLogger interface, "
            f"got '{type(new_logger).__name__}'"
        )
    shared_log.activate(new_logger)


class _ActiveLogger:
    """`log`: every name is that of whichever logger is installed at that moment.

    What a logger of another family lacks is served by the defaults of `TemplateLogger`.
    """

    def set_logger(self, new_logger: Any) -> None:
        """Install another logger; it must have the methods of `TemplateLogger`."""
        _install(new_logger)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        target = shared_log.active() or EsptoolLogger()
        for known in (name, _OTHER_NAMES.get(name, name)):
            try:
                return getattr(target, known)
            except AttributeError:
                continue
        default = getattr(TemplateLogger, name)
        return _nothing if name == "debug" else MethodType(default, target)


def _nothing(*args: Any) -> None:
    """What a logger without details does with one."""


#: The logger that everything prints through.
if TYPE_CHECKING:
    log = EsptoolLogger()
else:
    log = _ActiveLogger()
shared_log.offer(log, EsptoolLogger, TemplateLogger)
