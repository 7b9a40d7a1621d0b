# SPDX-License-Identifier: Apache-2.0
"""The command line: one file a command, loaded when that command is asked for.

`esptool.cli` is the group of commands in the public tool. Here that name is this package as soon as
one of its modules has been imported by somebody, so what programs use of the group is served, too:
its commands and parameters, and calling it, also through click's `CliRunner`.
"""

import sys
from types import ModuleType
from typing import Any

_OF_THE_GROUP = {
    "add_command", "callback", "command", "commands", "get_command", "group", "list_commands",
    "make_context", "name", "params", "resolve_command",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _OF_THE_GROUP:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_group(), name)


def _group() -> Any:
    from esptool.cli.main import cli as the_group

    return the_group


class _Package(ModuleType):
    """This package, which can be run as the group can."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _group()(*args, **kwargs)

    @property
    def main(self) -> Any:
        """The group's own `main`; the module of that name is found by importing from it."""
        return _group().main

    @main.setter
    def main(self, module: Any) -> None:
        """The import system puts the module here."""


sys.modules[__name__].__class__ = _Package
