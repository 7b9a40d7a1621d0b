# SPDX-License-Identifier: Apache-2.0
"""The engine as its users know it: a chip's eFuses with batch mode and the burn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from espefuse.fields import Staged
from espefuse.state import AbortedError as AbortedError
from espefuse.state import BurnError as BurnError
from espefuse.state import EfuseState
from esptool.records import dataclass


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is staged, and how the next burn is to be made, at one moment."""

    batch_mode_cnt: int
    staged: tuple[Staged, ...]
    before_burn: Callable[[], bool] | None
    show_token: bool
    force_write_always: bool | None
    postpone: bool


class Efuses(EfuseState):
    """All eFuses of one chip, to be read, staged and burned; see `EfuseState`.

    Attributes:
        batch_mode_cnt: while positive, burning only counts down.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batch_mode_cnt = 0

    def use_batch_mode(self) -> None:
        """Only stage from now on, until `burn_all` was asked for as often as this."""
        self.batch_mode_cnt += 1

    def burn_all(self, check_batch_mode: bool = False) -> bool:
        """Burn everything staged; True when nothing is left to do.

        With `check_batch_mode` a positive batch counter only delays the burn (False).

        Raises:
            FatalError: a block refuses what is staged (then nothing was burned).
            BurnError: the burn broke off or did not take; its text says what holds now.
        """
        if self.batch_mode_cnt and not check_batch_mode:
            self.batch_mode_cnt -= 1
        if self.batch_mode_cnt:
            self.emit("\nBatch mode is enabled, the burn will be done at the end of the command.")
            return False
        from espefuse.burn import burn_staged  # only a burn needs it

        return burn_staged(self)

    def checkpoint(self) -> Checkpoint:
        """What `restore` takes back to."""
        return Checkpoint(
            self.batch_mode_cnt,
            tuple(block.staged() for block in self.blocks),
            self.before_burn,
            self.show_token,
            self.force_write_always,
            self.postpone,
        )

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """What is staged meanwhile is taken back where that fails."""
        before = self.checkpoint()
        try:
            yield
        except BaseException:
            self.restore(before)
            raise

    def restore(self, before: Checkpoint, *, staged: bool = True) -> None:
        """Go back to the settings of a checkpoint, and with `staged` to what was staged then."""
        self.before_burn = before.before_burn
        self.show_token = before.show_token
        self.force_write_always = before.force_write_always
        self.postpone = before.postpone
        if staged:
            self.batch_mode_cnt = before.batch_mode_cnt
            for block, then in zip(self.blocks, before.staged, strict=True):
                block.stage_only(then)
