# SPDX-License-Identifier: Apache-2.0
"""Jobs on SPI NAND flash: whole blocks, and around those that are bad.

Data that should lie in a bad block lies in the next good one.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from esptool.device.nand_parts import W25N01GV
from esptool.errors import (
    FatalError,
    NANDEraseFailed,
    NANDProgramFailed,
    UsageError,
    VerifyError,
)
from esptool.events import Level, Message
from esptool.files import write_atomic
from esptool.image.sources import ImageSource, read_source
from esptool.ops.bounds import require_before
from esptool.ops.nand_blocks import GOOD, NandBlocks, pages

#: Those of the part that the documented names are about.
BLOCK_COUNT = W25N01GV.blocks
TOTAL_SIZE = W25N01GV.size
#: As a size: all that follows.
ALL = -1
NAND = "NAND flash"
ERASED = b"\xff"

ProgressFn = Callable[[int, int, int], object]


class NandJobs(NandBlocks):
    """Jobs on one flash, each telling the listener what it does."""

    # --- marks -----------------------------------------------------------------------------------

    def show_spare(self, page: int) -> int:
        """Show the first word of a page's spare area; also returned."""
        self._existing_page(page)
        word = self._flash.read_spare(page)
        self._line(
            f"NAND spare for page {page}: first word {word:#010x} "
            f"(bad-block marker byte = {word & 0xFF:#04x}: "
            f"{'good' if word & 0xFF == GOOD else 'bad'})"
        )
        return word

    def mark(self, page: int, is_bad: int) -> None:
        """Mark the block of a page bad (1) or good (0)."""
        if is_bad not in (0, 1):
            raise UsageError(f"A block is bad (1) or good (0), not {is_bad}.")
        self._existing_page(page)
        echo = self._flash.write_spare(page, is_bad)
        self._line(f"NAND spare written for page {page}: echo {echo or 0:#010x}")
        if page % self._part.pages:
            first = page - page % self._part.pages
            self._warning(
                f"Page {page} is not the first of its block: only a mark in page {first} counts."
            )
        elif not is_bad and self._flash.read_spare(page) & 0xFF != GOOD:
            self._warning(
                f"The block of page {page} is still marked bad: a mark goes away only when the "
                "block is erased (erase-region with --force)."
            )

    def dump_marks(self, output: str | os.PathLike[str], blocks: int | None = None) -> bytes:
        """Write a file with a byte for every block: 0 good, 1 bad; also returned."""
        most = self._part.blocks
        blocks = most if blocks is None else blocks
        if not 1 <= blocks <= most:
            raise UsageError(f"The NAND flash has {most} blocks; {blocks} were asked for.")
        marks = bytearray()
        for block in range(blocks):
            at = block * self._block
            asked = block not in self._bad
            marks.append(not self.is_good(at))
            if asked:
                known = min(blocks, max(self._bad) + 1)
                self._step("Reading bad-block marks from", at, known, blocks, "blocks")
        write_atomic(output, bytes(marks))
        self._line(f"BBM dump: {blocks} blocks scanned, {sum(marks)} bad.")
        if any(marks):
            self._line(f"Bad block indices: {[i for i, bad in enumerate(marks) if bad]}")
        self._line(f"Written to '{output}' ({blocks} bytes, 0x00=good 0x01=bad).")
        return bytes(marks)

    # --- reading and comparing -------------------------------------------------------------------

    def read(
        self, address: int, size: int, progress: ProgressFn | None = None, end: int | None = None
    ) -> bytes:
        """`size` bytes from `address` on, bad blocks left out.

        Args:
            size: ALL for those of all good blocks before the end address.

        Raises:
            UsageError: they do not lie before the end address, or that is past the end of flash.
            FatalError: there are not so many bytes in good blocks before the end address, or
                pages had too many wrong bits.
        """
        end = self._checked_end(end)
        if size == ALL:
            require_before(end, address, 0, NAND)
            size = sum(
                min(end, (at // self._block + 1) * self._block) - at
                for at in [address, *self._blocks((address // self._block + 1) * self._block, end)]
                if at < end and self.is_good(at)
            )
        require_before(end, address, size, NAND)
        self._forget_errors()
        data, skipped = bytearray(), []
        at = address
        while len(data) < size:
            if at >= end:
                raise FatalError(
                    f"Reached NAND end address {end:#x} after {len(data)} of the "
                    f"requested {size} bytes; remaining good blocks exhausted."
                )
            following = (at // self._block + 1) * self._block
            if self.is_good(at):
                wanted = min(following - at, size - len(data))
                data += self._flash.read(at, wanted)[:wanted]
                if progress is not None:
                    progress(len(data), size, address)
            else:
                skipped.append(at)
                self._line(f"Skipping bad block at {at:#010x} during read")
            at = following
        self._tell_skipped(skipped)
        errors = self._tell_errors()
        if errors is not None and errors.lost:
            raise FatalError(
                f"{pages(errors.lost).capitalize()} of the NAND flash cannot be read any more "
                f"(first: page {errors.first_lost}); nothing is kept of what was read.",
                remedy="Read around their block, or write it anew from another source.",
            )
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
            f"Read {len(data)} bytes from {address:#010x} in {_took(begun, len(data))}"
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
            self._whole_blocks("For NAND flash, verify address", address)
        loaded = [(address, *read_source(source)) for address, source in addr_data]
        for address, content, _name in loaded:
            require_before(self._part.size, address, len(content), NAND)
        differing = False
        self._forget_errors()
        for address, content, name in loaded:
            self._line(
                f"Verifying {len(content):#x} ({len(content)}) bytes at {address:#010x} "
                f"against {_quoted(name)}..."
            )
            bad = self._compare(address, content, diff)
            differing = differing or bool(bad)
            self._line("Verification failed." if bad else "Verification successful.")
        self._tell_errors()
        if differing:
            raise VerifyError("Verification failed.")

    def _compare(self, address: int, content: bytes, diff: bool) -> int:
        """Number of blocks that differ from the content."""
        bad = position = 0
        skipped = []
        for at in self._blocks(address, self._part.size):
            if position >= len(content):
                break
            if not self.is_good(at):
                skipped.append(at)
                self._line(f"Skipping bad block at {at:#010x} during verify")
                continue
            wanted = content[position : position + self._block]
            position += len(wanted)
            self._step("Verifying at", at, position, len(content), "bytes")
            if self._holds(at, wanted):
                continue
            bad += 1
            note = "MISMATCH"
            if diff:
                found = self._flash.read(at, len(wanted))
                places = [i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b]
                first = f", first at offset {places[0]}" if places else ""
                note = f"{len(places)} byte differences{first}"
            self._line(f"  Block at {at:#010x}: {note}")
        self._tell_skipped(skipped)
        if position < len(content):
            raise FatalError(f"The NAND ends after {position} of {len(content)} bytes.")
        return bad

    def _holds(self, address: int, wanted: bytes) -> bool:
        """The flash has these bytes: by a hash made in the chip, or read."""
        digest = self._flash.digest(address, len(wanted))
        if digest is not None:
            return digest == hashlib.md5(wanted, usedforsecurity=False).digest()
        return self._flash.read(address, len(wanted))[: len(wanted)] == wanted

    # --- erasing ---------------------------------------------------------------------------------

    def erase(self, address: int, size: int, *, force: bool = False) -> None:
        """Erase whole blocks, and mark those that refuse.

        Args:
            size: ALL for all that follows.
            force: also blocks that are marked bad. Their marks go, and nobody can tell any more
                which ones the factory found bad.

        Raises:
            UsageError: not whole blocks, or not within the flash.
            FatalError: the link failed; that is no reason to call a block bad.
        """
        if size == ALL:
            size = self._part.size - address
        self._whole_blocks("Offset to erase from", address)
        self._whole_blocks("Size of data to erase", size)
        require_before(self._part.size, address, size, NAND)
        all_of_it = size == self._part.size
        self._line("Erasing NAND flash..." if all_of_it else "Erasing NAND flash region...")
        begun = time.monotonic()
        failed, skipped = 0, []
        count = size // self._block
        for number, at in enumerate(self._blocks(address, address + size), 1):
            if not force and not self.is_good(at):
                skipped.append(at)
                self._line(f"Skipping bad block at {at:#010x} during erase")
                continue
            try:
                self._flash.erase(at, self._block)
            except NANDEraseFailed:
                failed += 1
                self.mark_bad(at, "E_FAIL reported by NAND chip")
            self._step("Erasing at", at, number, count, "blocks")
        what = "erase" if all_of_it else "region erase"
        self._line(
            f"NAND {what} complete in {time.monotonic() - begun:.1f}s: "
            f"{count - failed - len(skipped)} blocks erased, {failed} failed (marked bad)."
        )
        self._tell_skipped(skipped)
        if skipped:
            self._listener(
                Message("Blocks that are marked bad are erased with --force only.", Level.NOTE)
            )

    # --- writing ---------------------------------------------------------------------------------

    def write(self, addr_data: Sequence[tuple[int, ImageSource]], end: int | None = None) -> None:
        """Write sources, each from the start of a block, and compare every block once written.

        Where everything goes is known before anything is erased.

        Raises:
            UsageError: an address is not that of a block, or data do not lie within the flash.
            FatalError: not enough good blocks, or an image was pushed into the next one.
        """
        self._listener(Message("NAND flash support is experimental.", Level.NOTE))
        end = self._checked_end(end)
        for address, _source in addr_data:
            if address % self._block:
                raise UsageError(
                    f"{address:#x} is not the start of a NAND block: for NAND flash, each file "
                    f"goes to a multiple of the block size: {self._block // 1024}KB "
                    f"({self._block:#x})."
                )
        contents = []
        for address, source in addr_data:
            content, name = read_source(source)
            if not content:
                self._warning(f"'{name}' is empty." if name else "Input image is empty.")
                continue
            require_before(end, address, len(content), NAND)
            contents.append((address, content))
        limits = self._limits([address for address, _content in contents], end)
        for (address, content), limit in zip(contents, limits, strict=True):
            self._look_for_room(address, limit, end, -(-len(content) // self._block))
        self._forget_errors()
        skipped: list[int] = []
        for (address, content), limit in zip(contents, limits, strict=True):
            self._write_image(address, content, limit, skipped)
        self._tell_skipped(skipped)
        self._tell_errors()

    @staticmethod
    def _limits(addresses: list[int], end: int) -> list[int]:
        """How far each image may reach: to where the next one begins."""
        numbered = [*enumerate(addresses)]
        return [
            min([end, *(a for j, a in numbered if a >= address and j != i)])
            for i, address in numbered
        ]

    def _look_for_room(self, address: int, limit: int, end: int, needed: int) -> None:
        """Count good blocks before anything is erased."""
        found = 0
        for at in self._blocks(address, limit):
            found += self.is_good(at)
            if found == needed:
                return
        if limit < end:
            raise FatalError(
                f"The images overlap: the one for {address:#x} needs {needed} good blocks, and "
                f"there are {found} before {limit:#x}, where the next one begins. "
                "Blocks that are bad push data on; leave room for them."
            )
        raise FatalError(
            f"Not enough good blocks between {address:#x} and {limit:#x}: "
            f"need {needed}, found {found}."
        )

    def _write_image(self, address: int, content: bytes, limit: int, skipped: list[int]) -> None:
        """Write one image; blocks that it goes around are added to `skipped`."""
        # Behind the last page that has data the block stays erased.
        content_size, page = len(content), self._part.page
        content = content.ljust(-(-content_size // page) * page, ERASED)
        chunks = [content[i : i + self._block] for i in range(0, len(content), self._block)]
        begun = time.monotonic()
        at = address
        for number, chunk in enumerate(chunks):
            while True:
                if at >= limit:
                    raise FatalError(
                        f"Not enough good blocks before {limit:#x}, as blocks failed: "
                        f"{len(chunks) - number} of {len(chunks)} blocks of the image for "
                        f"{address:#x} are not written."
                    )
                here, at = at, at + self._block
                if not self.is_good(here):
                    self._line(f"Found bad block at {here:#010x}, trying next block!")
                elif self._write_block(here, chunk):
                    break
                skipped.append(here)
            self._step("Writing at", here, number + 1, len(chunks), "blocks")
        self._line(
            f"Wrote {content_size} bytes at {address:#010x} in {_took(begun, content_size)}."
        )

    def _write_block(self, address: int, chunk: bytes) -> bool:
        """Erase and write one block; False if it turned out bad, and is marked now."""
        try:
            self._flash.begin_write(len(chunk), address)
            step = self._flash.page_step
            for seq, i in enumerate(range(0, len(chunk), step)):
                self._flash.write(chunk[i : i + step], seq)
        except (NANDProgramFailed, NANDEraseFailed) as e:
            with suppress(FatalError):  # the block is given up; the write may have ended, too
                self._flash.end_write()
            what = "E_FAIL" if isinstance(e, NANDEraseFailed) else "P_FAIL"
            self.mark_bad(address, f"{what} reported by NAND chip")
            return False
        self._flash.end_write()
        for _attempt in range(2):  # a bit may be misread once
            if self._holds(address, chunk):
                return True
        self.mark_bad(address, "Write verify failed")
        return False


def _quoted(name: str | None) -> str:
    return "input bytes" if name is None else f"'{name}'"


def _took(begun: float, size: int) -> str:
    seconds = max(time.monotonic() - begun, 1e-6)
    return f"{seconds:.1f} seconds ({size * 8 / seconds / 1000:.1f} kbit/s)"
