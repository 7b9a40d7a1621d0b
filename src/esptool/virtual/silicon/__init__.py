# SPDX-License-Identifier: Apache-2.0
"""Chips as silicon, one module a SoC; only the one that is asked for is imported."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from esptool.virtual.silicon.spec import Silicon

__all__ = ["Silicon", "names", "of"]


def of(key: str) -> Silicon:
    """The silicon of the chip with this key, such as "esp32s3".

    Raises:
        KeyError: there is none.
    """
    try:
        module = import_module(f"{__name__}.{key}")
    except ModuleNotFoundError:
        raise KeyError(key) from None
    found: Silicon = module.SILICON
    return found


def names() -> list[str]:
    """The keys of all chips, in no order that means anything."""
    return [name for _, name, _ in pkgutil.iter_modules(__path__) if name.startswith("esp")]
