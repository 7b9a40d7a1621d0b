# SPDX-License-Identifier: Apache-2.0
"""The chips: `get("esp32s3")` gives a `ChipSpec`; its file is imported when first asked for.

Which there are stands in the generated `_index`, so that lists of them cost next to nothing.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from esptool.chips._index import BY_CHIP_ID, BY_MAGIC, KEYS, QUICK_RESET, RETIRED_IDS
from esptool.errors import UsageError

if TYPE_CHECKING:
    from esptool.chips.spec import ChipSpec

__all__ = [
    "KEYS",
    "QUICK_RESET",
    "RETIRED_IDS",
    "ChipSpec",
    "by_chip_id",
    "by_magic",
    "get",
    "normalize",
]


def __getattr__(name: str) -> Any:
    """`ChipSpec`, whose schema is loaded with the first chip."""
    if name == "ChipSpec":
        from esptool.chips.spec import ChipSpec

        return ChipSpec
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


#: What people and menus put between the letters and digits of a chip's name.
_NO_PART_OF_A_KEY = str.maketrans("", "", "-_()")


def normalize(name: str) -> str:
    """'ESP32-S3', 'esp32_s3' and 'esp32-s3' are the same chip: 'esp32s3'."""
    return name.lower().translate(_NO_PART_OF_A_KEY)


@cache
def get(name: str) -> ChipSpec:
    """The chip of that name, however it is spelled.

    Raises:
        UsageError: there is no such chip; the text lists those that there are.
    """
    key = normalize(name)
    if key not in KEYS:
        raise UsageError(f"Unknown chip '{name}'. Choose one of: {', '.join(KEYS)}.")
    spec: ChipSpec = import_module(f"esptool.chips.{key}").CHIP
    return spec


def by_chip_id(chip_id: int) -> ChipSpec | None:
    """The chip whose images and security info carry `chip_id`, or None."""
    key = BY_CHIP_ID.get(chip_id)
    return None if key is None else get(key)


def by_magic(value: int) -> ChipSpec | None:
    """The chip whose word at 0x40001000 is `value`, where that tells (older chips), or None."""
    key = BY_MAGIC.get(value)
    return None if key is None else get(key)
