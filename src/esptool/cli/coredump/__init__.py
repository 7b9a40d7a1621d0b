# SPDX-License-Identifier: Apache-2.0
"""`esptool coredump`: what was in memory when a program failed, without a debugger."""

from __future__ import annotations

from esptool.cli.common import Entry, Group


def _entry(module: str, text: str) -> Entry:
    return Entry(f"esptool.cli.coredump.{module}", text)


command = Group(
    "coredump",
    entries={
        "info": _entry("info:command", "Show why and where a program failed, and its tasks."),
        "elf": _entry("elf:command", "Write a core file for GDB."),
    },
    no_args_is_help=True,
    help="Core dumps of ESP-IDF: why a program failed, what its tasks did, and all that for GDB."
    "\n\nThe dump is read from a partition of a device by its name, with --file from one of a "
    "flash dump or state file, or from a file that holds just the dump: as it is in flash, as an "
    "ELF core file, or in base64 as the console showed it. Its checksum is looked at.",
)
