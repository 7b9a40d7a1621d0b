# SPDX-License-Identifier: Apache-2.0
"""espefuse: reads and burns one-time-programmable eFuses. Documented names load when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esptool.lazily import borrowed

if TYPE_CHECKING:
    from espefuse.commands import BaseCommands as BaseCommands
    from espefuse.efuse_interface import DEPRECATED_COMMANDS as DEPRECATED_COMMANDS
    from espefuse.efuse_interface import SUPPORTED_BURN_COMMANDS as SUPPORTED_BURN_COMMANDS
    from espefuse.efuse_interface import SUPPORTED_CHIPS as SUPPORTED_CHIPS
    from espefuse.efuse_interface import SUPPORTED_COMMANDS as SUPPORTED_COMMANDS
    from espefuse.efuse_interface import SUPPORTED_READ_COMMANDS as SUPPORTED_READ_COMMANDS
    from espefuse.efuse_interface import get_esp as get_esp
    from espefuse.efuse_interface import init_commands as init_commands


__all__ = [
    "DEPRECATED_COMMANDS",
    "SUPPORTED_BURN_COMMANDS",
    "SUPPORTED_CHIPS",
    "SUPPORTED_COMMANDS",
    "SUPPORTED_READ_COMMANDS",
    "BaseCommands",
    "get_esp",
    "init_commands",
    "main",
]


__getattr__ = borrowed(
    __name__,
    {
        **{name: "espefuse.efuse_interface" for name in __all__ if name != "main"},
        "cli": "espefuse.cli.main:cli",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def main(argv: list[str] | None = None, esp: Any = None) -> None:
    """Run the command line in this process; on a given chip if `esp` is one.

    Raises:
        esptool.FatalError: what was asked cannot be done.
        SystemExit: with code 2, for a usage error, or where the burn was not confirmed.
    """
    from espefuse.cli.main import main as run

    run(argv, esp)


def _main() -> None:
    from esptool import _start

    _start(main, lead="\n")


def _main_py() -> None:
    from esptool import _start

    _start(main, old="espefuse.py", lead="\n")
