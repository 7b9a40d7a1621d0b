# SPDX-License-Identifier: Apache-2.0
"""A flash and a place in it, whatever they are in: what jobs on partitions ask of them."""

from __future__ import annotations

from esptool.chips.spec import ChipSpec
from esptool.errors import SecureModeError, UsageError
from esptool.storage import names
from esptool.storage.partition import Partition
from esptool.storage.partitions import PartitionTable


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
        self._refuse_encrypted(span.partition, raw)
        return Place(self, span.offset, span.size, span.label, span.partition)

    def place_of(self, partition: Partition, *, raw: bool = False) -> Place:
        """The same for an entry of the table.

        Raises:
            SecureModeError: encrypted content.
        """
        self._refuse_encrypted(partition, raw)
        label = f"partition '{partition.name}'"
        return Place(self, partition.offset, partition.size, label, partition)

    def _refuse_encrypted(self, partition: Partition, raw: bool) -> None:
        if not raw and self.encrypted and partition.always_encrypted:
            raise SecureModeError(
                f"What lies in partition '{partition.name}' is encrypted by the chip: it can be "
                "neither understood nor changed from outside."
            )


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
        name = self.partition.name or None
        return self.flash.write(self.offset + offset, data, name=name) if data else 0

    def _require(self, offset: int, size: int) -> None:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise UsageError(
                f"{size:#x} bytes at {offset:#x} are not within {self.label}, which has "
                f"{self.size:#x} bytes."
            )
