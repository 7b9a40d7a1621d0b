# SPDX-License-Identifier: Apache-2.0
"""Blocks of a SPI NAND flash: where they lie, which are bad, what the error correction had to do.

A block whose first page has another mark than 0xFF is bad.
"""

from __future__ import annotations

from collections.abc import Iterator

from esptool.device.nand import MOST_MARKS, Tally
from esptool.errors import FatalError, UsageError
from esptool.events import Level, Listener, Message, Progress
from esptool.ops.nand_flash import NandFlash

GOOD = 0xFF
#: Bad blocks that a line names one by one.
_NAMED = 16


class NandBlocks:
    """The blocks of one flash, what is known of them, and who is told."""

    def __init__(self, flash: NandFlash, listener: Listener) -> None:
        self._flash = flash
        self._listener = listener
        self._part = flash.part
        self._block = self._part.block
        #: What is known of blocks by their numbers: marked bad, or good.
        self._bad: dict[int, bool] = {}

    def _line(self, text: str) -> None:
        self._listener(Message(text))

    def _warning(self, text: str) -> None:
        self._listener(Message(text, Level.WARNING))

    def _step(self, action: str, address: int, done: int, total: int, unit: str) -> None:
        self._listener(Progress(action, address, done, total, f"{done}/{total} {unit}"))

    # --- geometry --------------------------------------------------------------------------------

    def _blocks(self, start: int, end: int) -> Iterator[int]:
        return iter(range(start, end, self._block))

    def _first_page(self, address: int) -> int:
        return address // self._block * self._part.pages

    def _checked_end(self, end: int | None) -> int:
        """The end address; the flash's own where none is given."""
        if end is None:
            return self._part.size
        if not 0 <= end <= self._part.size:
            raise UsageError(
                f"The NAND end address {end:#x} lies past the flash's end ({self._part.size:#x})."
            )
        return end

    def _existing_page(self, page: int) -> None:
        pages = self._part.blocks * self._part.pages
        if not 0 <= page < pages:
            raise UsageError(f"There is no page {page}: the NAND flash has {pages} of them.")

    def _whole_blocks(self, what: str, value: int) -> None:
        if value % self._block:
            raise UsageError(f"{what} must be a multiple of the NAND block size ({self._block}).")

    # --- bad blocks ------------------------------------------------------------------------------

    def is_good(self, address: int) -> bool:
        """Whether the block at `address` carries no bad-block mark."""
        number = address // self._block
        if number not in self._bad:
            count = min(MOST_MARKS, self._part.blocks - number)
            marks = self._flash.marked(number, count)
            if marks is None:
                mark = self._flash.read_spare(self._first_page(address)) & 0xFF
                marks = [mark != GOOD]
            for i, bad in enumerate(marks):
                self._bad.setdefault(number + i, bad)
        return not self._bad[number]

    def mark_bad(self, address: int, why: str) -> None:
        """Mark the block bad; where even that fails, there is no more to be done."""
        self._warning(f"{why} at {address:#010x}: the block is marked bad.")
        self._bad[address // self._block] = True
        try:
            self._flash.write_spare(self._first_page(address), 1)
        except FatalError as e:
            self._warning(f"The block at {address:#010x} could not be marked bad: {e}")

    def _tell_skipped(self, skipped: list[int]) -> None:
        """Say once more, at the end, which blocks a job went around."""
        if skipped:
            self._line(f"Bad blocks skipped: {len(skipped)} ({_named(skipped)}).")

    # --- bit errors ------------------------------------------------------------------------------

    def _forget_errors(self) -> None:
        self._flash.tally()

    def _tell_errors(self) -> Tally | None:
        """Say what the flash's error correction had to do since the job began."""
        found = self._flash.tally()
        if found is None:
            return None
        if found.corrected:
            limit = f", {found.at_limit} of them at its limit" if found.at_limit else ""
            self._listener(
                Message(
                    f"The flash's error correction put {pages(found.corrected)} right{limit} "
                    f"(first: page {found.first_corrected}, "
                    f"at {found.first_corrected * self._part.page:#010x}).",
                    Level.WARNING if found.at_limit else Level.NOTE,
                )
            )
        if found.lost:
            self._warning(self._lost(found))
        return found

    def _lost(self, found: Tally) -> str:
        return (
            f"The flash's error correction could not put {pages(found.lost)} right "
            f"(first: page {found.first_lost}, at {found.first_lost * self._part.page:#010x})."
        )


def _named(addresses: list[int]) -> str:
    more = ", ..." if len(addresses) > _NAMED else ""
    return ", ".join(f"{at:#010x}" for at in addresses[:_NAMED]) + more


def pages(count: int) -> str:
    """How many pages, in words."""
    return "1 page" if count == 1 else f"{count} pages"
