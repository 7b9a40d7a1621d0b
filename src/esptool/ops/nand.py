# SPDX-License-Identifier: Apache-2.0
"""Jobs on SPI NAND flash: whole blocks, and around those that are bad.

Data that should lie in a bad block lies in the next good one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from esptool.device.nand_parts import W25N01GV
from esptool.device.requests import LOSSES
from esptool.errors import (
    DamagedRequestError,
    FatalError,
    LineLossError,
    NANDEraseFailed,
    NANDProgramFailed,
    UsageError,
    VerifyError,
)
from esptool.events import Level, Message
from esptool.files import write_atomic
from esptool.image.sources import ImageSource, read_source
from esptool.ops.bounds import require_before
from esptool.ops.nand_blocks import GOOD, NandBlocks
from esptool.sizes import counted

#: Those of the part that the documented names are about.
BLOCK_COUNT = W25N01GV.blocks
TOTAL_SIZE = W25N01GV.size
#: As a size: all that follows.
ALL = -1
NAND = "NAND flash"
ERASED = b"\xff"
#: How often a block is written whose content is wrong, before it is called bad.
WRITES = 3

ProgressFn = Callable[[int, int, int], object]


class NandJobs(NandBlocks):
    """Jobs on one flash, each telling the listener what it does."""

    # --- marks -----------------------------------------------------------------------------------

    def show_spare(self, page: int) -> int:
        """Show the first word of a page's spare area; also returned."""
        self._existing_page(page)
        with self._stopping(f"Reading the spare area of page {page} failed", str, "Read again."):
            word = self._spare(page)
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
        with self._stopping(f"Marking page {page} stopped", str, "Mark it again."):
            echo = self._write_mark(page, is_bad)
            word = self._spare(page)
        self._line(f"NAND spare written for page {page}: echo {echo or 0:#010x}")
        if page % self._part.pages:
            first = page - page % self._part.pages
            self._warning(
                f"Page {page} is not the first of its block: only a mark in page {first} counts."
            )
        elif not is_bad and word & 0xFF != GOOD:
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
        with self._stopping("Reading the bad-block marks stopped", str, "Read them again."):
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
            following = (address // self._block + 1) * self._block
            with self._stopping("Reading did not begin", str, "Read again."):
                size = sum(
                    min(end, (at // self._block + 1) * self._block) - at
                    for at in [address, *self._blocks(following, end)]
                    if at < end and self.is_good(at)
                )
        require_before(end, address, size, NAND)
        self._forget_errors()
        data, skipped = bytearray(), []
        parts: list[tuple[int, int, int]] = []
        at = address

        def state() -> str:
            return f"{len(data)} of {size} bytes were read, and nothing is kept of them."

        with self._stopping(f"Reading from {address:#010x} stopped", state, "Read again."):
            while len(data) < size:
                if at >= end:
                    raise FatalError(
                        f"Reached NAND end address {end:#x} after {len(data)} of the "
                        f"requested {size} bytes; remaining good blocks exhausted."
                    )
                following = (at // self._block + 1) * self._block
                if self.is_good(at):
                    wanted = min(following - at, size - len(data))
                    parts.append((at, len(data), wanted))
                    data += self._read(at, wanted, "while reading")
                    if progress is not None:
                        progress(len(data), size, address)
                else:
                    skipped.append(at)
                    self._line(f"Skipping bad block at {at:#010x} during read")
                at = following
            for at, start, wanted in parts if self._doubtful else ():
                self._read_surely(at, data, start, wanted)
        self._tell_skipped(skipped)
        errors = self._tell_errors()
        if errors is not None and errors.lost:
            raise FatalError(
                f"{counted(errors.lost, 'page')} of the NAND flash cannot be read any more "
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
            with self._stopping(f"Verifying at {address:#010x} stopped", str, "Verify again."):
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
                found = self._read(at, len(wanted), "while reading")
                places = [i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b]
                first = f", first at offset {places[0]}" if places else ""
                note = f"{len(places)} byte differences{first}"
            self._line(f"  Block at {at:#010x}: {note}")
        self._tell_skipped(skipped)
        if position < len(content):
            raise FatalError(f"The NAND ends after {position} of {len(content)} bytes.")
        return bad

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
        number = 0

        def state() -> str:
            return f"{number} of {count} blocks were dealt with; the next may be erased or not."

        with self._stopping(f"Erasing from {address:#010x} stopped", state, "Erase again."):
            for at in self._blocks(address, address + size):
                if not force and not self.is_good(at):
                    skipped.append(at)
                    self._line(f"Skipping bad block at {at:#010x} during erase")
                elif self._erase_block(at):
                    self._step("Erasing at", at, number + 1, count, "blocks")
                else:
                    failed += 1
                number += 1
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

    def _erase_block(self, address: int) -> bool:
        """Erase one block; False if it turned out bad, and is marked now."""
        doing = f"while erasing at {address:#010x}"
        try:
            self._surely(doing, lambda: self._flash.erase(address, self._block))
            if self._doubtful and not self._holds(address, ERASED * self._block):
                self._surely(doing, lambda: self._flash.erase(address, self._block))
        except NANDEraseFailed:
            self.mark_bad(address, "E_FAIL reported by NAND chip")
            return False
        return True

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
        with self._stopping("Writing did not begin", str, "Write again."):
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
        at = here = address
        number = 0

        def state() -> str:
            return (
                f"{len(chunks) - number} of {len(chunks)} blocks of the image for {address:#x} "
                f"are not written, and the one at {here:#010x} may be written in part."
            )

        with self._stopping(f"Writing at {address:#010x} stopped", state, "Write again."):
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
        for left in reversed(range(WRITES if self._recovery is not None else 1)):
            try:
                self._program(address, chunk)
            except (NANDProgramFailed, NANDEraseFailed) as e:
                with suppress(FatalError):  # the block is given up; the write may have ended, too
                    self._flash.end_write()
                what = "E_FAIL" if isinstance(e, NANDEraseFailed) else "P_FAIL"
                self.mark_bad(address, f"{what} reported by NAND chip")
                return False
            if self._holds(address, chunk):
                return True
            if left:
                # The checksum of the data is short: a line may damage more than it tells.
                self._line(
                    f"The block at {address:#010x} does not hold what was sent. Trying again..."
                )
        if self._doubtful:
            raise VerifyError(
                f"The block at {address:#010x} does not hold what was sent, and is not called bad, "
                "as the line damages data."
            )
        self.mark_bad(address, "Write verify failed")
        return False

    def _program(self, address: int, chunk: bytes) -> None:
        """Erase one block and send its pages; whether it holds them is to be seen.

        No page is programmed twice: what was sent is sent again only to a plug-in that knows it by
        its number, and else the block is erased and begun anew.
        """
        begun, seq, done, most = False, 0, 0, 0
        while True:
            step = self._flash.page_step
            try:
                if not begun:
                    self._flash.begin_write(len(chunk), address)
                    begun, seq, done = True, 0, 0
                while done < len(chunk):
                    piece = chunk[done : done + step]
                    self._flash.write(piece, seq)
                    seq, done = seq + 1, done + len(piece)
                    if done > most and self._recovery is not None:
                        most = done
                        self._recovery.advanced()
                self._flash.end_write()
                return
            except LOSSES as e:
                if self._recovery is None:
                    raise
                self._recovery.smaller_blocks()
                self._recovery.after(e, f"at {address + done:#010x}", harmless=True)
                if done == len(chunk):
                    return  # ending a write changes no flash
                not_taken = isinstance(e, DamagedRequestError)
                same = self._flash.numbered and self._flash.page_step == step
                begun = begun and isinstance(e, LineLossError) and (not_taken or same)


def _quoted(name: str | None) -> str:
    return "input bytes" if name is None else f"'{name}'"


def _took(begun: float, size: int) -> str:
    seconds = max(time.monotonic() - begun, 1e-6)
    return f"{seconds:.1f} seconds ({size * 8 / seconds / 1000:.1f} kbit/s)"
