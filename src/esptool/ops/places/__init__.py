# SPDX-License-Identifier: Apache-2.0
"""One way to a place in flash: on a device, in a dump or state file, or a file of one partition.

A `Flash` reads and writes by flash offset and knows the partition table; its `place("nvs")` is a
`Place`, which reads and writes by offset within the partition. What is written is written at once,
whole sectors and only those that change:

    with opened_file("dump.bin") as flash:          # or: flash = DeviceFlash(session)
        place = flash.place("nvs")                  # or "nvs[0x1000:]", or "" for all of a file
        data = place.read()                         # bytes of the partition
        place.write(0x2000, new_sector)             # sectors that changed, 0 if none did

On a device the table costs one read of 3 KiB, once, when it is first needed, and what was read is
remembered, so that `write` knows what changed without reading again.
"""

from __future__ import annotations

from esptool.ops.places.base import Flash, Place
from esptool.ops.places.device import DeviceFlash
from esptool.ops.places.file import FileFlash, opened_file
from esptool.ops.places.table import GIVE_TABLE, TableSource, is_csv, load_table, starts_with_table

__all__ = [
    "GIVE_TABLE",
    "DeviceFlash",
    "FileFlash",
    "Flash",
    "Place",
    "TableSource",
    "is_csv",
    "load_table",
    "opened_file",
    "starts_with_table",
]
