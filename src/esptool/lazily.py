# SPDX-License-Identifier: Apache-2.0
"""Names of a module that live elsewhere, and are imported when somebody asks for them."""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, whose import would double the time of `import esptool`

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def borrowed(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for a module by which names of other modules are reachable as well.

    Programs import some names from where the public tool happens to use them. They are looked up
    when asked for, so that a module does not load what only such programs need.

    Args:
        module: the module's own name, for the error.
        homes: name to module, with ":" and the name there where it has another; with ":" alone it
            is the module itself.
    """

    def find(name: str) -> Any:
        from importlib import import_module

        if name not in homes:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        home, colon, other = homes[name].partition(":")
        found = import_module(home)
        return found if colon and not other else getattr(found, other or name)

    return find
