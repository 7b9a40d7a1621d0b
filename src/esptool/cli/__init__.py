# SPDX-License-Identifier: Apache-2.0
"""The command line: one file a command, loaded when that command is asked for.

`esptool.cli` is the group of commands in the public tool. Here that name is this package as soon as
one of its modules has been imported by somebody, so what programs use of the group is served, too.
"""

from typing import Any

_OF_THE_GROUP = {
    "add_command", "command", "commands", "get_command", "group", "list_commands", "make_context",
    "params", "resolve_command",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _OF_THE_GROUP:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from esptool.cli.main import cli as the_group

    return getattr(the_group, name)
