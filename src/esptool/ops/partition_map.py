# SPDX-License-Identifier: Apache-2.0
"""The map of a flash: every partition, and what is in it as far as a quick look tells."""

from __future__ import annotations

from contextlib import suppress

from esptool.errors import StorageError, UsageError
from esptool.ops.apps import PEEK, Peek, peek
from esptool.ops.ota import ota_status
from esptool.ops.places import FileFlash, Flash
from esptool.ops.places.file import LARGEST
from esptool.records import dataclass
from esptool.storage.partition import APP, BOOTLOADER, SECTOR, Partition
from esptool.storage.partition_csv import size_text
from esptool.storage.partition_rules import Problem, check_table, signature_of

_LITTLEFS_AT, _LITTLEFS = 8, b"littlefs"
_FAT_AT, _FAT = 0x1FE, b"\x55\xaa"


@dataclass(frozen=True, slots=True)
class Use:
    """A partition, and what is in it.

    Attributes:
        partition: the entry of the table.
        kind: "blank", "image", "data", "encrypted", "beyond the flash", or "" where only the table
            is there.
        content: what its first bytes tell, None where they could not be read.
        used: bytes in sectors that are not blank, None where that is not known.
        boots: the boot loader starts it.
        remark: what the data seem to be, "" where they tell nothing.
    """

    partition: Partition
    kind: str
    content: Peek | None = None
    used: int | None = None
    boots: bool = False
    remark: str = ""

    def describe(self) -> str:
        """A few words for a person."""
        if self.kind not in ("image", "data"):
            unsure = self.kind == "blank" and self.used is None
            return "blank at its start" if unsure else self.kind
        parts = []
        if self.kind == "image" and self.content is not None:
            parts.append(self.content.title)
        else:
            parts.append(self.remark or "data")
        if self.used is not None and self.kind != "image":
            parts.append(f"{size_text(self.used)} used")
        if self.boots:
            parts.append("boots")
        return ", ".join(parts)

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        p = self.partition
        return {
            "name": p.name,
            "type": p.type_name,
            "subtype": p.subtype_name,
            "type_code": p.type,
            "subtype_code": p.subtype,
            "offset": p.offset,
            "size": p.size,
            "flags": list(p.flag_names),
            "use": self.kind,
            "used": self.used,
            "boots": self.boots,
            "remark": self.remark,
            "content": None if self.content is None else self.content.to_json(),
        }


@dataclass(frozen=True, slots=True)
class PartitionMap:
    """What `partitions` shows.

    Attributes:
        table_offset: where the table is.
        uses: the partitions in the order of the table.
        problems: what is wrong with the table.
        signature: "v1", "v2" or "unknown" where something follows the table in its sector.
    """

    table_offset: int
    uses: tuple[Use, ...]
    problems: tuple[Problem, ...]
    signature: str | None

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "table_offset": self.table_offset,
            "signature": self.signature,
            "partitions": [use.to_json() for use in self.uses],
            "problems": [problem.to_json() for problem in self.problems],
        }


def partition_map(flash: Flash, *, flash_size: int | None = None) -> PartitionMap:
    """Look at every partition.

    Args:
        flash: where.
        flash_size: bytes, where they are known: partitions that reach beyond are a problem.

    Raises:
        FatalError: no table, or the device was lost.
    """
    table, offset = flash.table, flash.table_offset
    problems = tuple(check_table(table, table_offset=offset, flash_size=flash_size))
    if isinstance(flash, FileFlash) and flash.is_table:
        sector = flash.read(0, SECTOR)
        return PartitionMap(
            offset, tuple(Use(p, "") for p in table), problems, signature_of(sector)
        )
    boots = None
    if not flash.encrypted and table.of_kind(APP):
        # The map is worth showing also where it cannot be told which application boots.
        with suppress(StorageError, UsageError):
            status = ota_status(flash).boots
            boots = None if status is None else status.partition
    end = LARGEST if flash_size is None else flash_size
    uses = tuple(
        _use(flash, p, p == boots) if p.end <= end else Use(p, "beyond the flash") for p in table
    )
    return PartitionMap(offset, uses, problems, signature_of(flash.read(offset, SECTOR)))


def _use(flash: Flash, p: Partition, boots: bool) -> Use:
    if not p.size:
        return Use(p, "blank", used=0)
    first = flash.read(p.offset, min(PEEK, p.size))
    content = peek(first)
    whole = p.size - p.size % SECTOR
    used = flash.used(p.offset, whole) if whole and p.offset % SECTOR == 0 else None
    if content.kind == "blank" and not used:
        # Only the first bytes were looked at where the other side cannot tell more.
        return Use(p, "blank", content, used)
    if flash.encrypted and p.always_encrypted:
        return Use(p, "encrypted", None, used)
    kind = content.kind if p.type in (APP, BOOTLOADER) else "data"
    return Use(p, "data" if kind == "blank" else kind, content, used, boots, _remark(first))


def _remark(first: bytes) -> str:
    """A file system that its first bytes give away."""
    if first[_LITTLEFS_AT:].startswith(_LITTLEFS):
        return "LittleFS"
    if first[_FAT_AT : _FAT_AT + 2] == _FAT:
        return "FAT"
    return ""
