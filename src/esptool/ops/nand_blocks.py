# SPDX-License-Identifier: Apache-2.0
"""Blocks of a SPI NAND flash: where they lie, which are bad, what the error correction had to do.

A block whose first page has another mark than 0xFF is bad.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import md5
from typing import TypeVar

from esptool.device.nand import MOST_MARKS, Tally
from esptool.device.requests import LOSSES
from esptool.errors import (
    ChipResponseError,
    ConnectError,
    FatalError,
    LineLossError,
    UsageError,
    VerifyError,
)
from esptool.events import Level, Listener, Message, Progress
from esptool.ops.nand_flash import NandFlash
from esptool.sizes import counted
from esptool.transfer.receive import smaller
from esptool.transfer.recovery import Recovery

T = TypeVar("T")

GOOD = 0xFF
#: Bad blocks that a line names one by one.
_NAMED = 16
#: How often flash is looked at that is another each time.
_LOOKS = 4
BETTER_LINE = "A lower baud rate or a shorter cable may help."


class NandBlocks:
    """The blocks of one flash, what is known of them, and who is told."""

    def __init__(
        self, flash: NandFlash, listener: Listener, recovery: Recovery | None = None
    ) -> None:
        """`recovery` decides after a failure of the line; without it that is the end."""
        self._flash = flash
        self._listener = listener
        self._recovery = recovery
        self._part = flash.part
        self._block = self._part.block
        #: What is known of blocks by their numbers: marked bad, or good.
        self._bad: dict[int, bool] = {}
        #: What the error correction did, and whether the plug-in counts more than that.
        self._errors: Tally | None = None
        self._uncounted = True
        #: Bytes that are read at once.
        self._chunk = self._block

    def _line(self, text: str) -> None:
        self._listener(Message(text))

    def _warning(self, text: str) -> None:
        self._listener(Message(text, Level.WARNING))

    def _step(self, action: str, address: int, done: int, total: int, unit: str) -> None:
        self._listener(Progress(action, address, done, total, f"{done}/{total} {unit}"))

    # --- the line --------------------------------------------------------------------------------

    def _surely(self, doing: str, work: Callable[[], T]) -> T:
        """Result of requests that do no harm when they are made again.

        Args:
            doing: them in words, for a remark: "while erasing".
        """
        while True:
            try:
                result = work()
            except (*LOSSES, VerifyError) as e:
                if self._recovery is None:
                    raise
                self._recovery.after(e, doing, harmless=True)
                continue
            if self._recovery is not None:
                self._recovery.advanced()
            return result

    @property
    def _doubtful(self) -> bool:
        """The line has damaged something, so that also a request may have arrived as another one.

        Requests on NAND flash have no checksum.
        """
        return self._recovery is not None and self._recovery.losses > 0

    @contextmanager
    def _stopping(self, what: str, state: Callable[[], str], again: str) -> Iterator[None]:
        """Let the error that ends a job on a bad line say how far it came.

        Args:
            what: the job in words: "Writing stopped".
            state: what is done and what is not, in a sentence.
            again: what is to be done: "Write again."
        """
        try:
            yield
        except (LineLossError, ConnectError, ChipResponseError, VerifyError) as e:
            raise FatalError(
                f"{what}: {e.message} {state()}".rstrip(),
                remedy=e.remedy or f"{again} {BETTER_LINE}",
                code=e.error_code,
                operands=e.operands,
            ) from e

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
            marks = self._surely(
                "while reading bad-block marks", lambda: self._flash.marked(number, count)
            )
            if marks is None:
                marks = [self._spare(self._first_page(address)) & 0xFF != GOOD]
            for i, bad in enumerate(marks):
                self._bad.setdefault(number + i, bad)
        return not self._bad[number]

    def _spare(self, page: int) -> int:
        """The first word of a page's spare area."""
        return self._surely(f"while reading page {page}", lambda: self._flash.read_spare(page))

    def _write_mark(self, page: int, is_bad: int) -> int:
        """Write the mark of a page, and see that one that says bad is there."""

        def write() -> int:
            echo = self._flash.write_spare(page, is_bad)
            if (
                is_bad
                and self._recovery is not None
                and self._flash.read_spare(page) & 0xFF == GOOD
            ):
                raise VerifyError(f"The mark of page {page} is not there.")
            return echo

        return self._surely(f"while marking page {page}", write)

    def mark_bad(self, address: int, why: str) -> None:
        """Mark the block bad; where even that fails, there is no more to be done."""
        self._warning(f"{why} at {address:#010x}: the block is marked bad.")
        self._bad[address // self._block] = True
        try:
            self._write_mark(self._first_page(address), 1)
        except FatalError as e:
            self._warning(f"The block at {address:#010x} could not be marked bad: {e}")

    def _tell_skipped(self, skipped: list[int]) -> None:
        """Say once more, at the end, which blocks a job went around."""
        if skipped:
            self._line(f"Bad blocks skipped: {len(skipped)} ({_named(skipped)}).")

    # --- bit errors ------------------------------------------------------------------------------

    def _forget_errors(self) -> None:
        self._errors, self._uncounted = None, True

    def _counting(self, doing: str, work: Callable[[], T]) -> T:
        """Result of `work`, which reads flash; what the error correction did is added up.

        The plug-in tells its tally once: where the answer is lost, the flash is read again.
        """

        def work_and_count() -> tuple[T, Tally | None]:
            if self._uncounted:
                self._flash.tally()
            self._uncounted = True
            return work(), self._flash.tally()

        result, found = self._surely(doing, work_and_count)
        self._uncounted = False
        if found is not None:
            self._errors = found if self._errors is None else self._errors.with_later(found)
        return result

    def _read(self, address: int, size: int, doing: str) -> bytes:
        """Bytes as they lie there; in ever smaller pieces on a line that damages them."""
        data = bytearray()

        def read() -> bytes:
            piece = min(self._chunk, size - len(data))
            try:
                return self._flash.read(address + len(data), piece)[:piece]
            except (*LOSSES, VerifyError):
                self._chunk = smaller(self._chunk)
                raise

        while len(data) < size:
            data += self._counting(f"{doing} at {address + len(data):#010x}", read)
        return bytes(data)

    def _read_surely(self, address: int, data: bytearray, start: int, size: int) -> None:
        """See that the bytes in `data` are those of flash from `address` on; else read them again.

        Raises:
            VerifyError: they are others each time.
        """
        for _ in range(_LOOKS):
            if self._holds(address, bytes(data[start : start + size])):
                return
            data[start : start + size] = self._read(address, size, "while reading")
        raise VerifyError(
            f"What is read at {address:#010x} is not what the chip has there.",
            remedy=BETTER_LINE,
        )

    def _holds(self, address: int, wanted: bytes) -> bool:
        """The flash has these bytes: by a hash made in the chip, or read.

        Nothing tells whether a hash arrived as it was sent, and a bit may be misread once: that
        it has others is believed when it is found twice.
        """
        digest = md5(wanted, usedforsecurity=False).digest()
        last = None
        for _ in range(_LOOKS):
            found = self._counting(
                f"while verifying at {address:#010x}",
                lambda: self._flash.digest(address, len(wanted)),
            )
            if found is None:
                read = self._read(address, len(wanted), "while verifying")
                found = md5(read, usedforsecurity=False).digest()
            if found == digest:
                return True
            if found == last:
                break
            last = found
        return False

    def _tell_errors(self) -> Tally | None:
        """Say what the flash's error correction had to do since the job began."""
        found = self._errors
        if found is None:
            return None
        if found.corrected:
            limit = f", {found.at_limit} of them at its limit" if found.at_limit else ""
            self._listener(
                Message(
                    f"The flash's error correction put "
                    f"{counted(found.corrected, 'page')} right{limit} "
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
            f"The flash's error correction could not put {counted(found.lost, 'page')} right "
            f"(first: page {found.first_lost}, at {found.first_lost * self._part.page:#010x})."
        )


def _named(addresses: list[int]) -> str:
    more = ", ..." if len(addresses) > _NAMED else ""
    return ", ".join(f"{at:#010x}" for at in addresses[:_NAMED]) + more
