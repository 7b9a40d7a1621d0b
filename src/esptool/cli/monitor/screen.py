# SPDX-License-Identifier: Apache-2.0
"""What the monitor shows: on a terminal with colours, clean in a pipe, or as JSON."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from esptool.cli import machine
from esptool.errors import FatalError
from esptool.monitor.console import Output
from esptool.monitor.decoder import Note
from esptool.monitor.log_lines import is_coloured, parse, plain

_LEVEL = re.compile(r"^([EW]) \(.*$", re.MULTILINE)
_RED, _YELLOW, _DIM, _OFF = "\x1b[31m", "\x1b[33m", "\x1b[36m", "\x1b[0m"
_COLOURS = {"E": _RED, "W": _YELLOW}
_LEAD = "--- "
#: Other explanations hold places, which a terminal makes links of.
_SENTENCES = frozenset({"panic", "hint", "build"})
_COLOUR_OF = {"panic": _RED, "hint": _YELLOW}


def wants_colours() -> bool:
    """Standard output is a terminal, and nobody has asked for none."""
    out = sys.stdout
    return out is not None and out.isatty() and not os.environ.get("NO_COLOR")


class Screen(Output):
    """Shows what a chip says, and what there is to say of it.

    Attributes:
        timestamps: each line begins with the time of day.
        paused: nothing of what the chip says is shown.
    """

    def __init__(self, *, timestamps: bool, log: str | None) -> None:
        self._machine = machine.active()
        self.timestamps = timestamps
        self.paused = False
        self._colours = wants_colours() and self._machine is None
        self._terminal = sys.stdout is not None and sys.stdout.isatty()
        self._log: IO[str] | None = None
        self._log_name = ""
        self._at_start = True
        self._begin = time.monotonic()
        if log is not None:
            self.log_to(log)

    @property
    def by_line(self) -> bool:
        """Each line must be told of by itself."""
        return self._machine is not None or self.timestamps or not self._colours

    # --- the chip ------------------------------------------------------------------------------

    def text(self, text: str, *, begins: bool) -> None:
        """See `Output`."""
        # One time for both: the log and the terminal must not differ by a millisecond.
        stamp = self._stamp() if begins else ""
        if self._log is not None:
            self._log_write(stamp + plain(text))
        if self._machine is not None or self.paused:
            return
        if not self._colours:
            text = plain(text)
        elif not is_coloured(text):
            text = _LEVEL.sub(_coloured, text)
        self._write(stamp + text)

    def line(self, line: str, shown: bool) -> None:
        """See `Output`."""
        if not shown and self._log is not None:
            # A file is looked at afterwards, and then what was hidden may be what is looked for.
            self._log_write(f"{self._stamp()}{line}\n")
        if self._machine is None or self.paused or not shown:
            return
        record: dict[str, Any] = {"text": line}
        if (known := parse(line)) is not None:
            record |= {"level": known.level_name, "tag": known.tag, "uptime": known.time}
        self._record("line", record)

    def notes(self, notes: Sequence[Note]) -> None:
        """See `Output`."""
        for note in notes:
            self._record(note.kind, note.data)
            colour = _COLOUR_OF.get(note.kind, _DIM)
            if note.kind == "build" and not note.data["matches"]:
                colour = _YELLOW
            for line in note.lines:
                self.say(line, colour, wrap=note.kind in _SENTENCES)

    # --- the monitor itself --------------------------------------------------------------------

    def say(self, text: str, colour: str = _DIM, *, wrap: bool = True) -> None:
        """A line of the monitor's own; a sentence is broken between words on a terminal."""
        lead = "" if self._at_start else "\n"
        stamp = self._stamp() if self.timestamps else ""
        if self._log is not None:
            self._log_write(f"{lead}{stamp}{_LEAD}{text}\n")
        if self._machine is not None:
            return
        lines = [text]
        if wrap and self._terminal:
            width = max(20, shutil.get_terminal_size().columns - len(stamp) - len(_LEAD))
            lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        line = "\n".join(f"{stamp}{_LEAD}{part}" for part in lines or [""])
        self._write(f"{lead}{colour}{line}{_OFF}\n" if self._colours else f"{lead}{line}\n")

    def tell_port(self, text: str, state: str, name: str) -> None:
        """The same about the port, which programs get as a record."""
        self._record("port", {"state": state, "port": name})
        self.say(text)

    def log_to(self, name: str) -> None:
        """Write all that is shown or hidden into a file as well, behind what it holds.

        Raises:
            FatalError: it cannot be written.
        """
        try:
            # Open for as long as the monitor runs; `close` ends it.
            self._log = Path(name).open("a", encoding="utf-8", errors="replace")  # noqa: SIM115
        except OSError as e:
            raise FatalError(f"Cannot write {name}: {e.strerror}.") from e
        self._log_name = name

    def toggle_log(self) -> str:
        """Begin a file of its own, or end it; what to tell the user."""
        if self._log is not None:
            self._log.close()
            self._log = None
            return f"The log {self._log_name} is complete."
        self.log_to(f"monitor-{datetime.now():%Y%m%d-%H%M%S}.log")
        return f"What is shown goes into {self._log_name}, too."

    def close(self) -> None:
        """End the output; the prompt of a shell begins a new line."""
        if not self._at_start and self._machine is None:
            self._write("\n")
        if self._log is not None:
            self._log.close()
            self._log = None

    # --- writing -------------------------------------------------------------------------------

    def _stamp(self) -> str:
        if not self.timestamps:
            return ""
        now = datetime.now()
        return f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03} "

    def _record(self, kind: str, record: dict[str, Any]) -> None:
        if self._machine is not None:
            seconds = round(time.monotonic() - self._begin, 3)
            self._machine.emit(kind, seconds=seconds, **record)

    def _write(self, text: str) -> None:
        if sys.stdout is None or not text:
            return
        self._at_start = text.endswith("\n")
        sys.stdout.write(text)
        sys.stdout.flush()

    def _log_write(self, text: str) -> None:
        assert self._log is not None
        try:
            self._log.write(text)
            self._log.flush()
        except OSError as e:
            self._log = None
            raise FatalError(f"Cannot write {self._log_name}: {e.strerror}.") from e


def _coloured(found: re.Match[str]) -> str:
    return f"{_COLOURS[found[1]]}{found[0]}{_OFF}"
