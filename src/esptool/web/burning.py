# SPDX-License-Identifier: Apache-2.0
"""Burning eFuses from a page: a plan first, then a typed word. Only in pages made with it.

`web build` leaves this module, and what burns, out of a page that is not made with --with-burning,
so that nothing in such a page can burn, whatever it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from espefuse import output, plan, schema
from espefuse._index import CHIP_NAMES
from espefuse.efuses import AbortedError
from espefuse.key_commands import command_type
from esptool.errors import FatalError, NotSupportedError, UsageError
from esptool.events import Event, Message, ignore
from esptool.web.values import Registers

if TYPE_CHECKING:
    from espefuse.commands import BaseCommands
    from esptool import device

#: Block, content and purpose of a key; without a purpose on chips that have none.
Key = tuple[str, bytes, str]


class Burning:
    """What a page burns, in two steps.

    Args:
        session: gives the chip that is connected.
    """

    def __init__(self, session: Callable[[], device.Session]) -> None:
        self._session = session
        self._planned: tuple[device.Session, BaseCommands] | None = None

    def purposes(self) -> list[str]:
        """The purposes that a key can have; [] where its block says it, or no block is known."""
        key = self._session().spec.key
        return [p.name for p in schema.load(key).purposes] if key in CHIP_NAMES else []

    def blocks(self) -> list[str]:
        """What a key can be burned into: blocks, or names that say what for (ESP32)."""
        key = self._session().spec.key
        if key not in CHIP_NAMES:
            return []
        table = schema.load(key)
        names = table.burn_key_names
        if not table.purposes:
            return list(names)
        return list(dict.fromkeys(table.block(name).name for name in names))

    def plan(self, fields: Mapping[str, str | None], keys: Sequence[Key] = ()) -> list[str]:
        """What would be burned; nothing is.

        Args:
            fields: values by name, as `burn-efuse` takes them; None is the next step of a counter.
            keys: what `burn-key` takes; keys are protected as their purposes demand.

        Returns:
            Lines for a person: each field, what can never be undone, and warnings.

        Raises:
            FatalError: a name or value that cannot be, or what a chip cannot do.
        """
        self._planned = None
        if not fields and not keys:
            raise UsageError("Nothing was chosen.", remedy="Name a field, or choose a key.")
        session = self._session()
        with output.told_to(ignore):
            commands = self._commands(session)
            if fields:
                commands.burn_efuse(fields)
            if keys:
                _stage(commands, keys)
        made = plan.make(commands.efuses)
        if not made["blocks"]:
            raise UsageError("All of this is burned already: there is nothing to do.")
        self._planned = session, commands
        return plan.text(made)

    def _commands(self, session: device.Session) -> BaseCommands:
        key = session.spec.key
        if key not in CHIP_NAMES:
            raise NotSupportedError(f"The eFuses of {session.spec.name} are not known here.")
        commands = command_type(key)()
        commands.esp, commands.external_esp = Registers(session), True
        commands.get_efuses()
        commands.use_batch_mode()
        return commands

    def burn(self, word: str) -> dict[str, Any]:
        """Burn what was planned, where the word is that which the command line asks for.

        Returns:
            What was said meanwhile, and the fields that could not be read back.

        Raises:
            FatalError: it is another word, another board, or the burn broke off; says what holds.
        """
        planned, self._planned = self._planned, None
        if planned is None:
            raise UsageError("No plan was made.", remedy="Have the plan shown first.")
        session, commands = planned
        if session is not self._session():
            raise UsageError("The plan is for another board.", remedy="Have it made anew.")
        # Nothing is told as an event: at those a person can stop the work, and a burn is to end.
        told: list[str] = []

        def tell(event: Event) -> None:
            if isinstance(event, Message):
                told.append(event.text)

        commands.efuses.ask = lambda _question: word.strip() == "BURN"
        try:
            with output.told_to(tell):
                commands.burn_all()
        except AbortedError:
            raise FatalError(
                "Nothing was burned: the word BURN was not typed.",
                remedy="Have the plan shown again, read it, and type BURN in capitals.",
            ) from None
        return {"told": told, "unverified": list(commands.efuses.unproved)}


def _stage(commands: BaseCommands, keys: Sequence[Key]) -> None:
    blocks = [block for block, _data, _purpose in keys]
    files = [BytesIO(data) for _block, data, _purpose in keys]
    if commands.efuses.table.purposes:
        commands.burn_key(blocks, files, [purpose for _block, _data, purpose in keys])
    else:
        commands.burn_key(blocks, files)
