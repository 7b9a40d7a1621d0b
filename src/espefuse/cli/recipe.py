# SPDX-License-Identifier: Apache-2.0
"""`espefuse recipe`: what the eFuses of a product are to hold, on one board after the other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from espefuse import output
from espefuse._index import CHIP_ALIASES
from espefuse.device import Lockable
from espefuse.efuse_interface import get_esp, init_commands
from espefuse.recipe.model import Recipe
from espefuse.recipe.reader import read
from espefuse.recipe.run import Line, apply, check, seen_of, status, status_of_locked
from espefuse.recipe.stages import Stage
from esptool.chips import normalize
from esptool.errors import FatalError
from esptool.files import check_output, write_atomic

SECRET_MODE = 0o600
#: Those that ask no chip.
ALONE = ("check", "owner-key", "unseal")
_MARKS = {"done": "done", "open": "open", "conflict": "CONFLICT", "unknown": "unknown"}


def run(group: Mapping[str, Any], external: Any, params: Mapping[str, Any]) -> None:
    """Do what one line says.

    Args:
        group: the values of the options before the command.
        external: a chip that a program has connected, or None.
        params: the values of the command.

    Raises:
        FatalError: it cannot be done.
    """
    action = params["action"]
    if action == "owner-key":
        _make_owner(params["file"])
    elif action == "unseal":
        _unseal(params)
    else:
        recipe = read(params["file"])
        output.result(recipe=recipe.name, file=recipe.path)
        if action == "check":
            _check(recipe, group)
        else:
            _on_board(recipe, group, external, params)


# --- without a chip ------------------------------------------------------------------------------


def _make_owner(path: str) -> None:
    from espefuse.recipe.sealing import make_owner

    for name in (path, f"{path}.pub"):
        _check_new(name)
    private, public = make_owner()
    write_atomic(path, private, SECRET_MODE)
    write_atomic(f"{path}.pub", public)
    output.emit(f"Private key: '{path}' (keep it away from the production line).")
    output.emit(f"Public key: '{path}.pub', for [owner] in a recipe.")
    output.result(file=path, key_file=f"{path}.pub")


def _check_new(name: str) -> None:
    """Refuse a file that is there: it may be another key."""
    if os.path.exists(name):
        raise FatalError(
            f"'{name}' exists: a key that is lost cannot be had back.",
            remedy="Choose another name.",
        )
    check_output(name)


def _unseal(params: Mapping[str, Any]) -> None:
    from espefuse.recipe.sealing import label_of, unseal

    if params["identity"] is None or params["output"] is None:
        raise click.UsageError("'recipe unseal' needs --identity PRIVATE-KEY and --output FILE.")
    _check_new(params["output"])
    label = label_of(params["file"])
    write_atomic(
        params["output"], unseal(params["file"], _bytes_of(params["identity"])), SECRET_MODE
    )
    output.emit(
        f"Key {label.purpose} ({label.bits} bits) of {label.chip} {label.mac} is in "
        f"'{params['output']}'."
    )
    output.result(file=params["output"])


def _bytes_of(path: str) -> bytes:
    from espefuse import keys

    with open(path, "rb") as file:
        return keys.read(file)


def _check(recipe: Recipe, group: Mapping[str, Any]) -> None:
    chip = group["chip"]
    fit = check(recipe, None if chip == "auto" else CHIP_ALIASES.get(chip, chip))
    output.emit(f"'{recipe.path}' is a whole recipe for {', '.join(fit)}.")
    output.result(chips=fit)


# --- on a board ----------------------------------------------------------------------------------


def _on_board(
    recipe: Recipe, group: Mapping[str, Any], external: Any, params: Mapping[str, Any]
) -> None:
    action = params["action"]
    esp = external
    if esp is None:
        esp = get_esp(
            group["port"], group["baud"], group["before"], group["chip"], False, group["virt"],
            group["debug"], group["path_efuse_file"], group["token"],
        )  # fmt: skip
    locked = isinstance(esp, Lockable) and esp.secure_download_mode
    if locked:
        chip = normalize(esp.CHIP_NAME)
        try:
            lines = status_of_locked(chip, seen_of(chip, esp.get_security_info()), recipe)
        finally:
            _close(esp, external)
        _tell(lines)
        if action != "status":
            _refuse_locked(lines)
        return
    with init_commands(
        esp=esp,
        debug=group["debug"],
        do_not_confirm=group["do_not_confirm"],
        extend_efuse_table=group["extend_efuse_table"],
    ) as commands:
        commands.external_esp = external is not None
        if action == "status":
            lines = status(commands, recipe)
        else:
            until = Stage(params["until"]) if params["until"] else None
            identity = _bytes_of(params["identity"]) if params["identity"] else None
            dry_run = action == "plan" or params["dry_run"]
            lines = apply(commands, recipe, until=until, identity=identity, dry_run=dry_run)
        if action == "plan":
            _report(lines)
        else:
            _tell(lines)


def _close(esp: Any, external: Any) -> None:
    from espefuse.reading import close_port

    close_port(esp, external is not None)


def _refuse_locked(lines: list[Line]) -> None:
    if any(line.state in ("open", "conflict") for line in lines):
        raise FatalError(
            "Secure download mode is on: nothing more can be burned on this board.",
            remedy="What the recipe still lacks can never be had on it.",
        )
    output.emit("Nothing is left to burn, as far as can be seen.")


def _tell(lines: list[Line]) -> None:
    stage = None
    for line in lines:
        if line.stage != stage:
            stage = line.stage
            output.emit(f"{stage}:")
        reason = f" ({line.reason})" if line.reason else ""
        output.emit(f"  {_MARKS[line.state]:<8} {line.text}{reason}")
    output.emit(f"The recipe is {'complete' if _report(lines) else 'not complete'}.")


def _report(lines: list[Line]) -> bool:
    complete = not any(line.state in ("open", "conflict") for line in lines)
    output.result(complete=complete, pieces=[asdict(line) for line in lines])
    return complete
