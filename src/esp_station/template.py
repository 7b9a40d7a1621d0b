# SPDX-License-Identifier: Apache-2.0
"""Texts with places for what is known of a board: `{mac}`, `{row.serial}`, `{value.version}`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from esp_station.tomlfile import did_you_mean
from esptool.errors import UsageError

#: What every board has.
BOARD_NAMES = (
    *("mac", "mac_plain", "chip", "revision", "flash_id", "product", "station", "slot"),
    *("attempt", "date", "time"),
)
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Template:
    """A text with places.

    Attributes:
        text: as it was written.
        names: what stands in its places.
    """

    def __init__(self, text: str) -> None:
        """
        Raises:
            UsageError: a brace that is neither doubled nor part of a place.
        """
        self.text = text
        self.names: list[str] = []
        for found in _PLACE.finditer(text):
            if found[0] in ("{", "}"):
                raise UsageError(
                    f"'{found[0]}' at column {found.start() + 1} of {text!r} begins or ends no "
                    f"place.",
                    remedy=f"Write {found[0] * 2} for the sign itself.",
                )
            if found[1] is not None:
                self.names.append(found[1].strip())

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """
        Raises:
            UsageError: a place for something that no board will have; names the nearest.
        """
        words = list(known)
        for name in self.names:
            if name not in words:
                raise UsageError(f"Nothing is known as '{{{name}}}'.{did_you_mean(name, words)}")

    def fill(self, facts: Mapping[str, str]) -> str:
        """The text with everything in its place.

        Raises:
            UsageError: something is not known of this board.
        """

        def put(found: re.Match[str]) -> str:
            if found[1] is None:
                return found[0][0]
            name = found[1].strip()
            if name not in facts:
                raise UsageError(f"'{{{name}}}' is not known of this board.")
            return facts[name]

        return _PLACE.sub(put, self.text)
