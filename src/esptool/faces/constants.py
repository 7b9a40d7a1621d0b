# SPDX-License-Identifier: Apache-2.0
"""The documented constants of the loader: times in seconds, sizes in bytes."""

from __future__ import annotations

TROUBLESHOOTING_GUIDE_URL = (
    "https://docs.espressif.com/projects/esptool/en/latest/troubleshooting.html"
)
DEFAULT_TIMEOUT = 3
DEFAULT_CONNECT_ATTEMPTS = 7
DEFAULT_OPEN_PORT_ATTEMPTS = 1
DEFAULT_SERIAL_WRITE_TIMEOUT = 10
CHIP_ERASE_TIMEOUT = 120
MAX_TIMEOUT = 240
SYNC_TIMEOUT = 0.1
MD5_TIMEOUT_PER_MB = 8
ERASE_REGION_TIMEOUT_PER_MB = 40
ERASE_WRITE_TIMEOUT_PER_MB = 40
MEM_END_ROM_TIMEOUT = 0.2
WRITE_BLOCK_ATTEMPTS = 3
SDC_CHIP_INFO_LEN = 32
SDC_GEN_END_RESP_LEN = 64
NAND_BLOCK_SIZE = 0x20000
NAND_PAGES_PER_BLOCK = 64
ESP_ROM_BAUD = 115200


def timeout_per_mb(seconds_per_mb: float, size_bytes: float) -> float:
    """Seconds for work on `size_bytes`, never below the default timeout."""
    return max(seconds_per_mb * (size_bytes / 1e6), DEFAULT_TIMEOUT)
