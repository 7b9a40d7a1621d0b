# SPDX-License-Identifier: Apache-2.0
"""A file in place of a flash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from esptool import chips
from esptool.chips.nor import SECTOR
from esptool.chips.spec import ChipSpec
from esptool.errors import ImageError, StorageError, UsageError
from esptool.files import write_atomic
from esptool.image.reader import detect_chip
from esptool.image.sources import read_source
from esptool.nearest import checks_keywords
from esptool.ops import bounds
from esptool.ops.places.base import Flash, Place
from esptool.ops.places.table import GIVE_TABLE, TableSource
from esptool.storage import names
from esptool.storage.dump import STATE_HEADER, state_header
from esptool.storage.partition import DATA, MAGIC, TABLE_SIZE, UNDEFINED, Partition
from esptool.storage.partitions import (
    DEFAULT_OFFSET,
    LAST_OFFSET,
    PartitionTable,
    find_table,
)

BLANK = b"\xff"
#: More than any NOR flash has: a damaged table may speak of gigabytes.
LARGEST = 1 << 28


class FileFlash(Flash):
    """A file: dump or merged image of a flash, state file of the virtual chip, or one partition.

    What lies behind the end of a dump counts as erased. `write` replaces the file as a whole.
    """

    def __init__(self, path: str, source: TableSource | None = None) -> None:
        self.path = path
        self.label = f"'{path}'"
        self._source = source or TableSource()
        data, _name = read_source(path)
        self._head = state_header(data)
        self._start = 0 if self._head is None else STATE_HEADER
        self._data = bytearray(data)

    @property
    def is_state(self) -> bool:
        """It is a state file of the virtual chip."""
        return self._head is not None

    @property
    def is_table(self) -> bool:
        """It is a partition table, and no flash."""
        return self._data[: len(MAGIC)] == MAGIC

    @property
    def size(self) -> int:
        """Bytes of flash in the file."""
        return len(self._data) - self._start

    def read(self, address: int, size: int) -> bytes:
        self._require_flash(address, size)
        start = self._start + address
        return bytes(self._data[start : start + size]).ljust(size, BLANK)

    def _require_flash(self, address: int, size: int) -> None:
        bounds.require_32_bits(address, size)
        if address + size > LARGEST:
            raise UsageError(
                f"{size:#x} bytes at {address:#x} are not within a flash: none is larger than "
                f"{LARGEST >> 20} MB."
            )

    def write(self, address: int, data: bytes, *, name: str | None = None) -> int:
        self._require_flash(address, len(data))
        former = self.read(address, len(data))
        if former == data:
            return 0
        start = address - address % SECTOR
        changed = 0
        for at in range(start, address + len(data), SECTOR):
            first, last = max(0, at - address), at + SECTOR - address
            changed += former[first:last] != data[first:last]
        new = bytearray(self._data)
        new += BLANK * (self._start + address - len(new))
        new[self._start + address : self._start + address + len(data)] = data
        write_atomic(self.path, bytes(new))
        self._data = new
        return changed

    @cached_property
    def found_table(self) -> tuple[int, PartitionTable]:
        found = self._source.loaded(self.bootloader_offset)
        if found is None:
            self._refuse_damaged_table()
            found = self._own_table
        if found is None:
            raise StorageError(
                f"{self.label} has no partition table from {DEFAULT_OFFSET:#x} to "
                f"{LAST_OFFSET:#x}.",
                remedy=f"Say where it is with --partition-table-offset. {GIVE_TABLE}",
            )
        return found

    def _refuse_damaged_table(self) -> None:
        """As on a device: one further on may be a leftover, so none is looked for."""
        told = self._source.offset
        at = DEFAULT_OFFSET if told is None else told
        data = self.read(0, self.size) if self.is_table else self.read(at, TABLE_SIZE)
        if data[: len(MAGIC)] != MAGIC and told is None:
            return
        where = self.label if self.is_table else f"{self.label} at {at:#x}"
        try:
            PartitionTable.from_bytes(data)
        except StorageError as e:
            remedy = "Build or read it again." if self.is_table else GIVE_TABLE
            raise StorageError(f"{where}: {e.message}", remedy=remedy) from None

    @cached_property
    def _own_table(self) -> tuple[int, PartitionTable] | None:
        told = self._source.offset
        if self.is_table:
            offset = DEFAULT_OFFSET if told is None else told
            return offset, PartitionTable.from_bytes(self.read(0, self.size))
        if told is not None:
            return told, PartitionTable.from_bytes(self.read(told, TABLE_SIZE))
        return find_table(self.read(0, LAST_OFFSET + TABLE_SIZE))

    def used(self, address: int, size: int) -> int | None:
        self._require_flash(address, size)
        # Behind the end of the file all is blank.
        size = min(size, max(0, self.size - address))
        data = self.read(address, size)
        sectors = (data[at : at + SECTOR] for at in range(0, size, SECTOR))
        return SECTOR * sum(bool(sector.strip(BLANK)) for sector in sectors)

    @cached_property
    def chip(self) -> ChipSpec | None:
        if self._head is not None:
            key = str(self._head.get("chip"))
            return chips.get(key) if key in chips.KEYS else None
        for at in (0, 0x1000, 0x2000):
            try:
                chip = detect_chip(self.read(at, SECTOR))
            except ImageError:
                continue
            if chip.flash.bootloader_offset == at:
                return chip
        return None

    @property
    def is_one_partition(self) -> bool:
        """It is not a whole flash: no table in it or told, and nothing that boots at its start."""
        if self.is_state or self._source != TableSource():
            return False
        return self._own_table is None and self.bootloader_offset is None

    def place_of(self, partition: Partition, *, raw: bool = False) -> Place:
        self._refuse_table()
        return super().place_of(partition, raw=raw)

    def _refuse_table(self) -> None:
        if self.is_table:
            raise UsageError(f"{self.label} is a partition table: no partitions are in it.")

    def place(self, text: str = "", *, raw: bool = False) -> Place:
        """A partition by name; in a file that is one partition, any name (or "") stands for it."""
        self._refuse_table()
        if not self.is_one_partition:
            if not text:
                raise UsageError(
                    f"{self.label} holds a whole flash.", remedy="Name a partition of it."
                )
            return super().place(text, raw=raw)
        if not self.size:
            raise UsageError(f"{self.label} is empty.")
        name = names.parse_name(text) if text else names.Name("")
        whole = Partition(name.name, DATA, UNDEFINED, 0, self.size)
        span = names.resolve(name, PartitionTable((whole,)), 0, None)
        return Place(self, span.offset, span.size, self.label, whole)


@checks_keywords()
@contextmanager
def opened_file(path: str, source: TableSource | None = None) -> Iterator[FileFlash]:
    """A file as a flash; a state file is held meanwhile, so that no virtual chip uses it.

    Raises:
        FatalError: it cannot be read, or is in use.
    """
    from esptool.locking import FileLock

    flash = FileFlash(path, source)
    if not flash.is_state:
        yield flash
        return
    with FileLock(path, "state file"):
        # It may have changed until it was ours.
        yield FileFlash(path, source)
