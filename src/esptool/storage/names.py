# SPDX-License-Identifier: Apache-2.0
"""Names that stand where an address may: `nvs`, `log[-0x1000:]`, `bootloader`, `partition-table`.

A slice is that of Python, in bytes of the partition, with K and M as suffixes of numbers.
"""

from __future__ import annotations

import re

from esptool.errors import StorageError, UsageError
from esptool.records import dataclass
from esptool.storage.partition import (
    BOOTLOADER,
    PARTITION_TABLE,
    PRIMARY,
    TABLE_SIZE,
    Partition,
    unknown_name,
)
from esptool.storage.partition_csv import number
from esptool.storage.partitions import PartitionTable

BOOTLOADER_NAME = "bootloader"
TABLE_NAMES = ("partition-table", "partition_table")
_FORM = re.compile(r"(?P<name>[^\[\]]+?)(?:\[(?P<start>[^:\[\]]*):(?P<end>[^:\[\]]*)\])?")


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it was written, taken apart.

    Attributes:
        name: that of a partition.
        start: first byte of the slice; negative counts from the end; None is the beginning.
        end: the byte behind the last one, likewise.
    """

    name: str
    start: int | None = None
    end: int | None = None

    @property
    def is_table(self) -> bool:
        """It stands for the partition table."""
        return self.name in TABLE_NAMES

    def __str__(self) -> str:
        if self.start is None and self.end is None:
            return self.name
        first = "" if self.start is None else f"{self.start:#x}"
        last = "" if self.end is None else f"{self.end:#x}"
        return f"{self.name}[{first}:{last}]"


@dataclass(frozen=True, slots=True)
class Span:
    """A range of flash that a name stands for.

    Attributes:
        offset: bytes from the start of flash.
        size: bytes.
        partition: the partition that it lies in; one that is made up where the table has no entry
            for boot loader or table.
        label: how messages call it, e.g. "partition 'nvs'".
    """

    offset: int
    size: int
    partition: Partition
    label: str

    @property
    def end(self) -> int:
        """The first offset behind it."""
        return self.offset + self.size


def parse_address(text: str) -> int | Name:
    """A number, or the name of a partition with or without a slice.

    Raises:
        UsageError: neither.
    """
    try:
        return int(text, 0)
    except ValueError:
        pass
    if text[:1].isdigit() or text[:1] in "+-":
        raise UsageError(f"'{text}' is neither a number nor the name of a partition.")
    return parse_name(text)


def parse_name(text: str) -> Name:
    """The name of a partition, with or without a slice.

    Raises:
        UsageError: it can be none.
    """
    found = _FORM.fullmatch(text)
    if found is None or not found["name"].strip() or "\0" in text:
        raise UsageError(
            f"'{text}' is not a name of a partition.",
            remedy="A part of one is written with a slice, such as log[0x1000:] or log[:-4K].",
        )
    try:
        start = number(found["start"]) if found["start"] else None
        end = number(found["end"]) if found["end"] else None
    except StorageError as e:
        raise UsageError(f"'{text}': {e.message}") from None
    return Name(found["name"], start, end)


def resolve(
    name: Name, table: PartitionTable | None, table_offset: int, bootloader_offset: int | None
) -> Span:
    """What a name stands for.

    Args:
        name: the name.
        table: the partition table; may be None for the boot loader and the table itself.
        table_offset: where the table stands.
        bootloader_offset: where the chip's boot loader stands, None where that is not known.

    Raises:
        StorageError: no such partition.
        UsageError: the slice has nothing in it.
    """
    found = table.get(name.name) if table is not None else None
    if found is None:
        found = _built_in(name, table_offset, bootloader_offset)
    if found is None:
        assert table is not None
        known = [p.name for p in table]
        raise unknown_name(name.name, known + [n for n in _BUILT_IN if n not in known])
    start, end = _bounds(name, found.size)
    label = f"partition '{found.name}'"
    if name.start is not None or name.end is not None:
        label = f"'{name}'"
    return Span(found.offset + start, end - start, found, label)


_BUILT_IN = (BOOTLOADER_NAME, TABLE_NAMES[0])


def needs_table(name: Name) -> bool:
    """Whether only a table can tell what it stands for."""
    return name.name != BOOTLOADER_NAME and not name.is_table


def _built_in(name: Name, table_offset: int, bootloader_offset: int | None) -> Partition | None:
    if name.is_table:
        return Partition(name.name, PARTITION_TABLE, PRIMARY, table_offset, TABLE_SIZE)
    if name.name != BOOTLOADER_NAME or bootloader_offset is None:
        return None
    return Partition(
        name.name, BOOTLOADER, PRIMARY, bootloader_offset, table_offset - bootloader_offset
    )


def _bounds(name: Name, size: int) -> tuple[int, int]:
    start = 0 if name.start is None else name.start
    end = size if name.end is None else name.end
    start, end = (at + size if at < 0 else at for at in (start, end))
    if not 0 <= start < end <= size:
        raise UsageError(
            f"'{name}' does not lie within the partition: it has {size:#x} bytes, and the slice "
            f"is from {start:#x} to {end:#x}."
        )
    return start, end
