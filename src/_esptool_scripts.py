# SPDX-License-Identifier: Apache-2.0
"""What the console scripts call. It exists because one of them is named like a module.

The scripts `esptool.py`, `espefuse.py` ... are installed into a folder that Python puts first on
its search path when any script from there runs. `import esptool` would then find the script, not
the package. Asking this module for a name repairs the path, and where a script has been imported
by mistake puts the package in its place.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable

_PACKAGES = ("esptool", "espefuse", "espsecure", "esp_rfc2217_server", "esp_station")


def _repair() -> None:
    """Take folders that hold our scripts off the search path, and scripts out of `sys.modules`."""
    sys.path[:] = [
        folder
        for folder in sys.path
        if not any(os.path.isfile(os.path.join(folder, f"{name}.py")) for name in _PACKAGES)
    ]
    importlib.invalidate_caches()
    for name in _PACKAGES:
        module = sys.modules.get(name)
        if module is not None and not hasattr(module, "__path__"):
            del sys.modules[name]
            importlib.import_module(name)


def _end_quietly_while_loading() -> None:
    """Ctrl-C has nothing to clean up yet, so the system may end the process, without a traceback.

    `esptool.cli.ending` takes over once the program runs.
    """
    import _signal

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def __getattr__(name: str) -> Callable[[], object]:
    """The entry point of a package: `esptool` for the script of that name, `esptool_py` for
    the one with a suffix. Scripts ask anew each time, so that each of them can be repaired."""
    package = name.removesuffix("_py")
    if package not in _PACKAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _end_quietly_while_loading()
    _repair()

    def call() -> object:
        entry = "_main_py" if name != package else "_main"
        return getattr(importlib.import_module(package), entry)()

    return call
