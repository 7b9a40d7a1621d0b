# SPDX-License-Identifier: Apache-2.0
"""Where the tools print: `log`, the terminal logger behind it, and the interface to replace it.

The only module of the library that writes to standard output or standard error. It draws with
plain control sequences and looks the streams up at every call, so that callers may replace them.
"""

from __future__ import annotations

import math
import os
import re
import sys
import threading
from abc import ABC, abstractmethod
from typing import Any, TextIO, cast

__all__ = ["EsptoolLogger", "TemplateLogger", "log"]

VERBOSITIES = ("auto", "verbose", "silent", "compact")

_BOLD_YELLOW = "\x1b[1;33m"
_BOLD_RED = "\x1b[1;31m"
_CYAN = "\x1b[36m"
_DIM = "\x1b[2m"
_RESET = "\x1b[0m"
#: Columns that a bar takes at least where its text is whole, and where there is little room.
_SHORTEST_BAR, _SHORTER_BAR = 8, 4
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\r")


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
        self.warning(_with_suggestion(message, suggestion))

    def err(self, message: str, suggestion: str | None = None) -> None:
        """Another name of `error`."""
        self.error(_with_suggestion(message, suggestion))

    def hint(self, message: str) -> None:
        """Show advice; by default a note."""
        self.note(message)

    def debug(self, *args: Any) -> None:
        """Show a detail; empty arguments are dropped."""
        self.print(*[a for a in args if a != ""])


def _with_suggestion(message: str, suggestion: str | None) -> str:
    return f"{message} {suggestion}" if suggestion else message


class EsptoolLogger(TemplateLogger):
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
        _state.active = cls.instance
        return cls.instance

    def __init__(self) -> None:
        if type(self)._initialized:
            return
        type(self)._initialized = True
        self._verbosity = "auto"
        self._smart_features: bool | None = None
        self._stage_active = False
        self._stage_newline_count = 0
        self._stage_progress_visible = False
        self._column = 0
        self._last_mark = (0, -1)
        self._time_left = ""
        self.no_color = bool(os.environ.get("NO_COLOR"))

    # --- messages --------------------------------------------------------------------------

    def print(self, *args: Any, **kwargs: Any) -> None:
        if self._verbosity == "silent":
            return
        self._leave_progress()
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

    def note(self, message: str) -> None:
        if self._verbosity != "silent":
            self._leave_progress()
            # A note inside a stage must outlive it, with all that was printed before it.
            self._out(f"{self._paint('NOTE:', _CYAN, sys.stdout)} {message}\n")
            self._stage_newline_count = 0

    def hint(self, message: str) -> None:
        if self._verbosity != "silent":
            self._leave_progress()
            self._out(f"{self._paint('HINT:', _CYAN, sys.stdout)} {message}\n")
            self._stage_newline_count = 0

    def warning(self, message: str, suggestion: str | None = None) -> None:
        if self._verbosity != "silent":
            self._err("WARNING:", _BOLD_YELLOW, _with_suggestion(message, suggestion))

    def error(self, message: str, suggestion: str | None = None) -> None:
        self._err("ERROR:", _BOLD_RED, _with_suggestion(message, suggestion))

    def debug(self, *args: Any) -> None:
        if self._verbosity == "verbose":
            text = " ".join(str(a) for a in args if a != "")
            self.print(self._paint(text, _DIM, sys.stdout))

    # --- stages and bars -------------------------------------------------------------------

    def stage(self, finish: bool = False) -> None:
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
        self._time_left = "" if seconds is None else f"{_clock(seconds)} left"

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        when, self._time_left = self._time_left, ""
        if self._verbosity == "silent":
            return
        smart = self._smart()
        done = total_iters <= 0 or cur_iter >= total_iters
        share = 1.0 if total_iters <= 0 else min(1.0, max(0.0, cur_iter / total_iters))
        percent = f" {100 * share:5.1f}%"
        tail = suffix if not suffix or suffix.startswith(" ") else f" {suffix}"
        length = bar_length
        if smart:
            room = self._columns() - 1 - len(prefix) - len(percent)
            tail = _fitting(tail, "" if done else when, room)
            length = max(0, min(bar_length, room - len(tail)))
        filled = int(length * share)
        on, off = ("━", "━") if self._unicode() else ("=", " ")
        if smart and not self._plain():
            bar = f"{_CYAN}{on * filled}{_RESET}{_DIM}{off * (length - filled)}{_RESET}"
        else:
            bar = on * filled + " " * (length - filled)
        line = f"{prefix}{bar}{percent}{tail}".rstrip()
        if not smart:
            # Lines of a log file: one for every whole percent is plenty.
            mark = (total_iters, int(100 * share))
            if done or mark != self._last_mark:
                self._out(line + "\n")
            self._last_mark = mark
            return
        self._raw(f"\r\x1b[2K{line}" + ("\n" if done else ""), flush=True)
        self._stage_progress_visible = not done
        if done and self._stage_active:
            self._stage_newline_count += 1

    def set_verbosity(self, verbosity: str) -> None:
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
        _set_active(new_logger)

    # --- where and how ---------------------------------------------------------------------

    def _smart(self) -> bool:
        """Whether lines may be erased and redrawn: on a terminal, from the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return False
        if self._smart_features is not None:
            return self._smart_features
        return _is_terminal(sys.stdout) and os.environ.get("TERM") != "dumb"

    def _plain(self) -> bool:
        return self.no_color or bool(os.environ.get("NO_COLOR"))

    def _paint(self, text: str, colour: str, stream: TextIO) -> str:
        forced = bool(os.environ.get("FORCE_COLOR"))
        if self._plain() or not (forced or _is_terminal(stream)):
            return text
        return f"{colour}{text}{_RESET}"

    @staticmethod
    def _unicode() -> bool:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        try:
            "━".encode(encoding)
        except (LookupError, UnicodeEncodeError):
            return False
        return True

    @staticmethod
    def _columns() -> int:
        from shutil import get_terminal_size

        return max(10, get_terminal_size((80, 24)).columns)

    def _leave_progress(self) -> None:
        """A message during a bar begins on a line of its own."""
        if self._stage_progress_visible:
            self._raw("\n")
            self._stage_progress_visible = False
            if self._stage_active:
                self._stage_newline_count += 1

    def _out(self, text: str, flush: bool = False) -> None:
        self._raw(text, flush=flush)
        if not (self._stage_active and self._smart()):
            return
        width = self._columns()
        *lines, last = _CONTROL.sub("", text).split("\n")
        for line in lines:
            self._stage_newline_count += 1 + max(0, self._column + len(line) - 1) // width
            self._column = 0
        self._column += len(last)

    def _raw(self, text: str, flush: bool = False) -> None:
        console = self.__dict__.get("_console_out")
        if console is not None and console.file is sys.stdout:
            console.out(text, end="", highlight=False)
            return
        stream = sys.stdout
        if stream is None:
            return
        _write(stream, text)
        if flush or _is_terminal(stream) or not text.endswith("\n"):
            _flush(stream)

    def _err(self, label: str, colour: str, message: str) -> None:
        self._leave_progress()
        stream = sys.stderr
        if stream is None:
            return
        if sys.stdout is not None:
            _flush(sys.stdout)  # keeps the order of the two where they share a terminal or pipe
        text = f"{self._paint(label, colour, stream)} {message}\n"
        console = self.__dict__.get("_console_err")
        if console is not None and console.file is stream:
            console.out(text, end="", highlight=False)
        else:
            _write(stream, text)
            _flush(stream)
        # The lines above a warning must stay, so that it keeps its context.
        self._stage_newline_count = 0

    # --- consoles, for callers that capture through them --------------------------------------

    def _get_console(self, key: str, stderr: bool) -> Any:
        if key not in self.__dict__:
            from rich.console import Console

            self.__dict__[key] = Console(stderr=stderr, highlight=False, emoji=False, markup=False)
        return self.__dict__[key]

    @property
    def _stdout(self) -> Any:
        """A `rich` console on standard output; made when first asked for."""
        return self._get_console("_console_out", stderr=False)

    @_stdout.setter
    def _stdout(self, console: Any) -> None:
        self.__dict__["_console_out"] = console

    @property
    def _stderr(self) -> Any:
        """A `rich` console on standard error; made when first asked for."""
        return self._get_console("_console_err", stderr=True)

    @_stderr.setter
    def _stderr(self, console: Any) -> None:
        self.__dict__["_console_err"] = console


def _fitting(tail: str, when: str, room: int) -> str:
    """What is said behind a bar, beside which a piece of the bar has to fit, too."""
    texts = [tail]
    if when:
        texts = [f"{tail}, {when}" if tail else f" {when}", f" {when}", *texts]
    for text in texts:
        if len(text) + _SHORTEST_BAR <= room:
            return text
    short = f" {when.split()[0]}" if when else ""
    return short if len(short) + _SHORTER_BAR <= room else ""


def _clock(seconds: float) -> str:
    """'0:07', '12:34', '1:02:03': whole seconds, the last one counted until it is over."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _is_terminal(stream: Any) -> bool:
    """Whether `stream` is a terminal; replacements may lack `isatty` or fail in it."""
    try:
        return bool(stream.isatty())
    except (AttributeError, OSError, ValueError):
        return False


def _write(stream: TextIO, text: str) -> None:
    """Write, replacing what the stream's encoding cannot hold."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding))


def _flush(stream: Any) -> None:
    flush = getattr(stream, "flush", None)
    if flush is not None:
        flush()


_REQUIRED = (
    ("print",),
    ("note",),
    ("warning", "warn"),
    ("error", "err"),
    ("stage",),
    ("progress_bar",),
    ("set_verbosity",),
)


class _State:
    active: Any = None


_state = _State()


def _set_active(new_logger: Any) -> None:
    complete = all(
        any(callable(getattr(new_logger, name, None)) for name in names) for names in _REQUIRED
    )
    if not complete:
        raise TypeError(
            "New logger must implement the TemplateLogger interface, "
            f"got '{type(new_logger).__name__}'"
        )
    _state.active = new_logger


class _ActiveLogger:
    """`log`: passes every call on to whichever logger is installed at that moment."""

    def _target(self) -> Any:
        if _state.active is None:
            EsptoolLogger()
        return _state.active

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a plain message."""
        self._target().print(*args, **kwargs)

    def note(self, message: str) -> None:
        """Show something worth knowing."""
        self._target().note(message)

    def hint(self, message: str) -> None:
        """Show advice, as a note where the logger has no hints."""
        target = self._target()
        getattr(target, "hint", target.note)(message)

    def warning(self, message: str, suggestion: str | None = None) -> None:
        """Show something that may go wrong."""
        self._send("warning", "warn", _with_suggestion(message, suggestion))

    def error(self, message: str, suggestion: str | None = None) -> None:
        """Show a failure."""
        self._send("error", "err", _with_suggestion(message, suggestion))

    warn = warning
    err = error

    def _send(self, name: str, other: str, message: str) -> None:
        target = self._target()
        (getattr(target, name, None) or getattr(target, other))(message)

    def debug(self, *args: Any) -> None:
        """Show a detail, where the verbosity asks for it."""
        target = self._target()
        debug = getattr(target, "debug", None)
        if debug is not None:
            debug(*args)

    def stage(self, finish: bool = False) -> None:
        """Begin or end a group of messages."""
        self._target().stage(finish=finish)

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        """Show progress."""
        self._target().progress_bar(cur_iter, total_iters, prefix, suffix, bar_length)

    def set_verbosity(self, verbosity: str) -> None:
        """Set how much to show."""
        self._target().set_verbosity(verbosity)

    def set_logger(self, new_logger: Any) -> None:
        """Install another logger; it must have the methods of `TemplateLogger`."""
        _set_active(new_logger)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._target(), name)


#: The logger that everything prints through.
log = cast("EsptoolLogger", _ActiveLogger())
