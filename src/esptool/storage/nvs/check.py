# SPDX-License-Identifier: Apache-2.0
"""What is wrong with an NVS, looked for page by page and entry by entry, and what room is left."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from esptool.storage.nvs.layout import (
    ENTRIES,
    ENTRY,
    LONG,
    MAP_AT,
    NEWEST_BYTE,
    OTHER_CHUNKS,
    PAGE,
    EntryState,
    Header,
    Item,
    ItemType,
    PageState,
    crc32,
    entry_at,
)
from esptool.storage.nvs.medium import Medium
from esptool.storage.nvs.values import shown_name

_NAMES = {
    PageState.UNUSED: "unused",
    PageState.ACTIVE: "active",
    PageState.FULL: "full",
    PageState.FREEING: "freeing",
    PageState.CORRUPT: "corrupt",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    Attributes:
        text: what, and what it means.
        page, entry: where, as numbers from 0; None where it is not about one.
        damage: something is lost or cannot be relied on; otherwise it is a remark.
    """

    text: str
    page: int | None = None
    entry: int | None = None
    damage: bool = True

    def __str__(self) -> str:
        where = "" if self.page is None else f"Page {self.page}"
        if self.entry is not None:
            where += f", entry {self.entry}"
        return f"{where}: {self.text}" if where else self.text


@dataclass(frozen=True, slots=True)
class PageInfo:
    """What is on a page.

    Attributes:
        number: its place in the partition, from 0.
        state: unused, active, full, freeing or corrupt.
        sequence, version: of its header; None where there is none that can be read.
        written, erased, empty: how many of its entries are.
    """

    number: int
    state: str
    sequence: int | None
    version: int | None
    written: int
    erased: int
    empty: int


@dataclass(slots=True)
class Report:
    """All that was found.

    Attributes:
        pages: one by one.
        problems: in the order of flash.
        readable, unreadable: entries that begin a value and can be read, or cannot.
    """

    pages: list[PageInfo] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    readable: int = 0
    unreadable: int = 0


class _Inspector:
    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self.report = Report()
        self._items: list[tuple[int, int, Item]] = []
        self._sequences: dict[int, int] = {}

    def run(self) -> Report:
        for number in range(self._medium.pages):
            self.report.pages.append(self._page(number))
        self._namespaces()
        self._twice()
        self._blobs()
        self._free_pages()
        return self.report

    def _say(
        self, text: str, page: int | None = None, entry: int | None = None, damage: bool = True
    ) -> None:
        self.report.problems.append(Problem(text, page, entry, damage))

    # --- one page --------------------------------------------------------------------------------

    def _page(self, number: int) -> PageInfo:
        base = number * PAGE
        header = Header.parse(self._medium.read_raw(base, 32))
        if header.state == PageState.UNUSED:
            if self._medium.read_raw(base, PAGE) == b"\xff" * PAGE:
                return PageInfo(number, "unused", None, None, 0, 0, ENTRIES)
            self._say("it has no header but holds data, which nobody can read", number)
            return self._unreadable(number)
        if not header.intact:
            self._say("the checksum of its header is wrong: its values are lost", number)
            return self._unreadable(number)
        try:
            state = PageState(header.state)
        except ValueError:
            self._say(f"its state {header.state:#010x} does not exist: its values are lost", number)
            return self._unreadable(number)
        if state is PageState.CORRUPT:
            self._say("it is marked as corrupt: its values are lost", number)
            return self._unreadable(number)
        if header.version < NEWEST_BYTE:
            self._say(
                f"its version {256 - header.version} is newer than all that are known", number
            )
            return self._unreadable(number)
        if state is PageState.FREEING:
            self._say("its values were being moved to another page when that stopped", number)
        if header.sequence in self._sequences:
            other = self._sequences[header.sequence]
            self._say(f"it has the sequence number {header.sequence} of page {other}", number)
        self._sequences.setdefault(header.sequence, number)
        states = self._states(number)
        self._entries(number, state, states)
        count = Counter(states)
        return PageInfo(
            number,
            _NAMES[state],
            header.sequence,
            256 - header.version,
            count[EntryState.WRITTEN],
            count[EntryState.ERASED],
            count[EntryState.EMPTY],
        )

    @staticmethod
    def _unreadable(number: int) -> PageInfo:
        return PageInfo(number, "corrupt", None, None, 0, 0, 0)

    def _states(self, number: int) -> list[EntryState]:
        bits = int.from_bytes(self._medium.read_raw(number * PAGE + MAP_AT, 32), "little")
        return [EntryState(bits >> 2 * i & 3) for i in range(ENTRIES)]

    def _entries(self, number: int, page_state: PageState, states: list[EntryState]) -> None:
        at = 0
        while at < ENTRIES:
            here, at = at, at + 1
            state = states[here]
            if state is EntryState.ILLEGAL:
                self._say("its state is none that exists", number, here)
            if state is EntryState.EMPTY and page_state is PageState.ACTIVE:
                if self._medium.read_raw(entry_at(number, here), ENTRY) != b"\xff" * ENTRY:
                    self._say("it was begun and not finished", number, here)
                continue
            if state is not EntryState.WRITTEN:
                continue
            item = Item.parse(self._medium.read_entry(entry_at(number, here)))
            fault = item.fault(here)
            if fault is not None:
                self.report.unreadable += 1
                self._say(f"it cannot be read: {fault}", number, here)
                continue
            self.report.readable += 1
            at = here + item.span
            self._item(number, here, item, states)

    def _item(self, number: int, at: int, item: Item, states: list[EntryState]) -> None:
        key = shown_name(item.key)
        if any(s is not EntryState.WRITTEN for s in states[at : at + item.span]):
            self._say(f"'{key}' was begun and not finished", number, at)
            return
        self._items.append((number, at, item))
        if item.type not in LONG:
            return
        first, end = entry_at(number, at + 1), entry_at(number, at + item.span)
        parts = (self._medium.read_entry(offset) for offset in range(first, end, ENTRY))
        data = b"".join(parts)[: item.size]
        if crc32(data) != item.data_crc:
            self._say(f"the data of '{key}' are damaged: their checksum is wrong", number, at)
        elif item.type == ItemType.STRING and not data.endswith(b"\0"):
            self._say(f"the string '{key}' has no zero at its end", number, at)

    # --- all pages -------------------------------------------------------------------------------

    def _namespaces(self) -> None:
        names: dict[bytes, int] = {}
        indices = set()
        for number, at, item in self._items:
            if item.namespace or item.type != ItemType.U8:
                continue
            indices.add(item.data[0])
            if names.setdefault(item.key, item.data[0]) != item.data[0]:
                text = f"the namespace '{shown_name(item.key)}' stands for two indices"
                self._say(text, number, at)
        lost = Counter(
            item.namespace
            for _, _, item in self._items
            if item.namespace and item.namespace not in indices
        )
        for index, count in sorted(lost.items()):
            self._say(f"Namespace #{index} has no name: {count} of its entries cannot be reached.")

    def _twice(self) -> None:
        seen: dict[tuple[int, bytes, int], int] = {}
        for number, at, item in sorted(self._items, key=lambda found: found[:2]):
            where = (item.namespace, item.key, item.chunk)
            if where in seen:
                text = f"'{shown_name(item.key)}' stands on page {seen[where]} as well"
                self._say(text, number, at)
            seen.setdefault(where, number)

    def _blobs(self) -> None:
        chunks: dict[tuple[int, bytes, bool], list[tuple[int, int, Item]]] = defaultdict(list)
        for found in self._items:
            item = found[2]
            if item.type == ItemType.BLOB_DATA:
                late = item.chunk >= OTHER_CHUNKS
                chunks[(item.namespace, item.key, late)].append(found)
        for number, at, item in self._items:
            if item.type != ItemType.BLOB_INDEX:
                continue
            own = chunks.pop((item.namespace, item.key, item.chunk_start >= OTHER_CHUNKS), [])
            size = sum(chunk.size for _, _, chunk in own)
            if (len(own), size) != (item.chunk_count, item.whole_size):
                self._say(
                    f"the blob '{shown_name(item.key)}' is not whole: {size} of its "
                    f"{item.whole_size} bytes in {len(own)} of {item.chunk_count} chunks",
                    number,
                    at,
                )
        for left in chunks.values():
            for number, at, item in left:
                text = f"a chunk of '{shown_name(item.key)}' belongs to no blob"
                self._say(text, number, at)

    def _free_pages(self) -> None:
        states = [page.state for page in self.report.pages]
        if "unused" in states or "corrupt" in states:
            return
        self._say(
            "No page is free: the chip's library takes it as a read-only partition only.",
            damage=len(states) > 2,
        )


def inspect(medium: Medium) -> Report:
    """Look at every page and entry. Nothing is changed."""
    return _Inspector(medium).run()
