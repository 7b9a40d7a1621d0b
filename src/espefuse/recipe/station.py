# SPDX-License-Identifier: Apache-2.0
"""Recipes for a program that has many boards on its hands: nothing is asked, nothing printed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from espefuse.efuse_interface import SUPPORTED_CHIPS, init_commands
from espefuse.recipe.goals import State
from espefuse.recipe.key_goal import KeyGoal
from espefuse.recipe.model import KeySource
from espefuse.recipe.reader import read
from espefuse.recipe.run import Job, Watcher, check
from espefuse.recipe.sealing import digest
from espefuse.recipe.stages import Stage
from espefuse.recipe.workflow import column
from esptool.device import Session
from esptool.errors import FatalError
from esptool.events import Event, Level, Listener, Message


@dataclass(frozen=True)
class Done:
    """What a recipe did to a board.

    Attributes:
        burned: the pieces that were burned by this run, in words; a `Watcher` is told of them as
            they are burned.
        digests: SHA-256 of the recipe's keys, by purpose; of a key in two blocks, of both halves.
        flash_key: the flash encryption key as a file has it, where it is in a file or was burned
            by this run. Of an older key of the board's own only its owner knows it.
    """

    burned: tuple[str, ...]
    digests: Mapping[str, str]
    flash_key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Needs:
    """What a recipe means for the rest of a job.

    Attributes:
        mac_column: the column of the board's own data that the custom MAC comes from, or None.
        encrypts: flash is decrypted by a key that the recipe brings, so that what was written in
            plain is not read right any more.
        own_key: that key is made for each board, so that nobody else can have encrypted for it.
    """

    mac_column: str | None
    encrypts: bool
    own_key: bool


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
    source = None if flash is None else flash.key.source
    return Needs(
        None if recipe.custom_mac is None else column(recipe.custom_mac),
        source in (KeySource.EACH_BOARD, KeySource.FILE),
        source is KeySource.EACH_BOARD,
    )


class _Noted(Watcher):
    """Tells another one, and keeps what was burned."""

    def __init__(self, other: Watcher) -> None:
        self._other = other
        self.pieces: list[str] = []

    def burning(self, pieces: Sequence[str]) -> None:
        self._other.burning(pieces)

    def burned(self, pieces: Sequence[str]) -> None:
        self.pieces += pieces
        self._other.burned(pieces)


def apply_recipe(
    esp: Any,
    path: str | os.PathLike[str],
    *,
    until: Stage | None = None,
    row: Mapping[str, str] | None = None,
    listener: Listener | None = None,
    watcher: Watcher | None = None,
) -> Done:
    """Bring a connected board to the state that a recipe describes, and look at it afterwards.

    Args:
        esp: the loader object of the board, or its session.
        path: the recipe.
        until: the last stage to burn; None for all.
        row: the board's own data by column.
        listener: takes what is told.
        watcher: told of each burn; what was burned before a failure is known by this alone.

    Raises:
        FatalError: it cannot be had on this board, or a burn broke off.
    """
    recipe = read(path)
    if isinstance(esp, Session):
        esp = SUPPORTED_CHIPS[esp.spec.key].chip_class.from_session(esp)
    noted = _Noted(watcher or Watcher())

    def told(text: str) -> None:
        if listener is not None and text.strip():
            listener(Message(text, Level.DEBUG))

    def heard(event: Event) -> None:
        if isinstance(event, Message):
            told(event.text)

    with init_commands(esp=esp, do_not_confirm=True, listener=heard) as commands:
        job = Job(commands, recipe, row=row)
        last = max(stage.position for stage in Stage) if until is None else until.position
        open_ = [
            line.text
            for line in job.apply(until, told=told, watcher=noted)
            if line.state != State.DONE.value and Stage(line.stage).position <= last
        ]
        if open_:
            raise FatalError(f"The recipe is not complete on this board: {', '.join(open_)}.")
        keys = [goal for goal in job.goals if isinstance(goal, KeyGoal)]
        digests = {}
        for goal in keys:
            label = None if goal.data is not None else goal.label(commands)
            if goal.data is not None:
                digests[goal.purpose] = digest(goal.data)
            elif label is not None:
                digests[goal.purpose] = label.sha256
        flash_key = next((goal.data or goal.staged for goal in keys if goal.encrypts_flash), None)
    return Done(tuple(noted.pieces), digests, flash_key)
