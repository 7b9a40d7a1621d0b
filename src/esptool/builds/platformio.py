# SPDX-License-Identifier: Apache-2.0
"""PlatformIO builds: `.pio/build/ENV`, with or without `idedata.json`.

Source: `platform-espressif32` `builder/main.py` (the arguments of its upload) and the Arduino
core's `platformio-build.py`: `FLASH_EXTRA_IMAGES` are `flash_images` in idedata.json, by absolute
paths. An upload in QIO mode writes DIO to the header, from where the boot loader changes over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from esptool import chips
from esptool.builds.folder import Folder, lies_in, number, part_of, read_json
from esptool.builds.images import chip_of, is_esp8266, role_of, table_in, words_in
from esptool.builds.layout import boot_app0, first_app
from esptool.builds.model import Build, FlashWords, Part, Role
from esptool.errors import FatalError, UsageError
from esptool.records import replace
from esptool.storage.partitions import DEFAULT_OFFSET, PartitionTable
from esptool.textfile import read_text

IDE_DATA = "idedata.json"
_BOOTED_MODES = {"qio": "dio", "qout": "dout"}
_USUAL_APP = 0x10000
_NOT_PROGRAMS = ("bootloader", "partitions", "boot_app0", "ota_data_initial", "partition-table")
_FILE_SYSTEMS = ("spiffs", "littlefs", "fatfs")


def looks_like(folder: Path) -> bool:
    """A folder holds such a build."""
    if (folder / IDE_DATA).is_file():
        return True
    program = (folder / "firmware.bin").is_file()
    beside = any((folder / name).is_file() for name in ("firmware.elf", "partitions.bin"))
    in_place = lies_in(folder, ".pio", "build") and any(folder.glob("*.bin"))
    return in_place or (program and beside)


def default_environments(project: Path) -> list[str]:
    """What `platformio.ini` says is built where nothing else is asked for."""
    import configparser

    ini = configparser.RawConfigParser(strict=False)
    try:
        ini.read_string(read_text(project / "platformio.ini", "project file"))
    except (FatalError, configparser.Error):
        return []
    text = ini.get("platformio", "default_envs", fallback="")
    return [word for word in text.replace(",", " ").split() if word]


def read(path: Path) -> Build:
    """The build in a folder.

    Raises:
        UsageError: there is no program in it, or a file that it names is missing.
    """
    folder = Folder(path, IDE_DATA)
    said = read_json(path / IDE_DATA) if (path / IDE_DATA).is_file() else {}
    extra = said.get("extra") or {}
    if not isinstance(extra, dict):
        raise UsageError(
            f"'{path / IDE_DATA}': 'extra' is not a JSON object.", remedy="Build again."
        )
    program = _program(path, said, folder)
    app = part_of(program, Role.APP, name=program.name)
    images = extra.get("flash_images")
    others = _named(folder, images) if isinstance(images, list) and images else _usual(folder)
    notes = list(folder.notes)
    if not said and others:
        notes.append("Without idedata.json, further images of the project are not known.")
    parts = [*others, replace(app, offset=_app_offset(app, others, extra))]
    chip = chip_of(parts)
    words = FlashWords() if is_esp8266(app.data) else words_in(app.data)
    return Build(
        kind="PlatformIO build",
        source=str(path),
        evidence=IDE_DATA if said else program.name,
        chip=chip,
        parts=tuple(sorted(parts, key=lambda part: part.offset or 0)),
        words=FlashWords(_BOOTED_MODES.get(words.mode, words.mode), words.freq, words.size),
        elf=folder.elf(program.with_suffix(".elf").name),
        notes=tuple(notes),
    )


def _program(path: Path, said: dict[str, Any], folder: Folder) -> Path:
    """The application: what idedata.json names, firmware.bin, or the only program there is."""
    name = said.get("prog_path")
    if isinstance(name, str) and name:
        words = name.replace("\\", "/")
        found = folder.find(words.rpartition(".")[0] + ".bin")
        if found is not None:
            return found
    if (path / "firmware.bin").is_file():
        return path / "firmware.bin"
    programs = [
        p
        for p in sorted(path.glob("*.bin"))
        if p.stem not in (*_NOT_PROGRAMS, *_FILE_SYSTEMS)
        and "merged" not in p.stem
        and not p.name.endswith(".factory.bin")
    ]
    if len(programs) == 1:
        return programs[0]
    what = "no program" if not programs else "several: " + ", ".join(p.name for p in programs)
    raise UsageError(f"'{path}' has no firmware.bin, and {what}.", remedy="Build the project.")


def _named(folder: Folder, images: list[Any]) -> list[Part]:
    parts = []
    for image in images:
        if not isinstance(image, dict) or "offset" not in image or "path" not in image:
            raise UsageError(
                f"'{folder.path / IDE_DATA}': 'flash_images' holds {image!r}.",
                remedy="Build again.",
            )
        offset, name = number(image["offset"], f"'{IDE_DATA}'"), str(image["path"])
        is_boot_app = name.replace("\\", "/").endswith("boot_app0.bin")
        if is_boot_app and folder.find(name) is None:
            # It lies in the framework's package, which stays behind when a build is moved.
            parts.append(boot_app0(offset))
        else:
            parts.append(role_of(folder.part(Role.DATA, name, offset), None))
    return parts


def _usual(folder: Folder) -> list[Part]:
    """The images that every build has, at the places that chip and table give them."""
    parts = []
    table: PartitionTable | None = None
    if folder.find("bootloader.bin"):
        part = folder.part(Role.BOOTLOADER, "bootloader.bin", None)
        key = chip_of([part])
        # Where the image does not tell, the chip that is flashed will.
        offset = None if key is None else chips.get(key).flash.bootloader_offset
        parts.append(replace(part, offset=offset))
    if folder.find("partitions.bin"):
        part = folder.part(Role.TABLE, "partitions.bin", _table_offset(folder.path))
        table = table_in(part.data)
        if table is None:
            raise UsageError(
                f"'{folder.path / 'partitions.bin'}' is not a partition table.",
                remedy="Build again.",
            )
        parts.append(part)
    otadata = None if table is None else table.otadata
    if otadata is not None:
        initial = next(
            (n for n in ("ota_data_initial.bin", "boot_app0.bin") if folder.find(n)), None
        )
        parts.append(
            boot_app0(otadata.offset)
            if initial is None
            else folder.part(Role.OTADATA, initial, otadata.offset)
        )
    return parts


def _table_offset(path: Path) -> int:
    """Where the table goes: as ESP-IDF's configuration says, where it lies in the build."""
    config = path / "config" / "sdkconfig.json"
    said = read_json(config) if config.is_file() else {}
    return number(said.get("PARTITION_TABLE_OFFSET", DEFAULT_OFFSET), f"'{config}'")


def _app_offset(app: Part, others: list[Part], extra: dict[str, Any]) -> int:
    if extra.get("application_offset") is not None and not extra.get("merged_firmware"):
        return number(extra["application_offset"], f"'{IDE_DATA}'")
    if is_esp8266(app.data):
        return 0
    table = next((table_in(part.data) for part in others if part.role is Role.TABLE), None)
    first = None if table is None else first_app(table)
    return _USUAL_APP if first is None else first.offset
