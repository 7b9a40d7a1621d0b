# SPDX-License-Identifier: Apache-2.0
"""Jobs on SPI NAND flash: whole blocks, and around those that are bad.

A block whose first page has another mark than 0xFF is bad: data that should lie there lies in the
next good block.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from esptool.device.nand import BLOCK_SIZE, PAGES_PER_BLOCK
from esptool.errors import (
    FatalError,
    NANDEraseFailed,
    NANDProgramFailed,
    UsageError,
    VerifyError,
)
from esptool.events import Level, Listener, Message, Progress
from esptool.files import write_atomic
from esptool.image.sources import ImageSource, read_source
from esptool.ops.bounds import require_before

BLOCK_COUNT = 1024
TOTAL_SIZE = BLOCK_COUNT * BLOCK_SIZE
GOOD = 0xFF
NAND = "NAND flash"
ERASED = b"\xff"

ProgressFn = Callable[[int, int, int], object]


class NandFlash(Protocol):
    """What a job asks of the flash; `esptool.device.nand.Nand` does it over a session."""

    @property
    def page_step(self) -> int:
        """Bytes that one `write` takes."""

    def read_spare(self, page: int) -> int:
        """The first word of a page's spare area."""

    def write_spare(self, page: int, is_bad: int) -> object:
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


class NandJobs:
    """Jobs on one flash, each telling `listener` what it does."""

    def __init__(self, flash: NandFlash, listener: Listener) -> None:
        self._flash = flash
        self._listener = listener

    def _line(self, text: str) -> None:
        self._listener(Message(text))

    def _warning(self, text: str) -> None:
        self._listener(Message(text, Level.WARNING))

    def _step(self, action: str, address: int, done: int, total: int, unit: str) -> None:
        self._listener(Progress(action, address, done, total, f"{done}/{total} {unit}"))

    # --- bad blocks ------------------------------------------------------------------------------

    def is_good(self, address: int) -> bool:
        """Whether the block at `address` carries no bad-block mark."""
        return self._flash.read_spare(_first_page(address)) & 0xFF == GOOD

    def mark_bad(self, address: int, why: str) -> None:
        """Mark the block bad; where even that fails, there is no more to be done."""
        self._warning(f"{why} at {address:#010x}: the block is marked bad.")
        try:
            self._flash.write_spare(_first_page(address), 1)
        except FatalError as e:
            self._warning(f"The block at {address:#010x} could not be marked bad: {e}")

    def show_spare(self, page: int) -> int:
        """Show the first word of a page's spare area; also returned."""
        _existing_page(page)
        word = self._flash.read_spare(page)
        state = "good" if word & 0xFF == GOOD else "bad"
        self._line(f"NAND spare for page {page}: {word:#010x} ({state} block)")
        return word

    def mark(self, page: int, is_bad: int) -> None:
        """Mark the block of a page bad (1) or good (0)."""
        if is_bad not in (0, 1):
            raise UsageError(f"A block is bad (1) or good (0), not {is_bad}.")
        _existing_page(page)
        self._flash.write_spare(page, is_bad)
        self._line(f"NAND spare for page {page} written: {'bad' if is_bad else 'good'} block.")

    def dump_marks(self, output: str | os.PathLike[str], blocks: int = BLOCK_COUNT) -> bytes:
        """Write a file with a byte for every block: 0 good, 1 bad; also returned."""
        if not 1 <= blocks <= BLOCK_COUNT:
            raise UsageError(f"The NAND flash has {BLOCK_COUNT} blocks; {blocks} were asked for.")
        marks = bytearray()
        for block in range(blocks):
            at = block * BLOCK_SIZE
            marks.append(not self.is_good(at))
            self._step("Reading bad-block mark at", at, block + 1, blocks, "blocks")
        write_atomic(output, bytes(marks))
        self._line(f"BBM dump: {blocks} blocks scanned, {sum(marks)} bad. Written to '{output}'.")
        return bytes(marks)

    # --- reading and comparing -------------------------------------------------------------------

    def read(
        self, address: int, size: int, progress: ProgressFn | None = None, end: int | None = None
    ) -> bytes:
        """`size` bytes from `address` on, bad blocks left out.

        Raises:
            UsageError: they do not lie before the end address, or that is past the end of flash.
            FatalError: there are not so many bytes in good blocks before the end address.
        """
        end = _checked_end(end)
        require_before(end, address, size, NAND)
        data = bytearray()
        at = address
        while len(data) < size:
            if at >= end:
                raise FatalError(
                    f"The NAND's end address {end:#x} came after {len(data)} of {size} bytes: "
                    "there are no more good blocks."
                )
            following = (at // BLOCK_SIZE + 1) * BLOCK_SIZE
            if self.is_good(at):
                wanted = min(following - at, size - len(data))
                data += self._flash.read(at, wanted)[:wanted]
                if progress is not None:
                    progress(len(data), size, address)
            else:
                self._line(f"Skipping bad block at {at:#010x}.")
            at = following
        return bytes(data)

    def read_flash(
        self,
        address: int,
        size: int,
        output: str | os.PathLike[str] | None = None,
        end: int | None = None,
    ) -> bytes | None:
        """Read into the file `output`, or return the bytes."""
        begun = time.monotonic()

        def show(done: int, total: int, at: int) -> None:
            self._step("Reading from", at, done, total, "bytes")

        data = self.read(address, size, show, end)
        self._line(
            f"Read {size} bytes from {address:#010x} in {_took(begun, size)}"
            + (f" to '{output}'." if output else ".")
        )
        if output is None:
            return data
        write_atomic(output, data)
        return None

    def verify(self, addr_data: Sequence[tuple[int, ImageSource]], *, diff: bool = False) -> None:
        """Compare flash with sources; `diff` tells how many bytes of a block differ.

        Raises:
            UsageError: data do not lie within the flash.
            VerifyError: it differs.
        """
        for address, _source in addr_data:
            _whole_blocks("The address of what is verified", address)
        loaded = [(address, *read_source(source)) for address, source in addr_data]
        for address, content, _name in loaded:
            require_before(TOTAL_SIZE, address, len(content), NAND)
        differing = 0
        for address, content, name in loaded:
            self._line(
                f"Verifying {len(content):#x} ({len(content)}) bytes at {address:#010x} "
                f"against {name or 'input bytes'}..."
            )
            differing += self._compare(address, content, diff)
        if differing:
            raise VerifyError("Verification failed.")
        self._line("Verification successful.")

    def _compare(self, address: int, content: bytes, diff: bool) -> int:
        """Number of blocks that differ from the content."""
        bad = position = 0
        for at in _blocks(address, TOTAL_SIZE):
            if position >= len(content):
                return bad
            if not self.is_good(at):
                self._line(f"Skipping bad block at {at:#010x}.")
                continue
            wanted = content[position : position + BLOCK_SIZE]
            found = self._flash.read(at, BLOCK_SIZE)[: len(wanted)]
            position += len(wanted)
            if found == wanted:
                continue
            bad += 1
            note = "does not match"
            if diff:
                places = [i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b]
                first = f", the first at {at + places[0]:#010x}" if places else ""
                note = f"has {len(places)} bytes that differ{first}"
            self._line(f"  The block at {at:#010x} {note}.")
        if position < len(content):
            raise FatalError(f"The NAND ends after {position} of {len(content)} bytes.")
        return bad

    # --- erasing ---------------------------------------------------------------------------------

    def erase(self, address: int, size: int) -> None:
        """Erase whole blocks, also those that are marked bad; mark those that refuse.

        Raises:
            UsageError: not whole blocks, or not within the flash.
            FatalError: the link failed; that is no reason to call a block bad.
        """
        _whole_blocks("The offset to erase from", address)
        _whole_blocks("The size to erase", size)
        require_before(TOTAL_SIZE, address, size, NAND)
        self._line("Erasing NAND flash...")
        begun = time.monotonic()
        failed = 0
        for at in _blocks(address, address + size):
            try:
                self._flash.erase(at, BLOCK_SIZE)
            except NANDEraseFailed:
                failed += 1
                self.mark_bad(at, "The NAND could not erase")
        done = size // BLOCK_SIZE - failed
        self._line(
            f"NAND erase completed in {time.monotonic() - begun:.1f} seconds: "
            f"{done} blocks erased, {failed} failed and marked bad."
        )

    # --- writing ---------------------------------------------------------------------------------

    def write(self, addr_data: Sequence[tuple[int, ImageSource]], end: int | None = None) -> None:
        """Write sources, each from the start of a block, and compare every block once written.

        Raises:
            UsageError: an address is not that of a block, or data do not lie within the flash.
            FatalError: not enough good blocks, or an image was pushed into the next one.
        """
        self._listener(Message("NAND flash support is experimental.", Level.NOTE))
        end = _checked_end(end)
        for address, _source in addr_data:
            if address % BLOCK_SIZE:
                raise UsageError(
                    f"{address:#x} is not the start of a NAND block: "
                    f"addresses are multiples of the block size {BLOCK_SIZE:#x}."
                )
        contents = [(address, read_source(source)[0]) for address, source in addr_data]
        for address, content in contents:
            require_before(end, address, len(content), NAND)
        free_from = 0
        for address, content in contents:
            if address < free_from:
                raise FatalError(
                    f"The images overlap: what was written before reaches up to {free_from:#x}, "
                    f"past {address:#x}. Blocks that are bad push data on; leave room for them."
                )
            if content:
                free_from = self._write_image(address, content, end)

    def _write_image(self, address: int, content: bytes, end: int) -> int:
        """Write one image; returns the address behind its last block."""
        chunks = [
            content[i : i + BLOCK_SIZE].ljust(BLOCK_SIZE, ERASED)
            for i in range(0, len(content), BLOCK_SIZE)
        ]
        self._look_for_room(address, end, len(chunks))
        begun = time.monotonic()
        at = address
        for number, chunk in enumerate(chunks):
            while True:
                if at >= end:
                    raise FatalError(
                        f"Not enough good blocks before {end:#x}: {len(chunks) - number} blocks "
                        "are still to be written."
                    )
                here, at = at, at + BLOCK_SIZE
                if not self.is_good(here):
                    self._line(f"Skipping bad block at {here:#010x}.")
                elif self._write_block(here, chunk):
                    break
            self._step("Writing at", here, number + 1, len(chunks), "blocks")
        self._line(
            f"Wrote {len(content)} bytes at {address:#010x} in {_took(begun, len(content))}."
        )
        return at

    def _look_for_room(self, address: int, end: int, needed: int) -> None:
        """Count good blocks before anything is erased."""
        found = 0
        for at in _blocks(address, end):
            found += self.is_good(at)
            if found == needed:
                return
        raise FatalError(
            f"Not enough good blocks between {address:#x} and {end:#x}: {needed} are needed, "
            f"there are {found}."
        )

    def _write_block(self, address: int, chunk: bytes) -> bool:
        """Erase and write one block; False if it turned out bad, and is marked now."""
        try:
            self._flash.begin_write(BLOCK_SIZE, address)
            step = self._flash.page_step
            for seq, i in enumerate(range(0, len(chunk), step)):
                self._flash.write(chunk[i : i + step], seq)
        except (NANDProgramFailed, NANDEraseFailed) as e:
            with suppress(FatalError):  # the block is given up; the write may have ended, too
                self._flash.end_write()
            what = "erase" if isinstance(e, NANDEraseFailed) else "program"
            self.mark_bad(address, f"The NAND could not {what}")
            return False
        self._flash.end_write()
        for _attempt in range(2):  # a bit may be misread once
            found = self._flash.read(address, len(chunk))
            if found and found == chunk[: len(found)]:
                return True
        self.mark_bad(address, "What was written reads back differently")
        return False


def _checked_end(end: int | None) -> int:
    """The end address; the flash's own where none is given."""
    if end is None:
        return TOTAL_SIZE
    require_before(TOTAL_SIZE, 0, end, NAND)
    return end


def _existing_page(page: int) -> None:
    pages = BLOCK_COUNT * PAGES_PER_BLOCK
    if not 0 <= page < pages:
        raise UsageError(f"There is no page {page}: the NAND flash has {pages} of them.")


def _first_page(address: int) -> int:
    return address // BLOCK_SIZE * PAGES_PER_BLOCK


def _blocks(start: int, end: int) -> Iterator[int]:
    return iter(range(start, end, BLOCK_SIZE))


def _whole_blocks(what: str, value: int) -> None:
    if value % BLOCK_SIZE:
        raise UsageError(f"{what} must be a multiple of the NAND block size ({BLOCK_SIZE}).")


def _took(begun: float, size: int) -> str:
    seconds = max(time.monotonic() - begun, 1e-6)
    return f"{seconds:.1f} seconds ({size * 8 / seconds / 1000:.1f} kbit/s)"
