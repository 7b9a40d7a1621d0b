# SPDX-License-Identifier: Apache-2.0
"""Whole NVS partitions made from values, laid out as ESP-IDF's NVS partition generator does it.

That generator fills page after page and never erases, so it differs from the chip's library where
a page ends: a string that would just fill it begins the next one, a blob may leave an empty chunk.
Source: the documentation and behaviour of `esp-idf-nvs-partition-gen`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from esptool.errors import FatalError, StorageError, UsageError
from esptool.nearest import checks_keywords
from esptool.storage.nvs.layout import (
    ANY_CHUNK,
    ENTRIES,
    ENTRY,
    FIRST_ENTRY,
    LARGEST_BLOB_V1,
    LARGEST_ON_PAGE,
    LAST_NAMESPACE,
    MAP_AT,
    MAX_CHUNKS,
    PAGE,
    VERSION_BYTES,
    EntryState,
    Header,
    Item,
    ItemType,
    PageState,
    crc32,
    entries_for,
    entry_at,
)
from esptool.storage.nvs.medium import LARGEST
from esptool.storage.nvs.values import Kind, Value, encode, name_bytes

if TYPE_CHECKING:
    from esptool.storage.nvs.keys import NvsKeys

#: Smaller partitions can only be read: there is no page to move values to.
SMALLEST_WRITABLE = 3 * PAGE


@dataclass(frozen=True, slots=True)
class Row:
    """A value to be put into a new NVS.

    Attributes:
        namespace, key, kind, value: what it is.
        where: where it comes from, for errors, such as "line 3".
    """

    namespace: str
    key: str
    kind: Kind
    value: Value
    where: str = ""


@dataclass(slots=True)
class _Page:
    image: bytearray
    used: int = 0
    states: list[EntryState] = field(default_factory=lambda: [EntryState.EMPTY] * ENTRIES)


class Builder:
    """An NVS that is being made; `add` in order, then `finish`."""

    def __init__(self, size: int, *, version: int = 2, keys: NvsKeys | None = None) -> None:
        """
        Args:
            size: bytes of the partition. With less than 0x3000 it can only be read by the chip,
                and just the pages that are used are made.
            version: 2, in which blobs may span pages, or 1.
            keys: what to encrypt it with.

        Raises:
            UsageError: no such version, or the size is not that of whole pages.
        """
        if version not in VERSION_BYTES:
            raise UsageError(f"There is no version {version} of NVS: it is 1 or 2.")
        if size < PAGE or size % PAGE or size > LARGEST:
            raise UsageError(
                f"An NVS of {size:#x} bytes cannot be made: it has whole pages of {PAGE:#x} bytes.",
                remedy=f"Give {SMALLEST_WRITABLE:#x} or more for one that the chip can write to.",
            )
        self.size = size
        self.version = version
        self._keys = keys
        self._byte = VERSION_BYTES[version]
        self.writable = size >= SMALLEST_WRITABLE
        self._most = size // PAGE - (1 if self.writable else 0)
        self._pages: list[_Page] = []
        self._namespaces: dict[bytes, int] = {}
        self._next_page()

    def add_namespace(self, name: str) -> int:
        """The index of a namespace, made where it does not exist."""
        key = name_bytes(name, "namespace")
        if key not in self._namespaces:
            if len(self._namespaces) >= LAST_NAMESPACE:
                raise UsageError(f"An NVS has no more than {LAST_NAMESPACE} namespaces.")
            index = self._namespaces[key] = len(self._namespaces) + 1
            self._number(0, ItemType.U8, key, bytes((index,)))
        return self._namespaces[key]

    def add(self, namespace: str, key: str, kind: Kind, value: Value) -> None:
        """Append a value.

        Raises:
            UsageError: a wrong name, or a value that is out of range or too long.
            StorageError: the partition is too small.
        """
        index = self.add_namespace(namespace)
        name, data = name_bytes(key, "key"), encode(kind, value)
        if kind is Kind.BLOB and self.version == 2:
            self._blob(index, name, data)
        elif kind in (Kind.STRING, Kind.BLOB):
            self._long(index, name, kind, data)
        else:
            self._number(index, kind.item_type, name, data)

    def finish(self) -> bytes:
        """The partition; where the chip can write to it, with its unused pages."""
        image = b"".join(bytes(page.image) for page in self._pages)
        return image.ljust(self.size, b"\xff") if self.writable else image

    # --- values ----------------------------------------------------------------------------------

    def _number(self, namespace: int, type_: int, key: bytes, data: bytes) -> None:
        if self._page.used >= ENTRIES:
            self._next_page()
        self._put(Item.build(namespace, type_, 1, ANY_CHUNK, key, data))

    def _long(self, namespace: int, key: bytes, kind: Kind, data: bytes) -> None:
        if kind is Kind.BLOB and len(data) > LARGEST_BLOB_V1:
            raise UsageError(
                f"A blob of version 1 has up to {LARGEST_BLOB_V1} bytes, not {len(data)}.",
                remedy="Version 2 takes larger ones.",
            )
        if kind is Kind.STRING and self.version == 1 and len(data) > LARGEST_BLOB_V1:
            raise UsageError(
                f"A string of version 1 has up to {LARGEST_BLOB_V1 - 1} bytes, "
                f"not {len(data) - 1}.",
                remedy="Version 2 takes larger ones.",
            )
        count = entries_for(len(data))
        if self._page.used and self._page.used + count >= ENTRIES:
            self._next_page()
        self._with_data(namespace, kind.item_type, key, data, ANY_CHUNK)

    def _blob(self, namespace: int, key: bytes, data: bytes) -> None:
        if self._page.used >= ENTRIES:
            self._next_page()
        done = chunks = 0
        while True:
            room = (ENTRIES - self._page.used - 1) * ENTRY
            part = data[done : done + room]
            done += len(part)
            if chunks == MAX_CHUNKS:
                most = MAX_CHUNKS * LARGEST_ON_PAGE
                raise UsageError(f"A blob of {len(data)} bytes is more than NVS takes ({most}).")
            self._with_data(namespace, ItemType.BLOB_DATA, key, part, chunks)
            chunks += 1
            if done < len(data) or room - len(part) < ENTRY:
                self._next_page()
            if done == len(data):
                break
        index = len(data).to_bytes(4, "little") + bytes((chunks, 0))
        self._put(Item.build(namespace, ItemType.BLOB_INDEX, 1, ANY_CHUNK, key, index))

    def _with_data(self, namespace: int, type_: int, key: bytes, data: bytes, chunk: int) -> None:
        count = entries_for(len(data))
        head = len(data).to_bytes(2, "little") + b"\xff\xff" + crc32(data).to_bytes(4, "little")
        self._put(Item.build(namespace, type_, count, chunk, key, head))
        for at in range(0, len(data), ENTRY):
            self._put(data[at : at + ENTRY].ljust(ENTRY, b"\xff"))

    # --- pages -----------------------------------------------------------------------------------

    @property
    def _page(self) -> _Page:
        return self._pages[-1]

    def _put(self, raw: bytes) -> None:
        page, number = self._page, len(self._pages) - 1
        if self._keys is not None:
            raw = self._keys.encrypt(entry_at(number, page.used), raw)
        at = FIRST_ENTRY + page.used * ENTRY
        page.image[at : at + ENTRY] = raw
        page.states[page.used] = EntryState.WRITTEN
        bits = MAP_AT + page.used // 4
        page.image[bits] &= 0xFF ^ (1 << 2 * (page.used % 4))
        page.used += 1

    def _next_page(self) -> None:
        number = len(self._pages)
        if number >= self._most:
            spare = ", one of which stays free for the chip" if self.writable else ""
            raise StorageError(
                f"The values do not fit into {self.size:#x} bytes ({self.size // PAGE} "
                f"pages{spare}).",
                remedy="Give a larger size, and make the partition as large.",
            )
        if self._pages:
            self._page.image[:4] = int(PageState.FULL).to_bytes(4, "little")
        image = bytearray(b"\xff" * PAGE)
        image[:32] = Header.build(PageState.ACTIVE, number, self._byte)
        self._pages.append(_Page(image))


@checks_keywords()
def build(
    rows: Iterable[Row | str],
    size: int,
    *,
    version: int = 2,
    keys: NvsKeys | None = None,
) -> bytes:
    """An NVS partition of rows, in their order.

    Args:
        rows: values, and names of namespaces, which are made where they stand.
        size: bytes of the partition, a multiple of 4096.
        version: 1 or 2, of the format.
        keys: encrypt with these; None for a plain one.

    Raises:
        FatalError: names the row that is wrong or for which there is no room.
    """
    builder = Builder(size, version=version, keys=keys)
    for row in rows:
        if isinstance(row, str):
            builder.add_namespace(row)
            continue
        try:
            builder.add(row.namespace, row.key, row.kind, row.value)
        except FatalError as e:
            where = f"{row.where}: " if row.where else ""
            raise type(e)(f"{where}'{row.key}': {e.message}", remedy=e.remedy) from None
    return builder.finish()
