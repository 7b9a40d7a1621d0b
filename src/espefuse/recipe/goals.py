# SPDX-License-Identifier: Apache-2.0
"""What a recipe wants of one chip, piece by piece: whether it holds, and how to stage what lacks.

A goal looks at eFuses as read and changes nothing but what is staged. Which goals a recipe has on
which chip is for `workflow` to say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from espefuse.commands import BaseCommands
from espefuse.fields import Field as Efuse
from espefuse.recipe.stages import Stage
from espefuse.state import unknown_field
from esptool.sizes import counted

#: What security information shows of eFuses: flag or number by field name.
Seen = Mapping[str, Any]


class State(Enum):
    """How far a goal is reached."""

    DONE = "done"
    OPEN = "open"
    #: It can never be reached on this chip.
    CONFLICT = "conflict"
    #: Nothing can be said: the chip does not let it be read.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """A state with its reason, "" where there is nothing to add."""

    state: State
    reason: str = ""


class Goal(ABC):
    """One thing that a recipe wants of a chip."""

    stage: Stage

    @property
    @abstractmethod
    def text(self) -> str:
        """It in words, for a person."""

    @abstractmethod
    def judge(self, commands: BaseCommands) -> Verdict:
        """Compare it with the eFuses as read."""

    @abstractmethod
    def stage_in(self, commands: BaseCommands) -> None:
        """Stage what lacks. Only called where it is open."""

    def makes_key(self, commands: BaseCommands) -> bool:
        """Whether staging it makes a new key for the board."""
        return False

    def stage_to_show(self, commands: BaseCommands) -> None:
        """As `stage_in`, with nothing made."""
        self.stage_in(commands)

    def judge_seen(self, seen: Seen) -> Verdict:
        """Compare it with what a chip tells of itself in secure download mode."""
        return Verdict(State.UNKNOWN, "secure download mode does not let it be read")


def efuse(commands: BaseCommands, name: str) -> Efuse:
    """A field by name; FatalError with the nearest where the chip has none of it."""
    try:
        return commands.efuses[name]
    except KeyError:
        raise unknown_field(commands.efuses, name) from None


@dataclass
class FieldGoal(Goal):
    """A field holds a value.

    Attributes:
        value: as a person writes it, or a raw number.
        any_odd: any odd number of bits will do: flash encryption that can be switched off again.
        at_least: as many bits set as the value has, in any place (a counter).
    """

    stage: Stage
    name: str
    value: str
    any_odd: bool = False
    at_least: bool = False

    @property
    def text(self) -> str:
        value = counted(int(self.value).bit_count(), "bit") if self.at_least else self.value
        return f"{self.name} = {value}"

    def judge(self, commands: BaseCommands) -> Verdict:
        found = efuse(commands, self.name)
        if not found.is_readable():
            return Verdict(State.UNKNOWN, "it is read-protected")
        return self._compare(found.raw(), found.check_format(self.value), found)

    def _compare(self, is_: int, wanted: int, found: Efuse | None) -> Verdict:
        if self.any_odd and is_.bit_count() % 2:
            if found is not None and is_ == found.d.mask:
                return Verdict(
                    State.CONFLICT, "flash encryption is on for good (release) on this chip"
                )
            return Verdict(State.DONE)
        if self.at_least and is_.bit_count() >= wanted.bit_count():
            more = is_.bit_count() > wanted.bit_count()
            return Verdict(State.DONE, "it is already higher" if more else "")
        if is_ == wanted:
            return Verdict(State.DONE)
        if is_ & ~wanted and not self.any_odd:
            return Verdict(
                State.CONFLICT, f"it holds {is_:#x}, and bits that are burned cannot be cleared"
            )
        if found is not None and not found.is_writeable():
            return Verdict(State.CONFLICT, "it is write-protected")
        return Verdict(State.OPEN)

    def stage_in(self, commands: BaseCommands) -> None:
        found = efuse(commands, self.name)
        value: str | int = self.value
        if self.any_odd:
            # The next bit of the counter makes their number odd.
            value = found.raw() | (found.raw() + 1)
        elif self.at_least:
            value = found.raw() | found.check_format(self.value)
        commands.burn_efuse({self.name: value})

    def judge_seen(self, seen: Seen) -> Verdict:
        if self.name not in seen:
            return super().judge_seen(seen)
        is_ = seen[self.name]
        wanted = int(self.value, 0) if self.value[:1].isdigit() else 1
        if self.any_odd:
            return Verdict(State.DONE if is_.bit_count() % 2 else State.CONFLICT)
        if is_ == wanted:
            return Verdict(State.DONE)
        if not is_ and self.name not in seen["sure"]:
            return super().judge_seen(seen)
        return Verdict(State.CONFLICT, "secure download mode is on, so nothing more can be burned")


@dataclass
class MacGoal(Goal):
    """The user's MAC address."""

    stage: Stage
    mac: str

    @property
    def text(self) -> str:
        return f"CUSTOM_MAC = {self.mac}"

    def judge(self, commands: BaseCommands) -> Verdict:
        wanted = int.from_bytes(bytes.fromhex(self.mac.replace(":", "")), "little")
        found = efuse(commands, "CUSTOM_MAC").raw()
        if found == wanted:
            return Verdict(State.DONE)
        return Verdict(State.CONFLICT, "another one is burned") if found else Verdict(State.OPEN)

    def stage_in(self, commands: BaseCommands) -> None:
        commands.burn_custom_mac(self.mac)


@dataclass
class ProtectGoal(Goal):
    """Fields can no longer be written ("write"), or read ("read")."""

    stage: Stage
    kind: str
    name: str

    @property
    def text(self) -> str:
        return f"{self.name} {self.kind}-protected"

    def judge(self, commands: BaseCommands) -> Verdict:
        found = efuse(commands, self.name)
        if self.kind == "read" and not found.rd_dis:
            return Verdict(State.CONFLICT, "the chip cannot hide it")
        if self.kind == "write" and found.wr_dis is None:
            return Verdict(State.CONFLICT, "the chip cannot lock it")
        done = found.is_hidden_whole() if self.kind == "read" else not found.is_writeable()
        if done:
            return Verdict(State.DONE)
        lock = efuse(commands, "RD_DIS" if self.kind == "read" else "WR_DIS")
        if not lock.is_writeable():
            return Verdict(State.CONFLICT, f"{lock.name} is write-protected")
        return Verdict(State.OPEN)

    def stage_in(self, commands: BaseCommands) -> None:
        if self.kind == "read":
            commands.read_protect_efuse([self.name])
        else:
            commands.write_protect_efuse([self.name])
