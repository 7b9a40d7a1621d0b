# SPDX-License-Identifier: Apache-2.0
"""The step `recipe`: brings a board's eFuses to the state that the recipe of a file describes.

Recipes are `espefuse.recipe`'s. They are imported where a job has such a step.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esp_station.steps.base import Encryption, Env, Step, refuse_before_rows
from esp_station.tomlfile import Table, did_you_mean
from esptool.chips.spec import KeyCheck
from esptool.errors import FatalError
from esptool.sizes import counted

if TYPE_CHECKING:
    from esp_station.board import Board
    from esp_station.encrypted import Cipher
    from esp_station.rows import Row
    from espefuse.recipe import Watcher


@dataclass(frozen=True, slots=True)
class Recipe(Step):
    """Brings eFuses to the state that a recipe names, or to that behind one of its stages."""

    path: str
    mac_column: str | None
    until: str | None

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
        from espefuse.recipe import Stage, apply_recipe

        until = None if self.until is None else Stage(self.until)
        row = None if board.row is None else dict(board.row.values)
        session = board.loader()
        done = apply_recipe(
            session, self.path, until=until, row=row, listener=board.listen, watcher=_watcher(board)
        )
        board.attempt.digests |= dict(done.digests)
        if done.flash_key is not None:
            board.cipher = _cipher(done.flash_key, session.spec.security.key_check)
        if until is Stage.KEYS:
            board.call_anew()
        return f"{counted(len(done.burned), 'eFuse')} burned"


def _watcher(board: Board) -> Watcher:
    """Puts each burn on record before it is made and after it: neither a failure nor the end of
    the station may hide what is burned."""
    from espefuse.recipe import Watcher

    fuses = board.attempt.fuses

    class OnRecord(Watcher):
        def burning(self, pieces: Sequence[str]) -> None:
            fuses.extend(f"{piece} (not proven)" for piece in pieces)
            board.save()

        def burned(self, pieces: Sequence[str]) -> None:
            fuses[-len(pieces) :] = pieces
            board.save()

    return OnRecord()


def _cipher(key: bytes, check: KeyCheck) -> Cipher:
    """What a chip with this key in its eFuses stores."""
    from espsecure import flash_encryption

    aes_xts = check is not KeyCheck.ESP32_BLK1
    used = flash_encryption.load_key(key, aes_xts=aes_xts)

    def encrypt(address: int, data: bytes) -> bytes:
        out = io.BytesIO()
        flash_encryption.encrypt(used, io.BytesIO(data), out, address, aes_xts=aes_xts)
        return out.getvalue()

    return encrypt


def read_recipe(table: Table, env: Env, name: str) -> Step | None:
    """The step `recipe`: `file`, `until`."""
    path = env.file(table, "file")
    until = _until(table)
    if path is None:
        return None
    from espefuse.recipe import Stage, check_recipe

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
    if needs.encrypts:
        env.own_key |= needs.own_key
        env.encryption = Encryption.KEY if until == Stage.KEYS.value else Encryption.ON
    return Recipe("recipe", name, path, needs.mac_column, until)


def _until(table: Table) -> str | None:
    """The stage that the step ends with; None for all."""
    from espefuse.recipe import Stage

    word = table.text("until")
    stages = [stage.value for stage in Stage]
    if word and word not in stages:
        table.wrong("until", f"'{word}' is not a stage.{did_you_mean(word, stages)}")
    return word or None
