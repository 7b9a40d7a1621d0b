# SPDX-License-Identifier: Apache-2.0
"""The chips: `get("esp32s3")` gives a `ChipSpec`; its file is imported when first asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from esptool.chips.spec import ChipSpec
from esptool.errors import UsageError

__all__ = ["KEYS", "ChipSpec", "by_chip_id", "by_magic", "get", "normalize"]

#: All chips, in the order in which lists show them.
KEYS: tuple[str, ...] = (
    "esp8266",
    "esp32",
    "esp32s2",
    "esp32s3",
    "esp32c3",
    "esp32c2",
    "esp32c6",
    "esp32c61",
    "esp32c5",
    "esp32e22",
    "esp32h2",
    "esp32h21",
    "esp32p4",
    "esp32h4",
    "esp32s31",
)

#: Chip ids of pre-production silicon that no release supports.
RETIRED_IDS: dict[int, str] = {
    4: "ESP32-S3(beta2)",
    6: "ESP32-S3(beta3)",
    7: "ESP32-C6(beta)",
    10: "ESP32-H2(beta1)",
    14: "ESP32-H2(beta2)",
    17: "ESP32-C5(beta3)",
}


def normalize(name: str) -> str:
    """'ESP32-S3', 'esp32s3' and 'esp32-s3' are the same chip: 'esp32s3'."""
    return name.lower().replace("-", "").replace("(", "").replace(")", "")


@cache
def get(name: str) -> ChipSpec:
    """The chip of that name, however it is spelled.

    Raises:
        UsageError: there is no such chip; the text lists those that there are.
    """
    key = normalize(name)
    if key not in KEYS:
        raise UsageError(f"Unknown chip '{name}'. Choose one of: {', '.join(KEYS)}.")
    spec = import_module(f"esptool.chips.{key}").CHIP
    assert isinstance(spec, ChipSpec)
    return spec


def by_chip_id(chip_id: int) -> ChipSpec | None:
    """The chip whose images and security info carry `chip_id`, or None."""
    return next((c for c in map(get, KEYS) if c.image_chip_id == chip_id), None)


def by_magic(value: int) -> ChipSpec | None:
    """The chip whose word at 0x40001000 is `value`, where that tells (older chips), or None."""
    return next((c for c in map(get, KEYS) if c.rom.magic == value), None)
