# SPDX-License-Identifier: Apache-2.0
"""How NVS lies in flash: pages of 4 KiB with a header, a map of states and 126 entries of 32 bytes.

Source: ESP-IDF's documentation of the NVS library ("Internals": pages, entries, item hash list)
and `components/nvs_flash/private_include/nvs_constants.h`.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

PAGE = 4096
ENTRY = 32
ENTRIES = 126
MAP_AT, FIRST_ENTRY = 32, 64
#: Bytes of one string, of one blob of version 1, and of one chunk of a blob of version 2.
LARGEST_ON_PAGE = (ENTRIES - 1) * ENTRY
#: Bytes of a blob in the first version, as its library and the public generator limit it.
LARGEST_BLOB_V1 = 1984
MAX_KEY = 15
#: Namespaces have the indices 1 to 254.
LAST_NAMESPACE = 254
ANY_CHUNK = 0xFF
#: What is added to the chunk numbers of every second writing of a blob.
OTHER_CHUNKS = 0x80
MAX_CHUNKS = (ANY_CHUNK - 1) // 2

#: The version byte of a page header, by the version that people speak of.
VERSION_BYTES = {1: 0xFF, 2: 0xFE}
NEWEST_BYTE = 0xFE


class PageState(IntEnum):
    """The first word of a page. Each state has one more bit cleared than the one before."""

    UNUSED = 0xFFFFFFFF
    ACTIVE = 0xFFFFFFFE
    FULL = 0xFFFFFFFC
    FREEING = 0xFFFFFFF8
    CORRUPT = 0xFFFFFFF0


class EntryState(IntEnum):
    """Two bits in the map of states."""

    EMPTY = 3
    WRITTEN = 2
    ERASED = 0
    ILLEGAL = 1


class ItemType(IntEnum):
    """What an entry holds. The low digit of a plain number is its size in bytes."""

    U8 = 0x01
    U16 = 0x02
    U32 = 0x04
    U64 = 0x08
    I8 = 0x11
    I16 = 0x12
    I32 = 0x14
    I64 = 0x18
    STRING = 0x21
    FLOAT = 0x24
    DOUBLE = 0x28
    BLOB = 0x41
    BLOB_DATA = 0x42
    BLOB_INDEX = 0x48


#: Types whose data stand in the entries behind.
LONG = frozenset((ItemType.STRING, ItemType.BLOB, ItemType.BLOB_DATA))
_KNOWN = frozenset(int(t) for t in ItemType)
_INDEX_LIMIT = 127 * LARGEST_ON_PAGE


def crc32(data: bytes, start: int = 0xFFFFFFFF) -> int:
    """The CRC of headers, entries and data: that of the chips' ROM, begun with all ones."""
    return zlib.crc32(data, start)


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a page.

    Attributes:
        state: the first word, as it stands.
        sequence: the number that pages are ordered by.
        version: the version byte.
        intact: the CRC is right.
    """

    state: int
    sequence: int
    version: int
    intact: bool

    @staticmethod
    def parse(data: bytes) -> Header:
        """Take the first 32 bytes of a page apart."""
        state, sequence, version = struct.unpack_from("<IIB", data)
        (found,) = struct.unpack_from("<I", data, 28)
        return Header(state, sequence, version, found == crc32(data[4:28]))

    @staticmethod
    def build(state: int, sequence: int, version: int) -> bytes:
        """The 32 bytes of a header."""
        body = struct.pack("<IB", sequence, version) + b"\xff" * 19
        return struct.pack("<I", state) + body + struct.pack("<I", crc32(body))


@dataclass(frozen=True, slots=True)
class Item:
    """The entry that a value begins with.

    Attributes:
        namespace: index of the namespace; 0 for the entries that name namespaces.
        type: one of `ItemType`, or any other number in a damaged entry.
        span: entries that it takes, itself included.
        chunk: number of the chunk of a blob, else 0xFF.
        name: the 16 bytes of the key.
        data: the 8 bytes behind it.
        crc: the checksum as it stands.
    """

    namespace: int
    type: int
    span: int
    chunk: int
    name: bytes
    data: bytes
    crc: int

    @staticmethod
    def parse(raw: bytes) -> Item:
        """Take the 32 bytes of an entry apart."""
        return Item(
            raw[0], raw[1], raw[2], raw[3], raw[8:24], raw[24:], int.from_bytes(raw[4:8], "little")
        )

    @staticmethod
    def build(namespace: int, type_: int, span: int, chunk: int, key: bytes, data: bytes) -> bytes:
        """The 32 bytes of an entry; `data` is filled up with 0xFF."""
        head = bytes((namespace, type_, span, chunk))
        tail = key.ljust(16, b"\0") + data.ljust(8, b"\xff")
        return head + struct.pack("<I", crc32(head + tail)) + tail

    @property
    def key(self) -> bytes:
        """The key as the chip compares it: up to 15 bytes before a zero byte."""
        return self.name[:MAX_KEY].partition(b"\0")[0]

    @property
    def size(self) -> int:
        """Bytes of a string, a blob of version 1 or a chunk."""
        return int.from_bytes(self.data[:2], "little")

    @property
    def data_crc(self) -> int:
        """The checksum of these bytes."""
        return int.from_bytes(self.data[4:8], "little")

    @property
    def whole_size(self) -> int:
        """Of the index of a blob: bytes of all its chunks."""
        return int.from_bytes(self.data[:4], "little")

    @property
    def chunk_count(self) -> int:
        """Of the index of a blob: how many chunks it has."""
        return self.data[4]

    @property
    def chunk_start(self) -> int:
        """Of the index of a blob: the number of its first chunk, 0 or 0x80."""
        return self.data[5]

    def fault(self, at: int) -> str | None:
        """What is wrong with it as the entry number `at` of a page, or None.

        These are the checks of the chip's library.
        """
        head = bytes((self.namespace, self.type, self.span, self.chunk))
        if self.crc != crc32(head + self.name + self.data):
            return "its checksum is wrong"
        if self.type not in _KNOWN:
            return f"its type {self.type:#04x} does not exist"
        if self.type not in LONG:
            if self.span != 1:
                return f"it claims {self.span} entries for a value that takes one"
            if self.type == ItemType.BLOB_INDEX:
                if self.chunk != ANY_CHUNK:
                    return f"it is the index of a blob with the chunk number {self.chunk}"
                if self.whole_size > _INDEX_LIMIT:
                    return f"it claims a blob of {self.whole_size} bytes"
            return None
        if self.type == ItemType.BLOB_DATA and self.chunk == ANY_CHUNK:
            return "it is a chunk of a blob without a number"
        if self.span > ENTRIES - at or self.size > (ENTRIES - at - 1) * ENTRY:
            return f"its {self.size} bytes go past the end of the page"
        if self.span != entries_for(self.size):
            return f"it claims {self.span} entries for {self.size} bytes"
        return None


def entries_for(size: int) -> int:
    """The entries that `size` bytes of a string, blob or chunk take, with the first one."""
    return 1 + -(-size // ENTRY)


def entry_at(page: int, index: int) -> int:
    """Where an entry lies, in bytes from the start of the partition."""
    return page * PAGE + FIRST_ENTRY + index * ENTRY
