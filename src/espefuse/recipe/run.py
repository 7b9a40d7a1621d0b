# SPDX-License-Identifier: Apache-2.0
"""A recipe on the board at hand: what holds, what is open, and burning what is open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from espefuse import output, schema
from espefuse._index import CHIP_NAMES
from espefuse.commands import BaseCommands
from espefuse.plan import make, text
from espefuse.recipe.goals import Goal, Seen, State, Verdict
from espefuse.recipe.model import Recipe
from espefuse.recipe.sealing import KeyStore
from espefuse.recipe.stages import Stage
from espefuse.recipe.workflow import NO_BOARD, goals
from espefuse.state import BurnError
from esptool.errors import FatalError
from esptool.events import ignore


@dataclass(frozen=True)
class Line:
    """One piece of a recipe as it stands on a board.

    Attributes:
        stage: when it is burned, see `Stage`.
        text: the piece in words: "SECURE_BOOT_EN = 1".
        state: "done", "open", "conflict" or "unknown".
        reason: more about the state, "" where there is nothing to add.
    """

    stage: str
    text: str
    state: str
    reason: str


def check(recipe: Recipe, chip: str | None = None) -> list[str]:
    """The chips that the recipe can be used on, looked at without any board.

    Args:
        chip: only this one; None for those that the recipe names, or for all.

    Raises:
        FatalError: one of them cannot do what the recipe asks for; where the recipe names no chip,
            none of all can.
    """
    names = [chip] if chip else list(recipe.chips)
    if names:
        for name in names:
            goals(recipe, schema.load(name), NO_BOARD, None)
        return names
    fit, last = [], None
    for name in CHIP_NAMES:
        try:
            goals(recipe, schema.load(name), NO_BOARD, None)
            fit.append(name)
        except FatalError as e:
            last = e
    if not fit and last is not None:
        raise last
    return fit


def mac_of(commands: BaseCommands) -> str:
    """The factory MAC of a board, in lower case."""
    raw: int = commands.efuses["MAC"].raw()
    return ":".join(f"{b:02x}" for b in raw.to_bytes(6, "big"))


class Watcher:
    """Is told of each burn before and after it. As it stands it does nothing."""

    def burning(self, pieces: Sequence[str]) -> None:
        """These pieces are burned next, at once: until `burned` nobody knows whether they hold.

        An exception of it ends the run before the burn.
        """

    def burned(self, pieces: Sequence[str]) -> None:
        """They are burned, and were read back."""


class Job:
    """A recipe and one board."""

    def __init__(
        self,
        commands: BaseCommands,
        recipe: Recipe,
        identity: bytes | None = None,
        row: Mapping[str, str] | None = None,
    ) -> None:
        self.commands = commands
        self.recipe = recipe
        if commands.efuses.controller is not None:
            # What a burn that broke off has left must be seen: a key is never made twice.
            commands.efuses.reread()
        store = KeyStore(recipe.owner, identity) if recipe.owner else None
        self.goals = goals(recipe, commands.efuses.table, mac_of(commands), store, row)

    def lines(self) -> list[Line]:
        """Each piece with its state on the board."""
        return [_line(goal, goal.judge(self.commands)) for goal in self.goals]

    def open(self, until: Stage | None = None) -> list[Goal]:
        """The pieces that are to be burned.

        Args:
            until: the last stage that counts; None for all.

        Raises:
            FatalError: one of all pieces can never hold on this board.
        """
        found = []
        for goal in self.goals:
            verdict = goal.judge(self.commands)
            if verdict.state is State.CONFLICT:
                raise FatalError(
                    f"The recipe cannot be had on this board: {goal.text}: {verdict.reason}.",
                    remedy="Nothing was burned.",
                )
            late = until is not None and goal.stage.position > until.position
            if verdict.state is State.OPEN and not late:
                found.append(goal)
        return found

    def stage(self, wanted: Iterable[Goal], *, to_show: bool = False) -> None:
        """Stage pieces, to be burned at once, or only to be shown."""
        self.commands.use_batch_mode()
        for block in self.commands.efuses.blocks:
            block.resumed = True
        for goal in wanted:
            (goal.stage_to_show if to_show else goal.stage_in)(self.commands)

    def burn(self, wanted: list[Goal]) -> None:
        """Burn pieces of one stage, and look at them afterwards."""
        efuses = self.commands.efuses
        before = efuses.checkpoint()
        finished = False
        try:
            with output.told_to(ignore):
                self.stage(wanted)
            self.commands.burn_all()
            finished = True
        finally:
            efuses.restore(before, staged=not finished)
        if efuses.unproved:
            return
        for goal in wanted:
            verdict = goal.judge(self.commands)
            if verdict.state not in (State.DONE, State.UNKNOWN):
                raise BurnError(
                    f"{goal.text} was burned, but does not hold: {verdict.reason or 'still open'}.",
                    burned=[],
                    remedy="Read 'espefuse summary', and run the recipe once more.",
                )

    def apply(
        self,
        until: Stage | None = None,
        *,
        dry_run: bool = False,
        told: Callable[[str], None] = output.emit,
        watcher: Watcher | None = None,
    ) -> list[Line]:
        """See the function `apply`."""
        wanted = self.open(until)
        efuses = self.commands.efuses
        if not wanted:
            told("Nothing is left to burn.")
            return self.lines()
        _show(self, wanted, told)
        if dry_run:
            told("Nothing was burned.")
            return self.lines()
        efuses.confirm("")
        asked, efuses.do_not_confirm = efuses.do_not_confirm, True
        try:
            self._burn_stages(wanted, told, watcher or Watcher())
        finally:
            efuses.do_not_confirm = asked
        if efuses.unproved:
            told(
                f"Burned, but {', '.join(efuses.unproved)} could not be read back and compared: "
                "the chip is out of reach now."
            )
            left = [goal for goal in self.goals if goal not in wanted]
            return [_line(goal, goal.judge(self.commands)) for goal in left] + [
                Line(goal.stage.value, goal.text, State.DONE.value, "") for goal in wanted
            ]
        told("Successful.")
        return self.lines()

    def _burn_stages(
        self, wanted: list[Goal], told: Callable[[str], None], watcher: Watcher
    ) -> None:
        for stage in Stage:
            mine = [goal for goal in wanted if goal.stage is stage]
            if mine:
                told(f"\n=== {stage.value.capitalize()} ===")
                pieces = [goal.text for goal in mine]
                watcher.burning(pieces)
                self.burn(mine)
                watcher.burned(pieces)


def _line(goal: Goal, verdict: Verdict) -> Line:
    return Line(goal.stage.value, goal.text, verdict.state.value, verdict.reason)


def status_of_locked(chip: str, seen: Seen, recipe: Recipe) -> list[Line]:
    """How far a board is that is in secure download mode, by what it tells of itself.

    Args:
        chip: its name, normalized.
        seen: what `seen_of` makes of its security information.
        recipe: as `read` gives it.
    """
    found = goals(
        recipe, schema.load(chip), NO_BOARD, KeyStore(recipe.owner) if recipe.owner else None
    )
    return [_line(goal, goal.judge_seen(seen)) for goal in found]


#: Flags of security information by the eFuses that they show.
_FLAGS = {
    "SECURE_BOOT_EN": "SECURE_BOOT_EN",
    "SECURE_BOOT_AGGRESSIVE_REVOKE": "SECURE_BOOT_AGGRESSIVE_REVOKE",
    "ENABLE_SECURITY_DOWNLOAD": "SECURE_DOWNLOAD_ENABLE",
    "SECURE_BOOT_KEY_REVOKE0": "SECURE_BOOT_KEY_REVOKE0",
    "SECURE_BOOT_KEY_REVOKE1": "SECURE_BOOT_KEY_REVOKE1",
    "SECURE_BOOT_KEY_REVOKE2": "SECURE_BOOT_KEY_REVOKE2",
    "HARD_DIS_JTAG": "HARD_DIS_JTAG",
    "DIS_PAD_JTAG": "HARD_DIS_JTAG",
    "DIS_DOWNLOAD_DCACHE": "DIS_DOWNLOAD_DCACHE",
    "DIS_DOWNLOAD_ICACHE": "DIS_DOWNLOAD_ICACHE",
}


#: What every chip tells. Of the other flags only that they are set means something.
_ALWAYS_TOLD = {
    "SECURE_BOOT_EN", "SECURE_BOOT_AGGRESSIVE_REVOKE", "ENABLE_SECURITY_DOWNLOAD",
    "SECURE_BOOT_KEY_REVOKE0", "SECURE_BOOT_KEY_REVOKE1", "SECURE_BOOT_KEY_REVOKE2",
    "SPI_BOOT_CRYPT_CNT",
}  # fmt: skip


def seen_of(chip: str, info: Mapping[str, Any]) -> Seen:
    """Fields as the security information of a chip shows them.

    Args:
        chip: its name, normalized.
        info: what `get_security_info()` gives, with `parsed_flags` and `key_purposes`.
    """
    table = schema.load(chip)
    flags = info["parsed_flags"]
    seen: dict[str, Any] = {
        name: int(flags[flag]) for name, flag in _FLAGS.items() if flag in flags
    }
    seen["SPI_BOOT_CRYPT_CNT"] = info["flash_crypt_cnt"]
    seen["sure"] = _ALWAYS_TOLD
    numbers = list(info.get("key_purposes") or ())
    seen["key_purposes"] = {p.name for p in table.purposes if p.value in numbers and p.value}
    seen["split"] = lambda name: table.purpose_split.get(name, (name,))
    return seen


def status(commands: BaseCommands, recipe: Recipe) -> list[Line]:
    """How far a board is. Changes nothing.

    Args:
        commands: of the connected board (`espefuse.init_commands`).
        recipe: as `read` gives it.

    Raises:
        FatalError: the recipe is not for this kind of chip.
    """
    return Job(commands, recipe).lines()


def apply(
    commands: BaseCommands,
    recipe: Recipe,
    *,
    until: Stage | None = None,
    identity: bytes | None = None,
    dry_run: bool = False,
    row: Mapping[str, str] | None = None,
    told: Callable[[str], None] = output.emit,
    watcher: Watcher | None = None,
) -> list[Line]:
    """Burn what is open of a recipe, stage by stage, each one read back before the next.

    What is burned already is left alone, so that a broken run is simply begun again.

    Args:
        commands: of the connected board; its `do_not_confirm` counts.
        recipe: as `read` gives it.
        until: the last stage to burn; None for all.
        identity: the owner's private key (PEM), to complete a key whose burn broke off.
        dry_run: show what would be burned, and burn nothing.
        row: the board's own data, for places like "{row.mac}".
        told: takes the text for a person.
        watcher: told of each burn.

    Returns:
        All pieces as they stand then.

    Raises:
        FatalError: a piece cannot hold on this board (nothing was burned).
        BurnError: a burn broke off; its text says what holds.
        AbortedError: the user did not confirm.
    """
    job = Job(commands, recipe, identity, row)
    return job.apply(until, dry_run=dry_run, told=told, watcher=watcher)


def _show(job: Job, wanted: list[Goal], told: Callable[[str], None]) -> None:
    """Each stage with its bits, what can never be undone after it, and warnings."""
    told("What is going to be burned, in this order:")
    for stage in Stage:
        mine = [goal for goal in wanted if goal.stage is stage]
        if mine:
            told(f"  {stage.value}:")
            for goal in mine:
                new = " (made now, and sealed)" if goal.makes_key(job.commands) else ""
                told(f"    {goal.text}{new}")
    efuses = job.commands.efuses
    before = efuses.checkpoint()
    try:
        with output.told_to(ignore):
            job.stage(wanted, to_show=True)
        for line in text(make(efuses)):
            told(line)
    finally:
        efuses.restore(before)
