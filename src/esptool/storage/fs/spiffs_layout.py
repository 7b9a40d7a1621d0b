# SPDX-License-Identifier: Apache-2.0
"""How a SPIFFS image is laid out, and how its parameters are found from its bytes.

Facts from the public sources of SPIFFS (`spiffs_nucleus.h`, `TECH_SPEC`) and the configuration of
ESP-IDF and of Arduino for the ESP8266. Numbers are little endian; object ids, page numbers and
span indices have 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterator

from esptool.errors import UsageError
from esptool.records import dataclass, replace
from esptool.storage.fs.blocks import Bytes
from esptool.storage.fs.model import DamagedError

#: Bits of a page header's flags. A cleared bit means what the name says.
USED, FINAL, INDEX, IXDELE, DELET = 1, 2, 4, 0x40, 0x80
FREE_ID, DELETED_ID, INDEX_ID = 0xFFFF, 0, 0x8000
PAGE_HEADER = 5
INDEX_HEADER = 8  # a page header and what aligns it to four bytes
TYPE_FILE = 1
NO_SIZE = 0xFFFFFFFF  # of a file that was made and never written
_MAGIC = 0x0529  # the low half of 0x20140529

_PAGES = (256, 512, 1024, 2048, 128)
_BLOCKS = (4096, 8192, 16384, 32768, 65536)
#: Name and metadata length and alignment that are tried first.
_TABLES = ((32, 4, False), (32, 0, True), (32, 0, False), (32, 4, True), (64, 4, False))


@dataclass(frozen=True, slots=True)
class Layout:
    """Parameters of a SPIFFS image. Sizes are in bytes.

    Attributes:
        size: of the whole image.
        page_size: logical page (CONFIG_SPIFFS_PAGE_SIZE).
        block_size: logical block, what is erased at once.
        name_length: of the longest path with its final NUL (CONFIG_SPIFFS_OBJ_NAME_LEN).
        meta_length: metadata of a file (CONFIG_SPIFFS_META_LENGTH).
        aligned: whether the table in an index page begins at an even offset.
        magic: whether each block is marked (CONFIG_SPIFFS_USE_MAGIC).
        magic_length: whether the mark depends on the size (CONFIG_SPIFFS_USE_MAGIC_LENGTH).
    """

    size: int
    page_size: int = 256
    block_size: int = 4096
    name_length: int = 32
    meta_length: int = 4
    aligned: bool = False
    magic: bool = True
    magic_length: bool = True

    def check(self) -> Layout:
        """Itself, if SPIFFS can work with it.

        Raises:
            UsageError: with the parameter that is wrong.
        """
        page, block = self.page_size, self.block_size
        if page & (page - 1) or not 64 <= page <= 65536:
            raise UsageError(f"A SPIFFS page of {page} bytes is not possible: try 256.")
        if block & (block - 1) or block < 8 * page:
            raise UsageError(
                f"A SPIFFS block of {block} bytes is not possible with pages of {page}: "
                "it is a power of two and at least eight pages, for instance 4096."
            )
        if self.size % block or self.blocks < 3:
            raise UsageError(
                f"{self.size:#x} bytes are not a valid size for SPIFFS: it needs three blocks or "
                f"more, each of {block} bytes."
            )
        if self.size // page > 0xFFFF:
            raise UsageError(f"SPIFFS counts no more than 65535 pages of {page} bytes.")
        if self.name_length < 2 or self.meta_length < 0 or self.head_entries < 1:
            raise UsageError("Name and metadata of a SPIFFS file do not fit into a page.")
        if self.magic and self.usable % (page // 2) * 2 > page - 4:
            raise UsageError(
                f"Blocks of {block} bytes with pages of {page} have no room for the magic number."
            )
        return self

    @property
    def blocks(self) -> int:
        """How many blocks the image has."""
        return self.size // self.block_size

    @property
    def pages_per_block(self) -> int:
        """Pages of a block, the lookup included."""
        return self.block_size // self.page_size

    @property
    def lookup_pages(self) -> int:
        """Pages at the start of a block that say who owns the others."""
        return max(1, self.pages_per_block * 2 // self.page_size)

    @property
    def usable(self) -> int:
        """Pages of a block that hold something other than the lookup."""
        return self.pages_per_block - self.lookup_pages

    @property
    def data_size(self) -> int:
        """Bytes of content in a page."""
        return self.page_size - PAGE_HEADER

    @property
    def table_offset(self) -> int:
        """Where the table begins in the first index page of a file."""
        end = INDEX_HEADER + 5 + self.name_length + self.meta_length
        return (end + 1) & ~1 if self.aligned else end

    @property
    def head_entries(self) -> int:
        """Data pages that the first index page of a file can name."""
        return (self.page_size - self.table_offset) // 2

    @property
    def more_entries(self) -> int:
        """Data pages that each further index page can name."""
        return (self.page_size - INDEX_HEADER) // 2

    def magic_of(self, block: int) -> int:
        """The number by which a block is marked."""
        rest = self.blocks - block if self.magic_length else 0
        return (_MAGIC ^ self.page_size ^ rest) & 0xFFFF

    def magic_at(self, block: int) -> int:
        """Offset of a block's magic number; its erase count follows."""
        return block * self.block_size + self.lookup_pages * self.page_size - 4

    def lookup_at(self, page: int) -> int:
        """Offset of a page's entry in the lookup of its block."""
        block, number = divmod(page, self.pages_per_block)
        return block * self.block_size + 2 * (number - self.lookup_pages)

    def index_pages(self, data_pages: int) -> int:
        """Index pages of a file of so many data pages."""
        beyond = max(0, data_pages - self.head_entries)
        return 1 + -(-beyond // self.more_entries)


def looks_like_spiffs(image: Bytes) -> bool:
    """Whether the first blocks of an image are marked; no more than these is read."""
    for block_size in _BLOCKS:
        for page_size in _PAGES:
            for with_length in (True, False):
                layout = Layout(
                    len(image), page_size, block_size, magic=True, magic_length=with_length
                )
                if _fits(layout) and sum(_is_marked(image, layout, n) for n in range(3)) >= 2:
                    return True
    return False


def find_layout(data: bytes) -> Layout:
    """The layout of an image, found from its magic numbers and its files.

    One block may lack its number: it was being erased when the power went. What an empty image
    cannot tell (name and metadata length) is as ESP-IDF has it, or as Arduino for the ESP8266 has
    it where blocks are of 8 KiB.

    Raises:
        DamagedError: this is no SPIFFS image (or one without magic numbers).
    """
    for block_size in _BLOCKS:
        for page_size in _PAGES:
            for with_length in (True, False):
                layout = Layout(
                    len(data), page_size, block_size, magic=True, magic_length=with_length
                )
                if _marked(data, layout):
                    return _with_tables(data, layout)
    raise DamagedError(
        "This is not a SPIFFS file system: its blocks lack the magic number.",
        remedy="If it was made without one, say so with --no-magic and its page and block size.",
    )


def require_marks(data: bytes, layout: Layout) -> None:
    """Refuse an image that is not what a layout that was told says.

    Raises:
        DamagedError: it lacks the magic numbers, or has some although it should not.
    """
    if layout.magic and not _marked(data, layout):
        raise DamagedError(
            "This is not a SPIFFS file system of these parameters: "
            "its blocks lack the magic number.",
            remedy="Leave them out: an image with magic numbers tells them itself.",
        )
    if not layout.magic and looks_like_spiffs(data):
        raise DamagedError(
            "The blocks of this SPIFFS file system have magic numbers.",
            remedy="Leave out --no-magic, and all that the image tells itself.",
        )


def _fits(layout: Layout) -> bool:
    if layout.size % layout.block_size or layout.blocks < 3:
        return False
    return layout.block_size >= 8 * layout.page_size


def _is_marked(data: Bytes, layout: Layout, block: int) -> bool:
    at = layout.magic_at(block)
    return int.from_bytes(data[at : at + 2], "little") == layout.magic_of(block)


def _marked(data: bytes, layout: Layout) -> bool:
    if not _fits(layout):
        return False
    missing = 0
    for block in range(layout.blocks):
        missing += not _is_marked(data, layout, block)
        if missing > 1:
            return False
    return True


def _headers(data: bytes, layout: Layout) -> Iterator[tuple[int, int]]:
    """Offset of each live first index page, and the number of its file's first data page."""
    first: dict[int, int] = {}
    heads: list[tuple[int, int]] = []
    for page in range(layout.size // layout.page_size):
        if page % layout.pages_per_block < layout.lookup_pages:
            continue
        at = layout.lookup_at(page)
        owner = int.from_bytes(data[at : at + 2], "little")
        start = page * layout.page_size
        span, flags = int.from_bytes(data[start + 2 : start + 4], "little"), data[start + 4]
        if owner in (FREE_ID, DELETED_ID) or span or not flags & DELET or flags & (USED | FINAL):
            continue
        if owner & INDEX_ID:
            heads.append((start, owner & ~INDEX_ID))
        else:
            first[owner] = page
    for start, owner in heads:
        if owner in first:
            yield start, first[owner]


def _with_tables(data: bytes, layout: Layout) -> Layout:
    """The layout with the lengths of name and metadata that the files show."""
    common: set[int] | None = None
    for start, page in _headers(data, layout):
        wanted = page.to_bytes(2, "little")
        head = data[start : start + layout.page_size]
        here = {
            n for n in range(INDEX_HEADER + 6, layout.page_size - 1) if head[n : n + 2] == wanted
        }
        common = here if common is None else common & here
    tried = [
        replace(layout, name_length=name, meta_length=meta, aligned=aligned)
        for name, meta, aligned in _TABLES
        if name + meta + INDEX_HEADER + 8 <= layout.page_size
    ] or [replace(layout, name_length=16, meta_length=0)]
    if layout.block_size == 8192 and len(tried) > 1:
        tried[0], tried[1] = tried[1], tried[0]
    if not common:
        return tried[0]
    for candidate in tried:
        if candidate.table_offset in common:
            return candidate
    return replace(layout, name_length=min(common) - INDEX_HEADER - 5, meta_length=0, aligned=False)
