# SPDX-License-Identifier: Apache-2.0
"""The pages of a SPIFFS image: who owns them, and how they change.

Changes obey the rules of NOR flash, as the chip's own code does: a page is written once, bits of
its header and of the lookup are only cleared afterwards, and only erasing a block frees it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from esptool.records import dataclass
from esptool.storage.fs.model import FullError
from esptool.storage.fs.spiffs_layout import (
    DELET,
    DELETED_ID,
    FINAL,
    FREE_ID,
    INDEX,
    INDEX_ID,
    IXDELE,
    USED,
    Layout,
)


@dataclass(frozen=True, slots=True)
class PageHead:
    """What the header of a page says. `owner` has the index bit where it is an index page."""

    owner: int
    span: int
    flags: int

    @property
    def live(self) -> bool:
        """Written, finished and not deleted."""
        return not self.flags & (USED | FINAL) and bool(self.flags & DELET)

    @property
    def is_index(self) -> bool:
        """It lists the pages of a file, and holds none of its bytes."""
        return bool(self.owner & INDEX_ID) and not self.flags & INDEX

    @property
    def dying(self) -> bool:
        """The first index page of a file whose deletion was begun."""
        return not self.flags & IXDELE


class Pages:
    """A SPIFFS image as pages that are allocated, deleted, and freed by erasing their block."""

    def __init__(self, data: bytearray, layout: Layout) -> None:
        self.data = data
        self.layout = layout
        #: Blocks that must not be allocated from, as they are being cleaned.
        self.shut: Collection[int] = ()

    def lookup(self, page: int) -> int:
        """Who owns a page, by the lookup of its block."""
        at = self.layout.lookup_at(page)
        return self.data[at] | self.data[at + 1] << 8

    def _set_lookup(self, page: int, owner: int) -> None:
        at = self.layout.lookup_at(page)
        self.data[at : at + 2] = owner.to_bytes(2, "little")

    def head(self, page: int) -> PageHead:
        """The header of a page."""
        at = page * self.layout.page_size
        owner, span = (int.from_bytes(self.data[n : n + 2], "little") for n in (at, at + 2))
        return PageHead(owner, span, self.data[at + 4])

    def content(self, page: int) -> bytes:
        """All bytes of a page, its header included."""
        at = page * self.layout.page_size
        return bytes(self.data[at : at + self.layout.page_size])

    def of_block(self, block: int) -> range:
        """The pages of a block that are no lookup."""
        first = block * self.layout.pages_per_block
        return range(first + self.layout.lookup_pages, first + self.layout.pages_per_block)

    def all(self) -> Iterator[int]:
        """Every page of every block that is no lookup."""
        for block in range(self.layout.blocks):
            yield from self.of_block(block)

    def counted(self, block: int) -> tuple[int, int, int]:
        """Pages of a block: free, deleted, in use."""
        owners = [self.lookup(page) for page in self.of_block(block)]
        free, deleted = owners.count(FREE_ID), owners.count(DELETED_ID)
        return free, deleted, len(owners) - free - deleted

    def blank_blocks(self) -> list[int]:
        """Blocks of which no page was ever used since they were erased."""
        return [
            block
            for block in range(self.layout.blocks)
            if self.lookup(self.of_block(block)[0]) == FREE_ID
        ]

    def free_pages(self, spare: int) -> list[int]:
        """Pages that may be allocated, in the order in which they are, the last `spare` blank
        blocks left out."""
        blank = self.blank_blocks()
        kept = blank[-spare:] if spare else []
        return [
            page
            for block in range(self.layout.blocks)
            if block not in kept and block not in self.shut
            for page in self.of_block(block)
            if self.lookup(page) == FREE_ID
        ]

    def write(self, page: int, owner: int, span: int, body: bytes) -> None:
        """Fill a free page. `body` is what follows the header of five bytes."""
        assert self.lookup(page) == FREE_ID
        size = self.layout.page_size
        flags = 0xFF & ~(USED | FINAL) & (~INDEX if owner & INDEX_ID else 0xFF)
        head = owner.to_bytes(2, "little") + span.to_bytes(2, "little") + bytes([flags])
        self._set_lookup(page, owner)
        self.data[page * size : (page + 1) * size] = (head + body).ljust(size, b"\xff")

    def delete(self, page: int) -> None:
        """Mark a page as deleted, as the chip does: in the lookup, then in its header."""
        head = self.head(page)
        gone = DELET | USED
        if head.is_index and head.span == 0:
            gone |= INDEX | FINAL | IXDELE
        self._set_lookup(page, DELETED_ID)
        self.data[page * self.layout.page_size + 4] &= 0xFF & ~gone

    def erase(self, block: int) -> None:
        """Erase a block, count that, and mark it."""
        size = self.layout.block_size
        count = self._next_count()
        self.data[block * size : (block + 1) * size] = b"\xff" * size
        at = self.layout.magic_at(block)
        self.data[at + 2 : at + 4] = count.to_bytes(2, "little")
        self.mark(block)

    def mark(self, block: int) -> None:
        """Write the magic number of a block, where the image has such."""
        if self.layout.magic:
            at = self.layout.magic_at(block)
            self.data[at : at + 2] = self.layout.magic_of(block).to_bytes(2, "little")

    def _next_count(self) -> int:
        """The erase count of the block that is erased next; it wraps below 0x8000."""
        counts = [
            count for block in range(self.layout.blocks) if (count := self.erased(block)) != FREE_ID
        ]
        if not counts:
            return 0
        wrapped = max(counts) - min(counts) > FREE_ID // 2
        following = (min(counts) if wrapped else max(counts)) + 1
        return 0 if following >= INDEX_ID else following

    def erased(self, block: int) -> int:
        """The erase count that a block carries; 0xFFFF if none."""
        at = self.layout.magic_at(block) + 2
        return self.data[at] | self.data[at + 1] << 8


class Allocator:
    """Hands out free pages in the order in which SPIFFS finds them."""

    def __init__(self, pages: Pages, spare: int) -> None:
        self._free = iter(pages.free_pages(spare))

    def take(self) -> int:
        """The next free page.

        Raises:
            FullError: there is none.
        """
        for page in self._free:
            return page
        raise FullError("The SPIFFS file system is full.")
