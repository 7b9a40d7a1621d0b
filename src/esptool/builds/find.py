# SPDX-License-Identifier: Apache-2.0
"""From what a person names to one build: folders are looked through, files put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from esptool import chips
from esptool.builds import arduino, bundle, esp_idf, loose, nuttx, platformio, zephyr
from esptool.builds.images import chip_of, image_info
from esptool.builds.model import SINGLE, Build, Part, Role, stem
from esptool.errors import UsageError
from esptool.records import dataclass, replace

Reader = Callable[[Path], Build]

#: How many builds are named where one of them has to be chosen.
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Given:
    """What is given beside the build.

    Attributes:
        bootloader: file of a boot loader to take in place of the build's.
        partition_table: file of a table, in CSV or binary, likewise.
        table_offset: where it goes; None is where the build has it, or the usual place.
    """

    bootloader: str | None = None
    partition_table: str | None = None
    table_offset: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A build, and what an ELF file in it stands in for.

    Attributes:
        build: the build.
        former: the image that the build itself has, where an ELF file is to take its place.
    """

    build: Build
    former: Part | None = None


def find_build(what: Sequence[str], given: Given | None = None) -> Found:
    """The one build that is meant.

    Args:
        what: folders and files: one folder, bundle or merged image at most, and single images
            that take the place of those in it. Nothing is the folder where one is.
        given: boot loader and table that are given besides.

    Raises:
        UsageError: nothing was found, several builds, or what does not go together.
        FatalError: a file cannot be read, or is damaged.
    """
    given = given or Given()
    words = list(what) or ["."]
    whole: list[Build] = []
    single: list[Build] = []
    for word in words:
        build = _read(word)
        is_single = all(part.role in SINGLE for part in build.parts) and len(build.parts) == 1
        (single if is_single and Path(word).is_file() else whole).append(build)
    if len(whole) > 1:
        names = ", ".join(f"'{build.source}'" for build in whole)
        raise UsageError(f"{names} are builds of their own.", remedy="Flash one after the other.")
    if not whole and len(single) == 1:
        both = given.bootloader is not None and given.partition_table is not None
        beside = None if both else _beside(single[0])
        if beside is not None:
            whole = [beside]
    base = whole[0] if whole else _joined(single)
    former: Part | None = None
    seen: set[Role] = set()
    for build in single:
        part = build.parts[0]
        if part.role in seen:
            raise UsageError(
                f"'{build.source}' is a second {part.role.value} beside another.",
                remedy="Name one of them.",
            )
        seen.add(part.role)
        if whole:
            own = _own_image(base, build) if part.elf else None
            if own is None:
                former = _stood_for(base, build) if part.elf else former
                base = _replaced(base, build)
            else:
                base = own
    base = _with_given(base, given)
    return Found(base, former)


def _joined(single: list[Build]) -> Build:
    """Single files that make up a build together."""
    first = next((b for b in single if b.parts[0].role is Role.APP), single[0])
    parts = tuple(build.parts[0] for build in single)
    keys = {build.chip for build in single if build.chip is not None}
    if len(keys) > 1:
        raise UsageError(f"The files are for different chips: {', '.join(sorted(keys))}.")
    return replace(first, parts=parts, chip=next(iter(keys), None))


def _stood_for(base: Build, build: Build) -> Part | None:
    """The image of a build that a single file takes the place of; None where there is none.

    Raises:
        UsageError: nothing tells which of several applications it is.
    """
    role = build.parts[0].role
    if role is not Role.APP or not base.applications:
        return base.part(role)
    own = tuple(p for p in base.applications if stem(p.name) == stem(build.source))
    found = own[0] if len(own) == 1 else base.application
    if found is None:
        raise UsageError(
            f"'{base.source}' has several applications: nothing tells which of them "
            f"'{build.source}' takes the place of.",
            remedy=f"Flash '{base.source}' alone, and then the other with --target.",
        )
    return found


def _replaced(base: Build, build: Build) -> Build:
    part = build.parts[0]
    _refuse_other_chip(base, build.source, build.chip)
    old = _stood_for(base, build)
    if old is None and base.part(Role.MERGED) is not None:
        raise UsageError(
            f"'{base.source}' is one merged image, in which '{build.source}' cannot take a place.",
            remedy="Flash it alone, and then the other.",
        )
    offset = old.offset if old is not None and part.role is not Role.BOOTLOADER else part.offset
    if build.kind == loose.INTEL_HEX and offset not in (None, part.offset):
        raise UsageError(
            f"'{build.source}' says that it goes to {part.offset:#x}, and the {part.role.value} of "
            f"'{base.source}' stands at {offset:#x}.",
            remedy=f"Flash '{base.source}' alone, and then the other; or give it as a binary file, "
            "which goes where the build has its own.",
        )
    offset = part.offset if build.kind == loose.INTEL_HEX else offset
    encrypted = None if old is None else old.encrypted
    if part.elf:
        # Where the image goes is known once there is one.
        base = replace(base, elf=build.elf)
    changed = base.with_part(replace(part, offset=offset, encrypted=encrypted), old)
    return replace(changed, evidence=f"{base.evidence}; {part.role.value}: {build.source}")


def _beside(build: Build) -> Build | None:
    """The build in the folder of an ELF file, with all but the application."""
    if not build.parts[0].elf:
        return None
    folder = Path(build.source).parent
    spots = [folder]
    if folder.name == "zephyr":
        spots.append(folder.parent)
    for spot in spots:
        reader = _reader(spot)
        if reader is None and loose.looks_like(spot):
            reader = loose.read_companions
        if reader is None:
            continue
        try:
            found = reader(spot)
        except UsageError as e:
            raise UsageError(
                f"Beside '{build.source}': {e.message}",
                remedy=e.remedy,
            ) from None
        if found.part(Role.MERGED) is None:
            return found
    return None


def _refuse_other_chip(base: Build, file: str, chip: str | None) -> None:
    if chip is not None and base.chip is not None and chip != base.chip:
        raise UsageError(
            f"'{file}' is for {chips.get(chip).name}, and '{base.source}' for "
            f"{chips.get(base.chip).name}."
        )


def _own_image(base: Build, elf: Build) -> Build | None:
    """The build as it is, where an ELF file is its own and its image does not say of which it is.

    Such builds make their images in ways of their own; that of ESP-IDF says it by a hash.
    """
    app = base.application
    if app is None or base.elf is None or not Path(base.elf).samefile(elf.source):
        return None
    info = image_info(app.data)
    if info is not None and info.app is not None and any(info.app.elf_sha256):
        return None
    return base.noting(f"The build's own image of it is taken: '{app.name}'.")


def _with_given(build: Build, given: Given) -> Build:
    if given.bootloader is not None:
        part = loose.read_bootloader(given.bootloader)
        _refuse_other_chip(build, given.bootloader, chip_of([part]))
        build = replace(build.with_part(_like(part, build)), left_out="")
    if given.partition_table is not None:
        old = build.part(Role.TABLE)
        offset = given.table_offset
        if offset is None and old is not None:
            offset = old.offset
        part = _like(loose.read_table(given.partition_table, offset), build)
        build = build.with_part(part)
        # Another table has other places; several applications keep those that they have.
        app = build.applications[0] if len(build.applications) == 1 else None
        for moved in (app, build.part(Role.OTADATA)):
            if moved is not None and old is not None and old.data != part.data:
                build = build.with_part(replace(moved, offset=None), moved)
    elif given.table_offset is not None:
        table = build.part(Role.TABLE)
        if table is not None:
            build = build.with_part(replace(table, offset=given.table_offset))
    if (given.bootloader or given.partition_table) and build.part(Role.MERGED) is not None:
        raise UsageError(
            f"'{build.source}' is one merged image, which has boot loader and table in it."
        )
    return build


def _like(part: Part, build: Build) -> Part:
    """Encrypted as the one that it stands in for."""
    old = build.part(part.role)
    encrypted = build.for_encryption if old is None else old.encrypted
    return replace(part, encrypted=encrypted)


def folder_of(file: str) -> Path | None:
    """The folder of a file, where that is a build; None where it is none."""
    folder = Path(file).parent
    return folder if Path(file).is_file() and _reader(folder) is not None else None


# --- folders and files ---------------------------------------------------------------------------

#: Files that stand for the folder that they describe.
_DESCRIPTIONS: dict[str, Reader] = {
    esp_idf.DESCRIPTION: esp_idf.read,
    platformio.IDE_DATA: platformio.read,
    zephyr.RUNNERS: zephyr.read,
    zephyr.DOMAINS: zephyr.read,
}


def _read(word: str) -> Build:
    path = Path(word)
    try:
        is_folder, exists = bool(word) and path.is_dir(), bool(word) and path.exists()
    except (OSError, ValueError):
        is_folder = exists = False
    if is_folder:
        return _read_folder(path)
    if not exists:
        shown = word.replace("\0", "\\0")
        raise UsageError(
            f"There is no file or folder '{shown}'.",
            remedy="Give a build folder, an ELF file, an image, or a bundle.",
        )
    if path.name in _DESCRIPTIONS:
        return _DESCRIPTIONS[path.name](path.parent)
    if path.name.endswith("flash_args") or path.name in esp_idf.ARGUMENTS:
        return esp_idf.read_arguments(path.parent, path.name)
    if bundle.looks_like(path):
        return bundle.read(path)
    return loose.read_file(path)


def _reader(folder: Path) -> Reader | None:
    """What reads the build that this very folder is; None where it is none."""
    idf = esp_idf.looks_like(folder)
    if idf and esp_idf.is_complete(folder):
        return esp_idf.read
    kinds: tuple[tuple[Callable[[Path], bool], Reader], ...] = (
        (platformio.looks_like, platformio.read),
        (esp_idf.looks_like, esp_idf.read),
        (zephyr.looks_like, zephyr.read),
        (nuttx.looks_like, nuttx.read),
        (arduino.looks_like, arduino.read),
        (esp_idf.has_arguments, esp_idf.read_arguments),
    )
    return next((read for looks_like, read in kinds if looks_like(folder)), None)


def _read_folder(path: Path) -> Build:
    reader = _reader(path)
    if reader is not None:
        return reader(path)
    found = list(_below(path))
    if found:
        (folder, reader), why = (found[0], "") if len(found) == 1 else _chosen(path, found)
        build = reader(folder)
        return build.noting(f"The build of '{path}' was found in '{folder}'{why}.")
    if loose.looks_like(path):
        return loose.read(path)
    raise UsageError(
        f"There is nothing to flash in '{path}'.",
        remedy="It looks for builds of ESP-IDF (flasher_args.json), PlatformIO, Arduino, Zephyr "
        "(runners.yaml) and NuttX, in the folder itself, in build and in .pio/build.",
    )


def _below(path: Path) -> Iterable[tuple[Path, Reader]]:
    """Builds at the places where build systems put them."""
    build = path / "build"
    named_so = (p for p in _folders(path) if p.name.startswith("build") and p != build)
    spots = [build, *named_so, *_folders(path / ".pio" / "build")]
    if path.name == "build":
        spots += _folders(path)
    elif _reader(build) is None:
        # Else what lies in it are its own parts.
        spots += _folders(build)
    for spot in spots:
        reader = _reader(spot)
        if reader is not None:
            yield spot, reader


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(p for p in path.iterdir() if p.is_dir())
    except OSError:
        return []


def _chosen(path: Path, found: list[tuple[Path, Reader]]) -> tuple[tuple[Path, Reader], str]:
    """The build that is the usual one, and why.

    Raises:
        UsageError: nothing tells.
    """
    usual = platformio.default_environments(path)
    chosen = [one for one in found if one[0].name in usual and one[0].parent.parent.name == ".pio"]
    if len(chosen) == 1 and all(one[0].parent.parent.name == ".pio" for one in found):
        return chosen[0], f", one of {len(found)}, as default_envs in platformio.ini says"
    first = found[0]
    others = [one[0].name for one in found[1:]]
    if first[0] == path / "build" and all(one[0].parent == path for one in found):
        return first, f"; there are also {', '.join(others)}"
    shown = ", ".join(f"'{folder}'" for folder, _ in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise UsageError(f"'{path}' has several builds: {shown}{more}.", remedy="Name one of them.")
