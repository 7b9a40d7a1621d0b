# SPDX-License-Identifier: Apache-2.0
"""Names of a module that live elsewhere, and are imported when somebody asks for them."""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, whose import would double the time of `import esptool`

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def borrowed(
    module: str, homes: Mapping[str, str], rest: str | None = None
) -> Callable[[str], Any]:
    """A `__getattr__` for a module by which names of other modules are reachable as well.

    Programs import some names from where the public tool happens to use them. They are looked up
    when asked for, so that a module does not load what only such programs need.

    Args:
        module: the module's own name, for the error.
        homes: name to module, with ":" and the name there where it has another; with ":" alone it
            is the module itself.
        rest: where any other name is looked for, unless it is a module inside a package `module`.
    """

    def find(name: str) -> Any:
        from importlib import import_module

        if name in homes:
            home, colon, other = homes[name].partition(":")
            found = import_module(home)
            return found if colon and not other else getattr(found, other or name)
        missing = f"module '{module}' has no attribute '{name}'"
        if rest is None or name.startswith("__") or _is_inside(module, name):
            raise AttributeError(missing)
        try:
            return getattr(import_module(rest), name)
        except AttributeError:
            raise AttributeError(missing) from None

    return find


def _is_inside(package: str, name: str) -> bool:
    """It is a module of the package, which the import system loads when this finds nothing."""
    from importlib.util import find_spec

    return find_spec(f"{package}.{name}") is not None
