# SPDX-License-Identifier: Apache-2.0
"""Which logger is active, and that programs built on the `esp_pylib` package find the same one.

Those programs import `log` and `EspLog` from `esp_pylib.logger`, silence them or put a logger of
their own there, and expect esptool to follow. The package is none of our dependencies and slow to
import, so it is met only where it is loaded anyway: before this module, or later, when a finder
that stands first among Python's sees its name.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

TYPE_CHECKING = False  # as in `typing`, whose import would be a good part of the start-up time
if TYPE_CHECKING:
    from typing import Any

_PYLIB = "esp_pylib.logger"


class _State:
    active: Any = None
    log: Any = None
    maker: Any = None
    template: Any = None


_state = _State()


def active() -> Any:
    """The logger installed last, here or in `esp_pylib`; None before there is one."""
    pylib = sys.modules.get(_PYLIB)
    theirs = None if pylib is None else getattr(pylib, "EspLog", None)
    if theirs is not None and theirs.instance is not None:
        return theirs.instance
    return _state.active


def activate(logger: Any) -> None:
    """Install a logger, in `esp_pylib` too where that is loaded."""
    _state.active = logger
    pylib = sys.modules.get(_PYLIB)
    theirs = None if pylib is None else getattr(pylib, "EspLog", None)
    if theirs is not None:
        theirs.instance = logger


def offer(log: Any, maker: Any, template: Any) -> None:
    """Serve `esp_pylib` from now on.

    Args:
        log: what its `log` becomes.
        maker: called for a logger when there is none yet.
        template: class of loggers that it accepts as its own.
    """
    _state.log, _state.maker, _state.template = log, maker, template
    loaded = sys.modules.get(_PYLIB)
    if loaded is None:
        sys.meta_path.insert(0, _Finder)
    else:
        _join(loaded)


def _join(pylib: Any) -> None:
    pylib.EspLogBase.register(_state.template)
    if pylib.EspLog.instance is None:
        # Whoever chose a logger before esptool was imported keeps it.
        pylib.EspLog.instance = _state.active or _state.maker()
    pylib.log = _state.log


class _Finder:
    """Finds one module, once, as Python would, and has it joined when it has been loaded."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _PYLIB:
            return None
        sys.meta_path.remove(cls)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            stand_in: Any = _Loader(spec.loader)
            spec.loader = stand_in
        return spec


class _Loader:
    """A module's own loader, and `_join` behind it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self._loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        # From now on nobody must see this stand-in: tracebacks ask a loader for source.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _join(module)
