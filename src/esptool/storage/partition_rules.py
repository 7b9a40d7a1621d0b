# SPDX-License-Identifier: Apache-2.0
"""What a good partition table keeps to: the rules of ESP-IDF's generator, and of its boot loader.

A table that breaks one of the generator's rules is wrong (`Problem.fatal`); the others are remarks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from esptool.errors import StorageError
from esptool.nearest import checks_keywords
from esptool.records import dataclass
from esptool.storage.partition import (
    APP,
    BOOTLOADER,
    COREDUMP,
    DATA,
    FACTORY,
    FLAGS,
    NVS,
    OTADATA,
    PARTITION_TABLE,
    PRIMARY,
    SUBTYPES,
    TABLE_SIZE,
    TEE_OTADATA,
    TEST,
    TYPES,
    Partition,
)
from esptool.storage.partition_csv import alignment, size_text
from esptool.storage.partitions import LENGTH, PartitionTable

#: Two sectors, each with one entry.
OTADATA_SIZE = 0x2000
#: An NVS that is written needs a spare page.
NVS_SMALLEST = 0x3000
#: What the size of an app is a multiple of: the signature of secure boot v1 ends a block of 64 KiB.
APP_SIZES = {None: 0x1000, "v1": 0x10000, "v2": 0x1000}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about a table: `fatal` is wrong, the rest is worth knowing."""

    text: str
    fatal: bool = True
    partition: str | None = None

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {"text": self.text, "fatal": self.fatal, "partition": self.partition}


@checks_keywords()
def check_table(
    table: PartitionTable,
    *,
    table_offset: int | None = None,
    flash_size: int | None = None,
    secure: str | None = None,
) -> list[Problem]:
    """All that is wrong with a table, or odd about it.

    Args:
        table: the table.
        table_offset: where it stands in flash; without, the place of the first partition is not
            judged.
        flash_size: bytes of the flash that it is for, where that is known.
        secure: "v1" or "v2" where secure boot is used.
    """
    return [
        *(problem for p in table for problem in _alone(p, secure)),
        *_together(table.partitions, table_offset, flash_size),
        *_kinds(table),
    ]


def refuse_wrong(problems: Sequence[Problem]) -> None:
    """Raise what is fatal.

    Raises:
        StorageError: all of it, a line each.
    """
    fatal = [p.text for p in problems if p.fatal]
    if fatal:
        raise StorageError("The partition table is wrong: " + "\n".join(fatal))


def _alone(p: Partition, secure: str | None) -> Iterator[Problem]:
    """What one partition tells by itself."""

    def wrong(text: str, fatal: bool = True) -> Problem:
        return Problem(f"Partition '{p.name}': {text}", fatal, p.name)

    step = alignment(p.type)
    if p.offset % step:
        yield wrong(f"its offset {p.offset:#x} is not a multiple of {step:#x}.")
    if p.type == APP and p.size % APP_SIZES[secure]:
        yield wrong(f"its size {p.size:#x} is not a multiple of {APP_SIZES[secure]:#x}.")
    if p.kind in ((DATA, OTADATA), (DATA, COREDUMP)) and p.readonly:
        yield wrong(f"a {p.subtype_name} partition is written, so it cannot be readonly.")
    if p.kind == (DATA, NVS) and p.size < NVS_SMALLEST and not p.readonly:
        yield wrong(
            f"an NVS of {p.size:#x} bytes must be flagged readonly; one that is written needs at "
            f"least {NVS_SMALLEST:#x}."
        )
    if p.kind in ((DATA, OTADATA), (DATA, TEE_OTADATA)) and p.size != OTADATA_SIZE:
        yield wrong(f"its size is {p.size:#x}, that of OTA data must be {OTADATA_SIZE:#x}.")
    if not p.name:
        yield wrong("it has no name.", False)
    elif p.stored_name != p.name:
        yield wrong(f"its name has more than 16 bytes and is cut to '{p.stored_name}'.", False)
    if not p.size:
        yield wrong("it is empty.", False)
    if p.flags & ~sum(FLAGS.values()):
        yield wrong(f"its flags {p.flags:#x} have unknown bits.", False)
    if p.name in TYPES and TYPES[p.name] != p.type:
        yield wrong(f"its name is a type, but its type is {p.type_name}.", False)
    elif p.name not in TYPES:
        owners = [kind for kind, names in SUBTYPES.items() if p.name in names]
        if owners and all((kind, SUBTYPES[kind][p.name]) != p.kind for kind in owners):
            mine = f"{p.type_name}/{p.subtype_name}"
            yield wrong(f"its name is a subtype, but it is {mine}.", False)


def _is_primary(p: Partition) -> bool:
    return p.type in (BOOTLOADER, PARTITION_TABLE) and p.subtype == PRIMARY


def _together(
    partitions: Sequence[Partition], table_offset: int | None, flash_size: int | None
) -> Iterator[Problem]:
    """Names, places and sizes of all of them."""
    for name, count in Counter(p.stored_name for p in partitions).items():
        if count > 1:
            yield Problem(f"{count} partitions have the name '{name}'.", True, name)
    ordered = sorted(partitions, key=lambda p: (p.offset, p.end))
    if table_offset is not None:
        first = table_offset + TABLE_SIZE
        for p in ordered:
            if p.offset < first and not _is_primary(p):
                yield Problem(
                    f"Partition '{p.name}' at {p.offset:#x} begins before the end of the partition "
                    f"table ({first:#x}).",
                    True,
                    p.name,
                )
    for before, after in pairwise(ordered):
        if after.offset < before.end:
            yield Problem(
                f"Partition '{after.name}' at {after.offset:#x} overlaps '{before.name}' "
                f"({before.offset:#x} to {before.end - 1:#x}).",
                True,
                after.name,
            )
    if flash_size is not None:
        for p in ordered:
            if p.end > flash_size:
                yield Problem(
                    f"Partition '{p.name}' ends at {p.end:#x}, the flash of "
                    f"{size_text(flash_size)} at {flash_size:#x}.",
                    True,
                    p.name,
                )


def _kinds(table: PartitionTable) -> Iterator[Problem]:
    """How many there are of each kind, and whether a boot loader can use them."""
    for kind, what in (((DATA, OTADATA), "OTA data"), ((DATA, TEE_OTADATA), "OTA data of a TEE")):
        if len(table.of_kind(*kind)) > 1:
            yield Problem(f"There are several partitions with {what}; there may be one.")
    for subtype, what in ((FACTORY, "factory"), (TEST, "test")):
        if len(table.of_kind(APP, subtype)) > 1:
            yield Problem(f"Of several {what} apps the boot loader knows the last one only.", False)
    slots = [p.ota_slot for p in table.ota_slots if p.ota_slot is not None]
    for slot, count in Counter(slots).items():
        if count > 1:
            yield Problem(f"Slot ota_{slot} is there {count} times.", False)
    if sorted(set(slots)) != list(range(len(set(slots)))):
        yield Problem(
            f"The OTA slots {', '.join(f'ota_{s}' for s in slots)} are not numbered from 0 on "
            "without a gap: the boot loader counts them, and never starts the last ones.",
            False,
        )
    if slots and table.otadata is None:
        yield Problem("There are OTA slots, but no partition with OTA data to choose one.", False)
    if not table.of_kind(APP):
        yield Problem("There is no app partition: nothing can boot.", False)
    if not table.has_md5:
        yield Problem("The table has no MD5: damage to it would not be noticed.", False)


def signature_of(sector: bytes) -> str | None:
    """What follows the table in its sector: "v1" or "v2" for a signature of secure boot.

    "unknown" where something else stands there, None where it is blank.
    """
    rest = sector[LENGTH:]
    if not rest.strip(b"\xff"):
        return None
    if rest[:1] == b"\xe7" and rest[1:2] in (b"\x02", b"\x03"):
        return "v2"
    if rest[:4] == bytes(4) and not rest[68:].strip(b"\xff"):
        return "v1"
    return "unknown"
