# SPDX-License-Identifier: Apache-2.0
"""What the monitor shows: on a terminal with colours, clean in a pipe, or as JSON."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from esptool.errors import FatalError
from esptool.monitor.console import Output
from esptool.monitor.decoder import Note
from esptool.monitor.log_lines import is_coloured, parse, plain

_LEVEL = re.compile(r"^([EW]) \(.*$", re.MULTILINE)
_RED, _YELLOW, _DIM, _OFF = "\x1b[31m", "\x1b[33m", "\x1b[36m", "\x1b[0m"
_COLOURS = {"E": _RED, "W": _YELLOW}
_LEAD = "--- "


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

    def __init__(self, *, as_json: bool, timestamps: bool, log: str | None) -> None:
        self._json = as_json
        self.timestamps = timestamps
        self.paused = False
        self._colours = wants_colours() and not as_json
        self._log: IO[str] | None = None
        self._log_name = ""
        self._at_start = True
        self._begin = time.monotonic()
        if log is not None:
            self.log_to(log)

    @property
    def by_line(self) -> bool:
        """Each line must be told of by itself."""
        return self._json or self.timestamps or not self._colours

    # --- the chip ------------------------------------------------------------------------------

    def text(self, text: str, *, begins: bool) -> None:
        """See `Output`."""
        if self._log is not None:
            self._log_write((self._stamp() if begins else "") + plain(text))
        if self._json or self.paused:
            return
        if not self._colours:
            text = plain(text)
        elif not is_coloured(text):
            text = _LEVEL.sub(_coloured, text)
        if begins and self.timestamps:
            text = self._stamp() + text
        self._write(text)

    def line(self, line: str, shown: bool) -> None:
        """See `Output`."""
        if not self._json or self.paused or not shown:
            return
        record: dict[str, Any] = {"type": "line", "text": line}
        if (known := parse(line)) is not None:
            record |= {"level": known.level_name, "tag": known.tag, "uptime": known.time}
        self._record(record)

    def notes(self, notes: Sequence[Note]) -> None:
        """See `Output`."""
        for note in notes:
            if self._json:
                self._record({"type": note.kind, **note.data})
                continue
            colour = _RED if note.kind == "panic" else _YELLOW
            colour = colour if note.kind in ("panic", "hint", "wrong-build") else _DIM
            for line in note.lines:
                self.say(line, colour)

    # --- the monitor itself --------------------------------------------------------------------

    def say(self, text: str, colour: str = _DIM) -> None:
        """A line of the monitor's own."""
        lead = "" if self._at_start else "\n"
        stamp = self._stamp() if self.timestamps else ""
        if self._log is not None:
            self._log_write(f"{lead}{stamp}{_LEAD}{text}\n")
        if self._json:
            return
        line = f"{stamp}{_LEAD}{text}"
        self._write(f"{lead}{colour}{line}{_OFF}\n" if self._colours else f"{lead}{line}\n")

    def tell(self, kind: str, text: str, **facts: Any) -> None:
        """The same, as a record of its own where JSON is shown."""
        if self._json:
            self._record({"type": kind, "text": text, **facts})
        self.say(text)

    def log_to(self, name: str) -> None:
        """Write all that is shown into a file as well, behind what it holds.

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
        if not self._at_start and not self._json:
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

    def _record(self, record: dict[str, Any]) -> None:
        kind = record.pop("type")
        elapsed = round(time.monotonic() - self._begin, 3)
        self._write(json.dumps({"type": kind, "seconds": elapsed, **record}) + "\n")

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
