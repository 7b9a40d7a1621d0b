# SPDX-License-Identifier: Apache-2.0
"""What a build must suit before it is flashed: chip, revision, security, partitions.

Sources: ESP-IDF, "Flash Encryption" (what is encrypted, development and release mode), "Secure
Boot v2", and `esptool_py/project_include.cmake` (what `idf.py encrypted-flash` encrypts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from esptool import chips
from esptool.builds.images import (
    chip_in,
    damage,
    image_info,
    is_esp8266,
    merged_offset,
    table_in,
)
from esptool.builds.layout import Table, pieces
from esptool.builds.model import Build, Part, Role
from esptool.chips.nor import SECTOR
from esptool.chips.spec import ChipSpec
from esptool.errors import FatalError, ImageError, OtherChipError, SecureModeError, UsageError
from esptool.events import Level
from esptool.image import app as image_app
from esptool.image.info import ImageInfo, find_images
from esptool.image.reader import detect_chip
from esptool.image.regions import Region
from esptool.ops.apps import unfit_signatures
from esptool.ops.model import WriteOptions
from esptool.ops.places import DeviceFlash
from esptool.ops.security import SecurityState
from esptool.records import replace
from esptool.storage.partition import DATA, Partition
from esptool.storage.partition_rules import check_table
from esptool.storage.partitions import LENGTH, PartitionTable, candidate_offsets

if TYPE_CHECKING:
    from esptool.device import Session

Note = Callable[[str, Level], None]
_FORCE = "Use --force to write it anyway; it may not boot."
_HEAD = 24


def refuse_other_chip(session: Session, build: Build, *, force: bool) -> None:
    """The build is for the chip that is connected.

    Raises:
        ImageError: it is for another one.
    """
    if build.chip is None or build.chip == session.spec.key or force:
        return
    raise OtherChipError(
        f"'{build.source}' is for {chips.get(build.chip).name}, and this is an "
        f"{session.spec.name}. Nothing was changed.",
        remedy="Build it for this chip, or connect the other one.",
    )


def refuse_images_of_others(chip: ChipSpec, regions: Sequence[Region]) -> None:
    """Files that are given by their places hold programs of this chip.

    What goes to a partition for data may be a program for another processor of the board.

    Raises:
        OtherChipError: one is for another chip.
    """
    tables = [table for region in regions for table in _tables_in(region)]
    for region in regions:
        found = _owner(region, chip)
        if found is None or found is chip:
            continue
        where = [part for table in tables if (part := table.at(region.address)) is not None]
        if any(part.type == DATA for part in where):
            continue
        what = f"'{region.name}'" if region.name else f"The image for {region.address:#x}"
        raise OtherChipError(
            f"{what} is for {found.name}, and this is an {chip.name}. Nothing was changed.",
            remedy="Connect the other board, or choose the firmware that is made for this one.",
        )


def _tables_in(region: Region) -> Iterator[PartitionTable]:
    for at in (region.address, *candidate_offsets()):
        start = at - region.address
        if start >= 0 and (found := table_in(region.data[start : start + LENGTH])) is not None:
            yield found


def _owner(region: Region, chip: ChipSpec) -> ChipSpec | None:
    """The chip that the program at the start of a file, or its boot loader, is for."""
    data = bytes(region.data)
    found = chip_in(data)
    if found is None and (merged := merged_offset(data)) is not None:
        found = merged[1]
    if found is None and is_esp8266(data):
        found = detect_chip(data)
    boot_at = chip.flash.bootloader_offset - region.address
    return chip_in(data[boot_at : boot_at + _HEAD]) if found is None and boot_at > 0 else found


def about(part: Part, chip: ChipSpec) -> str:
    """What an image says of itself, in a few words."""
    if part.role not in (Role.APP, Role.BOOTLOADER) or part.elf:
        return ""
    info = image_info(part.data, chip.key)
    if info is None:
        return ""
    if info.app is not None:
        title = " ".join(filter(None, (info.app.project_name, info.app.version)))
        build_id = info.app.elf_sha256.hex()[:9] if any(info.app.elf_sha256) else ""
        details = [info.app.idf_version, f"ELF {build_id}" if build_id else ""]
        return f"{title} ({', '.join(filter(None, details))})".replace(" ()", "")
    return "" if info.bootloader is None else info.bootloader.idf_version


def refuse_unfit(
    session: Session,
    build: Build,
    table: Table | None,
    state: SecurityState,
    note: Note,
    *,
    force: bool,
) -> None:
    """Each image is whole, and for this chip and revision; signed, where it has to be.

    What goes to a partition for data may be a program for another processor of the board.

    Raises:
        ImageError: names what is wrong.
    """
    for part in build.parts:
        for what, at, data in _images(part):
            inside = None if table is None or at is None else table.table.at(at)
            if inside is None or inside.type != DATA:
                _refuse_image(session, what, data, part.role, state, force=force)
    if session.secure_download:
        note("In secure download mode the chip tells no revision: that is not checked.", Level.NOTE)


def _images(part: Part) -> list[tuple[str, int | None, bytes]]:
    """The images in a part: how messages call each, where it stands if that is known, and it."""
    if part.role is Role.MERGED:
        start, data = part.offset or 0, bytes(part.data)
        return [
            (
                f"the image at {start + region.address:#x} in '{part.name}'",
                start + region.address,
                data[region.address : _signed_end(region)],
            )
            for region in find_images(data)
        ]
    if part.role in (Role.APP, Role.BOOTLOADER) and (
        chip_in(part.data) is not None or is_esp8266(part.data)
    ):
        return [(f"'{part.name}'", part.offset, bytes(part.data))]
    return []


def _signed_end(region: Region) -> int:
    """Where signatures end that may follow an image in the next sector."""
    return -(-region.end // SECTOR) * SECTOR + SECTOR


def _refuse_image(
    session: Session,
    what: str,
    data: bytes,
    role: Role,
    state: SecurityState,
    *,
    force: bool,
) -> None:
    title = what[:1].upper() + what[1:]
    found = chip_in(data)
    if found is not None and found is not session.spec and not force:
        raise ImageError(
            f"{title} is for {found.name}, and this is an {session.spec.name}. Nothing was "
            "changed.",
            remedy=_FORCE,
        )
    info = image_info(data, (found or session.spec).key)
    if info is None:
        return
    if role is not Role.MERGED:
        for problem in damage(info):
            raise ImageError(f"{title} is damaged: {problem}", remedy="Build it again.")
    if force or session.secure_download:
        return
    for problem in _unfit(session, info, title, role, state):
        raise ImageError(problem, remedy=_FORCE)


def _unfit(
    session: Session, info: ImageInfo, title: str, role: Role, state: SecurityState
) -> list[str]:
    problems = []
    extended = info.image.extended
    if extended is not None:
        reason = image_app.incompatibility(extended, session.spec, session.facts.revision)
        if reason is not None:
            problems.append(f"{title}: {reason}. Nothing was changed.")
    lowest = session.facts.secure_version
    if info.app is not None and lowest is not None and info.app.secure_version < lowest:
        problems.append(
            f"{title} has secure version {info.app.secure_version}, and the chip starts none "
            f"below {lowest}."
        )
    if state.secure_boot and not state.secure_boot_v1 and not info.signatures:
        who = "the ROM" if role is Role.BOOTLOADER else "the boot loader"
        problems.append(
            f"{title} is not signed, and secure boot is on: {who} would reject it. Sign it with "
            "'espsecure sign-data'."
        )
    elif state.boot_keys is not None:
        reason = unfit_signatures(info.signatures, state.boot_keys)
        if reason is not None:
            problems.append(f"{title}: {reason}. Nothing was changed.")
    return problems


def bootloader_on(flash: DeviceFlash, spec: ChipSpec) -> str | None:
    """What stands in place of a boot loader on a device; None where there is one."""
    try:
        head = flash.read(spec.flash.bootloader_offset, _HEAD)
    except (FatalError, UsageError):
        return None
    if not head.strip(b"\xff"):
        return "the flash is blank there"
    found = chip_in(head)
    if found is spec or (not spec.image.extended_header and head[:1] in (b"\xe9", b"\xea")):
        return None
    return "there is something else" if found is None else f"one for {found.name} is there"


def judge_places(build: Build, table: Table | None, note: Note, *, force: bool) -> None:
    """Images fit the partitions that they go to.

    Raises:
        UsageError: an application does not fit its partition, or the table is wrong.
    """
    if table is None:
        return
    if table.origin == "build" and build.part(Role.TABLE) is not None:
        for problem in check_table(table.table, table_offset=table.offset):
            if problem.fatal:
                note(f"The partition table: {problem.text}", Level.WARNING)
    for part in build.parts:
        if part.role is Role.MERGED or part.offset is None:
            continue
        inside = table.table.at(part.offset)
        if part.role is Role.APP and (inside is None or inside.offset != part.offset):
            note(
                f"No partition of the table begins at {part.offset:#x}, where '{part.name}' goes: "
                "the boot loader will not find it.",
                Level.WARNING,
            )
        if inside is None or part.end <= inside.end:
            continue
        text = (
            f"'{part.name}' ({len(part.data)} bytes at {part.offset:#x}) does not fit partition "
            f"'{inside.name}', which has {inside.size} bytes at {inside.offset:#x}."
        )
        if part.role is Role.APP and not force:
            raise UsageError(
                f"{text} Nothing was changed.",
                remedy="Make the program smaller, or the partition larger.",
            )
        note(text, Level.WARNING)


# --- encryption ----------------------------------------------------------------------------------


def with_encryption(
    session: Session,
    build: Build,
    table: Table | None,
    state: SecurityState,
    options: WriteOptions,
    note: Note,
) -> Build:
    """The build with `encrypted` set for each image as this chip needs it.

    Raises:
        SecureModeError: no way leads to a flash that the chip could run.
    """
    plain = _marked(build, lambda _part: False)
    if options.encrypt:
        return plain
    if not state.flash_encryption:
        if build.for_encryption:
            note(
                "The build is for flash encryption, which is off on this chip: the images are "
                "written in plain. A boot loader that is built for it encrypts them, and turns "
                "it on for good, when it starts.",
                Level.NOTE,
            )
        return plain
    if options.force:
        return plain if state.encrypt_disabled else _by_build(build, table, note)
    if session.secure_download:
        raise SecureModeError(
            "Flash encryption and secure download mode are on, as on a board in release mode: "
            "it does not tell whether it would encrypt what it is sent, and plain images would "
            "not run.",
            remedy="Update the board over the air. If its ROM may still encrypt, add --encrypt; "
            "images that were encrypted with its key are written with 'write-flash'.",
        )
    if state.encrypt_disabled:
        raise SecureModeError(
            "Flash encryption is on in release mode: the chip does not encrypt what it is sent, "
            "and plain images would not run. Nothing was changed.",
            remedy="Update the board over the air, or encrypt the images with its key ('espsecure "
            "encrypt-flash-data') and write them with 'write-flash --force'.",
        )
    return _by_build(build, table, note)


def _by_build(build: Build, table: Table | None, note: Note) -> Build:
    if build.encrypt:
        note("Flash encryption is on: the chip encrypts all images.", Level.NOTE)
        return _marked(build, lambda _part: True)
    if build.for_encryption:
        note("Flash encryption is on: the chip encrypts what the build says.", Level.NOTE)
        return _marked(build, lambda part: bool(part.encrypted))
    note(
        "Flash encryption is on, and the build says nothing of it: the chip encrypts boot loader, "
        "table, applications, and partitions with the flag 'encrypted'.",
        Level.NOTE,
    )
    merged = build.part(Role.MERGED)
    if merged is not None:
        if table is None:
            raise SecureModeError(
                f"Flash encryption is on, and '{merged.name}' has no partition table that says "
                "what of it is encrypted.",
                remedy="Flash the images one by one, or add --encrypt to encrypt all of it.",
            )
        others = [part for part in build.parts if part is not merged]
        build = replace(build, parts=(*others, *pieces(merged, table)))
    return _marked(build, lambda part: _always_encrypted(part, table))


def _marked(build: Build, encrypted: Callable[[Part], bool]) -> Build:
    return replace(
        build, parts=tuple(replace(part, encrypted=encrypted(part)) for part in build.parts)
    )


def _always_encrypted(part: Part, table: Table | None) -> bool:
    if part.role in (Role.BOOTLOADER, Role.TABLE, Role.APP, Role.OTADATA):
        return True
    inside: Partition | None = None
    if table is not None and part.offset is not None:
        if part.role is Role.MERGED and part.offset <= table.offset:
            return True
        inside = table.table.at(part.offset)
    return inside is not None and inside.always_encrypted
