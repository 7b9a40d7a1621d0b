# SPDX-License-Identifier: Apache-2.0
"""The step `recipe`: brings a board's eFuses to the state that the recipe of a file describes.

Recipes are `espefuse.recipe`'s. They are imported where a job has such a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esp_station.steps.base import Env, Step, refuse_before_rows
from esp_station.tomlfile import Table, did_you_mean
from esptool.errors import FatalError

if TYPE_CHECKING:
    from esp_station.board import Board
    from esp_station.rows import Row


@dataclass(frozen=True, slots=True)
class Recipe(Step):
    """Brings eFuses and flash to the state that a recipe names."""

    path: str
    mac_column: str | None

    def try_row(self, row: Row) -> None:
        """See `Step.try_row`."""
        if self.mac_column is None:
            return
        from espefuse.codecs import parse_mac

        address = row.values.get(self.mac_column, "")
        try:
            parse_mac(address)
        except FatalError as e:
            raise FatalError(
                f"row '{row.key}': '{address}' in the column '{self.mac_column}' cannot be a "
                f"custom MAC: {e.message}"
            ) from e

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
        needs = check_recipe(path, env.identity.chip.key)
    except FatalError as e:
        table.wrong(None, e.message, e.remedy)
        return None
    if needs.mac_column is not None and not env.rows_unread:
        if not refuse_before_rows(table, env, "The custom MAC of the recipe"):
            return None
        if needs.mac_column not in (env.columns or ()):
            hint = did_you_mean(needs.mac_column, env.columns or ())
            table.wrong("file", f"Its custom MAC is of a column '{needs.mac_column}'.{hint}")
            return None
    env.writes = True
    env.encrypts |= needs.encrypts
    return Recipe("recipe", name, path, needs.mac_column)
