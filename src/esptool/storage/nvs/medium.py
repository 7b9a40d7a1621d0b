# SPDX-License-Identifier: Apache-2.0
"""The bytes of an NVS partition as flash takes changes: bits are cleared, or a page is erased.

Every change is kept in order, so that it can be made on a chip in the order that its own library
would make it in. Then an interruption at any point leaves what that library is made to put right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.errors import UsageError
from esptool.storage.changes import Change, Erase, Program, apply
from esptool.storage.nvs.layout import ENTRY, PAGE

if TYPE_CHECKING:
    from esptool.storage.nvs.keys import NvsKeys

#: Larger than any partition that a chip can hold.
LARGEST = 64 << 20


class Medium:
    """A partition in memory.

    Attributes:
        image: its bytes as flash holds them, encrypted where the partition is.
        keys: what entries are encrypted with, or None.
        changes: what was done to it, in order.
    """

    def __init__(self, image: bytes, keys: NvsKeys | None) -> None:
        """
        Raises:
            UsageError: these are not whole pages, or too many.
        """
        if not image or len(image) % PAGE:
            raise UsageError(
                f"{len(image)} bytes are no NVS partition: it has whole pages of {PAGE} bytes.",
                remedy="Give the file, partition or part of a dump that holds just the NVS.",
            )
        if len(image) > LARGEST:
            raise UsageError(f"{len(image)} bytes are more than an NVS partition may have.")
        self.image = bytearray(image)
        self.keys = keys
        self.changes: list[Change] = []

    @property
    def pages(self) -> int:
        """How many pages it has."""
        return len(self.image) // PAGE

    def read_raw(self, offset: int, size: int) -> bytes:
        """Bytes as flash holds them."""
        return bytes(self.image[offset : offset + size])

    def read_entry(self, offset: int) -> bytes:
        """The 32 bytes of an entry, in the clear."""
        raw = bytes(self.image[offset : offset + ENTRY])
        return raw if self.keys is None else self.keys.decrypt(offset, raw)

    def program_raw(self, offset: int, data: bytes) -> None:
        """Clear bits, without encryption."""
        if not data:
            return
        self._do(Program(offset, data))

    def program(self, offset: int, data: bytes) -> None:
        """Write whole entries, encrypted where the partition is."""
        if self.keys is not None:
            data = b"".join(
                self.keys.encrypt(offset + i, data[i : i + ENTRY])
                for i in range(0, len(data), ENTRY)
            )
        self.program_raw(offset, data)

    def erase(self, offset: int) -> None:
        """Erase a page."""
        self._do(Erase(offset))

    def _do(self, change: Change) -> None:
        apply(self.image, change)
        self.changes.append(change)
