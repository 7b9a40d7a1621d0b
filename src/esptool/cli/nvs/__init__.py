# SPDX-License-Identifier: Apache-2.0
"""`esptool nvs`: the key-value storage of ESP-IDF, on a device or in a file."""

from __future__ import annotations

from esptool.cli.common import Entry, Group


def _entry(module: str, text: str) -> Entry:
    return Entry(f"esptool.cli.nvs.{module}", text)


command = Group(
    "nvs",
    entries={
        "list": _entry("list:command", "Show what is stored."),
        "get": _entry("get:command", "Show one value, or write it to a file."),
        "set": _entry("change:set_command", "Give a key a value, as the chip does it."),
        "delete": _entry("change:delete_command", "Delete a key or all of a namespace."),
        "check": _entry("check:command", "Look for damage."),
        "diff": _entry("diff:command", "Compare with another NVS."),
        "build": _entry("build:command", "Make an NVS of a CSV file, or one for each device."),
        "keys": _entry("keys:command", "Make the keys of an encrypted NVS."),
    },
    no_args_is_help=True,
    help="Read, change, build and compare NVS, the key-value storage of ESP-IDF.\n\nWorks on a "
    "partition of a device by its name, with --file on one of a flash dump or state file, and on a "
    "file that holds just the NVS, whose name stands for PARTITION.",
)
