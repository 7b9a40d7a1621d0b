# SPDX-License-Identifier: Apache-2.0
"""NVS, the key-value storage of ESP-IDF: read, changed as the chip changes it, built, compared."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from esptool.storage.nvs.check import PageInfo as PageInfo
    from esptool.storage.nvs.check import Problem as Problem
    from esptool.storage.nvs.keys import NvsKeys as NvsKeys
    from esptool.storage.nvs.medium import Erase as Erase
    from esptool.storage.nvs.medium import Program as Program
    from esptool.storage.nvs.nvs import Nvs as Nvs
    from esptool.storage.nvs.nvs import NvsKeyError as NvsKeyError
    from esptool.storage.nvs.store import NvsFullError as NvsFullError
    from esptool.storage.nvs.values import Entry as Entry
    from esptool.storage.nvs.values import Kind as Kind
else:
    from esptool.lazily import borrowed

    _HERE = "esptool.storage.nvs."
    __getattr__ = borrowed(
        __name__,
        {
            "Nvs": _HERE + "nvs",
            "NvsKeyError": _HERE + "nvs",
            "NvsFullError": _HERE + "store",
            "NvsKeys": _HERE + "keys",
            "Entry": _HERE + "values",
            "Kind": _HERE + "values",
            "Problem": _HERE + "check",
            "PageInfo": _HERE + "check",
            "Program": _HERE + "medium",
            "Erase": _HERE + "medium",
        },
    )
