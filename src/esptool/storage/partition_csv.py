# SPDX-License-Identifier: Apache-2.0
"""Partition tables as CSV: read with automatic offsets, and written.

Source: ESP-IDF, "Partition Tables", "Creating Custom Tables". The columns are name, type, subtype,
offset, size, flags; '#' begins a line of comment. An empty offset follows the partition before it,
aligned; a negative size is an address up to which the partition reaches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from esptool.errors import StorageError
from esptool.storage.partition import (
    APP,
    BOOTLOADER,
    DATA,
    FLAGS,
    PARTITION_TABLE,
    PRIMARY,
    SUBTYPES,
    TABLE_SIZE,
    TYPES,
    UNDEFINED,
    Partition,
)

#: Alignment of offsets; all other types have that of data.
ALIGNMENT = {APP: 0x10000, DATA: 0x1000}
_RECOVERY = SUBTYPES[BOOTLOADER]["recovery"]
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)
_FACTORS = {"k": 1 << 10, "m": 1 << 20}
_COLUMNS = 6


def alignment(kind: int) -> int:
    """What offsets of partitions of that type are multiples of."""
    return ALIGNMENT.get(kind, ALIGNMENT[DATA])


def read_csv(
    text: str,
    *,
    table_offset: int,
    bootloader_offset: int | None = None,
    recovery_offset: int | None = None,
    variables: Mapping[str, str] | None = None,
    extra_subtypes: Mapping[tuple[int, str], int] | None = None,
) -> list[Partition]:
    """The partitions of a table in CSV, with all offsets and sizes settled.

    Args:
        text: the table.
        table_offset: where the table will stand in flash.
        bootloader_offset: where the boot loader stands; needed for entries of that type.
        recovery_offset: likewise for a recovery boot loader.
        variables: what $NAME and ${NAME} stand for.
        extra_subtypes: names besides the known ones: (type, name) -> number.

    Raises:
        StorageError: names the line and what is wrong with it.
    """
    where = _Offsets(table_offset, bootloader_offset, recovery_offset)
    names = {kind: dict(known) for kind, known in SUBTYPES.items()}
    for (kind, name), number in (extra_subtypes or {}).items():
        names.setdefault(kind, {})[name.lower()] = number
    result: list[Partition] = []
    end = table_offset + TABLE_SIZE
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = _expanded(line, variables or {}).strip()
            if not row or row.startswith("#"):
                continue
            entry = _Row([field.strip() for field in row.split(",")], names, where)
            result.append(entry.placed(end, table_offset, first=not result))
        except StorageError as e:
            raise StorageError(f"Line {number}: {e.message}", remedy=e.remedy) from None
        if not entry.fixed:
            end = result[-1].end
    return result


class _Offsets:
    """Where table and boot loaders stand."""

    def __init__(self, table: int, bootloader: int | None, recovery: int | None) -> None:
        self.table, self._bootloader, self._recovery = table, bootloader, recovery

    @property
    def bootloader(self) -> int:
        if self._bootloader is None:
            raise StorageError(
                "A partition of type bootloader needs the boot loader's offset.",
                remedy="Give it with --bootloader-offset, or name the chip with --chip.",
            )
        return self._bootloader

    @property
    def recovery(self) -> int:
        if self._recovery is None:
            raise StorageError(
                "A recovery boot loader needs its offset.",
                remedy="Give it with --recovery-bootloader-offset.",
            )
        return self._recovery


class _Row:
    """One line of CSV, its offset and size as far as the line itself tells them."""

    def __init__(
        self, fields: list[str], subtypes: Mapping[int, Mapping[str, int]], where: _Offsets
    ) -> None:
        fields += [""] * (_COLUMNS - len(fields))
        self.name = fields[0]
        if not fields[1]:
            raise StorageError("The type must not be left out.")
        self.type = _byte("type", fields[1], TYPES)
        self.subtype = self._subtype(fields[2], subtypes.get(self.type, {}))
        self.offset = self._offset(fields[3], where)
        self.size = self._size(fields[4], where)
        self.flags = 0
        for flag in filter(None, (f.strip() for f in fields[5].split(":"))):
            if flag not in FLAGS:
                raise StorageError(f"There is no flag '{flag}', only {', '.join(FLAGS)}.")
            self.flags |= FLAGS[flag]

    @property
    def fixed(self) -> bool:
        """The boot loader and the table itself stand where they stand, before all others."""
        return self.type in (BOOTLOADER, PARTITION_TABLE) and self.subtype == PRIMARY

    def _subtype(self, text: str, names: Mapping[str, int]) -> int:
        if text:
            return _byte("subtype", text, names)
        if self.type == APP:
            raise StorageError("An app partition must have a subtype.")
        return UNDEFINED

    def _offset(self, text: str, where: _Offsets) -> int | None:
        if self.type == BOOTLOADER and self.subtype == PRIMARY:
            return where.bootloader
        if self.type == BOOTLOADER and self.subtype == _RECOVERY:
            return where.recovery
        if self.type == PARTITION_TABLE and self.subtype == PRIMARY:
            return where.table
        return number(text, "offset") if text else None

    def _size(self, text: str, where: _Offsets) -> int:
        if self.type == BOOTLOADER:
            return where.table - where.bootloader
        if self.type == PARTITION_TABLE:
            return TABLE_SIZE
        if not text:
            raise StorageError("The size must not be left out.")
        return number(text, "size")

    def placed(self, end: int, table_offset: int, *, first: bool) -> Partition:
        """The partition behind what ends at `end`."""
        offset = self.offset
        if not self.fixed:
            if offset is None:
                offset = -(-end // alignment(self.type)) * alignment(self.type)
            elif offset < end:
                before = (
                    f"the partition table fills {table_offset:#x} to {end - 1:#x}"
                    if first
                    else f"the partition before ends at {end:#x}"
                )
                raise StorageError(
                    f"Partition '{self.name}' at {offset:#x} overlaps what is before: {before}.",
                    remedy=f"Use {end:#x} or more, or leave the offset out.",
                )
        assert offset is not None
        size = self.size if self.size >= 0 or self.fixed else -self.size - offset
        if size < 0:
            raise StorageError(
                f"Partition '{self.name}' at {offset:#x} would end before it begins"
                + (f", at {-self.size:#x}." if self.size < 0 else ".")
            )
        if offset + size > 1 << 32:
            raise StorageError(f"Partition '{self.name}' reaches beyond 32-bit addresses.")
        return Partition(self.name, self.type, self.subtype, offset, size, self.flags)


def _expanded(line: str, variables: Mapping[str, str]) -> str:
    if "$" not in line or line.lstrip().startswith("#"):
        return line

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in variables:
            raise StorageError(f"The variable '{name}' is not set.")
        return variables[name]

    return _VARIABLE.sub(value, line)


def number(text: str, what: str = "number") -> int:
    """A number in any base that Python writes, with K or M behind it.

    Raises:
        StorageError: the text is something else.
    """
    factor = 1
    plain = text
    while plain and (found := _FACTORS.get(plain[-1].lower())):
        factor *= found
        plain = plain[:-1]
    try:
        return int(plain, 0) * factor
    except ValueError:
        raise StorageError(
            f"'{text}' is not a valid {what}: write for instance 0x6000, 24K or 1M."
        ) from None


def _byte(what: str, text: str, names: Mapping[str, int]) -> int:
    value = names.get(text.lower())
    if value is None:
        try:
            value = number(text, what)
        except StorageError:
            known = f"Known: {', '.join(names)}." if names else "It is a number here."
            raise StorageError(f"There is no {what} '{text}'.", remedy=known) from None
    if not 0 <= value <= 0xFF:
        raise StorageError(f"The {what} {text} is not within 0 to 255.")
    return value


def write_csv(partitions: Iterable[Partition]) -> str:
    """The table in CSV, as ESP-IDF's generator writes it."""
    rows = ["# ESP-IDF Partition Table", "# Name, Type, SubType, Offset, Size, Flags"]
    for p in partitions:
        fields = (
            *(p.name, p.type_name, p.subtype_name, f"{p.offset:#x}", size_text(p.size)),
            ":".join(p.flag_names),
        )
        rows.append(",".join(fields))
    return "\n".join(rows) + "\n"


def size_text(size: int) -> str:
    """'1M', '24K', '0x1234'."""
    for unit, suffix in ((1 << 20, "M"), (1 << 10, "K")):
        if size % unit == 0:
            return f"{size // unit}{suffix}"
    return f"{size:#x}"
