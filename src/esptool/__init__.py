# SPDX-License-Identifier: Apache-2.0
"""esptool: flash, inspect, and provision Espressif chips, from Python or the command line.

The names here are the documented interface; each is imported when first used.
"""

from __future__ import annotations

from esptool._version import __version__
from esptool.lazily import borrowed
from esptool.virtual import announce as _announce

TYPE_CHECKING = False  # as in `typing`, whose import would double the time of `import esptool`

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from esptool.cmds import *  # noqa: F403
    from esptool.cmds_build import find_build as find_build
    from esptool.cmds_build import flash_build as flash_build
    from esptool.cmds_build import make_bundle as make_bundle
    from esptool.cmds_build import plan_build as plan_build
    from esptool.cmds_partitions import open_flash as open_flash
    from esptool.cmds_partitions import ota_boot as ota_boot
    from esptool.cmds_partitions import ota_erase as ota_erase
    from esptool.cmds_partitions import ota_status as ota_status
    from esptool.cmds_partitions import ota_write as ota_write
    from esptool.cmds_partitions import read_partition_table as read_partition_table
    from esptool.connecting import get_port_list as get_port_list
    from esptool.errors import FatalError as FatalError
    from esptool.loader import ESPLoader as ESPLoader
    from esptool.loader import StubFlasher as StubFlasher
    from esptool.logger import log as log
    from esptool.storage.otadata import OtaData as OtaData
    from esptool.storage.partitions import PartitionTable as PartitionTable
    from esptool.targets import CHIP_DEFS as CHIP_DEFS
    from esptool.targets import CHIP_LIST as CHIP_LIST
    from esptool.targets import ESP32ROM as ESP32ROM
    from esptool.targets import ROM_LIST as ROM_LIST

_announce()  # serial_for_url("virtual://...") works from now on

_CMDS = (
    "attach_flash",
    "chip_id",
    "connect_esp",
    "connect_first_available",
    "connect_with_retries",
    "detect_chip",
    "detect_flash_size",
    "dump_bbm",
    "dump_mem",
    "elf2image",
    "erase_flash",
    "erase_region",
    "flash_id",
    "get_security_info",
    "image_info",
    "load_ram",
    "merge_bin",
    "read_flash",
    "read_flash_sfdp",
    "read_flash_status",
    "read_mac",
    "read_mem",
    "read_nand_spare",
    "read_sdc_chip_info",
    "reset_chip",
    "run",
    "run_stub",
    "verify_flash",
    "verify_sdc_certificate",
    "version",
    "write_flash",
    "write_flash_status",
    "write_mem",
    "write_nand_spare",
    "DEFAULT_CONNECT_ATTEMPTS",
    "DEFAULT_OPEN_PORT_ATTEMPTS",
    "NAND_BLOCK_COUNT",
)

#: Where each name lives.
_HOMES: dict[str, str] = {
    **dict.fromkeys(_CMDS, "esptool.cmds"),
    **dict.fromkeys(
        ("open_flash", "read_partition_table", "ota_boot", "ota_erase", "ota_status", "ota_write"),
        "esptool.cmds_partitions",
    ),
    **dict.fromkeys(
        ("find_build", "flash_build", "make_bundle", "plan_build"), "esptool.cmds_build"
    ),
    **dict.fromkeys(("PartitionTable",), "esptool.storage.partitions"),
    **dict.fromkeys(("OtaData",), "esptool.storage.otadata"),
    **dict.fromkeys(("FatalError",), "esptool.errors"),
    **dict.fromkeys(
        ("NotImplementedInROMError", "flash_size_bytes", "UnsupportedCommandError"), "esptool.util"
    ),
    **dict.fromkeys(("ESPLoader", "StubFlasher", "TROUBLESHOOTING_GUIDE_URL"), "esptool.loader"),
    **dict.fromkeys(("CHIP_DEFS", "CHIP_LIST", "ROM_LIST"), "esptool.targets"),
    **dict.fromkeys(("get_port_list",), "esptool.connecting"),
    **dict.fromkeys(("log",), "esptool.logger"),
    **dict.fromkeys(("load_config_file",), "esptool.config"),
    **dict.fromkeys(("expand_file_arguments",), "esptool.cli.words"),
    **dict.fromkeys(("cli",), "esptool.cli.main"),
}

#: Kinds of options, which wrappers of the command line import from here.
_CLI_NAMES = (
    "AddrFilenamePairType",
    "AnyIntType",
    "AutoHex2BinType",
    "AutoSizeType",
    "BaudRateType",
    "ChipType",
    "DiffWithType",
    "EsptoolGroup",
    "MutuallyExclusiveOption",
    "OptionEatAll",
    "ResetModeType",
    "SerialPortType",
    "SpiConnectionType",
    "parse_port_filters",
    "parse_size_arg",
    "prepare_esp_object",
)
_HOMES |= dict.fromkeys(_CLI_NAMES, "esptool.cli_util")

#: Modules that used to be reachable as attributes after `import esptool`.
_MODULES = frozenset(
    ("bin_image", "cli_util", "cmds", "config", "loader", "logger", "reset", "targets", "util")
)

__all__ = [
    "__version__",
    *sorted(_HOMES),
    "connect_loop",
    "get_default_connected_device",
    "main",
]


_find = borrowed(__name__, {**_HOMES, **{name: f"esptool.{name}:" for name in _MODULES}})


def __getattr__(name: str) -> Any:
    if name.endswith("_cli"):
        # Wrappers take commands of the command line, such as `write_flash_cli`, from here.
        commands = __getattr__("cli").commands
        command = name.removesuffix("_cli").replace("_", "-")
        if command not in commands:
            raise AttributeError(f"module 'esptool' has no attribute '{name}'")
        value = commands[command]
    elif name.startswith("ESP") and name.endswith("ROM"):
        value = getattr(__getattr__("targets"), name)
    else:
        value = _find(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})


def get_default_connected_device(*args: Any, **kwargs: Any) -> Any:
    """Former name of `connect_first_available`: the first port of a list that answers, or None."""
    return _current("connect_first_available")(*args, **kwargs)


def connect_loop(*args: Any, **kwargs: Any) -> Any:
    """Former name of `connect_with_retries`."""
    return _current("connect_with_retries")(*args, **kwargs)


def _current(name: str) -> Any:
    """The name as it stands in this module now: a program may have replaced it."""
    return globals()[name] if name in globals() else __getattr__(name)


def main(argv: list[str] | None = None, esp: Any = None) -> None:
    """Run a command line within a program.

    Args:
        argv: the words after the program's name; None takes those of the process.
        esp: a loader object that is connected already; it stays open.

    Raises:
        FatalError: the operation failed.
        SystemExit: with code 2, the command line is wrong; the reason was shown.
    """
    import sys

    words = sys.argv[1:] if argv is None else argv
    if words == ["version"]:
        # Asked for by build systems on every run: it need not wait for the command line's parser.
        _version_in_a_hurry()
        return
    from esptool.cli.common import call
    from esptool.cli.main import PROG
    from esptool.cli.main import cli as group

    # The import has put the package of this name here; programs expect the group of commands.
    globals()["cli"] = group
    call(group, words, PROG, {"esp": esp})


def _version_in_a_hurry() -> None:
    from esptool import config
    from esptool.logger import log

    log.print(f"esptool v{__version__}")
    config.announce()
    log.print(__version__)


def _main() -> None:
    _start(main)


def _main_py() -> None:
    _start(main, old="esptool.py")


def _start(main: Callable[[], None], *, old: str = "", lead: str = "") -> None:
    """Run one of the programs and end the process; `old` is the deprecated name it goes by."""
    try:
        from esptool.cli.ending import run, warn_old_script

        if old:
            warn_old_script(old)
        run(main, lead=lead)
    except KeyboardInterrupt:  # while this was loading, or a second one
        raise SystemExit(2) from None
