# SPDX-License-Identifier: Apache-2.0
"""The step `recipe`: brings a board's eFuses to the state that the recipe of a file describes.

Recipes are `espefuse.recipe`'s. They are imported where a job has such a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esp_station.steps.base import Env, Step
from esp_station.tomlfile import Table
from esptool.errors import FatalError

if TYPE_CHECKING:
    from esp_station.board import Board


@dataclass(frozen=True, slots=True)
class Recipe(Step):
    """Brings eFuses and flash to the state that a recipe names."""

    path: str

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        from espefuse.recipe import apply_recipe

        row = None if board.row is None else dict(board.row.values)
        done = apply_recipe(
            board.loader(),
            self.path,
            row=row,
            listener=board.listen,
            burned=board.attempt.fuses.append,  # a failure must not hide what is burned
        )
        board.attempt.digests |= dict(done.digests)
        return f"{len(done.burned)} eFuses burned"


def read_recipe(table: Table, env: Env, name: str) -> Step | None:
    """The step `recipe`: `file`."""
    path = env.file(table, "file")
    if path is None:
        return None
    from espefuse.recipe import check_recipe

    try:
        check_recipe(path, env.identity.chip.key)
    except FatalError as e:
        table.wrong(None, e.message, e.remedy)
        return None
    env.writes = True
    return Recipe("recipe", name, path)
