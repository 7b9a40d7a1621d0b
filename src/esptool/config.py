# SPDX-License-Identifier: Apache-2.0
"""The configuration file, found and reported: `load_config_file` and `load_settings`.

What the keys mean is `esptool.transport.settings`' business. Nothing heavy is imported while no
file exists.
"""

from __future__ import annotations

import os
import sys

from esptool.errors import FatalError
from esptool.logger import log
from esptool.nearest import checks_keywords

TYPE_CHECKING = False  # as in `typing`, whose import would be a good part of the start-up time
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
OWN_OPTIONS = frozenset({"retries", "reappear_timeout", "partition_table_offset", "baud"})


def _candidates() -> list[tuple[str, bool]]:
    """Files that may hold the section, in order, and whether the environment named them."""
    named = os.environ.get(ENV_VAR)
    paths = [(named, True)] if named else []
    home = os.path.expanduser("~")
    user = os.path.join(home, "AppData/Local" if sys.platform == "win32" else ".config", "esptool")
    # The current folder may have been removed, so it is not asked for.
    return paths + [(os.path.join(d, n), False) for d in ("", user, home) for n in FILE_NAMES]


#: Remarks that were shown: a process reads its file more than once.
_shown: set[str] = set()


def _parse(path: str, named: bool) -> tuple[RawConfigParser | None, str | None]:
    """The parsed file where it has our section, and else why it is passed over, if that matters.

    A file named by the environment or after this tool must be meant; others are mostly not ours.
    """
    if not named and not os.path.lexists(path):
        return None, None
    meant = named or os.path.basename(path) == FILE_NAMES[0]
    from esptool.textfile import read_text

    try:
        text = read_text(path, "config file")
    except FatalError as e:
        return None, f"{e.message} It is ignored." if meant else None
    if f"[{SECTION}]" not in text:
        case = " (in small letters)" if f"[{SECTION}]" in text.lower() else ""
        remark = f"The config file '{path}' has no section [{SECTION}]{case}. It is ignored."
        return None, remark if meant else None
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text, path)
    except configparser.Error as e:
        why = " ".join(str(e).split())
        return None, f"Ignoring invalid config file {os.path.abspath(path)}: {why}"
    return (parser, None) if parser.has_section(SECTION) else (None, None)


def _search() -> tuple[RawConfigParser | None, str | None, bool, list[str]]:
    """The file in force: parser, path, whether the environment named it, and remarks on others."""
    remarks: list[str] = []
    for path, named in _candidates():
        parser, remark = _parse(path, named)
        if remark:
            remarks.append(remark)
        if parser is not None:
            return parser, path, named, remarks
    return None, None, False, remarks


@checks_keywords()
def load_config_file(verbose: bool = False) -> tuple[RawConfigParser, str | None]:
    """Find and read the configuration file.

    Looked for in this order: what ESPTOOL_CFGFILE names, then `esptool.cfg`, `setup.cfg` and
    `tox.ini` in the current folder, the user's configuration folder and the home folder.

    Args:
        verbose: say which file is used, and what of it or instead of it is ignored.

    Returns:
        A parser that always has the section `esptool`, and the path, or None without a file.
    """
    parser, path, named, remarks = _search()
    if verbose:
        for remark in remarks:
            _warn_once(remark)
    if parser is not None and path is not None:
        if verbose:
            how = f" (set with {ENV_VAR})" if named else ""
            log.print(f"Loaded custom configuration from {os.path.abspath(path)}{how}")
            _warn_of_unknown(parser)
        return parser, path
    import configparser

    empty = configparser.RawConfigParser()
    empty.add_section(SECTION)
    return empty, None


def announce(*, warnings_only: bool = False) -> None:
    """Say which configuration file is in force, if any: quick when there is none.

    With `warnings_only` standard output is left to other things.
    """
    if not any(named or os.path.lexists(path) for path, named in _candidates()):
        return
    if warnings_only:
        parser, _path, _named, remarks = _search()
        for remark in remarks:
            _warn_once(remark)
        if parser is not None:
            _warn_of_unknown(parser)
    else:
        load_config_file(verbose=True)


def _warn_of_unknown(parser: RawConfigParser) -> None:
    unknown = sorted(set(parser.options(SECTION)) - set(CONFIG_OPTIONS) - OWN_OPTIONS)
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        _warn_once(f"Ignoring unknown config option{plural}: {', '.join(unknown)}")


def _warn_once(text: str) -> None:
    if text not in _shown:
        _shown.add(text)
        log.warning(text)


def load_settings() -> Settings:
    """The settings in force: the configuration file's over the defaults.

    Values that cannot be meant are named in a warning, once, and left at their defaults.
    """
    from esptool.transport import settings

    parser = _search()[0]
    if parser is None:
        return settings.Settings()
    known = {*CONFIG_OPTIONS, *OWN_OPTIONS} - {"baud"}
    values = {k: v for k, v in parser.items(SECTION) if k in known}
    found, problems = settings.from_mapping(values)
    for problem in problems:
        _warn_once(problem)
    return found


def load_baud(default: int) -> int | str:
    """The rate that the configuration file names, a number or "auto"; else the default."""
    parser = _search()[0]
    text = None if parser is None else parser.get(SECTION, "baud", fallback=None)
    if text is None:
        return default
    from esptool.protocol.rates import AUTO

    if text.strip().lower() == AUTO:
        return AUTO
    try:
        baud = int(text)
    except ValueError:
        baud = 0
    if 0 < baud < 1 << 32:
        return baud
    _warn_once(f"Configuration option 'baud' cannot be {text}: it is ignored.")
    return default
