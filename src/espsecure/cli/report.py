# SPDX-License-Identifier: Apache-2.0
"""Shows what the operations tell: through the logger that all programs share, or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from esptool.events import Event, Level, Message
from esptool.logger import log

#: Commands that name their output without an option.
POSITIONAL_OUTPUT = frozenset(
    ("generate-flash-encryption-key", "extract-public-key", "digest-private-key")
)


class Reporter:
    """Shows messages as they come: notes on standard output, warnings on standard error.

    Attributes:
        banner: a line to print in front of the first output, or "".
        data_on_stdout: standard output carries data, so all text goes to standard error.
    """

    def __init__(self, banner: str = "", *, data_on_stdout: bool = False) -> None:
        self.banner = banner
        self.data_on_stdout = data_on_stdout

    @classmethod
    def for_arguments(cls, argv: Sequence[str], banner: str) -> Reporter:
        """A reporter that keeps standard output clean where the arguments ask for data there."""
        return cls(banner, data_on_stdout=_wants_data(argv))

    def __call__(self, event: Event) -> None:
        if isinstance(event, Message) and self._is_text_beside_data(event):
            log.print(event.text, file=sys.stderr)
            return
        speak(event)

    def _is_text_beside_data(self, event: Message) -> bool:
        return self.data_on_stdout and event.level is not Level.WARNING

    def say(self, text: str) -> None:
        """A line of result for a person."""
        self(Message(text))

    def show_banner(self) -> None:
        """Print the program's name and version once."""
        if self.banner:
            self.say(self.banner)
            self.banner = ""


def _wants_data(argv: Sequence[str]) -> bool:
    """A '-' stands where the name of the output does, not where that of an input does."""
    command = next((word.replace("_", "-") for word in argv if not word.startswith("-")), "")
    named = command in POSITIONAL_OUTPUT
    for before, word in zip(["", *argv], argv, strict=False):
        if word in ("--output=-", "-o-") or (word == "-" and before in ("-o", "--output")):
            return True
        if word == "-" and named and before not in ("-k", "--keyfile"):
            return True
    return False


def speak(event: Event) -> None:
    """Show a message through the logger."""
    if isinstance(event, Message):
        (log.warning if event.level is Level.WARNING else log.print)(event.text)
