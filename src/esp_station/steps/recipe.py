# SPDX-License-Identifier: Apache-2.0
"""The step `recipe`: hands a board over to the security recipe of a file.

Recipes are `espefuse`'s. This step asks for two of its functions by name, so that a version without
them refuses the job in plain words:

- `check_recipe(path, chip)` raises `FatalError` where a recipe cannot be meant;
- `apply_recipe(session, path, row=..., listener=...)` brings the board to the state that it names
  and verifies that. What it gives back has `burned`, the names of the eFuses, and `digests`, of
  keys by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from esp_station.steps.base import Env, Step
from esp_station.tomlfile import Table
from esptool.errors import FatalError, NotSupportedError

if TYPE_CHECKING:
    from esp_station.board import Board

HOME = "espefuse.recipe"


def function(name: str) -> Callable[..., Any]:
    """One of the functions of recipes.

    Raises:
        NotSupportedError: this version has none.
    """
    try:
        found = getattr(import_module(HOME), name)
    except (ImportError, AttributeError):
        raise NotSupportedError(
            "This version of espefuse has no recipes, so the step 'recipe' cannot be done.",
            remedy="Burn eFuses with espefuse plan and apply after the station, or update esptool.",
        ) from None
    assert callable(found)
    call: Callable[..., Any] = found
    return call


@dataclass(frozen=True, slots=True)
class Recipe(Step):
    """Brings eFuses and flash to the state that a recipe names."""

    path: str

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        row = None if board.row is None else dict(board.row.values)
        done = function("apply_recipe")(board.loader(), self.path, row=row, listener=board.listen)
        board.attempt.fuses += list(done.burned)
        board.attempt.digests |= dict(done.digests)
        return f"{len(done.burned)} eFuses burned"


def read_recipe(table: Table, env: Env, name: str) -> Step | None:
    """The step `recipe`: `file`."""
    path = env.file(table, "file")
    if path is None:
        return None
    try:
        function("check_recipe")(path, env.identity.chip.key)
    except FatalError as e:
        table.wrong(None, e.message, e.remedy)
        return None
    env.writes = True
    return Recipe("recipe", name, path)
