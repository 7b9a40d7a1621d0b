# SPDX-License-Identifier: Apache-2.0
"""Recipes for a program that has many boards on its hands: nothing is asked, nothing printed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from espefuse import output
from espefuse.efuse_interface import SUPPORTED_CHIPS, init_commands
from espefuse.recipe.goals import State
from espefuse.recipe.key_goal import KeyGoal
from espefuse.recipe.model import KeySource
from espefuse.recipe.reader import read
from espefuse.recipe.run import Job, apply_job, check
from espefuse.recipe.sealing import digest
from espefuse.recipe.workflow import column
from esptool.device import Session
from esptool.errors import FatalError
from esptool.events import Level, Listener, Message


@dataclass(frozen=True)
class Done:
    """What a recipe did to a board.

    Attributes:
        burned: the pieces that were burned by this run, in words; `apply_recipe` tells them one by
            one as well.
        digests: SHA-256 of the recipe's keys, by purpose; of a key in two blocks, of both halves.
    """

    burned: tuple[str, ...]
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Needs:
    """What a recipe means for the rest of a job.

    Attributes:
        mac_column: the column of the board's own data that the custom MAC comes from, or None.
        encrypts: flash is decrypted by a key that is made for each board, so that what was written
            in plain is not read right any more.
    """

    mac_column: str | None
    encrypts: bool


def check_recipe(path: str | os.PathLike[str], chip: str) -> Needs:
    """Refuse a recipe that cannot be meant for a kind of chip.

    Args:
        path: the recipe.
        chip: the chip's name, normalized ("esp32c3").

    Raises:
        FatalError: names file, line and what would do.
    """
    recipe = read(path)
    check(recipe, chip)
    flash = recipe.flash_encryption
    return Needs(
        None if recipe.custom_mac is None else column(recipe.custom_mac),
        flash is not None and flash.key.source is KeySource.EACH_BOARD,
    )


def apply_recipe(
    esp: Any,
    path: str | os.PathLike[str],
    *,
    row: Mapping[str, str] | None = None,
    listener: Listener | None = None,
    burned: Callable[[str], None] = output.silence,
) -> Done:
    """Bring a connected board to the state that a recipe describes, and look at it afterwards.

    Args:
        esp: the loader object of the board, or its session.
        path: the recipe.
        row: the board's own data by column.
        listener: takes what is told.
        burned: takes each piece as soon as it is burned, see `apply`; what was burned before a
            failure is known by this alone.

    Raises:
        FatalError: it cannot be had on this board, or a burn broke off.
    """
    recipe = read(path)
    if isinstance(esp, Session):
        esp = SUPPORTED_CHIPS[esp.spec.key].chip_class.from_session(esp)

    done: list[str] = []

    def note(piece: str) -> None:
        done.append(piece)
        burned(piece)

    def told(text: str) -> None:
        if listener is not None and text.strip():
            listener(Message(text, Level.DEBUG))

    with output.redirected(told), init_commands(esp=esp, do_not_confirm=True) as commands:
        job = Job(commands, recipe, row=row)
        lines = apply_job(job, told=told, burned=note)
        open_ = [line.text for line in lines if line.state != State.DONE.value]
        if open_:
            raise FatalError(f"The recipe is not complete on this board: {', '.join(open_)}.")
        digests = {}
        for goal in job.goals:
            if not isinstance(goal, KeyGoal):
                continue
            label = None if goal.data is not None else goal.label(commands)
            if goal.data is not None:
                digests[goal.purpose] = digest(goal.data)
            elif label is not None:
                digests[goal.purpose] = label.sha256
    return Done(tuple(done), digests)
