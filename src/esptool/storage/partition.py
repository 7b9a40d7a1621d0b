# SPDX-License-Identifier: Apache-2.0
"""One partition as a value, and the numbers and names of types, subtypes and flags.

Source: ESP-IDF, "Partition Tables", `esp_partition_info_t` and `esp_partition_subtype_t`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from esptool.errors import StorageError
from esptool.records import dataclass
from esptool.storage.changes import SECTOR as SECTOR

#: The table fills a sector.
TABLE_SIZE = SECTOR
NAME_LENGTH = 16
MAGIC = b"\xaa\x50"

ENTRY = struct.Struct("<2sBBII16sI")

APP, DATA, BOOTLOADER, PARTITION_TABLE = 0x00, 0x01, 0x02, 0x03
TYPES: dict[str, int] = {
    "bootloader": BOOTLOADER,
    "partition_table": PARTITION_TABLE,
    "app": APP,
    "data": DATA,
}
OTA_0, OTA_SLOTS = 0x10, 16
FACTORY, TEST, TEE_0 = 0x00, 0x20, 0x30
PRIMARY = 0x00
#: Subtypes of data partitions.
OTADATA, PHY, NVS, COREDUMP, NVS_KEYS, EFUSE_EMULATION, UNDEFINED = range(7)
FAT, SPIFFS, LITTLEFS, TEE_OTADATA = 0x81, 0x82, 0x83, 0x90
SUBTYPES: dict[int, dict[str, int]] = {
    BOOTLOADER: {"primary": PRIMARY, "ota": 0x01, "recovery": 0x02},
    PARTITION_TABLE: {"primary": PRIMARY, "ota": 0x01},
    APP: {
        "factory": FACTORY,
        "test": TEST,
        **{f"ota_{slot}": OTA_0 + slot for slot in range(OTA_SLOTS)},
        **{f"tee_{slot}": TEE_0 + slot for slot in range(2)},
    },
    DATA: {
        "ota": OTADATA,
        "phy": PHY,
        "nvs": NVS,
        "coredump": COREDUMP,
        "nvs_keys": NVS_KEYS,
        "efuse": EFUSE_EMULATION,
        "undefined": UNDEFINED,
        "esphttpd": 0x80,
        "fat": FAT,
        "spiffs": SPIFFS,
        "littlefs": LITTLEFS,
        "tee_ota": TEE_OTADATA,
    },
}
ENCRYPTED, READONLY = 1 << 0, 1 << 1
FLAGS: dict[str, int] = {"encrypted": ENCRYPTED, "readonly": READONLY}


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry: a named range of flash.

    Attributes:
        name: UTF-8; of more than 16 bytes only the first 16 get into flash (`stored_name`).
        type: 0 to 255; `TYPES` has names.
        subtype: 0 to 255; `SUBTYPES` has names for each type.
        offset: bytes from the start of flash.
        size: bytes.
        flags: a word; `FLAGS` has names.
    """

    name: str
    type: int
    subtype: int
    offset: int
    size: int
    flags: int = 0

    @property
    def stored_name(self) -> str:
        """The name as far as flash has room for it.

        Raises:
            StorageError: the cut would go through a character.
        """
        try:
            return self.name.encode()[:NAME_LENGTH].decode()
        except UnicodeError:
            raise StorageError(
                f"The name '{self.name}' has more than 16 bytes, and cannot be cut within a "
                "character."
            ) from None

    @property
    def end(self) -> int:
        """The first offset behind it."""
        return self.offset + self.size

    @property
    def type_name(self) -> str:
        """The name of its type, or the number."""
        return _name_of(self.type, TYPES)

    @property
    def subtype_name(self) -> str:
        """The name of its subtype, or the number."""
        return _name_of(self.subtype, SUBTYPES.get(self.type, {}))

    @property
    def kind(self) -> tuple[int, int]:
        """Type and subtype, to compare with."""
        return self.type, self.subtype

    @property
    def encrypted(self) -> bool:
        """Flagged to be encrypted where flash encryption is on."""
        return bool(self.flags & ENCRYPTED)

    @property
    def readonly(self) -> bool:
        """Flagged read-only: applications do not write it."""
        return bool(self.flags & READONLY)

    @property
    def always_encrypted(self) -> bool:
        """Where flash encryption is on, what lies here is encrypted: flagged, or by its kind."""
        return (
            self.encrypted
            or self.type in (APP, BOOTLOADER, PARTITION_TABLE)
            or self.kind in ((DATA, OTADATA), (DATA, NVS_KEYS), (DATA, TEE_OTADATA))
        )

    @property
    def ota_slot(self) -> int | None:
        """Which OTA slot it is, None where it is none."""
        if self.type == APP and OTA_0 <= self.subtype < OTA_0 + OTA_SLOTS:
            return self.subtype - OTA_0
        return None

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The known flags that are set."""
        return tuple(name for name, bit in FLAGS.items() if self.flags & bit)

    def to_bytes(self) -> bytes:
        """The 32 bytes of the entry.

        Raises:
            StorageError: a field is out of range, or the name cannot be cut to 16 bytes.
        """
        name = self.stored_name.encode()
        try:
            return ENTRY.pack(
                MAGIC, self.type, self.subtype, self.offset, self.size, name, self.flags
            )
        except struct.error:
            raise StorageError(
                f"Partition '{self.name}': type and subtype are 0 to 255, offset and size 32 bits."
            ) from None


def _name_of(number: int, names: Mapping[str, int]) -> str:
    return next((name for name, value in names.items() if value == number), str(number))


def read_entry(row: bytes, index: int) -> Partition:
    """The partition of a row of 32 bytes, the table's entry number `index`.

    Raises:
        StorageError: another magic, or a name that is not text.
    """
    magic, kind, subtype, offset, size, name, flags = ENTRY.unpack(row)
    if magic != MAGIC:
        raise StorageError(
            f"The partition table is damaged: entry {index} begins with {magic.hex()}, not AA 50."
        )
    text = name.split(b"\0")[0].decode("utf-8", "replace")
    if "\N{REPLACEMENT CHARACTER}" in text or not text.isprintable():
        raise StorageError(
            f"The partition table is damaged: the name of entry {index} is not UTF-8 text."
        )
    return Partition(text, kind, subtype, offset, size, flags)


def unknown_name(name: str, known: list[str]) -> StorageError:
    """The error for a name that no partition has: offers the nearest."""
    import difflib

    folded = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), folded, 1, 0.6)
    hint = f"Did you mean '{folded[near[0]]}'? " if near else ""
    return StorageError(
        f"There is no partition '{name}'.",
        remedy=f"{hint}The table has: {', '.join(known) if known else 'no partitions'}.",
    )
