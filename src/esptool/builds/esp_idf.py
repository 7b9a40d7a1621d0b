# SPDX-License-Identifier: Apache-2.0
"""ESP-IDF builds, by `flasher_args.json`; and folders that have `flash_args` alone.

Source: ESP-IDF `components/esptool_py/flasher_args.json.in` and `project_include.cmake`: the keys
of `flash_files` are what `idf.py flash` writes. Where secure boot is on, the boot loader is not
among them. Entries say which files `idf.py encrypted-flash` has the chip encrypt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from esptool import chips
from esptool.builds.folder import ArgumentFile, Folder, number, read_json, words_of
from esptool.builds.images import chip_of, role_of
from esptool.builds.model import Build, FlashWords, Part, Role
from esptool.errors import UsageError
from esptool.records import replace

DESCRIPTION = "flasher_args.json"
ARGUMENTS = ("flash_args", "flash_project_args")
_PROJECT = "project_description.json"
_ROLES = {
    "bootloader": Role.BOOTLOADER,
    "partition-table": Role.TABLE,
    "partition_table": Role.TABLE,
    "app": Role.APP,
    "otadata": Role.OTADATA,
}
_BEFORE = ("default-reset", "usb-reset", "no-reset", "no-reset-no-sync")
_AFTER = ("hard-reset", "soft-reset", "no-reset", "no-reset-stub", "watchdog-reset")


def looks_like(folder: Path) -> bool:
    """A folder holds such a build."""
    return (folder / DESCRIPTION).is_file()


def is_complete(folder: Path) -> bool:
    """All files are there that it names: other build systems leave the description alone."""
    try:
        files = read_json(folder / DESCRIPTION).get("flash_files")
    except UsageError:
        return True  # what is wrong is said when it is read
    known = Folder(folder, DESCRIPTION)
    return not isinstance(files, dict) or all(known.find(str(name)) for name in files.values())


def read(path: Path) -> Build:
    """The build in a folder.

    Raises:
        UsageError: the description is damaged, or a file is missing.
    """
    said = read_json(path / DESCRIPTION)
    folder = Folder(path, DESCRIPTION)
    extra = _dict(said, "extra_esptool_args", path)
    project = read_json(path / _PROJECT) if (path / _PROJECT).is_file() else {}
    chip = _chip(extra.get("chip") or project.get("target"), path)
    parts = _parts(said, folder, chip)
    app = next((part for part in parts if part.role is Role.APP), None)
    elf = [str(project.get("app_elf") or "")] if project.get("app_elf") else []
    if app is not None:
        elf.append(str(Path(app.name).with_suffix(".elf")))
    build = Build(
        kind="ESP-IDF build",
        source=str(path),
        evidence=DESCRIPTION,
        chip=chip or chip_of(parts),
        parts=parts,
        words=_words(said, path),
        elf=folder.elf(*elf),
        notes=tuple(folder.notes),
        before=_reset(extra.get("before"), _BEFORE),
        after=_reset(extra.get("after"), _AFTER),
        stub=extra.get("stub") is not False,
        project=str(project.get("project_name") or ""),
        version=str(project.get("project_version") or ""),
    )
    if app is not None and build.part(Role.BOOTLOADER) is None:
        return _without_bootloader(build, folder)
    return build


def _without_bootloader(build: Build, folder: Folder) -> Build:
    """ESP-IDF leaves it out where secure boot is on, as it is written once and deliberately."""
    there = folder.find("bootloader/bootloader.bin")
    text = "The build leaves the boot loader out, as ESP-IDF does where secure boot is on"
    more = "" if there is None else f": to write it, add --bootloader {there}"
    return replace(build, left_out=f"{text}{more}.")


def _dict(said: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = said.get(key) or {}
    if not isinstance(found, dict):
        raise UsageError(
            f"'{path / DESCRIPTION}': '{key}' is not a JSON object.", remedy="Build again."
        )
    return found


def _chip(name: object, path: Path) -> str | None:
    if name is None or name == "auto":
        return None
    key = chips.normalize(str(name))
    if key not in chips.KEYS:
        raise UsageError(f"'{path / DESCRIPTION}' is for '{name}', which is not a known chip.")
    return key


def _words(said: dict[str, Any], path: Path) -> FlashWords:
    """Flash parameters; those of `write_flash_args` are what the build's own upload uses."""
    settings = _dict(said, "flash_settings", path)
    words = words_of({key: str(value) for key, value in settings.items()})
    arguments = said.get("write_flash_args") or []
    if isinstance(arguments, list):
        given = [str(word).lstrip("-").replace("-", "_") for word in arguments]
        pairs = dict(zip(given, map(str, arguments[1:]), strict=False))
        words = words_of(pairs).over(words)
    return words


def _reset(word: object, known: tuple[str, ...]) -> str | None:
    name = str(word).replace("_", "-")
    return name if name in known else None


def _parts(said: dict[str, Any], folder: Folder, chip: str | None) -> tuple[Part, ...]:
    where = folder.path / DESCRIPTION
    files = _dict(said, "flash_files", folder.path)
    if not files:
        raise UsageError(
            f"'{where}' names no files to flash.",
            remedy="A program for RAM alone is started with load-ram. Else build again.",
        )
    entries: dict[int, tuple[str, bool]] = {}
    for key, entry in said.items():
        if isinstance(entry, dict) and "offset" in entry and "file" in entry:
            encrypted = str(entry.get("encrypted", "false")).lower() == "true"
            entries[number(entry["offset"], f"'{where}', {key}")] = (key, encrypted)
    parts = []
    for text, name in files.items():
        if "$<" in str(name) or "$<" in text:
            raise UsageError(
                f"'{where}' is not finished: it still holds '{name}'.", remedy="Build again."
            )
        offset = number(text, f"'{where}'")
        key, encrypted = entries.get(offset, ("", False))
        role = _ROLES.get(key, Role.DATA)
        part = folder.part(role, str(name), offset, encrypted)
        if not key:
            part = role_of(part, chip)
        parts.append(part)
    places = [part.offset for part in parts]
    if len(set(places)) != len(places):
        raise UsageError(f"'{where}' puts two files at one offset.", remedy="Build again.")
    return tuple(sorted(parts, key=lambda part: part.offset or 0))


# --- a file of arguments alone -------------------------------------------------------------------


def has_arguments(folder: Path) -> bool:
    """A folder holds arguments for write-flash, as several build systems leave them."""
    return any((folder / name).is_file() for name in ARGUMENTS)


def read_arguments(path: Path, name: str | None = None) -> Build:
    """A build by its file of arguments.

    Args:
        path: the folder.
        name: the file's name; None takes the first of the usual ones.

    Raises:
        UsageError: it is damaged, or names a file that is missing.
    """
    if name is None:
        name = next(word for word in ARGUMENTS if (path / word).is_file())
    arguments = ArgumentFile(path / name)
    if not arguments.pairs:
        raise UsageError(f"'{path / name}' names no files to flash.", remedy="Build again.")
    folder = Folder(path, name)
    parts = []
    for offset, file, encrypted in arguments.pairs:
        part = folder.part(Role.DATA, file, offset, True if encrypted else None)
        parts.append(role_of(part, None))
    app = next((part for part in parts if part.role is Role.APP), None)
    elf = None if app is None else folder.elf(str(Path(app.name).with_suffix(".elf")))
    return Build(
        kind="build with arguments for write-flash",
        source=str(path),
        evidence=name,
        chip=chip_of(parts),
        parts=tuple(sorted(parts, key=lambda part: part.offset or 0)),
        words=arguments.words,
        elf=elf,
        encrypt=arguments.encrypt,
        notes=tuple(folder.notes),
    )
