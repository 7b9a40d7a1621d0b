# SPDX-License-Identifier: Apache-2.0
"""Where the default logger writes, and how: streams looked up at every call, colours, stages."""

from __future__ import annotations

import math
import os
import sys
import threading
import time

TYPE_CHECKING = False  # as in `typing`, whose import would be a good part of the start-up time
if TYPE_CHECKING:
    from typing import Any, TextIO

#: Columns that a bar takes at least where its text is whole, and where there is little room.
_SHORTEST_BAR, _SHORTER_BAR = 8, 4


def fitting(tail: str, when: str, room: int) -> str:
    """What is said behind a bar, beside which some of the bar has to fit, too."""
    texts = [tail]
    if when:
        texts = [f"{tail}, {when}" if tail else f" {when}", f" {when}", *texts]
    for text in texts:
        if len(text) + _SHORTEST_BAR <= room:
            return text
    short = f" {when.split()[0]}" if when else ""
    return short if len(short) + _SHORTER_BAR <= room else ""


def clock(seconds: float) -> str:
    """'0:07', '12:34', '1:02:03': whole seconds, the last one counted until it is over."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def is_terminal(stream: Any) -> bool:
    """Whether `stream` is a terminal; replacements may lack `isatty` or fail in it."""
    try:
        return bool(stream.isatty())
    except (AttributeError, OSError, ValueError):
        return False


def write_text(stream: TextIO, text: str) -> None:
    """Write, replacing what the stream's encoding cannot hold."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding))


def flush_stream(stream: Any) -> None:
    """Flush, where the stream knows how."""
    flush = getattr(stream, "flush", None)
    if flush is not None:
        flush()


BOLD_YELLOW = "\x1b[1;33m"
BOLD_RED = "\x1b[1;31m"
CYAN = "\x1b[36m"
DIM = "\x1b[2m"
RESET = "\x1b[0m"


class Streams:
    """The part of `EsptoolLogger` that knows streams and what stands on the screen."""

    def _start(self) -> None:
        """Set up, once."""
        self._verbosity = "auto"
        self._smart_features: bool | None = None
        self._stage_active = False
        self._stage_newline_count = 0
        self._stage_progress_visible = False
        self._column = 0
        self._now = time.monotonic
        self._last_mark = (0, -1)
        self._last_percent = -1
        self._next_line = 0.0
        self._time_left = ""
        self._console_out: Any = None
        self._console_err: Any = None
        self._info_stream: Any = None
        self._bar_stream: Any = None
        self._pinned: Any = None
        self._forced_terminal: bool | None = None
        self._width: int | None = None
        self.no_color = bool(os.environ.get("NO_COLOR"))

    def _smart(self) -> bool:
        """Whether lines may be erased and redrawn: on a terminal, from the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return False
        if self._smart_features is not None:
            return self._smart_features
        if self._forced_terminal is not None:
            return self._forced_terminal
        return is_terminal(self._drawn_on()) and os.environ.get("TERM") != "dumb"

    def _stdout_now(self) -> Any:
        """Where plain messages go at this moment."""
        return sys.stdout if self._pinned is None else self._pinned

    def _drawn_on(self) -> Any:
        """Where bars and counters go at this moment."""
        return self._stdout_now() if self._bar_stream is None else self._bar_stream

    def _plain(self) -> bool:
        return self.no_color or bool(os.environ.get("NO_COLOR"))

    def _paint(self, text: str, colour: str, stream: TextIO) -> str:
        forced = bool(os.environ.get("FORCE_COLOR"))
        if self._plain() or not (forced or is_terminal(stream)):
            return text
        return f"{colour}{text}{RESET}"

    def _unicode(self) -> bool:
        encoding = getattr(self._drawn_on(), "encoding", None) or "utf-8"
        try:
            "━".encode(encoding)
        except (LookupError, UnicodeEncodeError):
            return False
        return True

    def _columns(self) -> int:
        from shutil import get_terminal_size

        if self._width is not None:
            return max(10, self._width)
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
        import re

        *lines, last = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\r", "", text).split("\n")
        for line in lines:
            self._stage_newline_count += 1 + max(0, self._column + len(line) - 1) // width
            self._column = 0
        self._column += len(last)

    def _raw(self, text: str, flush: bool = False) -> None:
        stream = self._drawn_on()
        console = self._console_out
        if console is not None and console.file is stream:
            console.out(text, end="", highlight=False)
            return
        if stream is None:
            return
        write_text(stream, text)
        if flush or is_terminal(stream) or not text.endswith("\n"):
            flush_stream(stream)

    def _err(self, label: str, colour: str, message: str) -> None:
        self._leave_progress()
        stream = sys.stderr
        if stream is None:
            return
        if sys.stdout is not None:  # keeps the order where both are one terminal or pipe
            flush_stream(sys.stdout)
        text = f"{self._paint(label, colour, stream)} {message}\n"
        console = self._console_err
        if console is not None and console.file is stream:
            console.out(text, end="", highlight=False)
        else:
            write_text(stream, text)
            flush_stream(stream)
        # The lines above a warning must stay, so that it keeps its context.
        self._stage_newline_count = 0

    # --- consoles, for callers that capture through them --------------------------------------

    @property
    def stdout(self) -> Any:
        """A `rich` console on standard output; made when first asked for."""
        if self._console_out is None:
            self._console_out = _console(stderr=False)
        return self._console_out

    @property
    def stderr(self) -> Any:
        """A `rich` console on standard error; made when first asked for."""
        if self._console_err is None:
            self._console_err = _console(stderr=True)
        return self._console_err

    @property
    def _stdout(self) -> Any:
        return self.stdout

    @_stdout.setter
    def _stdout(self, console: Any) -> None:
        self._console_out = console

    @property
    def _stderr(self) -> Any:
        return self.stderr

    @_stderr.setter
    def _stderr(self, console: Any) -> None:
        self._console_err = console


def _console(*, stderr: bool) -> Any:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False, markup=False)
