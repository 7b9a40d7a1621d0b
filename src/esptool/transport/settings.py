# SPDX-License-Identifier: Apache-2.0
"""Timeouts, retries and reset sequences, as the keys of a configuration file give them.

Keys and defaults are those of the public tool's documentation (Configuration File). The file is
found and read by `esptool.config`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds; `*_per_mb` are multiplied by bytes / 10**6.

    `reset_delay` replaces the pause in a classic reset; the custom sequences are texts as in
    `esptool.transport.reset.parse_custom`. `retries` bounds how often lost work is taken up again,
    `reappear_timeout` how long a port that vanished is waited for. `partition_table_offset` is
    where the partition table is, as a number in any base; None looks for it.
    """

    timeout: float = 3.0
    chip_erase_timeout: float = 120.0
    max_timeout: float = 240.0
    sync_timeout: float = 0.1
    md5_timeout_per_mb: float = 8.0
    erase_region_timeout_per_mb: float = 40.0
    erase_write_timeout_per_mb: float = 40.0
    mem_end_rom_timeout: float = 0.2
    serial_write_timeout: float = 10.0
    connect_attempts: int = 7
    write_block_attempts: int = 3
    reset_delay: float | None = None
    open_port_attempts: int = 1
    custom_reset_sequence: str | None = None
    custom_hard_reset_sequence: str | None = None
    retries: int = 5
    reappear_timeout: float = 10.0
    partition_table_offset: str | None = None

    def scaled(self, per_mb: float, size: int) -> float:
        """The timeout for work on `size` bytes: never below the plain one."""
        return max(self.timeout, per_mb * size / 1e6)


#: Counts of which 0 or less means without end.
_ENDLESS = frozenset({"connect_attempts", "open_port_attempts"})
#: A day: what is longer was hardly meant, and overflows the system's clocks some time.
_LONGEST_S = 86400
_MOST_TIMES = 1_000_000
#: What is shorter is taken, but leaves a chip no time to answer, or a flash to be erased.
_SHORTEST_S = {"timeout": 0.1, "max_timeout": 0.1, "sync_timeout": 0.01, "chip_erase_timeout": 1.0}


def _can_be_meant(key: str, value: float) -> bool:
    if isinstance(value, int):
        return key in _ENDLESS or 0 <= value <= _MOST_TIMES
    return math.isfinite(value) and 0 <= value <= _LONGEST_S


def _is_offset(text: str) -> bool:
    try:
        return int(text, 0) >= 0
    except ValueError:
        return False


def from_mapping(values: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Settings from text values, and what was wrong with them."""
    kinds = {f.name: str(f.type) for f in fields(Settings)}
    good: dict[str, Any] = {}
    problems = []
    for key, text in values.items():
        kind = kinds.get(key)
        if kind is None:
            problems.append(f"Unknown configuration option '{key}' is ignored.")
            continue
        try:
            good[key] = text if "str" in kind else int(text) if "int" in kind else float(text)
        except ValueError:
            problems.append(f"Configuration option '{key}' is not a number: '{text}' is ignored.")
            continue
        value = good[key]
        if key == "partition_table_offset" and not _is_offset(text):
            del good[key]
            problems.append(f"Configuration option '{key}' is not a number: '{text}' is ignored.")
        if isinstance(value, int | float) and not _can_be_meant(key, value):
            del good[key]
            problems.append(f"Configuration option '{key}' cannot be {text}: it is ignored.")
    for key, least in _SHORTEST_S.items():
        if good.get(key, least) < least:
            problems.append(
                f"Configuration option '{key}' is {values[key]}: few chips answer within so many "
                f"seconds (usual are {getattr(Settings(), key):g})."
            )
    settings = replace(Settings(), **good)
    if "max_timeout" not in good:
        # A short wait for erasing must not cut short the waits for all else.
        longest = max(settings.max_timeout, 2 * settings.chip_erase_timeout)
        settings = replace(settings, max_timeout=longest)
    return settings, problems
