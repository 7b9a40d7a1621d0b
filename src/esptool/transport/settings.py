# SPDX-License-Identifier: Apache-2.0
"""Timeouts, retries and reset sequences, with the configuration file that changes them.

The file is an INI file with an `[esptool]` section: `esptool.cfg`, `setup.cfg` or `tox.ini` in the
current folder, the user's configuration folder or home; ESPTOOL_CFGFILE names one directly. Keys
and defaults are those of the public tool's documentation (Configuration File).
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

FILE_NAMES = ("esptool.cfg", "setup.cfg", "tox.ini")
SECTION = "esptool"
ENV_VAR = "ESPTOOL_CFGFILE"


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds; `*_per_mb` are multiplied by bytes / 10**6.

    `reset_delay` replaces the pause in a classic reset; the custom sequences are texts as in
    `esptool.transport.reset.parse_custom`. `retries` bounds how often lost work is taken up again,
    `reappear_timeout` how long a port that vanished is waited for.
    """

    timeout: float = 3.0
    chip_erase_timeout: float = 120.0
    max_timeout: float = 240.0
    sync_timeout: float = 0.1
    md5_timeout_per_mb: float = 8.0
    erase_region_timeout_per_mb: float = 40.0
    erase_write_timeout_per_mb: float = 40.0
    mem_end_rom_timeout: float = 0.2
    serial_write_timeout: float = 10.0
    connect_attempts: int = 7
    write_block_attempts: int = 3
    reset_delay: float | None = None
    open_port_attempts: int = 1
    custom_reset_sequence: str | None = None
    custom_hard_reset_sequence: str | None = None
    retries: int = 5
    reappear_timeout: float = 10.0

    def scaled(self, per_mb: float, size: int) -> float:
        """The timeout for work on `size` bytes: never below the plain one."""
        return max(self.timeout, per_mb * size / 1e6)


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, the file they came from, and remarks on keys that could not be used."""

    settings: Settings
    path: Path | None
    problems: tuple[str, ...]


def search_dirs() -> tuple[Path, ...]:
    """Where a configuration file is looked for, in order."""
    home = Path.home()
    user = home / ("AppData/Local" if sys.platform == "win32" else ".config") / "esptool"
    return (Path.cwd(), user, home)


def find_file(environ: Mapping[str, str] | None = None) -> Path | None:
    """The configuration file in force, or None. A missing ESPTOOL_CFGFILE is passed over."""
    named = (os.environ if environ is None else environ).get(ENV_VAR)
    if named and _has_section(Path(named)):
        return Path(named)
    for folder in search_dirs():
        for name in FILE_NAMES:
            if _has_section(folder / name):
                return folder / name
    return None


def load_settings(path: Path | None = None) -> LoadedSettings:
    """Read the configuration file (`path`, or the one found); without one, the defaults.

    A key that is unknown or not of its kind is reported in `problems` and left at its default.
    """
    path = path or find_file()
    if path is None:
        return LoadedSettings(Settings(), None, ())
    parser = _read(path)
    if parser is None or not parser.has_section(SECTION):
        return LoadedSettings(Settings(), None, ())
    settings, problems = from_mapping(dict(parser.items(SECTION)))
    return LoadedSettings(settings, path, tuple(problems))


def from_mapping(values: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Settings from text values, and what was wrong with them."""
    kinds = {f.name: str(f.type) for f in fields(Settings)}
    good: dict[str, float | int | str] = {}
    problems = []
    for key, text in values.items():
        kind = kinds.get(key)
        if kind is None:
            problems.append(f"Unknown configuration option '{key}' is ignored.")
            continue
        try:
            good[key] = text if "str" in kind else int(text) if "int" in kind else float(text)
        except ValueError:
            problems.append(f"Configuration option '{key}' is not a number: '{text}' is ignored.")
    settings = replace(Settings(), **good)  # type: ignore[arg-type]
    if "max_timeout" not in good:
        settings = replace(settings, max_timeout=2 * settings.chip_erase_timeout)
    return settings, problems


def _read(path: Path) -> configparser.RawConfigParser | None:
    parser = configparser.RawConfigParser()
    try:
        if not parser.read(path, encoding="utf-8"):
            return None
    except (configparser.Error, UnicodeDecodeError):
        return None
    return parser


def _has_section(path: Path) -> bool:
    parser = _read(path) if path.is_file() else None
    return parser is not None and parser.has_section(SECTION)
