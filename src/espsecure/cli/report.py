# SPDX-License-Identifier: Apache-2.0
"""Shows what the operations tell: on a terminal, through the user's own logger, or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from esptool.events import Event, Level, Message


class Reporter:
    """Prints messages as they come: notes to standard output, warnings to standard error.

    Attributes:
        banner: a line to print in front of the first output, or "".
        data_on_stdout: standard output carries data, so all text goes to standard error.
        quiet: text that is no warning is dropped, because a JSON document takes its place.
    """

    def __init__(self, banner: str = "", *, data_on_stdout: bool = False) -> None:
        self.banner = banner
        self.data_on_stdout = data_on_stdout
        self.quiet = False

    @classmethod
    def for_arguments(cls, argv: Sequence[str], banner: str) -> Reporter:
        """A reporter that keeps standard output clean where the arguments ask for data there."""
        reporter = cls(banner, data_on_stdout="-" in argv or "--output=-" in argv)
        reporter.quiet = "--json" in argv
        return reporter

    def __call__(self, event: Event) -> None:
        if isinstance(event, Message):
            if event.level is Level.WARNING:
                speak(event)
            elif self.data_on_stdout:
                print(event.text, file=sys.stderr)
            elif not self.quiet:
                speak(event)

    def say(self, text: str) -> None:
        """A line of result for a person."""
        self(Message(text))

    def show_banner(self) -> None:
        """Print the program's name and version once."""
        if self.banner:
            self(Message(self.banner))
            self.banner = ""

    def document(self, value: dict[str, Any]) -> None:
        """The result for a program: one JSON object."""
        print(json.dumps(value, indent=2), file=sys.stderr if self.data_on_stdout else sys.stdout)


def speak(event: Event) -> None:
    """Print a message through the logger of `esptool.logger`, where a caller has loaded that."""
    if not isinstance(event, Message):
        return
    module = sys.modules.get("esptool.logger")
    log = getattr(module, "log", None)
    warning = event.level is Level.WARNING
    if log is not None:
        (log.warning if warning else log.print)(event.text)
    elif warning:
        print(f"WARNING: {event.text}", file=sys.stderr)
    else:
        print(event.text)
