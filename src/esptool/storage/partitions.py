# SPDX-License-Identifier: Apache-2.0
"""The partition table as a value: read from bytes, asked by name or kind, written bit for bit.

Source of the layout: ESP-IDF, "Partition Tables": entries of 32 bytes (magic 0xAA 0x50, type,
subtype, offset, size, 16 bytes of name, flags), then a row with the MD5 of the entries, then 0xFF
up to 3 KiB. A signature may follow in the rest of the sector. The CSV form is in
`esptool.storage.partition_csv`, the rules that a good table keeps in `partition_rules`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from esptool.errors import StorageError
from esptool.storage.partition import (
    APP,
    DATA,
    ENTRY,
    FACTORY,
    MAGIC,
    OTADATA,
    SECTOR,
    Partition,
    read_entry,
    unknown_name,
)
from esptool.storage.partition_csv import read_csv, write_csv

#: Where ESP-IDF puts the table unless told otherwise, and where it is looked for.
DEFAULT_OFFSET = 0x8000
LAST_OFFSET = 0x20000
#: The table without its signature.
LENGTH = 0xC00
MD5_MAGIC = b"\xeb\xeb"
_MD5_HEAD = MD5_MAGIC + b"\xff" * 14
_BLANK_ROW = b"\xff" * ENTRY.size


class PartitionTable:
    """The partitions of a flash in the order of the table. It compares by value.

    Iteration and `len` are those of its partitions; `table["nvs"]` finds one by name.
    """

    def __init__(
        self, partitions: tuple[Partition, ...] | list[Partition] = (), *, has_md5: bool = True
    ) -> None:
        self.partitions = tuple(partitions)
        #: Whether the bytes that it came from had a (right) MD5 row, and `to_bytes` makes one.
        self.has_md5 = has_md5

    def __iter__(self) -> Iterator[Partition]:
        return iter(self.partitions)

    def __len__(self) -> int:
        return len(self.partitions)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PartitionTable):
            return NotImplemented
        return (self.partitions, self.has_md5) == (other.partitions, other.has_md5)

    def __hash__(self) -> int:
        return hash((self.partitions, self.has_md5))

    def __repr__(self) -> str:
        return f"PartitionTable({list(self.partitions)!r}, has_md5={self.has_md5})"

    def __getitem__(self, name: str) -> Partition:
        return self.find(name)

    # --- asking ----------------------------------------------------------------------------------

    def get(self, name: str) -> Partition | None:
        """The partition of that name, None where there is none."""
        return next((p for p in self.partitions if p.name == name), None)

    def find(self, name: str) -> Partition:
        """The partition of that name.

        Raises:
            StorageError: there is none; offers the nearest name.
        """
        found = self.get(name)
        if found is None:
            raise unknown_name(name, [p.name for p in self.partitions])
        return found

    def of_kind(self, type: int, subtype: int | None = None) -> list[Partition]:
        """The partitions of a type, or of a type and subtype, in the order of the table."""
        return [p for p in self.partitions if p.type == type and subtype in (None, p.subtype)]

    @property
    def ota_slots(self) -> list[Partition]:
        """The partitions ota_0 to ota_15, by slot."""
        return sorted(
            (p for p in self.partitions if p.ota_slot is not None), key=lambda p: p.subtype
        )

    @property
    def otadata(self) -> Partition | None:
        """Where it is kept which slot boots."""
        return next(iter(self.of_kind(DATA, OTADATA)), None)

    @property
    def factory(self) -> Partition | None:
        """The factory application; where there are several, the one that the boot loader takes."""
        found = self.of_kind(APP, FACTORY)
        return found[-1] if found else None

    @property
    def end(self) -> int:
        """The first offset behind all partitions: the flash must be as large."""
        return max((p.end for p in self.partitions), default=0)

    def at(self, offset: int) -> Partition | None:
        """The partition that covers an offset."""
        return next((p for p in self.partitions if p.offset <= offset < p.end), None)

    # --- bytes -----------------------------------------------------------------------------------

    @classmethod
    def from_bytes(cls, data: bytes) -> PartitionTable:
        """Read a table; what follows its end marker is not looked at.

        Raises:
            StorageError: no table, damaged, or without an end.
        """
        if data[:2] not in (MAGIC, MD5_MAGIC):
            raise StorageError("This is not a partition table: it does not begin with AA 50.")
        partitions: list[Partition] = []
        digest = hashlib.md5(usedforsecurity=False)
        has_md5 = False
        for at in range(0, len(data), ENTRY.size):
            row = data[at : at + ENTRY.size]
            if len(row) != ENTRY.size:
                break
            if row == _BLANK_ROW:
                return cls(partitions, has_md5=has_md5)
            if row[:2] == MD5_MAGIC:
                if row[16:] != digest.digest():
                    raise StorageError(
                        "The partition table is damaged: its MD5 is "
                        f"{row[16:].hex()}, that of its entries {digest.hexdigest()}."
                    )
                has_md5 = True
                continue
            digest.update(row)
            partitions.append(read_entry(row, len(partitions)))
        raise StorageError("The partition table is cut off: it has no end marker (32 bytes 0xFF).")

    def to_bytes(self, *, md5: bool | None = None) -> bytes:
        """The 3 KiB of the table as ESP-IDF's generator makes them.

        Args:
            md5: whether to add the row with the MD5; None is as the table was read.

        Raises:
            StorageError: more entries than there is room for, or one is out of range.
        """
        result = b"".join(p.to_bytes() for p in self.partitions)
        if self.has_md5 if md5 is None else md5:
            result += _MD5_HEAD + hashlib.md5(result, usedforsecurity=False).digest()
        if len(result) >= LENGTH:
            raise StorageError(
                f"{len(self.partitions)} partitions are too many: the table's {LENGTH} bytes hold "
                f"{LENGTH // ENTRY.size - 2} with MD5."
            )
        return result.ljust(LENGTH, b"\xff")

    # --- CSV -------------------------------------------------------------------------------------

    @classmethod
    def from_csv(
        cls,
        text: str,
        *,
        table_offset: int = DEFAULT_OFFSET,
        bootloader_offset: int | None = None,
        recovery_offset: int | None = None,
        variables: Mapping[str, str] | None = None,
        extra_subtypes: Mapping[tuple[int, str], int] | None = None,
    ) -> PartitionTable:
        """Read the CSV form; see `esptool.storage.partition_csv.read_csv`."""
        return cls(
            read_csv(
                text,
                table_offset=table_offset,
                bootloader_offset=bootloader_offset,
                recovery_offset=recovery_offset,
                variables=variables,
                extra_subtypes=extra_subtypes,
            )
        )

    def to_csv(self) -> str:
        """The CSV form, as ESP-IDF's generator writes it."""
        return write_csv(self.partitions)


def candidate_offsets() -> range:
    """Where a table may stand, in the order in which it is looked for."""
    return range(DEFAULT_OFFSET, LAST_OFFSET + 1, SECTOR)


def find_table(flash: bytes, offset: int | None = None) -> tuple[int, PartitionTable] | None:
    """The table in the image of a flash, and its offset; None where there is none.

    Args:
        flash: bytes from the start of flash.
        offset: where it is; without, it is looked for from 0x8000 to 0x20000. Behind the usual
            place, a table with an MD5 is preferred to one without.

    Raises:
        StorageError: there is a damaged one at `offset`.
    """
    if offset is not None:
        return offset, PartitionTable.from_bytes(flash[offset : offset + LENGTH])
    plain: tuple[int, PartitionTable] | None = None
    for at in candidate_offsets():
        if flash[at : at + 2] != MAGIC:
            continue
        try:
            table = PartitionTable.from_bytes(flash[at : at + LENGTH])
        except StorageError:
            continue
        if table.has_md5 or at == DEFAULT_OFFSET:
            return at, table
        plain = plain or (at, table)
    return plain
