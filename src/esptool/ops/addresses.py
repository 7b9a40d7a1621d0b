# SPDX-License-Identifier: Apache-2.0
"""Names that stand for addresses, made ranges of flash: for jobs that also take plain numbers.

Where nothing but numbers was given, none of this is asked and no table is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.errors import FatalError, StorageError, UsageError
from esptool.events import Level, Listener, Message
from esptool.image.sources import ImageSource, load_regions
from esptool.ops.places import GIVE_TABLE, DeviceFlash, Flash, TableSource
from esptool.ops.read import ALL
from esptool.storage import names
from esptool.storage.names import Name, Span
from esptool.storage.partition import MAGIC
from esptool.storage.partition_csv import size_text
from esptool.storage.partitions import (
    DEFAULT_OFFSET,
    LENGTH,
    PartitionTable,
    candidate_offsets,
)

if TYPE_CHECKING:
    from esptool.device import Session

#: A flash offset, or the name of a partition with or without a slice.
Address: TypeAlias = int | str
Pairs: TypeAlias = Sequence[tuple[Address, ImageSource]]


class Names:
    """The ranges that names stand for in one job.

    A table that the job itself writes counts before the one in flash.
    """

    def __init__(
        self,
        flash: Flash,
        written: Pairs = (),
        *,
        told_offset: int | None = None,
        changes: bool = False,
        listener: Listener | None = None,
    ) -> None:
        """
        Args:
            flash: where the names are looked up.
            written: addresses and sources that the job writes.
            told_offset: where the caller says that the table is.
            changes: the job changes what the names stand for.
            listener: told what each name stands for.
        """
        self._flash = flash
        self._written = written
        self._told = told_offset
        self._changes = changes
        self._listener = listener
        self._found: tuple[int, PartitionTable] | None = None

    def __call__(self, text: str) -> Span:
        """The range that `text` stands for.

        Raises:
            FatalError: no such partition, or no table.
        """
        name = names.parse_name(text)
        offset, table = self._table(name)
        span = names.resolve(name, table, offset, self._flash.bootloader_offset)
        if self._listener is not None:
            self._tell(self._listener, span)
        return span

    def _tell(self, listener: Listener, span: Span) -> None:
        title = span.label[0].upper() + span.label[1:]
        listener(Message(f"{title} is at {span.offset:#010x} ({size_text(span.size)})."))
        if self._changes and span.partition.readonly:
            text = f"{title} is flagged read-only, which binds applications, not this tool."
            listener(Message(text, Level.NOTE))

    def _table(self, name: Name) -> tuple[int, PartitionTable | None]:
        if self._found is None:
            self._found = self._own_table()
        if self._found is not None:
            return self._found
        try:
            self._found = self._flash.found_table
        except FatalError:
            if names.needs_table(name):
                raise
            # Boot loader and table are where they are, also on a blank flash.
            return DEFAULT_OFFSET if self._told is None else self._told, None
        return self._found

    def _own_table(self) -> tuple[int, PartitionTable] | None:
        """The table among what the job writes, wherever in it that stands.

        Raises:
            StorageError: what it writes where the table belongs is none, or damaged.
        """
        for address, source in self._written:
            if isinstance(address, str):
                if names.parse_name(address).is_table:
                    return self._table_offset(), _table_of(source)
                continue
            for region in load_regions([(address, source)]):
                places = candidate_offsets() if self._told is None else (self._told,)
                for at in places:
                    start = at - region.address
                    if start < 0 or region.data[start : start + len(MAGIC)] != MAGIC:
                        continue
                    try:
                        return at, PartitionTable.from_bytes(region.data[start : start + LENGTH])
                    except StorageError as e:
                        # Further on two bytes like its magic may stand in an application.
                        if at in (DEFAULT_OFFSET, self._told):
                            what = f"{region.title} is to be the partition table at {at:#x}"
                            raise StorageError(f"{what}: {e.message}", remedy=GIVE_TABLE) from None
        return None

    def _table_offset(self) -> int:
        """Where a table goes that is written by its name: where it is told to be, or is now."""
        if self._told is not None:
            return self._told
        try:
            return self._flash.table_offset
        except FatalError:
            return DEFAULT_OFFSET


def _table_of(source: ImageSource) -> PartitionTable:
    [region, *_more] = load_regions([(0, source)])
    try:
        return PartitionTable.from_bytes(region.data[:LENGTH])
    except StorageError as e:
        raise StorageError(
            f"{region.title} is not a partition table: {e.message}",
            remedy="Make one of CSV with 'esptool partitions build', or give the address in "
            "place of the name to write it anyway.",
        ) from None


def names_on(
    session: Session,
    written: Pairs = (),
    source: TableSource | None = None,
    *,
    changes: bool = True,
    listener: Listener | None = None,
) -> Names:
    """The names of a device's partitions, for a job that writes `written`.

    `source` says where the table is; what it names in a file counts before one that is written.
    """
    source = (source or TableSource()).completed(session.settings)
    flash = DeviceFlash(session, source, listener=listener)
    own = () if source.file is not None else written
    return Names(flash, own, told_offset=source.offset, changes=changes, listener=flash.listener)


class _NoFlash(Flash):
    """What is known of a flash without one: the chip, and a table from a file."""

    def __init__(self, chip: ChipSpec, source: TableSource) -> None:
        self._chip = chip
        self._source = source

    @property
    def chip(self) -> ChipSpec:
        return self._chip

    @property
    def found_table(self) -> tuple[int, PartitionTable]:
        found = self._source.loaded(self.bootloader_offset)
        if found is None:
            raise StorageError(
                "Names need a partition table, and there is none among the files.",
                remedy="Add it (partition-table FILE), or give it with --partition-table FILE.",
            )
        return found


def names_without_flash(chip: str, written: Pairs, source: TableSource) -> Names:
    """The names of partitions for a file that is made of `written`, without a device."""
    own = () if source.file is not None else written
    return Names(_NoFlash(chips.get(chip), source), own, told_offset=source.offset)


def span_of(
    session: Session,
    address: Address,
    size: int | None,
    source: TableSource | None = None,
    *,
    changes: bool = False,
    listener: Listener | None = None,
) -> tuple[int, int]:
    """Offset and size of a range that is given as address and size.

    Args:
        session: the device on which a name is looked up.
        address: number or name.
        size: bytes; None, or -1 for all that follows, is all of what a name stands for.
        source: where the table is.
        changes: the job changes what is there.
        listener: told what a name stands for.

    Raises:
        UsageError: a number without a size, or more than the name stands for.
    """
    if isinstance(address, int):
        if size is None:
            raise UsageError(
                f"How many bytes from {address:#x} on?",
                remedy="Give the size, or the name of a partition in place of the address.",
            )
        return address, size
    span = names_on(session, (), source, changes=changes, listener=listener)(address)
    if size is None or size == ALL:
        return span.offset, span.size
    if size > span.size:
        raise UsageError(f"{size:#x} bytes are more than {span.label} has ({span.size:#x}).")
    return span.offset, size
