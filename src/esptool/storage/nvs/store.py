# SPDX-License-Identifier: Apache-2.0
"""All pages of an NVS as the chip's library handles them: taken in, searched, added to, collected.

The order of all steps is that of `nvs_pagemanager.cpp` and `nvs_storage.cpp` of ESP-IDF, as only
with it what an interruption leaves is what the library knows how to put right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from esptool.errors import StorageError
from esptool.storage.nvs.layout import (
    ANY_CHUNK,
    ENTRIES,
    ENTRY,
    LARGEST_ON_PAGE,
    LAST_NAMESPACE,
    MAX_CHUNKS,
    OTHER_CHUNKS,
    Item,
    ItemType,
    PageState,
)
from esptool.storage.nvs.medium import Medium
from esptool.storage.nvs.page import NvsDamageError, Page

#: Below this room, the first chunk of a blob rather goes on a new page.
_SMALL_ROOM = LARGEST_ON_PAGE // 10


class NvsFullError(StorageError):
    """There is no room for the value: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value begins: a page and the number of an entry."""

    page: Page
    at: int

    @property
    def item(self) -> Item:
        """The entry there."""
        return self.page.item(self.at)


@dataclass(slots=True)
class _Blob:
    item: Item
    size: int = 0
    chunks: int = 0

    def owns(self, item: Item, limit: int) -> bool:
        """Whether a chunk is one of this blob's, whose numbers end before `limit`."""
        start = self.item.chunk_start
        same = item.namespace == self.item.namespace and item.key == self.item.key
        return same and start <= item.chunk < limit

    @property
    def end_of_numbers(self) -> int:
        return OTHER_CHUNKS if self.item.chunk_start == 0 else ANY_CHUNK


class Store:
    """The pages of a partition.

    Attributes:
        pages: all of them, in the order of flash.
        used: those that are in use, in the order of their sequence numbers.
        namespaces: name to index, as they stand in flash.
        changeable: there is a free page, without which the library takes no partition.
    """

    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self.pages = [Page(medium, i) for i in range(medium.pages)]
        self.used: list[Page] = []
        self._free: list[Page] = []
        self._sequence = 0
        self.namespaces: dict[bytes, int] = {}
        self._taken: set[int] = set()
        self.changeable = True
        self._load()

    # --- taking in -------------------------------------------------------------------------------

    def _load(self) -> None:
        for page in self.pages:
            page.load()
        live = [p for p in self.pages if p.state not in (PageState.UNUSED, PageState.CORRUPT)]
        self._free = [p for p in self.pages if p.state in (PageState.UNUSED, PageState.CORRUPT)]
        self.used = sorted(live, key=lambda p: p.sequence)
        if not self.used:
            self._sequence = 0
            if not any(page.newer for page in self.pages):
                self._activate()
        else:
            self._sequence = self.used[-1].sequence + 1
            self._drop_former()
            self._go_on_freeing()
            self.changeable = bool(self._free)
        self._read_namespaces()
        self._settle_blobs()

    def _drop_former(self) -> None:
        """The last value that was written may stand on another page, too: it was interrupted."""
        last = self.used[-1]
        item = None
        for place in self._all(last, None):
            item = place.item
        if item is None:
            return
        kinds = [item.type]
        if item.type == ItemType.BLOB_INDEX:
            kinds.append(ItemType.BLOB)
        for kind in kinds:
            for page in self.used[:-1]:
                if page.state is PageState.FREEING:
                    continue
                at = page.find(item.namespace, kind, item.name, item.chunk)
                if at is not None:
                    page.erase(at, purge=True)
                    return

    def _go_on_freeing(self) -> None:
        """Move a page whose values were being moved when it was interrupted."""
        freeing = next((p for p in self.used if p.state is PageState.FREEING), None)
        if freeing is None:
            return
        begun = self.used[-1]
        if begun.state is PageState.ACTIVE:
            begun.wipe()
            self.used.remove(begun)
            self._free.append(begun)
        if not self._free:
            # It cannot be moved; its values can be read where they are.
            return
        self._move(freeing)

    def _read_namespaces(self) -> None:
        for page in self.used:
            for place in self._all(page, ItemType.U8, namespace=0):
                index = place.item.data[0]
                self._taken.add(index)
                self.namespaces.setdefault(place.item.key, index)

    def _settle_blobs(self) -> None:
        """Erase indices of blobs that are not whole, and chunks that belong to none."""
        blobs = [
            _Blob(place.item) for p in self.used for place in self._all(p, ItemType.BLOB_INDEX)
        ]
        for chunk in self._chunks():
            owner = next((b for b in blobs if b.owns(chunk.item, b.end_of_numbers)), None)
            if owner is not None:
                owner.size += chunk.item.size
                owner.chunks += 1
        for blob in list(blobs):
            item = blob.item
            if (blob.size, blob.chunks) == (item.whole_size, item.chunk_count):
                continue
            blobs.remove(blob)
            start = item.chunk_start
            found = self.find(item.namespace, ItemType.BLOB_INDEX, item.name, blob_start=start)
            if found is not None:
                found.page.erase(found.at, purge=True)
        for chunk in self._chunks():
            item = chunk.item
            if not any(b.owns(item, b.item.chunk_start + b.item.chunk_count) for b in blobs):
                at = chunk.page.find(item.namespace, item.type, item.name, item.chunk)
                if at is not None:
                    chunk.page.erase(at, purge=True)

    def _chunks(self) -> Iterator[Place]:
        for page in self.used:
            yield from self._all(page, ItemType.BLOB_DATA)

    @staticmethod
    def _all(page: Page, type_: int | None, namespace: int | None = None) -> Iterator[Place]:
        """The values of a page, in order."""
        start = 0
        while True:
            at = page.find(namespace, type_, start=start)
            if at is None:
                return
            start = at + page.item(at).span
            yield Place(page, at)

    # --- searching -------------------------------------------------------------------------------

    def values(self) -> Iterator[Place]:
        """Where values begin, without chunks of blobs and names of namespaces."""
        for page in self.used:
            for place in self._all(page, None):
                if place.item.namespace and place.item.type != ItemType.BLOB_DATA:
                    yield place

    def find(
        self,
        namespace: int,
        type_: int | None,
        name: bytes,
        chunk: int = ANY_CHUNK,
        blob_start: int | None = None,
    ) -> Place | None:
        """The value of a key; the oldest page first, as the library looks for it."""
        for page in self.used:
            at = page.find(namespace, type_, name, chunk, blob_start=blob_start)
            if at is not None:
                return Place(page, at)
        return None

    def read(self, place: Place) -> bytes | None:
        """The bytes of a value; None where a checksum is wrong or a chunk is missing."""
        item = place.item
        if item.type != ItemType.BLOB_INDEX:
            if item.type in (ItemType.STRING, ItemType.BLOB):
                return place.page.data(place.at)
            return item.data[: item.type & 0xF]
        parts = []
        for i in range(item.chunk_count):
            number = item.chunk_start + i
            chunk = self.find(item.namespace, ItemType.BLOB_DATA, item.name, number)
            data = None if chunk is None else chunk.page.data(chunk.at)
            if data is None:
                return None
            parts.append(data)
        whole = b"".join(parts)
        return whole if len(whole) == item.whole_size else None

    # --- changing --------------------------------------------------------------------------------

    def namespace(self, name: bytes) -> int:
        """The index of a namespace, which is made where it does not exist.

        Raises:
            NvsFullError: all indices are taken, or there is no room for its name.
        """
        if name in self.namespaces:
            return self.namespaces[name]
        index = next((i for i in range(1, LAST_NAMESPACE + 1) if i not in self._taken), None)
        if index is None:
            raise NvsFullError(f"The NVS has {LAST_NAMESPACE} namespaces: it takes no more.")
        self.set(0, ItemType.U8, name.ljust(16, b"\0"), bytes((index,)))
        self._taken.add(index)
        self.namespaces[name] = index
        return index

    def set(self, namespace: int, type_: ItemType, name: bytes, data: bytes) -> None:
        """Write a value, unless it stands there already, and then mark the former one as erased.

        Raises:
            NvsFullError: there is no room.
        """
        wanted = ItemType.BLOB_INDEX if type_ == ItemType.BLOB else type_
        former = self.find(namespace, wanted, name)
        if former is not None and self.read(former) == data:
            return
        same = former is not None
        if former is None:
            former = self.find(namespace, None, name)
        item = None if former is None else former.item
        sequence = None if former is None else former.page.sequence
        if type_ == ItemType.BLOB:
            start = 0
            if same and item is not None:
                start = 0 if item.chunk_start == OTHER_CHUNKS else OTHER_CHUNKS
            self._write_blob(namespace, name, data, start)
        else:
            self._write(namespace, type_, name, data)
        if former is None or item is None:
            return
        if item.type == ItemType.BLOB_INDEX:
            self._erase_blob(item)
            return
        moved = former.page.state not in (PageState.ACTIVE, PageState.FULL)
        if moved or former.page.sequence != sequence:
            again = self.find(namespace, item.type, name)
            if again is None:
                raise NvsDamageError("The former value is gone after its page was moved.")
            former = again
        former.page.erase(former.at, purge=False)

    def delete(self, namespace: int, name: bytes) -> bool:
        """Mark a value as erased; False where there is none."""
        found = self.find(namespace, None, name)
        if found is None:
            return False
        if found.item.type == ItemType.BLOB_INDEX:
            self._erase_blob(found.item)
        else:
            found.page.erase(found.at, purge=False)
        return True

    def delete_namespace(self, namespace: int) -> int:
        """Mark all values of a namespace as erased, not its name. Returns how many there were."""
        count = 0
        for page in self.used:
            while (at := page.find(namespace, None)) is not None:
                count += page.item(at).type != ItemType.BLOB_DATA
                page.erase(at, purge=False)
        return count

    def _write(self, namespace: int, type_: ItemType, name: bytes, data: bytes) -> None:
        key = name.rstrip(b"\0")
        page = self.used[-1]
        if page.write(namespace, type_, key, data):
            return
        if page.state is not PageState.FULL:
            page.set_state(PageState.FULL)
        self._new_page()
        if not self.used[-1].write(namespace, type_, key, data):
            raise NvsFullError("There is no room for the value.")

    def _write_blob(self, namespace: int, name: bytes, data: bytes, start: int) -> None:
        key = name.rstrip(b"\0")
        if len(data) > min(len(self.pages) - 1, MAX_CHUNKS) * LARGEST_ON_PAGE:
            raise NvsFullError(f"A blob of {len(data)} bytes is larger than the whole NVS.")
        count, done = 0, 0
        while True:
            page = self.used[-1]
            room = page.room()
            short = room < len(data) or not room
            if count == 0 and short and room < _SMALL_ROOM:
                if page.state is not PageState.FULL:
                    page.set_state(PageState.FULL)
                self._new_page()
                if self.used[-1].room() == room:
                    raise NvsFullError("There is no room for the value.")
                continue
            if not room:
                raise NvsFullError("There is no room for the value.")
            part = data[done : done + room]
            done += len(part)
            number = start + count
            if not page.write(namespace, ItemType.BLOB_DATA, key, part, number, hold=True):
                raise NvsFullError("There is no room for the value.")
            count += 1
            if done < len(data) or room - len(part) < ENTRY:
                if page.state is not PageState.FULL:
                    page.set_state(PageState.FULL)
                page.release()
                self._new_page()
            if done == len(data):
                break
        index = len(data).to_bytes(4, "little") + bytes((count, start))
        if not self.used[-1].write(namespace, ItemType.BLOB_INDEX, key, index):
            raise NvsFullError("There is no room for the value.")

    def _erase_blob(self, item: Item) -> None:
        """Erase the index of a blob, then its chunks.

        Which of two indices of a key is meant, the number of its first chunk tells.
        """
        start = item.chunk_start
        index = self.find(item.namespace, ItemType.BLOB_INDEX, item.name, blob_start=start)
        if index is not None:
            index.page.erase(index.at, purge=False)
        for number in range(start, start + item.chunk_count):
            chunk = self.find(item.namespace, ItemType.BLOB_DATA, item.name, number)
            if chunk is not None:
                chunk.page.erase(chunk.at, purge=False)

    # --- pages -----------------------------------------------------------------------------------

    def _new_page(self) -> None:
        """Begin another page; where only one is free, move the values of one of the others to it.

        Raises:
            NvsFullError: all are full.
        """
        if len(self._free) >= 2:
            self._activate()
            return
        if not self._free:
            raise NvsFullError("No page is free.")
        most = max(self.used, key=lambda p: ENTRIES - p.used)
        if most.used == ENTRIES:
            raise NvsFullError("All pages are full.")
        if most.state not in (PageState.FULL, PageState.ACTIVE):
            raise NvsDamageError("Values of a page were being moved, and cannot be.")
        most.set_state(PageState.FREEING)
        self._move(most)

    def _move(self, page: Page) -> None:
        self._activate()
        page.copy_to(self.used[-1])
        page.wipe()
        self.used.remove(page)
        self._free.append(page)

    def _activate(self) -> None:
        page = self._free[0]
        if page.state is PageState.CORRUPT:
            page.wipe()
        del self._free[0]
        self.used.append(page)
        page.sequence = self._sequence & 0xFFFFFFFF
        self._sequence += 1
