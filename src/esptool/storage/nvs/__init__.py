# SPDX-License-Identifier: Apache-2.0
"""NVS, the key-value storage of ESP-IDF: read, changed as the chip changes it, built, compared."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from esptool.storage.changes import Erase as Erase
    from esptool.storage.changes import Program as Program
    from esptool.storage.nvs.check import PageInfo as PageInfo
    from esptool.storage.nvs.check import Problem as Problem
    from esptool.storage.nvs.difference import Difference as Difference
    from esptool.storage.nvs.difference import compare as compare
    from esptool.storage.nvs.generate import Row as Row
    from esptool.storage.nvs.generate import build as build
    from esptool.storage.nvs.keys import NvsKeys as NvsKeys
    from esptool.storage.nvs.nvs import Nvs as Nvs
    from esptool.storage.nvs.nvs import NvsKeyError as NvsKeyError
    from esptool.storage.nvs.store import NvsFullError as NvsFullError
    from esptool.storage.nvs.table import read_table as read_table
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
            "Row": _HERE + "generate",
            "build": _HERE + "generate",
            "Difference": _HERE + "difference",
            "compare": _HERE + "difference",
            "read_table": _HERE + "table",
            "Entry": _HERE + "values",
            "Kind": _HERE + "values",
            "Problem": _HERE + "check",
            "PageInfo": _HERE + "check",
            "Program": "esptool.storage.changes",
            "Erase": "esptool.storage.changes",
        },
    )
