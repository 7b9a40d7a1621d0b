# SPDX-License-Identifier: Apache-2.0
"""OTA data: two sectors, each with an entry that names the slot to boot; the newer one counts.

Source: ESP-IDF `esp_ota_select_entry_t` (sequence number, 20 bytes of label, state, CRC-32 of the
sequence number alone), and how its boot loader chooses: `bootloader_utility.c` and
`bootloader_common_loader.c`.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum

from esptool.errors import StorageError
from esptool.records import dataclass
from esptool.storage.partition import APP, SECTOR, TEST, Partition
from esptool.storage.partitions import PartitionTable

SIZE = 2 * SECTOR
_ENTRY = struct.Struct("<I20sII")
_NONE = 0xFFFFFFFF


class OtaState(IntEnum):
    """What is known of the application in a slot, where the boot loader supports rollback."""

    #: Written, and not started yet.
    NEW = 0
    #: Started; it has not said that it works.
    PENDING_VERIFY = 1
    VALID = 2
    #: It said that it does not work.
    INVALID = 3
    #: It was started, and reset before it said anything.
    ABORTED = 4
    #: Nobody keeps track.
    UNDEFINED = _NONE


#: States in which the boot loader passes an entry over.
REJECTED = (OtaState.INVALID, OtaState.ABORTED)
#: A boot loader with rollback passes an entry of this state over, too, once it is reset.
_KEPT_STATES = (OtaState.NEW, OtaState.VALID, OtaState.UNDEFINED)


@dataclass(frozen=True, slots=True)
class OtaEntry:
    """One of the two entries.

    Attributes:
        sequence: grows with each switch; the slot is (sequence - 1) modulo the number of slots.
        label: 20 bytes that nobody uses.
        state: a number; `OtaState` names those that exist.
        crc: CRC-32 of the sequence number's four bytes.
    """

    sequence: int
    label: bytes
    state: int
    crc: int

    @classmethod
    def from_bytes(cls, data: bytes) -> OtaEntry:
        """Read the first 32 bytes of a sector."""
        return cls(*_ENTRY.unpack_from(data))

    @property
    def blank(self) -> bool:
        """Never written since its sector was erased."""
        return self.sequence == _NONE and self.crc == _NONE

    @property
    def intact(self) -> bool:
        """Written, and its CRC is right."""
        return self.sequence != _NONE and self.crc == checksum(self.sequence)

    @property
    def usable(self) -> bool:
        """The boot loader takes it into account."""
        return self.intact and self.state not in REJECTED

    @property
    def state_name(self) -> str:
        """The name of its state, or the number."""
        try:
            return OtaState(self.state).name
        except ValueError:
            return f"{self.state:#x}"

    def slot(self, slots: int) -> int:
        """The slot that it names where there are so many."""
        return ((self.sequence - 1) & _NONE) % slots


def checksum(sequence: int) -> int:
    """The CRC-32 of an entry: that of its sequence number, begun with all bits set."""
    return zlib.crc32(sequence.to_bytes(4, "little"), _NONE)


class OtaData:
    """The two sectors as they are in flash. It compares by value."""

    def __init__(self, data: bytes) -> None:
        if len(data) < SIZE:
            raise StorageError(f"OTA data has {SIZE} bytes, these are {len(data)}.")
        self._data = bytes(data[:SIZE])
        #: The entries of both sectors.
        self.entries = tuple(OtaEntry.from_bytes(self._data[at:]) for at in (0, SECTOR))

    @classmethod
    def from_bytes(cls, data: bytes) -> OtaData:
        """Read the content of the partition. Any will do: what is damaged is not usable.

        Raises:
            StorageError: fewer than two sectors.
        """
        return cls(data)

    @classmethod
    def blank(cls) -> OtaData:
        """As it is after erasing: no entry."""
        return cls(b"\xff" * SIZE)

    def to_bytes(self) -> bytes:
        """The two sectors."""
        return self._data

    def __eq__(self, other: object) -> bool:
        return self._data == other._data if isinstance(other, OtaData) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._data)

    def __repr__(self) -> str:
        return f"OtaData({self.entries!r})"

    @property
    def active(self) -> int | None:
        """The index of the entry that counts for the boot loader, None where none does."""
        usable = [i for i in (0, 1) if self.entries[i].usable]
        return max(usable, key=lambda i: (self.entries[i].sequence, -i), default=None)

    def selected(self, slots: int) -> int | None:
        """The slot that the boot loader takes first; None where it is left to the table."""
        if self.active is None or not slots:
            return None
        return self.entries[self.active].slot(slots)

    def switched(self, slot: int, slots: int) -> OtaData:
        """What makes the boot loader start another slot, by a change of one sector alone.

        The entry that counts now stays, so that the former slot boots when the change is cut short.

        Args:
            slot: the slot to start, counted from 0.
            slots: how many the table has.

        Raises:
            StorageError: no such slot, or the sequence numbers are used up.
        """
        if not 0 <= slot < slots:
            raise StorageError(f"There is no slot {slot}: the table has {slots}.")
        active = self.active
        former = 0 if active is None else self.entries[active].sequence
        # The next number that names the slot, or the same one where it names it already.
        sequence = max(former, 1)
        sequence += (slot - (sequence - 1)) % slots
        if sequence >= _NONE:
            raise StorageError(
                "The sequence numbers of the OTA data are used up.",
                remedy="Erase them with 'esptool ota erase' first.",
            )
        target = 1 if active == 0 else 0
        entry = self.entries[target]
        # What would have the boot loader pass the new entry over must not stay behind.
        state = entry.state if entry.state in _KEPT_STATES else OtaState.UNDEFINED
        made = _ENTRY.pack(sequence, entry.label, state, checksum(sequence))
        at = target * SECTOR
        return OtaData(self._data[:at] + made + self._data[at + _ENTRY.size :])


def slot_count(table: PartitionTable) -> int:
    """How many OTA slots the boot loader counts."""
    return len(table.ota_slots)


def boot_order(table: PartitionTable, data: OtaData | None) -> list[Partition]:
    """The applications in the order in which the boot loader tries them.

    Args:
        table: the partition table.
        data: the OTA data; None where there is no partition for it.
    """
    count = slot_count(table)
    by_slot = {p.ota_slot: p for p in table.ota_slots}
    slots = [by_slot.get(slot) for slot in range(count)]
    # Index 0 is the factory app, slot n is n + 1; from where it starts it goes down, then up.
    places = [table.factory, *slots]
    selected = None if data is None else data.selected(count)
    start = 0 if selected is None else selected + 1
    order = [*reversed(places[: start + 1]), *places[start + 1 :]]
    order.append(next(reversed(table.of_kind(APP, TEST)), None))
    return [p for p in order if p is not None]
