# SPDX-License-Identifier: Apache-2.0
"""Zephyr builds, by `zephyr/runners.yaml`; with sysbuild also several, by `domains.yaml`.

Source: Zephyr `scripts/west_commands/runners/esp32.py`: the options of the runner `esp32` and
their defaults, and the order of its write-flash arguments.
"""

from __future__ import annotations

import re
from pathlib import Path

from esptool.builds.folder import Folder, number
from esptool.builds.images import chip_of
from esptool.builds.model import Build, FlashWords, Part, Role
from esptool.errors import UsageError
from esptool.records import dataclass, replace
from esptool.textfile import read_text

RUNNERS = "runners.yaml"
DOMAINS = "domains.yaml"
_RUNNER = "esp32"


def looks_like(folder: Path) -> bool:
    """A folder is such a build, or the `zephyr` folder in it."""
    return any(path.is_file() for path in _descriptions(folder))


def _descriptions(folder: Path) -> tuple[Path, ...]:
    return folder / DOMAINS, folder / "zephyr" / RUNNERS, folder / RUNNERS


def read(path: Path) -> Build:
    """The build in a folder.

    Raises:
        UsageError: a description is damaged, is for other chips, or names a file that is missing.
    """
    domains, inner, own = _descriptions(path)
    if domains.is_file():
        return _read_domains(path)
    return _read_one(path, inner if inner.is_file() else own)


def _read_domains(path: Path) -> Build:
    """Each domain is a build of its own; all are flashed, in the order that is written down."""
    found: list[Build] = []
    for folder in _domain_folders(path):
        runners = folder / "zephyr" / RUNNERS
        if not runners.is_file():
            raise UsageError(
                f"'{path / DOMAINS}' names the domain '{folder.name}', whose runners.yaml is "
                "missing.",
                remedy="Build again, or copy the whole build folder.",
            )
        found.append(_read_one(folder, runners, prefix=f"{folder.name}/"))
    main = found[-1]
    parts = [
        # A boot loader is that by its place alone: Zephyr builds it like any application.
        replace(part, role=Role.BOOTLOADER) if build is not main and part.role is Role.APP else part
        for build in found
        for part in build.parts
    ]
    return replace(
        main,
        source=str(path),
        evidence=DOMAINS,
        parts=tuple(sorted(parts, key=lambda part: part.offset or 0)),
        notes=tuple(note for build in found for note in build.notes),
        encrypt=any(build.encrypt for build in found),
    )


def _domain_folders(path: Path) -> list[Path]:
    """The folders of the domains, the default one last."""
    text = read_text(path / DOMAINS, "build description")
    names: list[str] = re.findall(r"^\s*-?\s*name:\s*(\S+)\s*$", text, re.MULTILINE)
    default = re.search(r"^default:\s*(\S+)\s*$", text, re.MULTILINE)
    if not names or default is None:
        raise UsageError(f"'{path / DOMAINS}' names no domains.", remedy="Build again.")
    last = default[1]
    if any(not re.fullmatch(r"[\w.+-]+", name) or name in (".", "..") for name in names):
        raise UsageError(f"'{path / DOMAINS}' holds a name that is none.", remedy="Build again.")
    # Where a build was moved, its folders lie beside the file by their names.
    return [path / name for name in dict.fromkeys([*(n for n in names if n != last), last])]


@dataclass(frozen=True, slots=True)
class _Runners:
    """What is taken of runners.yaml."""

    config: dict[str, str]
    options: dict[str, str]


def _read_one(path: Path, runners: Path, prefix: str = "") -> Build:
    said = _parse(runners)
    folder = Folder(runners.parent, RUNNERS)
    options = said.options

    def image(role: Role, name: str, offset: str) -> Part:
        part = folder.part(role, name, number(offset, f"'{runners}'"))
        return replace(part, name=f"{prefix}{part.name}")

    binary = said.config.get("bin_file", "zephyr.bin")
    app = image(Role.APP, binary, options.get("esp-app-address", "0x10000"))
    parts = [app]
    if "esp-flash-bootloader" in options:
        boot_at = options.get("esp-boot-address", "0x1000")
        parts.append(image(Role.BOOTLOADER, options["esp-flash-bootloader"], boot_at))
        if "esp-flash-partition_table" in options:
            table_at = options.get("esp-partition-table-address", "0x8000")
            parts.append(image(Role.TABLE, options["esp-flash-partition_table"], table_at))
    return Build(
        kind="Zephyr build",
        source=str(path),
        evidence=RUNNERS,
        chip=chip_of(parts),
        parts=tuple(sorted(parts, key=lambda part: part.offset or 0)),
        words=FlashWords(
            options.get("esp-flash-mode", "dio"),
            options.get("esp-flash-freq", "40m"),
            options.get("esp-flash-size", "detect"),
        ),
        elf=folder.elf(said.config.get("elf_file", "zephyr.elf")),
        encrypt="esp-encrypt" in options,
        notes=tuple(folder.notes),
        stub="esp-no-stub" not in options,
    )


def _parse(path: Path) -> _Runners:
    """The parts of runners.yaml that are needed: `config`, and the arguments of the runner.

    Zephyr writes the file itself, with one scalar a line, so that no reader of all YAML is needed.
    """
    config: dict[str, str] = {}
    arguments: dict[str, list[str]] = {}
    section = runner = ""
    for line in read_text(path, "build description").splitlines():
        text = line.split(" #")[0].rstrip()
        if not text or text.lstrip().startswith("#"):
            continue
        indent = len(text) - len(text.lstrip())
        key, colon, value = text.strip().partition(":")
        if not indent and not text.startswith("-"):
            section, runner = key, ""
        elif section == "config" and colon and not key.startswith("-"):
            config[key] = value.strip().strip("'\"")
        elif section == "args" and text.strip().startswith("- "):
            arguments.setdefault(runner, []).append(text.strip()[2:].strip().strip("'\""))
        elif section == "args" and colon:
            runner = key
    if _RUNNER not in arguments:
        known = ", ".join(sorted(arguments)) or "none"
        raise UsageError(
            f"'{path}' has no runner '{_RUNNER}' (it has: {known}).",
            remedy="Is it a build for an Espressif chip?",
        )
    options: dict[str, str] = {}
    for word in arguments[_RUNNER]:
        name, _, value = word.lstrip("-").partition("=")
        options[name] = value
    return _Runners(config, options)
