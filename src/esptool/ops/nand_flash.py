# SPDX-License-Identifier: Apache-2.0
"""What the jobs on SPI NAND flash ask of it."""

from __future__ import annotations

from typing import Protocol

from esptool.device.nand import Tally
from esptool.device.nand_parts import NandPart


class NandFlash(Protocol):
    """What a job asks of the flash; `esptool.device.nand.Nand` does it over a session."""

    @property
    def part(self) -> NandPart:
        """Its geometry."""

    @property
    def page_step(self) -> int:
        """Bytes that one `write` takes."""

    @property
    def numbered(self) -> bool:
        """A `write` that was taken and comes again is known by its number, and not done twice."""

    def tally(self) -> Tally | None:
        """What the error correction did since it was last asked; None: nobody knows."""

    def digest(self, offset: int, size: int) -> bytes | None:
        """The MD5 of flash as it lies there; None: it has to be read."""

    def marked(self, first: int, count: int) -> list[bool] | None:
        """Which of `count` blocks are marked bad; None: ask for each mark."""

    def read_spare(self, page: int) -> int:
        """The first word of a page's spare area."""

    def write_spare(self, page: int, is_bad: int) -> int:
        """Write the bad-block mark of a page."""

    def read(self, offset: int, size: int) -> bytes:
        """The bytes as they lie there."""

    def begin_write(self, size: int, offset: int) -> object:
        """Erase, and prepare to write whole blocks."""

    def write(self, data: bytes, seq: int) -> object:
        """Write the next bytes."""

    def end_write(self) -> object:
        """End a write."""

    def erase(self, offset: int, size: int) -> object:
        """Erase blocks."""
