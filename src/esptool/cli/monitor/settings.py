# SPDX-License-Identifier: Apache-2.0
"""How to listen, as the options say. Imports nothing that listens."""

from __future__ import annotations

from esptool.records import dataclass

MONITOR_BAUD = 115200


@dataclass(frozen=True, slots=True)
class Settings:
    """How to listen.

    Attributes:
        baud: rate of the console.
        elf: ELF files, and folders in which one is found by what the program says of itself.
        rom_elf: ELF files of the ROM, looked at last.
        script: ("send" or "expect", text) in order.
        timeout_s: after so long the monitor ends; an expectation that is not met then is an error.
        log: file for all that is shown.
        filters: `TAG:LEVEL`, see `esptool.monitor.log_lines.Filter`.
        reset: the chip is reset first.
        ending: what Enter sends: "CR", "LF" or "CRLF".
        keys: standard input is read.
    """

    baud: int = MONITOR_BAUD
    elf: tuple[str, ...] = ()
    rom_elf: tuple[str, ...] = ()
    script: tuple[tuple[str, str], ...] = ()
    timeout_s: float | None = None
    log: str | None = None
    timestamps: bool = False
    filters: tuple[str, ...] = ()
    reset: bool = False
    ending: str = "CR"
    keys: bool = True
