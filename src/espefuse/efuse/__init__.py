# SPDX-License-Identifier: Apache-2.0
"""Module paths of esptool v5 (`espefuse.efuse...`); the code is in `espefuse` itself."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from espefuse._index import CHIP_NAMES


def _chip_modules() -> None:
    """Make `espefuse.efuse.esp32c3` and its like importable (tests of programs).

    Each has `EmulateEfuseController`, also as `emulate_efuse_controller.EmulateEfuseController`.
    """

    def module(name: str, key: str) -> ModuleType:
        made = ModuleType(name, "Where the virtual eFuse controller of a chip is imported from.")

        def find(attribute: str) -> Any:
            if attribute != "EmulateEfuseController":
                raise AttributeError(f"module '{name}' has no attribute '{attribute}'")
            from espefuse.efuse.emulate_efuse_controller_base import of_chip

            found = of_chip(key)
            setattr(made, attribute, found)
            return found

        made.__dict__["__getattr__"] = find
        sys.modules[name] = made
        return made

    for key in CHIP_NAMES:
        chip = module(f"{__name__}.{key}", key)
        chip.__dict__["__path__"] = []
        inner = module(f"{__name__}.{key}.emulate_efuse_controller", key)
        chip.__dict__["emulate_efuse_controller"] = inner
        globals()[key] = chip


_chip_modules()
