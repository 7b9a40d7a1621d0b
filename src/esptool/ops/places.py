# SPDX-License-Identifier: Apache-2.0
"""One way to a place in flash: on a device, in a dump or state file, or a file of one partition.

A `Flash` reads and writes by flash offset and knows the partition table; its `place("nvs")` is a
`Place`, which reads and writes by offset within the partition. What is written is written at once,
whole sectors and only those that change:

    with opened_file("dump.bin") as flash:          # or: flash = DeviceFlash(session)
        place = flash.place("nvs")                  # or "nvs[0x1000:]", or "" for all of a file
        data = place.read()                         # bytes of the partition
        place.write(0x2000, new_sector)             # sectors that changed, 0 if none did

On a device the table costs one read of 3 KiB, once, when it is first needed, and what was read is
remembered, so that `write` knows what changed without reading again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from esptool import chips
from esptool.chips.nor import SECTOR
from esptool.chips.spec import ChipSpec
from esptool.device import ext
from esptool.errors import FatalError, ImageError, SecureModeError, StorageError, UsageError
from esptool.events import Event, Listener, Progress, ignore
from esptool.files import write_atomic
from esptool.image.reader import detect_chip
from esptool.image.sources import read_source
from esptool.ops import bounds
from esptool.ops.checks import can_verify
from esptool.ops.flash_info import set_flash_size
from esptool.ops.model import Region, WriteOptions
from esptool.ops.write import write_flash
from esptool.protocol.ext import Capability
from esptool.records import dataclass
from esptool.storage import names
from esptool.storage.dump import STATE_HEADER, state_header
from esptool.storage.partition import DATA, MAGIC, TABLE_SIZE, UNDEFINED, Partition
from esptool.storage.partitions import (
    DEFAULT_OFFSET,
    LAST_OFFSET,
    LENGTH,
    PartitionTable,
    candidate_offsets,
    find_table,
)
from esptool.transfer.receive import flash_md5, md5_of_blank, receive_bytes
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.transport.settings import Settings

_GIVE_TABLE = "Give the table with --partition-table FILE (CSV or binary)."
BLANK = b"\xff"
#: Less is read too fast for anybody to wonder how far it is.
_WORTH_A_BAR = 0x4000


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
    if data[:2] == MAGIC:
        return PartitionTable.from_bytes(data)
    try:
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


class Flash:
    """The whole of a flash, wherever it is.

    Attributes:
        label: how messages call it.
    """

    label: str

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from a flash offset.

        Raises:
            FatalError: not within the flash, or the device was lost.
        """
        raise NotImplementedError

    def write(self, address: int, data: bytes, *, name: str | None = None) -> int:
        """Bring bytes to a flash offset; of the sectors there only those that change are written.

        What stands beside them in the first and last sector is kept. `name` is how messages call
        the data. Returns how many sectors were written.

        Raises:
            FatalError: not within the flash, or it failed; says what is not written.
        """
        raise NotImplementedError

    def used(self, address: int, size: int) -> int | None:
        """How many bytes of a range of whole sectors lie in sectors that are not blank.

        None where that cannot be found out quickly; what is not None may be all of the range where
        the other side can only tell that something is there.
        """
        raise NotImplementedError

    @property
    def chip(self) -> ChipSpec | None:
        """The chip that the flash belongs to, None where nothing tells."""
        return None

    @property
    def table(self) -> PartitionTable:
        """The partition table, read when it is first asked for.

        Raises:
            StorageError: there is none, or it is damaged or encrypted.
        """
        return self.found_table[1]

    @property
    def table_offset(self) -> int:
        """Where it stands."""
        return self.found_table[0]

    @property
    def found_table(self) -> tuple[int, PartitionTable]:
        """Offset and table."""
        raise NotImplementedError

    @property
    def bootloader_offset(self) -> int | None:
        """Where the chip's boot loader stands, None where it is not known."""
        return None if self.chip is None else self.chip.flash.bootloader_offset

    @property
    def encrypted(self) -> bool:
        """The chip encrypts what is in its flash; only a device tells that."""
        return False

    def span(self, text: str) -> names.Span:
        """The range that a name, with or without a slice, stands for.

        Raises:
            FatalError: no name, no such partition, or no table.
        """
        name = names.parse_name(text)
        offset, table = self.found_table
        return names.resolve(name, table, offset, self.bootloader_offset)

    def place(self, text: str, *, raw: bool = False) -> Place:
        """A partition (or a slice of one) by name.

        Args:
            text: such as "nvs" or "storage[:1M]".
            raw: also where what is read there is encrypted by the chip.

        Raises:
            FatalError: no such partition, no table, or encrypted content.
        """
        span = self.span(text)
        if self.encrypted and span.partition.always_encrypted and not raw:
            raise SecureModeError(
                f"What lies in partition '{span.partition.name}' is encrypted by the chip: it can "
                "be neither understood nor changed from outside."
            )
        return Place(self, span.offset, span.size, span.label, span.partition)


class Place:
    """A range of a flash, by offsets of its own.

    Attributes:
        flash: what it is a part of.
        offset: where it begins there.
        size: bytes.
        label: how messages call it, e.g. "partition 'nvs'".
        partition: the entry of the table; made up (data, undefined) for a file of one partition.
    """

    def __init__(
        self, flash: Flash, offset: int, size: int, label: str, partition: Partition
    ) -> None:
        self.flash = flash
        self.offset = offset
        self.size = size
        self.label = label
        self.partition = partition

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """`size` bytes from `offset`, by default all that follow.

        Raises:
            UsageError: not within the place.
            FatalError: the device was lost.
        """
        size = self.size - offset if size is None else size
        self._require(offset, size)
        return self.flash.read(self.offset + offset, size)

    def write(self, offset: int, data: bytes) -> int:
        """Bring bytes to `offset`; see `Flash.write`. Returns how many sectors were written.

        Raises:
            UsageError: it does not fit; nothing was written.
            FatalError: it failed.
        """
        self._require(offset, len(data))
        return self.flash.write(self.offset + offset, data) if data else 0

    def _require(self, offset: int, size: int) -> None:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise UsageError(
                f"{size:#x} bytes at {offset:#x} are not within {self.label}, which has "
                f"{self.size:#x} bytes."
            )


# --- on a device ---------------------------------------------------------------------------------


class DeviceFlash(Flash):
    """The flash of a connected chip (`ops.attach_flash` was called), by stub or ROM."""

    def __init__(
        self,
        session: Session,
        source: TableSource | None = None,
        *,
        listener: Listener | None = None,
        flash_size: str = "keep",
    ) -> None:
        self.session = session
        self.label = "the flash of the device"
        self._source = (source or TableSource()).completed(session.settings)
        self._report = Report(session, listener)
        self._size_word = flash_size
        #: Who is told what is done here.
        self.listener: Listener = self._report.listener
        self._known: dict[int, bytes] = {}

    @cached_property
    def limit(self) -> bounds.Limit:
        """The end of flash; the loader is told of it when it is first asked for."""
        session, report = self.session, self._report

        def prepare() -> bounds.Limit:
            session.remember()
            word = set_flash_size(session, self._size_word, listener=ignore)
            return bounds.flash_limit(session, word)

        return Recovery(session, report).persist("preparing", prepare)

    def read(self, address: int, size: int) -> bytes:
        start, end = address - address % SECTOR, address + size
        bounds.require_inside(self.session, address, size, self.limit)
        if size and not all(at in self._known for at in range(start, end, SECTOR)):
            self._require_readable()
            # Only what was asked for: a sector more is a second more on a slow ROM.
            found = self._receive(address, size)
            for at in range(address + -address % SECTOR, end - SECTOR + 1, SECTOR):
                self._known[at] = found[at - address : at - address + SECTOR]
            return found
        whole = b"".join(self._known[at] for at in range(start, end, SECTOR))
        return whole[address - start : end - start]

    def _receive(self, address: int, size: int) -> bytes:
        report = self._report
        if size < _WORTH_A_BAR:
            report = Report(self.session, self._without_progress)
        return receive_bytes(self.session, address, size, report, Recovery(self.session, report))

    def _without_progress(self, event: Event) -> None:
        if not isinstance(event, Progress):
            self.listener(event)

    def _require_readable(self) -> None:
        session = self.session
        if session.secure_download:
            raise SecureModeError(
                "Flash cannot be read in secure download mode.", remedy=_GIVE_TABLE
            )
        if not session.is_stub and not session.spec.rom.flash_ops:
            raise FatalError(
                f"{session.spec.name} ROM does not support reading flash.",
                remedy="Leave out --no-stub: the flasher stub can.",
            )

    def write(self, address: int, data: bytes, *, name: str | None = None) -> int:
        start = address - address % SECTOR
        end = -(-(address + len(data)) // SECTOR) * SECTOR
        bounds.require_inside(self.session, start, end - start, self.limit)
        head = self.read(start, address - start)
        tail = self.read(address + len(data), end - address - len(data))
        wanted = head + data + tail
        changed = [
            at
            for at in range(start, end, SECTOR)
            if self._known.get(at) != wanted[at - start : at - start + SECTOR]
        ]
        regions = [
            Region(first, wanted[first - start : last - start], name)
            for first, last in _runs(changed)
        ]
        if regions:
            for at in changed:
                self._known.pop(at, None)
            self._send(regions)
            for at in changed:
                self._known[at] = wanted[at - start : at - start + SECTOR]
        return len(changed)

    def forget(self, address: int, size: int) -> None:
        """What was read there is read anew: it is changed by other means."""
        for at in range(address - address % SECTOR, address + size, SECTOR):
            self._known.pop(at, None)

    def _send(self, regions: list[Region]) -> None:
        write_flash(self.session, regions, WriteOptions(), listener=self._report.listener)

    @cached_property
    def found_table(self) -> tuple[int, PartitionTable]:
        loaded = self._source.loaded(self.bootloader_offset)
        if loaded is not None:
            return loaded
        self._require_readable()
        told = self._source.offset
        first = DEFAULT_OFFSET if told is None else told
        data = self.read(first, LENGTH)
        try:
            return first, _first_table(data)
        except StorageError as e:
            found = None if told is not None or data[:2] == MAGIC else self._look_further()
            if found is not None:
                return found
            raise self._no_table(first, data, told is not None, e) from None

    def _look_further(self) -> tuple[int, PartitionTable] | None:
        """The first table behind the usual place; only the first bytes of a sector are read."""
        end = self.limit.size
        for at in candidate_offsets():
            if at == DEFAULT_OFFSET or (end is not None and at + LENGTH > end):
                continue
            if self._receive(at, len(MAGIC) + 2)[: len(MAGIC)] != MAGIC:
                continue
            try:
                return at, PartitionTable.from_bytes(self.read(at, LENGTH))
            except StorageError:
                continue
        return None

    def _no_table(self, at: int, data: bytes, told: bool, cause: StorageError) -> FatalError:
        if self.encrypted and data[:2] != MAGIC:
            return SecureModeError(
                f"The partition table at {at:#x} is encrypted, as flash encryption is on.",
                remedy=f"{_GIVE_TABLE} Then names can be written to; what lies in encrypted "
                "partitions stays unreadable.",
            )
        if data[:2] == MAGIC:
            return StorageError(f"At {at:#x}: {cause.message}", remedy=_GIVE_TABLE)
        what = "the flash is blank there" if not data.strip(BLANK) else "there is something else"
        where = f"at {at:#x} ({what})" if told else f"from {at:#x} to {LAST_OFFSET:#x}"
        return StorageError(
            f"There is no partition table {where}.",
            remedy=f"Say where it is with --partition-table-offset. {_GIVE_TABLE}",
        )

    def used(self, address: int, size: int) -> int | None:
        session = self.session
        bounds.require_inside(session, address, size, self.limit)
        if session.can(Capability.BLANK):
            return SECTOR * ext.blank_map(session, address, size).count(False)
        if not can_verify(session) or not session.is_stub:
            return None
        blank = md5_of_blank(size)
        recovery = Recovery(session, self._report)
        return 0 if flash_md5(session, address, size, recovery, blank) == blank else size

    @property
    def chip(self) -> ChipSpec | None:
        return self.session.spec

    @property
    def encrypted(self) -> bool:
        return bool(self.session.facts.flash_encryption_enabled)


def _first_table(data: bytes) -> PartitionTable:
    if data[:2] != MAGIC:
        raise StorageError("no table")
    return PartitionTable.from_bytes(data)


def _runs(sectors: list[int]) -> Iterator[tuple[int, int]]:
    """Neighbouring sectors joined: (start, end)."""
    known = set(sectors)
    start = 0
    for at in sectors:
        if at - SECTOR not in known:
            start = at
        if at + SECTOR not in known:
            yield start, at + SECTOR


# --- in a file -----------------------------------------------------------------------------------


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
        bounds.require_32_bits(address, size)
        start = self._start + address
        return bytes(self._data[start : start + size]).ljust(size, BLANK)

    def write(self, address: int, data: bytes, *, name: str | None = None) -> int:
        bounds.require_32_bits(address, len(data))
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
        found = self._source.loaded(self.bootloader_offset) or self._own_table
        if found is None:
            raise StorageError(
                f"{self.label} has no partition table from {DEFAULT_OFFSET:#x} to "
                f"{LAST_OFFSET:#x}.",
                remedy=f"Say where it is with --partition-table-offset. {_GIVE_TABLE}",
            )
        return found

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
        """It is no whole flash: no table in it or told, and nothing that boots at its start."""
        if self.is_state or self._source != TableSource():
            return False
        return self._own_table is None and self.bootloader_offset is None

    def place(self, text: str = "", *, raw: bool = False) -> Place:
        """A partition by name; in a file that is one partition, any name (or "") stands for it."""
        if self.is_table:
            raise UsageError(f"{self.label} is a partition table: no partitions are in it.")
        if not self.is_one_partition:
            if not text:
                raise UsageError(
                    f"{self.label} holds a whole flash.", remedy="Name a partition of it."
                )
            return super().place(text, raw=raw)
        name = names.parse_name(text) if text else names.Name("")
        whole = Partition(name.name, DATA, UNDEFINED, 0, self.size)
        span = names.resolve(name, PartitionTable((whole,)), 0, None)
        return Place(self, span.offset, span.size, self.label, whole)


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
