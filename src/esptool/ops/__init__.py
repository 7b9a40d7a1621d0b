# SPDX-License-Identifier: Apache-2.0
"""What a person asks of a connected chip. Each operation takes a `Session` first, tells its
listener what it does, and returns values; none prints or ends the process.

`listener` is the session's own unless one is given.
"""

from __future__ import annotations

from esptool.image.sources import load_regions
from esptool.image.sources import read_source as load_source
from esptool.ops.attach import attach_flash, connection_word
from esptool.ops.decide import decide_plan
from esptool.ops.erase import erase_flash, erase_region
from esptool.ops.flash_info import detect_flash_size, flash_info, set_flash_size, show_flash_info
from esptool.ops.identity import chip_id, read_mac
from esptool.ops.load_ram import load_ram, run
from esptool.ops.memory import dump_mem, read_mem, write_mem
from esptool.ops.model import (
    Difference,
    FlashInfo,
    FlashParams,
    Region,
    SecurityReport,
    WriteOptions,
    WriteResult,
)
from esptool.ops.planning import plan_write
from esptool.ops.read import read_flash
from esptool.ops.reset import reset_chip
from esptool.ops.security import security_info
from esptool.ops.status import read_sfdp, read_status, write_status
from esptool.ops.verify import verify_flash
from esptool.ops.write import write_flash

__all__ = [
    "Difference",
    "FlashInfo",
    "FlashParams",
    "Region",
    "SecurityReport",
    "WriteOptions",
    "WriteResult",
    "attach_flash",
    "chip_id",
    "connection_word",
    "decide_plan",
    "detect_flash_size",
    "dump_mem",
    "erase_flash",
    "erase_region",
    "flash_info",
    "load_ram",
    "load_regions",
    "load_source",
    "plan_write",
    "read_flash",
    "read_mac",
    "read_mem",
    "read_sfdp",
    "read_status",
    "reset_chip",
    "run",
    "security_info",
    "set_flash_size",
    "show_flash_info",
    "verify_flash",
    "write_flash",
    "write_mem",
    "write_status",
]
