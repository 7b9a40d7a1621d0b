# SPDX-License-Identifier: Apache-2.0
"""SPIFFS: reading what a generator or a chip wrote, and changing it by the rules of SPIFFS.

SPIFFS has no folders: the '/' in a path is a letter of the name. ESP-IDF and Arduino begin names
with '/', and so do the files made here; one that lacks it is found, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from esptool.errors import UsageError
from esptool.storage.changes import SECTOR
from esptool.storage.fs.blocks import Image, Step, steps_to
from esptool.storage.fs.model import (
    DamagedError,
    Entry,
    FileSystem,
    FullError,
    Usage,
    clean,
    no_such_file,
)
from esptool.storage.fs.spiffs_layout import (
    DELETED_ID,
    FREE_ID,
    INDEX_HEADER,
    INDEX_ID,
    NO_SIZE,
    PAGE_HEADER,
    TYPE_FILE,
    Layout,
    find_layout,
    require_marks,
)
from esptool.storage.fs.spiffs_pages import Allocator, Pages

#: Blocks that stay blank, so that there is always room to clean another one.
_SPARE = 2


class _File:
    """A file: where its index pages and its data pages lie."""

    def __init__(self, owner: int, head_page: int) -> None:
        self.owner = owner
        self.index: dict[int, int] = {0: head_page}
        self.name = b""
        self.size = 0
        self.noted = 0  # the size as its first index page has it
        self.meta = b""
        self.kind = TYPE_FILE
        self.table: list[int] = []
        self.damage = ""

    @property
    def path(self) -> str:
        """Its name as a path. What is not UTF-8 is shown with backslashes."""
        return self.name.decode("utf-8", "backslashreplace").removeprefix("/")


class Spiffs(FileSystem):
    """A SPIFFS image. Without `layout` its parameters are found from the image.

    Raises:
        DamagedError: the image is no SPIFFS.
        UsageError: the layout is none that SPIFFS can have.
    """

    kind = "spiffs"

    def __init__(self, image: bytes | Image, layout: Layout | None = None) -> None:
        data = image[:]  # every page is looked at, so all of it is read
        self.layout = (layout or find_layout(data)).check()
        if len(data) != self.layout.size:
            raise UsageError(f"The image has {len(data):#x} bytes, not {self.layout.size:#x}.")
        require_marks(data, self.layout)
        self._data = bytearray(data)
        self._pages = Pages(self._data, self.layout)
        self._former = data
        #: Blocks that held nothing, so that writing them by halves harms nothing either.
        self._blank = set(self._pages.blank_blocks())
        self._touched: dict[int, None] = {}
        if not self.layout.magic:
            self._require_sense()
        self._restore_magic()
        self._files = self._scan()

    @classmethod
    def format(cls, layout: Layout) -> Spiffs:
        """An empty file system, as ESP-IDF's image generator makes it."""
        layout.check()
        data = bytearray(b"\xff" * layout.size)
        pages = Pages(data, layout)
        for block in range(layout.blocks):
            pages.mark(block)
        return cls(bytes(data), layout)

    # --- reading ------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        return sorted(
            (Entry(file.path, file.size) for file in self._files.values()),
            key=lambda entry: entry.path,
        )

    def read(self, path: str) -> bytes:
        file = self._find(path)
        if file.damage:
            raise DamagedError(f"'{file.path}' is damaged: {file.damage}.")
        body = b"".join(self._pages.content(page)[PAGE_HEADER:] for page in file.table)
        return body[: file.size]

    def usage(self) -> Usage:
        total = ((self.layout.blocks - _SPARE) * self.layout.usable + 1) * self.layout.data_size
        return Usage(total, self._in_use() * self.layout.data_size)

    def details(self) -> Mapping[str, int | str | bool]:
        layout = self.layout
        return {
            "page_size": layout.page_size,
            "block_size": layout.block_size,
            "name_length": layout.name_length,
            "meta_length": layout.meta_length,
            "aligned": layout.aligned,
            "magic": layout.magic,
            "magic_length": layout.magic_length,
        }

    def image(self) -> bytes:
        return bytes(self._data)

    def steps(self) -> list[Step]:
        former = {
            n: self._former[n * SECTOR : (n + 1) * SECTOR]
            for n in self._touched
            if n * SECTOR // self.layout.block_size not in self._blank
        }
        return steps_to(
            self._touched, former, lambda n: bytes(self._data[n * SECTOR : (n + 1) * SECTOR])
        )

    def _in_use(self) -> int:
        return sum(self._pages.counted(block)[2] for block in range(self.layout.blocks))

    def _find(self, path: str) -> _File:
        wanted = clean(path)
        for file in self._files.values():
            if file.path == wanted:
                return file
        raise no_such_file(wanted, [file.path for file in self._files.values()])

    def _restore_magic(self) -> None:
        """Erase the one block whose erasing was cut off, as the chip does when it mounts."""
        if not self.layout.magic:
            return
        for block in range(self.layout.blocks):
            at = self.layout.magic_at(block)
            if int.from_bytes(self._data[at : at + 2], "little") != self.layout.magic_of(block):
                self._pages.erase(block)
                self._touch(block * self.layout.pages_per_block)

    def _require_sense(self) -> None:
        """Without magic numbers anything could be a SPIFFS: lookup and pages must agree.

        Raises:
            DamagedError: they do not, but for what a power cut explains.
        """
        used = wrong = 0
        for page in self._pages.all():
            owner = self._pages.lookup(page)
            if owner not in (FREE_ID, DELETED_ID):
                used += 1
                wrong += self._pages.head(page).owner != owner
        if wrong > 2 and wrong * 4 > used:
            raise DamagedError(
                "This is not a SPIFFS file system of these parameters: its lookups and its pages "
                "contradict each other."
            )

    def _scan(self) -> dict[int, _File]:
        """Files by object id. Of two index pages of one kind the first counts, as on the chip:
        a power cut can leave both behind."""
        files: dict[int, _File] = {}
        more: dict[tuple[int, int], int] = {}
        for page in self._pages.all():
            owner = self._pages.lookup(page)
            if owner in (FREE_ID, DELETED_ID) or not owner & INDEX_ID:
                continue
            head = self._pages.head(page)
            if head.owner != owner or not head.live or not head.is_index:
                continue
            number = owner & ~INDEX_ID
            if head.span:
                more.setdefault((number, head.span), page)
            elif not head.dying and number not in files:
                files[number] = _File(number, page)
        for (number, span), page in more.items():
            if number in files:
                files[number].index[span] = page
        for file in files.values():
            self._load(file)
        return files

    def _load(self, file: _File) -> None:
        layout = self.layout
        head = self._pages.content(file.index[0])
        size = int.from_bytes(head[INDEX_HEADER : INDEX_HEADER + 4], "little")
        names = INDEX_HEADER + 5
        file.size, file.noted = 0 if size == NO_SIZE else size, size
        file.kind = head[INDEX_HEADER + 4]
        file.name = head[names : names + layout.name_length].split(b"\0")[0]
        file.meta = head[names + layout.name_length :][: layout.meta_length]
        wanted = -(-file.size // layout.data_size)
        if wanted > layout.size // layout.page_size:
            file.damage = f"its size of {file.size:,} bytes is more than there is"
            file.size = 0
            return
        for span in range(layout.index_pages(wanted)):
            if span not in file.index:
                file.damage = f"part {span} of its index is missing"
                return
            body = self._pages.content(file.index[span])
            body = body[layout.table_offset if span == 0 else INDEX_HEADER :]
            count = layout.head_entries if span == 0 else layout.more_entries
            for n in range(min(count, wanted - len(file.table))):
                page = int.from_bytes(body[2 * n : 2 * n + 2], "little")
                if not self._holds(page, file.owner, len(file.table)):
                    file.damage = f"part {len(file.table)} of its content is missing"
                    return
                file.table.append(page)

    def _holds(self, page: int, owner: int, span: int) -> bool:
        """Whether a page is what an index says it is."""
        layout = self.layout
        if page >= layout.size // layout.page_size:
            return False
        if page % layout.pages_per_block < layout.lookup_pages:
            return False
        head = self._pages.head(page)
        return head.owner == owner and head.span == span and head.live and not head.is_index

    # --- writing ------------------------------------------------------------------------------

    def write(self, path: str, data: bytes) -> None:
        name = self._new_name(path)
        self._refuse_damage()
        for file in list(self._files.values()):
            if file.path == name.decode().removeprefix("/"):
                name = file.name
                self._drop(file)
        pages = -(-len(data) // self.layout.data_size)
        self._make_room(pages + self.layout.index_pages(pages), path)
        # Only a size that was never written can still be written when the file grows.
        self._store(name, data, Allocator(self._pages, _SPARE), NO_SIZE)

    def add_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Put files into an empty file system one after the other, without leaving blocks blank:
        what ESP-IDF's generator does, page for page.

        Raises:
            FullError: they do not fit.
            UsageError: a name is too long.
        """
        allocator = Allocator(self._pages, 0)
        for path, data in files:
            self._store(self._new_name(path), data, allocator, 0)

    def make_folder(self, path: str) -> None:
        raise UsageError("SPIFFS has no folders: the '/' in a path is a part of the file's name.")

    def remove(self, path: str, *, recursive: bool = False) -> None:
        self._refuse_damage()
        wanted = clean(path)
        if recursive:
            inside = [file for file in self._files.values() if file.path.startswith(f"{wanted}/")]
            if inside:
                for file in inside:
                    self._drop(file)
                return
        self._drop(self._find(wanted))

    def _refuse_damage(self) -> None:
        for file in self._files.values():
            if file.damage:
                raise DamagedError(
                    f"The file system is damaged, so it is not changed: in '{file.path}' "
                    f"{file.damage}.",
                    remedy="Get what can be read with `esptool fs extract`, and build it anew.",
                )

    def _new_name(self, path: str) -> bytes:
        name = b"/" + clean(path).encode()
        if len(name) >= self.layout.name_length:
            raise UsageError(
                f"'{path}' is too long for SPIFFS: {len(name)} bytes with the leading '/', where "
                f"{self.layout.name_length - 1} are possible, folders included."
            )
        return name

    def _touch(self, page: int) -> None:
        """Note that a page was changed; what was changed last is written last."""
        size = self.layout.page_size
        for number in range(page * size // SECTOR, -(-(page + 1) * size // SECTOR)):
            self._touched.pop(number, None)
            self._touched[number] = None

    def _write_page(self, page: int, owner: int, span: int, body: bytes) -> None:
        self._pages.write(page, owner, span, body)
        self._touch(page)
        # The lookup may lie in another sector of a large block.
        self._touch(self.layout.lookup_at(page) // self.layout.page_size)

    def _delete_page(self, page: int) -> None:
        self._pages.delete(page)
        self._touch(self.layout.lookup_at(page) // self.layout.page_size)
        self._touch(page)

    def _store(self, name: bytes, data: bytes, allocator: Allocator, empty: int) -> None:
        """Write a new file: its first index page, then content, and a further index page where
        the one before has no more room. `empty` is the size that is noted for no content."""
        owner = self._free_id()
        file = _File(owner, allocator.take())
        file.name, file.size, file.noted = name, len(data), len(data) or empty
        file.meta = bytes(self.layout.meta_length)
        for start in range(0, len(data), self.layout.data_size):
            span = self.layout.index_pages(len(file.table) + 1) - 1
            if span not in file.index:
                file.index[span] = allocator.take()
            page = allocator.take()
            body = data[start : start + self.layout.data_size]
            self._write_page(page, owner, len(file.table), body)
            file.table.append(page)
        for span, page in sorted(file.index.items(), reverse=True):
            self._write_page(page, owner | INDEX_ID, span, self._index_body(file, span))
        self._files[owner] = file

    def _index_body(self, file: _File, span: int) -> bytes:
        """What follows the header of an index page."""
        layout = self.layout
        begin = 0 if span == 0 else layout.head_entries + (span - 1) * layout.more_entries
        count = layout.head_entries if span == 0 else layout.more_entries
        table = b"".join(n.to_bytes(2, "little") for n in file.table[begin : begin + count])
        if span:
            return b"\xff" * (INDEX_HEADER - PAGE_HEADER) + table
        head = file.noted.to_bytes(4, "little") + bytes([file.kind])
        head += file.name.ljust(layout.name_length, b"\0") + file.meta
        head = head.ljust(layout.table_offset - INDEX_HEADER, b"\0")
        return b"\xff" * (INDEX_HEADER - PAGE_HEADER) + head + table

    def _free_id(self) -> int:
        limit = min(self.layout.blocks * self.layout.usable // 2 + 1, INDEX_ID - 1)
        taken = {self._pages.lookup(page) & ~INDEX_ID for page in self._pages.all()}
        for number in range(1, limit + 1):
            if number not in taken and number not in self._files:
                return number
        raise FullError("The SPIFFS file system is full: it holds no more files.")

    def _drop(self, file: _File) -> None:
        for page in file.table:
            self._delete_page(page)
        for _, page in sorted(file.index.items(), reverse=True):
            self._delete_page(page)
        del self._files[file.owner]

    # --- cleaning -----------------------------------------------------------------------------

    def _make_room(self, wanted: int, path: str) -> None:
        """Erase blocks with deleted pages until `wanted` pages can be allocated."""
        room = self.layout.blocks * self.layout.usable - _SPARE * self.layout.usable
        if self._in_use() + wanted > room:
            free = max(0, room - self._in_use()) * self.layout.data_size
            raise FullError(
                f"'{path}' does not fit: it needs {wanted * self.layout.data_size:,} bytes, and "
                f"the SPIFFS file system has {free:,} left."
            )
        while True:
            short = wanted - len(self._pages.free_pages(_SPARE))
            if short <= 0 and len(self._pages.blank_blocks()) >= _SPARE:
                return
            if not self._clean_one():
                raise FullError(
                    f"'{path}' does not fit: the SPIFFS file system has too few blank blocks left."
                )

    def _clean_one(self) -> bool:
        """Move what is in use out of the block that gains most, and erase it.

        Every index page that is rewritten leaves a deleted page, mostly in another block. Only
        what gains more than that is done, so that deleted pages become fewer and cleaning ends.
        """
        found = []
        for block in range(self.layout.blocks):
            _, deleted, used = self._pages.counted(block)
            if deleted:
                moves = self._moves(block)
                left = sum(
                    self._files[owner].index[span] not in self._pages.of_block(block)
                    for owner, (_, spans) in moves.items()
                    for span in spans
                )
                found.append((left - deleted, used, block, moves))
        for loss, _, block, moves in sorted(found, key=lambda candidate: candidate[:3]):
            self._pages.shut = (block,)
            room = len(self._pages.free_pages(0))
            if loss < 0 and sum(len(data) + len(index) for data, index in moves.values()) <= room:
                self._move(moves)
                self._pages.shut = ()
                self._pages.erase(block)
                for page in range(self.layout.pages_per_block):
                    self._touch(block * self.layout.pages_per_block + page)
                return True
        self._pages.shut = ()
        return False

    def _moves(self, block: int) -> dict[int, tuple[list[int], set[int]]]:
        """What must leave a block, by file: positions in its table, and index pages to rewrite."""
        pages = set(self._pages.of_block(block))
        found: dict[int, tuple[list[int], set[int]]] = {}
        for owner, file in self._files.items():
            places = [n for n, page in enumerate(file.table) if page in pages]
            spans = {span for span, page in file.index.items() if page in pages}
            spans |= {self.layout.index_pages(n + 1) - 1 for n in places}
            if places or spans:
                found[owner] = places, spans
        return found

    def _move(self, moves: dict[int, tuple[list[int], set[int]]]) -> None:
        allocator = Allocator(self._pages, 0)
        for owner, (places, spans) in moves.items():
            file = self._files[owner]
            old = [file.table[n] for n in places]
            for n in places:
                body = self._pages.content(file.table[n])[PAGE_HEADER:]
                file.table[n] = allocator.take()
                self._write_page(file.table[n], owner, n, body)
            for span in sorted(spans, reverse=True):
                old.append(file.index[span])
                file.index[span] = allocator.take()
                body = self._index_body(file, span)
                self._write_page(file.index[span], owner | INDEX_ID, span, body)
            for page in old:
                self._delete_page(page)
