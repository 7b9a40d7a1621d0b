# SPDX-License-Identifier: Apache-2.0
"""Lines of ESP-IDF's log: their level, time and tag; and which of them are shown.

Source: ESP-IDF `log` component, `LOG_FORMAT`: "LEVEL (TIME) TAG: TEXT", with colours around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from esptool.errors import UsageError
from esptool.records import dataclass

#: From the least to the most talkative.
LEVELS = "NEWIDV"
_NAMES = {"E": "error", "W": "warning", "I": "info", "D": "debug", "V": "verbose"}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_LINE = re.compile(r"^([EWIDV]) \(([0-9:.\- ]+)\) ([^:\s][^:]*):")


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a line of the log says of itself.

    Attributes:
        level: one of E, W, I, D, V.
        time: as the program prints it: milliseconds since the start, or a time of day.
        tag: which part of the program speaks.
    """

    level: str
    time: str
    tag: str

    @property
    def level_name(self) -> str:
        """The level in full."""
        return _NAMES[self.level]


def plain(text: str) -> str:
    """Text without what steers a terminal."""
    return _ESCAPE.sub("", text) if "\x1b" in text else text


def parse(line: str) -> LogLine | None:
    """What a line without colours says of itself, None where it is no line of the log."""
    found = _LINE.match(line)
    return LogLine(found[1], found[2], found[3].strip()) if found else None


class Filter:
    """Which lines are shown: `TAG:LEVEL` for a tag, `*:LEVEL` for all others.

    What is no line of the log is shown, unless `*:N` hides everything that is not named.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._levels: dict[str, int] = {}
        self._others = LEVELS.index("V")
        for text in [word for given in texts for word in given.split()]:
            tag, colon, level = text.rpartition(":")
            if not colon:
                tag, level = text, "V"
            if not tag or len(level) != 1 or level.upper() not in LEVELS:
                raise UsageError(
                    f"'{text}' is not a filter.",
                    remedy=f"Write TAG:LEVEL with a level of {', '.join(LEVELS)}, or *:LEVEL.",
                )
            number = LEVELS.index(level.upper())
            if tag == "*":
                self._others = number
            else:
                self._levels[tag] = number

    @property
    def shows_all(self) -> bool:
        """Nothing is hidden."""
        return not self._levels and self._others == LEVELS.index("V")

    def shows(self, line: str) -> bool:
        """A line, without colours, is to be shown."""
        found = parse(line)
        if found is None:
            return self._others > 0
        return LEVELS.index(found.level) <= self._levels.get(found.tag, self._others)


def is_coloured(text: str) -> bool:
    """It brings colours of its own."""
    return _COLOUR.search(text) is not None
