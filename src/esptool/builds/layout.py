# SPDX-License-Identifier: Apache-2.0
"""Where the images of a build go: by the build, by a partition table, or by a target."""

from __future__ import annotations

from itertools import pairwise

from esptool.builds.model import Build, Part, Role
from esptool.chips.spec import ChipSpec
from esptool.errors import StorageError, UsageError
from esptool.image.content import cut
from esptool.records import dataclass, replace
from esptool.storage.otadata import SIZE as OTADATA_SIZE
from esptool.storage.otadata import OtaData, slot_count
from esptool.storage.partition import APP, PARTITION_TABLE, PRIMARY, TABLE_SIZE, Partition
from esptool.storage.partition_csv import ALIGNMENT
from esptool.storage.partitions import DEFAULT_OFFSET, LENGTH, PartitionTable, find_table

#: The remedy where the place of an application is not known.
_TELL = (
    "Flash the build folder, give the table with --partition-table FILE, or say where with "
    "--target OFFSET."
)


@dataclass(frozen=True, slots=True)
class Table:
    """A partition table, where it stands, and whose it is.

    Attributes:
        offset: flash offset.
        table: the partitions.
        origin: "build", or "device" where it is kept there.
    """

    offset: int
    table: PartitionTable
    origin: str = "build"


def table_of(build: Build) -> Table | None:
    """The table that the build writes, also within a merged image; None where it writes none.

    Raises:
        StorageError: what it writes as one is damaged.
    """
    part = build.part(Role.TABLE)
    if part is not None:
        at = DEFAULT_OFFSET if part.offset is None else part.offset
        return Table(at, PartitionTable.from_bytes(bytes(part.data[:LENGTH])))
    merged = build.part(Role.MERGED)
    if merged is None or merged.offset is None:
        return None
    head = b"\xff" * merged.offset + bytes(merged.data[:0x21000])
    found = find_table(head)
    return None if found is None else Table(found[0], found[1])


def target_of(text: str, table: PartitionTable | None) -> tuple[int, Partition | None]:
    """The offset that a target stands for, and its partition where it is one.

    Args:
        text: the name of an application partition, a slot such as "ota_1" or "1", or an offset
            in hex digits with 0x.
        table: the partition table.

    Raises:
        UsageError: no such partition, or none for applications.
    """
    if text[:2].lower() == "0x":
        try:
            offset = int(text, 16)
        except ValueError:
            raise UsageError(f"'{text}' is not a flash offset.") from None
        inside = None if table is None else table.at(offset)
        return offset, inside if inside is not None and inside.offset == offset else None
    if table is None:
        raise UsageError(
            f"There is no partition table to look '{text}' up in.",
            remedy="Give one with --partition-table FILE, or an offset such as 0x10000.",
        )
    apps = table.of_kind(APP)
    keys = [{p.name: p for p in reversed(apps)}, {p.subtype_name: p for p in reversed(apps)}]
    keys.append({str(p.ota_slot): p for p in apps if p.ota_slot is not None})
    found = next((known[text] for known in keys if text in known), None)
    if found is not None:
        return found.offset, found
    other = table.get(text)
    if other is not None:
        raise UsageError(
            f"'{text}' is a partition for {other.type_name} ({other.subtype_name}), not for "
            "applications.",
            remedy=f"Write data into it with 'write-flash {text} FILE'.",
        )
    known_names = ", ".join(p.name for p in apps) or "none"
    raise UsageError(
        f"There is no application partition '{text}'.", remedy=f"The table has: {known_names}."
    )


def placed(build: Build, chip: ChipSpec, table: Table | None, target: str | None = None) -> Build:
    """The build with an offset for each of its images, in the order of flash.

    Args:
        build: what is to be flashed; its application is an image already.
        chip: the chip.
        table: the table that counts.
        target: where the application goes in place of where the build has it.

    Raises:
        UsageError: it cannot be told where an image belongs, or the target is none, or no place
            for an application.
    """
    if target is not None:
        app = build.application
        if app is None and build.applications:
            raise UsageError(
                f"'{build.source}' has several applications, at {_places(build.applications)}: "
                f"nothing tells which of them is to go to '{target}'.",
                remedy="Leave --target out to write all of them where they belong, or flash the "
                "image of the one that is meant.",
            )
        if app is None:
            raise UsageError(
                f"'{build.source}' has no application by itself that could go to '{target}'."
            )
        offset, slot = target_of(target, None if table is None else table.table)
        page = ALIGNMENT[APP]
        if slot is None and chip.image.extended_header and offset % page:
            raise UsageError(
                f"An application cannot begin at {target}: the boot loader maps flash in pages of "
                f"{page:#x} bytes.",
                remedy=f"Choose a multiple of {page:#x}. Other data are written by 'write-flash'.",
                operands={"address": offset},
            )
        build = build.with_part(replace(app, offset=offset), app)
    parts = [_placed(part, chip, table) for part in build.parts]
    return replace(build, parts=tuple(sorted(parts, key=lambda part: part.offset or 0)))


def _places(parts: tuple[Part, ...]) -> str:
    return ", ".join("?" if part.offset is None else f"{part.offset:#x}" for part in parts)


def _placed(part: Part, chip: ChipSpec, table: Table | None) -> Part:
    if part.offset is not None:
        return part
    if part.role is Role.BOOTLOADER:
        return replace(part, offset=chip.flash.bootloader_offset)
    if part.role is Role.TABLE:
        return replace(part, offset=DEFAULT_OFFSET if table is None else table.offset)
    if part.role is Role.APP and table is not None:
        first = first_app(table.table)
        if first is None:
            raise UsageError("The partition table has no partition for applications.", remedy=_TELL)
        return replace(part, offset=first.offset)
    if part.role is Role.OTADATA and table is not None and table.table.otadata is not None:
        return replace(part, offset=table.table.otadata.offset)
    raise UsageError(f"It cannot be told where '{part.name}' belongs in flash.", remedy=_TELL)


def otadata_for(target: Partition, table: PartitionTable, present: OtaData | None) -> Part | None:
    """OTA data that have an application boot from `target`; None where there can be none.

    Args:
        target: the partition that the application goes to.
        table: the table.
        present: the OTA data as they are, of which the entry that counts is kept.

    Raises:
        StorageError: the boot loader never starts that partition.
    """
    where = table.otadata
    if where is None:
        if target.ota_slot is not None and table.factory is not None:
            raise StorageError(
                f"The partition table has no OTA data, so the boot loader never starts "
                f"'{target.name}'."
            )
        return None
    if target.ota_slot is not None:
        data = (present or OtaData.blank()).switched(target.ota_slot, slot_count(table))
    elif target == table.factory:
        data = OtaData.blank()
    else:
        # No OTA data select the application for tests: a pin does.
        return None
    if where.size < OTADATA_SIZE:
        raise StorageError(f"Partition '{where.name}' is too small for OTA data.")
    name = f"OTA data that select '{target.name}'"
    return Part(Role.OTADATA, data.to_bytes(), name, where.offset)


def boot_app0(offset: int) -> Part:
    """What Arduino's `boot_app0.bin` holds: OTA data that select the first slot."""
    data = OtaData.blank().switched(0, 2).to_bytes()
    return Part(Role.OTADATA, data, "boot_app0.bin (made here)", offset)


def first_app(table: PartitionTable) -> Partition | None:
    """The partition that build systems put an application into: factory, or the first slot."""
    if table.factory is not None:
        return table.factory
    slots = table.ota_slots
    return slots[0] if slots else None


def pieces(part: Part, table: Table) -> list[Part]:
    """A merged image cut at the ends of partitions, so that each may be treated as it has to be.

    Between two partitions, what belongs to neither is a piece of its own.
    """
    assert part.offset is not None
    start, end = part.offset, part.end
    known = [Partition("partition table", PARTITION_TABLE, PRIMARY, table.offset, TABLE_SIZE)]
    known += table.table.partitions
    edges = {start, end}
    for partition in known:
        edges |= {at for at in (partition.offset, partition.end) if start < at < end}
    if start < table.offset:
        edges |= {table.offset}
    found = []
    for at, behind in pairwise(sorted(edges)):
        inside = next((p.name for p in known if p.offset <= at < p.end), None)
        what = inside or ("boot loader" if at < table.offset else "between partitions")
        name = f"{part.name} ({what})"
        data = cut(part.data, at - start, behind - start)
        found.append(replace(part, data=data, offset=at, name=name))
    return found
