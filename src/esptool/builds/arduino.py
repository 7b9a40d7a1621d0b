# SPDX-License-Identifier: Apache-2.0
"""Arduino builds: `SKETCH.ino.bin` with boot loader and table beside it, as "Export" leaves them.

Source: arduino-esp32 `platform.txt`, `tools.esptool_py.upload.pattern_args`: boot loader at
`build.bootloader_addr`, table at 0x8000, boot_app0.bin at 0xe000, sketch at 0x10000. Version 3
leaves `flash_args` with the flash parameters, and `boot_app0.bin`.
"""

from __future__ import annotations

from pathlib import Path

from esptool import chips
from esptool.builds.esp_idf import ARGUMENTS
from esptool.builds.folder import ArgumentFile, Folder
from esptool.builds.images import chip_of, is_esp8266, table_in
from esptool.builds.layout import boot_app0
from esptool.builds.model import Build, FlashWords, Part, Role
from esptool.errors import UsageError
from esptool.records import replace
from esptool.storage.partitions import DEFAULT_OFFSET

SUFFIX = ".ino.bin"
_OTADATA, _APP = 0xE000, 0x10000


def looks_like(folder: Path) -> bool:
    """A folder holds such a build."""
    return any(folder.glob(f"*{SUFFIX}")) or any(folder.glob("*.ino.merged.bin"))


def read(path: Path) -> Build:
    """The build in a folder.

    Raises:
        UsageError: several sketches, or boot loader or table are missing.
    """
    folder = Folder(path, "The sketch")
    sketches = sorted(path.glob(f"*{SUFFIX}"))
    if len(sketches) > 1:
        names = ", ".join(sketch.name for sketch in sketches)
        raise UsageError(f"'{path}' holds several sketches: {names}.", remedy="Name one of them.")
    if not sketches:
        return _merged(path, folder)
    stem = sketches[0].name.removesuffix(".bin")
    app = folder.part(Role.APP, sketches[0].name, _APP)
    if is_esp8266(app.data):
        app = replace(app, offset=0)
        return _build(path, folder, stem, [app], FlashWords())
    boot = folder.find(f"{stem}.bootloader.bin")
    table = folder.find(f"{stem}.partitions.bin")
    if boot is None or table is None:
        merged = folder.find(f"{stem}.merged.bin")
        if merged is not None:
            return _merged(path, folder)
        raise UsageError(
            f"'{path}' has {sketches[0].name}, but no {stem}."
            f"{'bootloader' if boot is None else 'partitions'}.bin.",
            remedy="Export the compiled sketch again, or give the rest with --bootloader and "
            "--partition-table.",
        )
    key = chip_of([app])
    if key is None:
        raise UsageError(f"'{sketches[0]}' is not an application.", remedy="Build again.")
    parts = [
        folder.part(Role.BOOTLOADER, boot.name, chips.get(key).flash.bootloader_offset),
        folder.part(Role.TABLE, table.name, DEFAULT_OFFSET),
        _otadata(folder),
        app,
    ]
    if table_in(parts[1].data) is None:
        raise UsageError(f"'{table}' is not a partition table.", remedy="Build again.")
    return _build(path, folder, stem, parts, _words(path))


def _otadata(folder: Folder) -> Part:
    if folder.find("boot_app0.bin"):
        return folder.part(Role.OTADATA, "boot_app0.bin", _OTADATA)
    return boot_app0(_OTADATA)


def _words(path: Path) -> FlashWords:
    """Flash parameters of `flash_args`; without it the boot loader has the right ones already."""
    found = next((path / name for name in ARGUMENTS if (path / name).is_file()), None)
    return FlashWords() if found is None else ArgumentFile(found).words


def _merged(path: Path, folder: Folder) -> Build:
    found = sorted(path.glob("*.ino.merged.bin"))
    part = folder.part(Role.MERGED, found[0].name, 0)
    stem = found[0].name.removesuffix(".merged.bin")
    return _build(path, folder, stem, [part], FlashWords())


def _build(path: Path, folder: Folder, stem: str, parts: list[Part], words: FlashWords) -> Build:
    return Build(
        kind="Arduino build",
        source=str(path),
        evidence=parts[-1].name,
        chip=chip_of(parts),
        parts=tuple(parts),
        words=words,
        elf=folder.elf(f"{stem}.elf"),
        notes=tuple(folder.notes),
        project=stem.removesuffix(".ino"),
    )
