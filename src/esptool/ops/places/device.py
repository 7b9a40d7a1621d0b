# SPDX-License-Identifier: Apache-2.0
"""The flash of a connected chip."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR
from esptool.chips.spec import ChipSpec
from esptool.device import ext
from esptool.errors import FatalError, SecureModeError, StorageError
from esptool.events import Listener, ignore
from esptool.ops import bounds
from esptool.ops.checks import can_verify
from esptool.ops.flash_info import set_flash_size
from esptool.ops.model import Region, WriteOptions
from esptool.ops.places.base import Flash
from esptool.ops.places.table import GIVE_TABLE, TableSource
from esptool.ops.write import write_flash
from esptool.protocol.ext import Capability
from esptool.storage.partition import MAGIC
from esptool.storage.partitions import (
    DEFAULT_OFFSET,
    LAST_OFFSET,
    LENGTH,
    PartitionTable,
    candidate_offsets,
)
from esptool.transfer.receive import flash_md5, md5_of_blank, receive_bytes
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session

BLANK = b"\xff"
#: Less is read too fast for anybody to wonder how far it is.
_WORTH_A_BAR = 0x4000


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

        return Recovery(session, report).prepare("Access to flash", prepare)

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
            report = report.without_progress()
        return receive_bytes(self.session, address, size, report, Recovery(self.session, report))

    def _require_readable(self) -> None:
        session = self.session
        if session.secure_download:
            raise SecureModeError(
                "Flash cannot be read in secure download mode.", remedy=GIVE_TABLE
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
        plain: tuple[int, PartitionTable] | None = None
        for at in candidate_offsets():
            if at == DEFAULT_OFFSET or (end is not None and at + LENGTH > end):
                continue
            if self._receive(at, len(MAGIC) + 2)[: len(MAGIC)] != MAGIC:
                continue
            try:
                table = PartitionTable.from_bytes(self.read(at, LENGTH))
            except StorageError:
                continue
            if table.has_md5:
                return at, table
            plain = plain or (at, table)
        return plain

    def _no_table(self, at: int, data: bytes, told: bool, cause: StorageError) -> FatalError:
        if self.encrypted and data[:2] != MAGIC:
            return SecureModeError(
                f"The partition table at {at:#x} is encrypted, as flash encryption is on.",
                remedy=f"{GIVE_TABLE} Then names can be written to; what lies in encrypted "
                "partitions stays unreadable.",
            )
        if data[:2] == MAGIC:
            return StorageError(f"At {at:#x}: {cause.message}", remedy=GIVE_TABLE)
        what = "the flash is blank there" if not data.strip(BLANK) else "there is something else"
        where = f"at {at:#x} ({what})" if told else f"from {at:#x} to {LAST_OFFSET:#x}"
        return StorageError(
            f"There is no partition table {where}.",
            remedy=f"Say where it is with --partition-table-offset. {GIVE_TABLE}",
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
