# SPDX-License-Identifier: Apache-2.0
"""Which commands are special: in secure download mode, with the stub, and at their end."""

from __future__ import annotations

SECURE_DOWNLOAD_COMMANDS = frozenset(
    (
        "get-security-info",
        "write-flash",
        "erase-region",
        "verify-sdc-certificate",
        "read-sdc-chip-info",
    )
)
SDC_COMMANDS = frozenset(("verify-sdc-certificate", "read-sdc-chip-info"))
#: Commands after which the chip is left alone: it runs something else now.
NO_RESET_AFTER = frozenset(("load-ram", *SDC_COMMANDS))
#: Commands that may leave flash half written or erased when they are interrupted.
FLASH_WRITERS = frozenset(("write-flash", "erase-flash", "erase-region"))
#: Rate at which every ROM loader listens.
ESP_ROM_BAUD = 115200
