# SPDX-License-Identifier: Apache-2.0
"""`esptool fs`: file systems in flash, on a device or in a file."""

from __future__ import annotations

from esptool.cli.common import Entry, Group


def _entry(module: str, text: str) -> Entry:
    return Entry(f"esptool.cli.fs.{module}", text)


command = Group(
    "fs",
    entries={
        "ls": _entry("ls:command", "Show files, sizes and free space."),
        "get": _entry("get:command", "Read a file."),
        "put": _entry("put:command", "Write a file, or all that is in a folder."),
        "rm": _entry("rm:command", "Remove files."),
        "extract": _entry("extract:command", "Read all files into a folder."),
        "build": _entry("build:command", "Make a file system of a folder."),
    },
    no_args_is_help=True,
    help="Read and change LittleFS, FAT (with and without wear levelling) and SPIFFS.\n\nWorks on "
    "a partition of a device by its name, and with --file on a flash dump, a state file or a file "
    "that holds just the file system. Which one it is, and its parameters, are found.",
)
