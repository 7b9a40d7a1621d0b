# SPDX-License-Identifier: Apache-2.0
"""The configuration file, found and reported: `load_config_file` and `load_settings`.

What the keys mean is `esptool.transport.settings`' business. Nothing heavy is imported while no
file exists.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from esptool.logger import log

if TYPE_CHECKING:
    from configparser import RawConfigParser

    from esptool.transport.settings import Settings

SECTION = "esptool"
ENV_VAR = "ESPTOOL_CFGFILE"
FILE_NAMES = ("esptool.cfg", "setup.cfg", "tox.ini")
CONFIG_OPTIONS = [
    "timeout",
    "chip_erase_timeout",
    "max_timeout",
    "sync_timeout",
    "md5_timeout_per_mb",
    "erase_region_timeout_per_mb",
    "erase_write_timeout_per_mb",
    "mem_end_rom_timeout",
    "serial_write_timeout",
    "connect_attempts",
    "write_block_attempts",
    "reset_delay",
    "open_port_attempts",
    "custom_reset_sequence",
    "custom_hard_reset_sequence",
]
#: Keys that only this tool knows.
OWN_OPTIONS = frozenset({"retries", "reappear_timeout"})


def _folders() -> list[str]:
    home = os.path.expanduser("~")
    user = os.path.join(home, "AppData/Local" if sys.platform == "win32" else ".config", "esptool")
    return [os.getcwd(), user, home]


def _candidates() -> list[tuple[str, bool]]:
    """Files that may hold the section, in order, and whether the environment named them."""
    named = os.environ.get(ENV_VAR)
    paths = [(named, True)] if named else []
    return paths + [(os.path.join(d, n), False) for d in _folders() for n in FILE_NAMES]


def _parse(path: str, verbose: bool) -> RawConfigParser | None:
    """The parsed file where it has our section; a damaged one is reported and passed over."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            if f"[{SECTION}]" not in f.read():
                return None
    except OSError:
        return None
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as e:
        if verbose:
            log.print(f"Ignoring invalid config file {path}: {' '.join(str(e).split())}")
        return None
    return parser if parser.has_section(SECTION) else None


def load_config_file(verbose: bool = False) -> tuple[RawConfigParser, str | None]:
    """Find and read the configuration file.

    Looked for in this order: what ESPTOOL_CFGFILE names, then `esptool.cfg`, `setup.cfg` and
    `tox.ini` in the current folder, the user's configuration folder and the home folder.

    Args:
        verbose: say which file is used, and what in it is ignored.

    Returns:
        A parser that always has the section `esptool`, and the path, or None without a file.
    """
    for path, named in _candidates():
        parser = _parse(path, verbose)
        if parser is None:
            continue
        if verbose:
            how = f" (set with {ENV_VAR})" if named else ""
            log.print(f"Loaded custom configuration from {os.path.abspath(path)}{how}")
            unknown = sorted(set(parser.options(SECTION)) - set(CONFIG_OPTIONS) - OWN_OPTIONS)
            if unknown:
                plural = "s" if len(unknown) > 1 else ""
                log.print(f"Ignoring unknown config option{plural}: {', '.join(unknown)}")
        return parser, path
    import configparser

    empty = configparser.RawConfigParser()
    empty.add_section(SECTION)
    return empty, None


def announce() -> None:
    """Say which configuration file is in force, if any: quick when there is none."""
    if any(os.path.isfile(path) for path, _ in _candidates()):
        load_config_file(verbose=True)


def load_settings() -> Settings:
    """The settings in force: the configuration file's over the defaults."""
    from esptool.transport import settings

    for path, _ in _candidates():
        parser = _parse(path, verbose=False)
        if parser is not None:
            values = {
                k: v for k, v in parser.items(SECTION) if k in (*CONFIG_OPTIONS, *OWN_OPTIONS)
            }
            found, problems = settings.from_mapping(values)
            for problem in problems:
                log.warning(problem)
            return found
    return settings.Settings()
