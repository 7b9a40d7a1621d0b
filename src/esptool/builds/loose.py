# SPDX-License-Identifier: Apache-2.0
"""Folders that hold boot loader and table beside programs, and single files."""

from __future__ import annotations

from pathlib import Path

from esptool import chips
from esptool.builds.folder import part_of
from esptool.builds.images import (
    chip_of,
    is_esp8266,
    merged_offset,
    role_of,
    table_in,
)
from esptool.builds.model import Build, Part, Role
from esptool.errors import StorageError, UsageError
from esptool.image.content import Data
from esptool.image.elf import read_elf
from esptool.image.sources import hex_regions, may_be_hex, read_source, refuse_container
from esptool.records import replace
from esptool.storage.partitions import (
    DEFAULT_OFFSET,
    LAST_OFFSET,
    LENGTH,
    PartitionTable,
    find_table,
)
from esptool.textfile import decode_text

_BOOTLOADERS = ("bootloader.bin", "bootloader/bootloader.bin")
_TABLES = (
    "partition-table.bin",
    "partition_table/partition-table.bin",
    "partitions.bin",
    "partition_table.bin",
)
#: The kind of a file that says itself where it goes.
INTEL_HEX = "Intel HEX file"
#: As much as a partition table in the first places of flash ends in.
_HEAD = LAST_OFFSET + LENGTH
#: What a file must be asked to be by an option, as its content does not tell.
_SAY = (
    "Give it as --bootloader or --partition-table if it is one of these, or write it with "
    "'write-flash ADDRESS FILE'."
)


def looks_like(folder: Path) -> bool:
    """A folder holds a boot loader and a table."""
    return _first(folder, _BOOTLOADERS) is not None and _first(folder, _TABLES) is not None


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read(path: Path) -> Build:
    """The build in a folder, with the only application that is in it, where there is one.

    Raises:
        UsageError: several applications, or the table is none.
    """
    build = read_companions(path)
    own = {Path(part.name).name for part in build.parts}
    files = (p for p in sorted(path.glob("*.bin")) if p.name not in own)
    others = [role_of(part_of(p, Role.DATA), None) for p in files]
    apps = [part for part in others if part.role is Role.APP]
    if len(apps) > 1:
        names = ", ".join(part.name for part in apps)
        raise UsageError(f"'{path}' holds several applications: {names}.", remedy="Name one.")
    otadata = [part for part in others if part.role is Role.OTADATA][:1]
    left = [f"'{part.name}'" for part in others if part not in (*apps, *otadata)]
    if left:
        build = build.noting(
            f"Left out, as nothing says where it belongs: {', '.join(left)}. Write "
            f"{'it' if len(left) == 1 else 'each'} with 'write-flash PARTITION FILE'."
        )
    return replace(build, parts=(*build.parts, *apps, *otadata))


def read_companions(path: Path) -> Build:
    """Boot loader and table in a folder.

    Raises:
        UsageError: they are none.
    """
    boot, table = _first(path, _BOOTLOADERS), _first(path, _TABLES)
    assert boot is not None
    assert table is not None
    parts = [read_bootloader(str(boot)), read_table(str(table))]
    return Build(
        kind="folder with boot loader and table",
        source=str(path),
        evidence=f"{boot.name}, {table.name}",
        chip=chip_of(parts),
        parts=tuple(parts),
    )


def read_bootloader(path: str) -> Part:
    """The boot loader in a file that is said to be one.

    Raises:
        UsageError: it is not an image.
    """
    part = part_of(Path(path), Role.BOOTLOADER, name=path)
    key = chip_of([part])
    if key is None:
        raise UsageError(f"'{path}' is not a boot loader: it does not begin with an image.")
    return replace(part, offset=chips.get(key).flash.bootloader_offset)


def read_table(path: str, offset: int | None = None, boot_at: int | None = None) -> Part:
    """The partition table in a file that is said to be one, in CSV or binary.

    Args:
        path: the file.
        offset: where it stands in flash; None is the usual place.
        boot_at: where the chip's boot loader stands, for tables in CSV that name it.

    Raises:
        StorageError: it is not a table.
        UsageError: the file is empty.
    """
    place = DEFAULT_OFFSET if offset is None else offset
    part = part_of(Path(path), Role.TABLE, place, name=path)
    data = bytes(part.data)
    try:
        if data[:2] != b"\xaa\x50":
            text = decode_text(data, f"The partition table '{path}'")
            table = PartitionTable.from_csv(text, table_offset=place, bootloader_offset=boot_at)
            return replace(part, data=table.to_bytes())
        PartitionTable.from_bytes(data)
    except StorageError as e:
        raise StorageError(f"'{path}': {e.message}", remedy=e.remedy) from None
    return part


def read_file(path: Path, *, offset: int | None = None) -> Build:
    """What a single file is, by its content.

    Args:
        path: the file.
        offset: where it is to go; None goes by what it is.

    Raises:
        UsageError: it is nothing that can be flashed.
        ImageError: an ELF file for another kind of processor, or a damaged one.
    """
    name = str(path)
    head = _head(path)
    if may_be_hex(head, name):
        data, _ = read_source(name)
        regions = hex_regions(data, name)
        if regions is not None:
            parts = [Part(Role.DATA, r.data, name, r.address) for r in regions]
            parts = [role_of(part, None) for part in parts]
            return _build(INTEL_HEX, name, parts)
    if path.suffix.lower() == ".csv":
        return _build("partition table", name, [read_table(name)])
    part = role_of(part_of(path, Role.DATA, offset, name=name), None)
    if part.elf:
        read_elf(bytes(part.data), name)
        return _build("ELF program", name, [part], elf=name)
    if part.role is not Role.DATA:
        return _read_image(part, name)
    refuse_container(part.data, name)
    found = find_table(bytes(part.data[:_HEAD]))
    if found is not None:
        raise UsageError(
            f"'{name}' has a partition table at {found[0]:#x} and no boot loader in front of it: "
            "nothing tells which chip it is for, and where in flash it begins.",
            remedy="Merge it again together with the boot loader; or, if it begins where flash "
            f"does, write it with 'write-flash 0x0 {name}'.",
        )
    raise UsageError(f"'{name}' is {_what(part.data)}.", remedy=_SAY)


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as e:
        raise UsageError(
            f"Cannot read '{path}': {e.strerror or e}.",
            remedy="Check its name, and that you may read it.",
        ) from e


def _what(data: Data) -> str:
    """What a file is that nobody can flash as it is."""
    start = bytes(data[:0x1000])
    kinds = {
        b"\x1f\x8b": "compressed (gzip): unpack it first",
        b"BZh": "compressed (bzip2): unpack it first",
        b"\xfd7zXZ": "compressed (xz): unpack it first",
        b"!<arch>": "a library of object files, not a program",
        b"MZ": "a Windows program",
        b"#!": "a script",
    }
    for magic, what in kinds.items():
        if start.startswith(magic):
            return what
    if not start.strip(b"\xff"):
        content = bytes(data).lstrip(b"\xff")
        if not content:
            return "blank"
        blank = len(data) - len(content)
        return f"blank in its first {blank:#x} bytes, and nothing tells what follows"
    if start[:1] in (b"\xe9", b"\xea"):
        return "no whole image of a known chip: damaged, or cut off"
    return "neither a program nor an image that tells what it is for"


def _read_image(part: Part, name: str) -> Build:
    if part.role is Role.MERGED:
        merged = merged_offset(part.data)
        assert merged is not None
        return _build("merged image", name, [replace(part, offset=merged[0])])
    if part.role is Role.BOOTLOADER:
        return _build("boot loader", name, [read_bootloader(name)])
    if part.role is Role.TABLE:
        assert table_in(part.data) is not None
        return _build("partition table", name, [replace(part, offset=DEFAULT_OFFSET)])
    if part.role is Role.OTADATA:
        return _build("OTA data", name, [part])
    if is_esp8266(part.data):
        return _build("application image", name, [replace(part, offset=0)])
    return _build("application image", name, [part])


def _build(kind: str, name: str, parts: list[Part], elf: str | None = None) -> Build:
    return Build(
        kind=kind,
        source=name,
        evidence="its content",
        chip=chip_of(parts),
        parts=tuple(parts),
        elf=elf,
    )
