# SPDX-License-Identifier: Apache-2.0
"""Where the partition table of a job comes from: flash, or a file in CSV or binary."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR
from esptool.errors import StorageError
from esptool.image.sources import read_source
from esptool.records import dataclass
from esptool.storage.partition import MAGIC
from esptool.storage.partitions import DEFAULT_OFFSET, PartitionTable

if TYPE_CHECKING:
    from esptool.transport.settings import Settings

#: The remedy where flash does not tell.
GIVE_TABLE = "Give the table with --partition-table FILE (CSV or binary)."


@dataclass(frozen=True, slots=True)
class TableSource:
    """Where the partition table comes from.

    Attributes:
        offset: where it stands in flash; None looks for it from 0x8000 to 0x20000.
        file: a table in CSV or binary, which is taken instead of the one in flash.
    """

    offset: int | None = None
    file: str | None = None

    def completed(self, settings: Settings) -> TableSource:
        """With what the configuration says, where the caller says nothing."""
        text = settings.partition_table_offset
        if self.offset is not None or text is None:
            return self
        return TableSource(int(text, 0), self.file)

    def loaded(self, bootloader_offset: int | None = None) -> tuple[int, PartitionTable] | None:
        """The table of the file and its offset; None where none was given."""
        if self.file is None:
            return None
        offset = DEFAULT_OFFSET if self.offset is None else self.offset
        return offset, load_table(self.file, offset, bootloader_offset)


def load_table(
    path: str, table_offset: int = DEFAULT_OFFSET, bootloader_offset: int | None = None
) -> PartitionTable:
    """A table from a file, in CSV or binary.

    Raises:
        FatalError: the file cannot be read, or is no such table.
    """
    from esptool.textfile import LARGEST, decode_text

    data, _name = read_source(path)
    try:
        if data[:2] == MAGIC:
            return PartitionTable.from_bytes(data)
        if len(data) > LARGEST:
            raise StorageError("it is too large for a table in CSV.")
        text = decode_text(data, f"The partition table '{path}'")
        return PartitionTable.from_csv(
            text,
            table_offset=table_offset,
            bootloader_offset=bootloader_offset,
            variables=os.environ,
        )
    except StorageError as e:
        raise StorageError(f"'{path}': {e.message}", remedy=e.remedy) from None


def starts_with_table(path: str) -> bool:
    """A file is a binary partition table."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def is_csv(path: str) -> bool:
    """A file may be a partition table in CSV: it is text. Flash has other bytes soon."""
    with open(path, "rb") as file:
        start = file.read(SECTOR)
    if b"\0" in start or b"\xff\xff" in start:
        return False
    return b"," in start and not start.startswith((MAGIC, b"\xe9", b"{"))
