# SPDX-License-Identifier: Apache-2.0
"""What a chip prints, for a page's terminal: text, and explanations of it. No browser, no port."""

from __future__ import annotations

from collections.abc import Sequence

from esptool.monitor.builds import Builds
from esptool.monitor.console import Console
from esptool.monitor.decoder import Decoder, Note


class Terminal:
    """Collects what is to be shown until it is taken.

    Args:
        elves: files of the programs that may run, for names of addresses.
    """

    def __init__(self, elves: Sequence[str] = ()) -> None:
        self._pieces: list[dict[str, str]] = []
        self._console = Console(Decoder(Builds(list(elves))), self)

    def feed(self, data: bytes) -> list[dict[str, str]]:
        """Bytes of the chip, none where nothing came for a moment.

        Returns:
            Pieces in order: "text" as the chip sent it, "note" for a line of an explanation.
        """
        if data:
            self._console.feed(data)
        else:
            self._console.idle()
        taken, self._pieces = self._pieces, []
        return taken

    def text(self, text: str, *, begins: bool) -> None:
        """See `Output`."""
        self._pieces.append({"text": text})

    def line(self, line: str, shown: bool) -> None:
        """See `Output`."""

    def notes(self, notes: Sequence[Note]) -> None:
        """See `Output`."""
        self._pieces += [{"note": line} for note in notes for line in note.lines]
