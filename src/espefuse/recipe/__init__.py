# SPDX-License-Identifier: Apache-2.0
"""Recipes: what the eFuses of a secure product are to hold in the end, in one file for all boards.

    recipe = read("product.toml")
    with init_commands(port="virtual://esp32c3") as commands:
        for line in status(commands, recipe): ...
        apply(commands, recipe)

A recipe names no board. For the board at hand it is compared with what is burned; what is open is
shown, and burned in the order of the vendor's published workflows; what is burned stays.
"""

from __future__ import annotations

from espefuse.recipe.model import Recipe as Recipe
from espefuse.recipe.reader import read as read
from espefuse.recipe.run import Line as Line
from espefuse.recipe.run import Watcher as Watcher
from espefuse.recipe.run import apply as apply
from espefuse.recipe.run import check as check
from espefuse.recipe.run import status as status
from espefuse.recipe.stages import Stage as Stage
from espefuse.recipe.station import apply_recipe as apply_recipe
from espefuse.recipe.station import check_recipe as check_recipe

__all__ = [
    "Line",
    "Recipe",
    "Stage",
    "Watcher",
    "apply",
    "apply_recipe",
    "check",
    "check_recipe",
    "read",
    "status",
]
