# SPDX-License-Identifier: Apache-2.0
"""One page of NVS as the chip's library handles it: taken in with repairs, searched, added to.

What it does to flash, and in which order, is what `components/nvs_flash/src/nvs_page.cpp` of
ESP-IDF does. Two things differ. When that library (of 2026) finds a chunk of a blob as the last
entry, because the index that was to follow it is missing, it erases another chunk of the same key,
which may be one of the former value: here only a chunk of the same number makes way. And so that
it cannot happen on a chip, the last entry of a chunk is marked as written together with what
follows it (`hold`).
"""

from __future__ import annotations

from esptool.errors import StorageError
from esptool.storage.nvs.layout import (
    ANY_CHUNK,
    ENTRIES,
    ENTRY,
    FIRST_ENTRY,
    LARGEST_ON_PAGE,
    LONG,
    MAP_AT,
    NEWEST_BYTE,
    PAGE,
    EntryState,
    Header,
    Item,
    ItemType,
    PageState,
    crc32,
    entries_for,
)
from esptool.storage.nvs.medium import Medium

_LIVE = (PageState.ACTIVE, PageState.FULL, PageState.FREEING)
_MAP_WORD = 16  # entries whose states stand in one word


class NvsDamageError(StorageError):
    """The partition contradicts itself in a way that the chip's library has no repair for."""


class Page:
    """A page.

    Attributes:
        number: its place in the partition.
        state: as the library sees it; a page that it cannot use is CORRUPT.
        sequence, version: of its header.
        states: those of its entries.
        first_used: the first written entry, None where there is none.
        next_free: where the next entry goes, None where the page takes none.
        used: entries that are written.
        newer: it has a version that nothing is known of.
    """

    def __init__(self, medium: Medium, number: int) -> None:
        self._medium = medium
        self.number = number
        self._base = number * PAGE
        self.state = PageState.UNUSED
        self.sequence = 0xFFFFFFFF
        self.version = NEWEST_BYTE
        self.newer = False
        self.states = [EntryState.EMPTY] * ENTRIES
        self.first_used: int | None = None
        self.next_free: int | None = None
        self.used = 0
        self._held: int | None = None
        self._index: dict[tuple[int, bytes, int], list[int]] = {}
        self._items: dict[int, Item] = {}
        self._sound: set[int] = set()

    # --- taking in -------------------------------------------------------------------------------

    def load(self) -> None:
        """Read the page and put right what an interruption left in it."""
        header = Header.parse(self._medium.read_raw(self._base, 32))
        if header.state == PageState.UNUSED:
            blank = self._medium.read_raw(self._base, PAGE) == b"\xff" * PAGE
            self.state = PageState.UNUSED if blank else PageState.CORRUPT
            return
        self.newer = header.intact and header.version < NEWEST_BYTE
        if not header.intact or header.state not in _LIVE or self.newer:
            self.state = PageState.CORRUPT
            return
        self.state = PageState(header.state)
        self.sequence = header.sequence
        self.version = header.version
        self._read_map()
        if self.state is PageState.ACTIVE:
            self._find_free()
            self._settle_active()
        else:
            self._settle_full()

    def _read_map(self) -> None:
        bits = int.from_bytes(self._medium.read_raw(self._base + MAP_AT, 32), "little")
        self.states = [EntryState(bits >> 2 * i & 3) for i in range(ENTRIES)]
        written = [i for i, state in enumerate(self.states) if state is EntryState.WRITTEN]
        self.used = len(written)
        self.first_used = written[0] if written else None

    def _find_free(self) -> None:
        """Where to go on: behind all that was begun, also what was not marked as written yet."""
        if EntryState.EMPTY not in self.states:
            return
        at = self.states.index(EntryState.EMPTY)
        while at < ENTRIES and self._medium.read_raw(self._at(at), 4) != b"\xff" * 4:
            if self.states[at] is EntryState.WRITTEN:
                self.used -= 1
            self._mark(at, at + 1, EntryState.ERASED)
            self._purge(at, at + 1)
            at += 1
        self.next_free = at

    def _settle_active(self) -> None:
        """Erase what is damaged, unfinished, or there a second time."""
        last: int | None = None
        item: Item | None = None
        at = 0
        while at < self._end():
            here, at = at, at + 1
            state = self.states[here]
            if state is EntryState.ERASED:
                last = None
                continue
            if state is EntryState.ILLEGAL:
                last = None
                self.erase(here, purge=True)
                continue
            last = here
            item = self.item(here)
            if not self._is_sound(here, item):
                self.erase(here, purge=True)
                continue
            self._remember(here, item)
            former = self._lookup(item.namespace, item.name, item.chunk, 0)
            if item.type in LONG:
                at = here + item.span
                if any(s is not EntryState.WRITTEN for s in self.states[here:at]):
                    last = None
                    self.erase(here, purge=True)
                    continue
            # Whatever their types, of two entries with one key the later one counts.
            if former is not None and former < here:
                self.erase(former, purge=True)
        if last is None or item is None:
            return
        chunk = item.chunk if item.type == ItemType.BLOB_DATA else ANY_CHUNK
        found = self.find(item.namespace, item.type, item.name, chunk)
        if found is not None and found < last:
            self.erase(found, purge=True)

    def _settle_full(self) -> None:
        at = self.first_used if self.first_used is not None else ENTRIES
        while at < ENTRIES:
            here, at = at, at + 1
            if self.states[here] is not EntryState.WRITTEN:
                continue
            item = self.item(here)
            if not self._is_sound(here, item):
                self.erase(here, purge=True)
                continue
            self._remember(here, item)
            at = here + item.span
            if any(s is not EntryState.WRITTEN for s in self.states[here + 1 : at]):
                self.erase(here, purge=True)

    # --- searching -------------------------------------------------------------------------------

    def find(
        self,
        namespace: int | None,
        type_: int | None,
        name: bytes | None = None,
        chunk: int = ANY_CHUNK,
        start: int = 0,
        blob_start: int | None = None,
    ) -> int | None:
        """The first written entry that fits, or None.

        Args:
            namespace, type_, name: None where any will do; the name has its 16 bytes.
            chunk: number of a chunk; 0xFF for anything but a chunk, or with no name any chunk.
            start: the entry to begin at.
            blob_start: of the index of a blob, the number that its chunks begin at.
        """
        if self.state not in _LIVE or self.first_used is None or start >= ENTRIES:
            return None
        at = max(start, self.first_used)
        by_name = namespace is not None and name is not None
        if by_name and (type_ != ItemType.BLOB_DATA or chunk != ANY_CHUNK):
            assert namespace is not None
            assert name is not None
            found = self._lookup(namespace, name, chunk, at)
            if found is None:
                return None
            at = found
        while at < self._end():
            here, at = at, at + 1
            if self.states[here] is not EntryState.WRITTEN:
                continue
            item = self.item(here)
            if not self._is_sound(here, item):
                self.erase(here, purge=True)
                continue
            at = here + item.span
            if namespace is not None and item.namespace != namespace:
                continue
            if name is not None and item.key != _key(name):
                continue
            match self._fits(item, type_, chunk, blob_start):
                case True:
                    return here
                case False if by_name or namespace is not None:
                    # The library ends here: the key stands for a value of another type.
                    return None
        return None

    @staticmethod
    def _fits(item: Item, type_: int | None, chunk: int, blob_start: int | None) -> bool | None:
        """Whether an entry of the right key is meant; None to look further, False to give up."""
        if type_ == ItemType.BLOB_DATA:
            if item.type != ItemType.BLOB_DATA and chunk == ANY_CHUNK:
                return None
            if chunk not in (ANY_CHUNK, item.chunk):
                return None
        elif type_ == ItemType.BLOB and item.type == ItemType.BLOB_DATA:
            return None
        elif type_ == ItemType.BLOB_INDEX:
            if item.chunk != ANY_CHUNK:
                return None
            if blob_start is not None and item.chunk_start != blob_start:
                return None
        return type_ is None or item.type == type_

    def item(self, at: int) -> Item:
        """The entry number `at`, taken as the beginning of a value."""
        found = self._items.get(at)
        if found is None:
            found = self._items[at] = Item.parse(self._medium.read_entry(self._at(at)))
        return found

    def _is_sound(self, at: int, item: Item) -> bool:
        if at not in self._sound and item.fault(at) is None:
            self._sound.add(at)
        return at in self._sound

    def data(self, at: int) -> bytes | None:
        """The bytes of the string, blob or chunk that begins at `at`; None where they are damaged.

        Damaged are they where their checksum is wrong.
        """
        item = self.item(at)
        parts = (self._medium.read_entry(self._at(i)) for i in range(at + 1, at + item.span))
        data = b"".join(parts)[: item.size]
        return data if crc32(data) == item.data_crc else None

    # --- changing --------------------------------------------------------------------------------

    def room(self) -> int:
        """Bytes of a chunk that it takes."""
        if self.state is PageState.UNUSED:
            return LARGEST_ON_PAGE
        if self.state is PageState.FULL or self.next_free is None:
            return 0
        return max(0, (ENTRIES - 1 - self.next_free) * ENTRY)

    def write(
        self,
        namespace: int,
        type_: ItemType,
        key: bytes,
        data: bytes,
        chunk: int = ANY_CHUNK,
        *,
        hold: bool = False,
    ) -> bool:
        """Append a value; False where it does not fit on the page.

        Args:
            hold: leave its last entry unmarked until `release`, or until another entry follows.
        """
        if self.state is PageState.UNUSED:
            self._begin()
        if self.state is PageState.FULL:
            return False
        long = type_ in LONG
        count = entries_for(len(data)) if long else 1
        if self.next_free is None or self.next_free + count > ENTRIES:
            return False
        at = self.next_free
        tail = data
        if long:
            tail = len(data).to_bytes(2, "little") + b"\xff\xff" + crc32(data).to_bytes(4, "little")
        raw = Item.build(namespace, type_, count, chunk, key, tail)
        self._remember(at, Item.parse(raw))
        self._append(raw, hold=hold and count == 1)
        if long:
            whole = len(data) - len(data) % ENTRY
            rest = data[whole:]
            self._append_data(data[:whole], hold=hold and not rest)
            if rest:
                self._append(rest.ljust(ENTRY, b"\xff"), hold=hold)
        return True

    def release(self) -> None:
        """Mark the entry that was held back."""
        if self._held is not None:
            held, self._held = self._held, None
            self._mark(held, held + 1, EntryState.WRITTEN)

    def erase(self, at: int, *, purge: bool) -> None:
        """Mark the value that begins at `at` as erased; with `purge` clear its bytes, too."""
        span = 1
        if self.states[at] is EntryState.WRITTEN:
            item = self.item(at)
            if self._is_sound(at, item):
                span = item.span
            self._forget(at)
            written = self.states[at : at + span].count(EntryState.WRITTEN)
            self.used -= written
        self._mark(at, at + span, EntryState.ERASED)
        if purge:
            self._purge(at, at + span)
        if at == self.first_used:
            rest = range(at + span, self._end())
            written_there = (i for i in rest if self.states[i] is EntryState.WRITTEN)
            self.first_used = next(written_there, None)
        if self.next_free is not None and at + span > self.next_free:
            self.next_free = at + span

    def copy_to(self, other: Page) -> None:
        """Append all that is written here to another page.

        Raises:
            NvsDamageError: a value goes past the end of this page.
        """
        if self.first_used is None:
            return
        if other.state is PageState.UNUSED:
            other._begin()
        at = self.first_used
        while at < ENTRIES:
            if self.states[at] is not EntryState.WRITTEN:
                at += 1
                continue
            item = self.item(at)
            end = at + item.span
            if item.span < 1 or end > ENTRIES:
                raise NvsDamageError(f"Entry {at} of NVS page {self.number} goes past its end.")
            if other.next_free is None or other.next_free + item.span > ENTRIES:
                raise NvsDamageError(f"NVS page {self.number} does not fit on another one.")
            other._remember(other.next_free, item)
            for i in range(at, end):
                other._append(self._medium.read_entry(self._at(i)))
            at = end

    def set_state(self, state: PageState) -> None:
        """Write another state into the header."""
        self._medium.program_raw(self._base, int(state).to_bytes(4, "little"))
        self.state = state

    def wipe(self) -> None:
        """Erase the page."""
        self._medium.erase(self._base)
        self.state = PageState.UNUSED
        self.states = [EntryState.EMPTY] * ENTRIES
        self.first_used = self.next_free = None
        self.used = 0
        self._index.clear()
        self._items.clear()
        self._sound.clear()

    # --- small steps -----------------------------------------------------------------------------

    def _begin(self) -> None:
        self.state = PageState.ACTIVE
        header = Header.build(self.state, self.sequence, self.version)
        self._medium.program_raw(self._base, header)
        self.next_free = 0
        self.states = [EntryState.EMPTY] * ENTRIES

    def _append(self, raw: bytes, *, hold: bool = False) -> None:
        at = self.next_free
        assert at is not None
        self._medium.program(self._at(at), raw)
        self._written(at, at + 1, hold)

    def _append_data(self, data: bytes, *, hold: bool) -> None:
        at = self.next_free
        assert at is not None
        if data:
            self._medium.program(self._at(at), data)
            self._written(at, at + len(data) // ENTRY, hold)

    def _written(self, start: int, end: int, hold: bool) -> None:
        """Mark entries as written, with one that was held back before."""
        first = start if self._held is None else self._held
        # What looks empty and is not marked would be written over after an interruption.
        hold = hold and self._medium.read_raw(self._at(end - 1), 4) != b"\xff" * 4
        self._held = end - 1 if hold else None
        marked = end - 1 if hold else end
        if first < marked:
            self._mark(first, marked, EntryState.WRITTEN)
        if self.first_used is None:
            self.first_used = start
        self.used += end - start
        self.next_free = end

    def _mark(self, start: int, end: int, state: EntryState) -> None:
        """Set states, from the last word of the map to the first as the library does."""
        for at in range(start, end):
            self.states[at] = EntryState(state)
        for word in range((end - 1) // _MAP_WORD, start // _MAP_WORD - 1, -1):
            first = word * _MAP_WORD
            states = self.states[first : first + _MAP_WORD]
            states += [EntryState.EMPTY] * (_MAP_WORD - len(states))
            bits = sum(int(s) << 2 * i for i, s in enumerate(states))
            self._medium.program_raw(self._base + MAP_AT + 4 * word, bits.to_bytes(4, "little"))

    def _purge(self, start: int, end: int) -> None:
        for at in range(start, end):
            self._medium.program_raw(self._at(at), bytes(ENTRY))
            self._items.pop(at, None)
            self._sound.discard(at)

    def _at(self, entry: int) -> int:
        return self._base + FIRST_ENTRY + entry * ENTRY

    def _end(self) -> int:
        return ENTRIES if self.next_free is None else min(ENTRIES, self.next_free)

    def _remember(self, at: int, item: Item) -> None:
        self._items[at] = item
        self._index.setdefault((item.namespace, item.name, item.chunk), []).append(at)

    def _forget(self, at: int) -> None:
        item = self._items[at]
        places = self._index.get((item.namespace, item.name, item.chunk), [])
        if at in places:
            places.remove(at)

    def _lookup(self, namespace: int, name: bytes, chunk: int, start: int) -> int | None:
        places = self._index.get((namespace, name, chunk), ())
        return next((at for at in places if at >= start), None)


def _key(name: bytes) -> bytes:
    return name[:15].partition(b"\0")[0]
