# SPDX-License-Identifier: Apache-2.0
"""A key of a recipe on one chip: found in its block, taken up after a break, or burned anew."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from espefuse.commands import BaseCommands
from espefuse.fields import Block
from espefuse.fields import Field as Efuse
from espefuse.recipe.goals import Goal, Seen, State, Verdict
from espefuse.recipe.sealing import PIECE, KeyStore, Label, digest
from espefuse.recipe.stages import Stage
from espefuse.schema import Purpose
from esptool.errors import FatalError


@dataclass
class KeyGoal(Goal):
    """A key is in a key block, with its purpose and its protections.

    Attributes:
        purpose: name of the purpose; on ESP32 the name of the block.
        data: the key as in its file; None where it is made for each board.
        bits: length of a key that is made.
        store: where keys of boards are kept.
        block: the key block that was asked for.
        mac: of the board, for its own keys.
        others: the other keys of the recipe.
        staged: its bytes, once they were to be burned; a board's own are known in no other way.
    """

    purpose: str
    data: bytes | None
    bits: int
    store: KeyStore | None
    block: str | None
    mac: str
    stage: Stage = Stage.KEYS
    others: Sequence[KeyGoal] = ()
    staged: bytes | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        kind = "" if self.data is not None else ", its own for each board"
        return f"key {self.purpose}{kind}"

    @property
    def encrypts_flash(self) -> bool:
        """It is the key of flash encryption."""
        return self.purpose == "flash_encryption" or self.purpose.startswith("XTS_AES_")

    def _hides(self, purpose: Purpose | None) -> bool:
        """Software cannot read the key. On ESP32, which has no purposes, that of secure boot V2 is
        the one that it must read."""
        return purpose.read_protect if purpose else self.purpose != "secure_boot_v2"

    def _reverses(self, purpose: Purpose | None) -> bool:
        """The key's bytes lie in their block in reverse order."""
        return purpose.reverse if purpose else self.purpose != "secure_boot_v2"

    # --- what is there -------------------------------------------------------------------------

    def places(self, commands: BaseCommands) -> list[tuple[str, Purpose | None, int]]:
        """(block or field that takes it, its purpose, first byte of the key there)."""
        table = commands.efuses.table
        if not table.purposes:
            return [(commands.efuses.block_of(self.purpose).name, None, 0)]
        if "purpose_targets" in table.rules:
            target = table.rules["purpose_targets"][self.purpose]
            return [(target, table.purpose(self.purpose), 0)]
        parts = table.purpose_split.get(self.purpose)
        names = list(parts) if parts else [self.purpose]
        return [
            (self._block_with(commands, table.purpose(name)) or "", table.purpose(name), PIECE * i)
            for i, name in enumerate(names)
        ]

    def _block_with(self, commands: BaseCommands, purpose: Purpose) -> str | None:
        for block in commands.efuses.blocks:
            if block.key_purpose_name is None:
                continue
            found = commands.efuses[block.key_purpose_name].purpose_raw()
            filled = block.data or not block.is_readable()
            mine = self.block in (None, block.name, *block.alias)
            if found == purpose.value and purpose.value and filled and mine:
                return block.name
        return None

    def judge(self, commands: BaseCommands) -> Verdict:
        verdicts = [self._judge_part(commands, *place) for place in self.places(commands)]
        worst = (State.CONFLICT, State.OPEN, State.UNKNOWN, State.DONE)
        return min(verdicts, key=lambda v: worst.index(v.state))

    def _judge_part(
        self, commands: BaseCommands, name: str, purpose: Purpose | None, first: int
    ) -> Verdict:
        if not name:
            return self._judge_free(commands, purpose)
        target = commands.efuses[name]
        if not target.is_readable():
            if not self._hides(purpose):
                return Verdict(State.CONFLICT, f"{name} is read-protected, but must be readable")
            return Verdict(State.DONE, f"{name} is hidden, so it cannot be compared")
        if not target.raw():
            if not target.is_writeable():
                return Verdict(State.CONFLICT, f"{name} is empty and write-protected")
            return Verdict(State.OPEN)
        if not self._matches(commands, target, purpose, first):
            if target.is_writeable() and self._is_part(commands, target, purpose, first):
                return Verdict(State.OPEN, f"{name} holds a part of it")
            return Verdict(State.CONFLICT, f"{name} holds another key")
        return Verdict(State.DONE if self._protected(commands, target, purpose) else State.OPEN)

    def _judge_free(self, commands: BaseCommands, purpose: Purpose | None) -> Verdict:
        if self.block is None:
            return Verdict(State.OPEN)
        block = commands.efuses.block_of(self.block)
        assert block.key_purpose_name is not None
        used = commands.efuses[block.key_purpose_name].purpose_raw()
        if used or not block.is_writeable():
            return Verdict(State.CONFLICT, f"{block.name} is used for something else")
        if block.data and purpose and not self._is_begun(commands, block, purpose):
            return Verdict(State.CONFLICT, f"{block.name} holds something else")
        return Verdict(State.OPEN)

    def _protected(self, commands: BaseCommands, target: Efuse, purpose: Purpose | None) -> bool:
        hides = self._hides(purpose)
        block = commands.efuses.blocks[target.block]
        whole = not target.is_writeable() and (not hides or target.is_hidden_whole())
        if block.key_purpose_name is None:
            return whole
        return whole and not commands.efuses[block.key_purpose_name].is_writeable()

    def _matches(
        self, commands: BaseCommands, target: Efuse, purpose: Purpose | None, first: int
    ) -> bool:
        """Whether what a readable place holds is this key, or this part of it."""
        size = target.bit_len // 8
        stored = target.raw().to_bytes(size, "little")
        if self._reverses(purpose):
            stored = stored[::-1]
        if self.data is not None:
            return stored == self._as_stored(self.data)[first : first + size]
        label = self.label(commands)
        if label is None:
            return False
        pieces = label.sha256.split(",")
        return first // PIECE < len(pieces) and digest(stored) == pieces[first // PIECE]

    def _is_part(
        self, commands: BaseCommands, target: Efuse, purpose: Purpose | None, first: int
    ) -> bool:
        """Whether a readable place holds nothing but bits of this key: its burn broke off.

        Of a board's own key that can only be told with the private key of its owner.
        """
        known = self.data if self.data is not None else self._opened(commands)
        if known is None:
            return False
        size = target.bit_len // 8
        wanted = self._as_stored(known)[first : first + size]
        if self._reverses(purpose):
            wanted = wanted[::-1]
        return not target.raw() & ~int.from_bytes(wanted, "little")

    def _as_stored(self, key: bytes) -> bytes:
        """A key's bytes as they lie in their blocks, before any reversal."""
        from espefuse import keys

        if self.purpose == "ECDSA_KEY_P384":
            return keys.ecdsa_p384_blocks(key)
        if self.purpose.startswith("ECDSA_KEY") and key.startswith(b"-----"):
            return keys.ecdsa_block(key)
        if self.purpose == "SECURE_BOOT_DIGEST":
            return key[:16]
        return key

    def _opened(self, commands: BaseCommands) -> bytes | None:
        """A board's own key, where the owner's private key is at hand."""
        assert self.store is not None
        return self.store.open(commands.efuses.table.key, self.mac, self.purpose)

    # --- staging -------------------------------------------------------------------------------

    def makes_key(self, commands: BaseCommands) -> bool:
        if self.data is not None or self._opened(commands) is not None:
            return False
        return self.label(commands) is None or not all(self._pieces(commands))

    def stage_to_show(self, commands: BaseCommands) -> None:
        new = self.makes_key(commands)
        self._stage(commands, b"\xff" * (self.bits // 8) if new else self._key(commands))

    def stage_in(self, commands: BaseCommands) -> None:
        self.staged = self._key(commands)
        self._stage(commands, self.staged)

    def _stage(self, commands: BaseCommands, data: bytes) -> None:
        table = commands.efuses.table
        if not table.purposes:
            commands.burn_key([self.purpose], [io.BytesIO(data)])
            return
        if "purpose_targets" in table.rules:
            commands.burn_key(["BLOCK_KEY0"], [io.BytesIO(data)], [self.purpose])
            return
        parts = table.purpose_split.get(self.purpose)
        if parts is None:
            block = self._target(commands, table.purpose(self.purpose), set())
            commands.burn_key([block], [io.BytesIO(data)], [self.purpose])
            return
        # Each half goes where a run before this one may have put it.
        whole = self._as_stored(data)
        blocks: list[str] = []
        for name in parts:
            blocks.append(self._target(commands, table.purpose(name), set(blocks)))
        halves = [io.BytesIO(whole[PIECE * i : PIECE * (i + 1)]) for i in range(len(parts))]
        commands.burn_key(blocks, halves, list(parts))

    def _target(self, commands: BaseCommands, purpose: Purpose, taken: set[str]) -> str:
        """The block for a purpose: the one that has it, one with its key, or a free one."""
        found = self._block_with(commands, purpose)
        if found:
            return found
        blocks = [b for b in commands.efuses.blocks if b.name not in taken]
        begun = next((b.name for b in blocks if self._is_begun(commands, b, purpose)), None)
        if begun:
            return begun
        if self.block is not None and not taken:
            return commands.efuses.block_of(self.block).name
        free = next((b.name for b in blocks if self._is_free(commands, b)), None)
        if free:
            return free
        raise FatalError(
            f"No key block is free for {self.purpose}.",
            remedy="See 'espefuse summary' for what they hold.",
        )

    def _is_begun(self, commands: BaseCommands, block: Block, purpose: Purpose) -> bool:
        """A block that was burned with this key before a break, but has no purpose yet."""
        if block.key_purpose_name is None or not block.data or not block.is_readable():
            return False
        field_ = commands.efuses[block.key_purpose_name]
        if field_.purpose_raw() or not field_.is_writeable():
            return False
        target = commands.efuses[block.name]
        first = self._first_byte(commands, purpose)
        return self._matches(commands, target, purpose, first) or self._is_part(
            commands, target, purpose, first
        )

    def _first_byte(self, commands: BaseCommands, purpose: Purpose) -> int:
        """Where the part for one of two purposes begins in the key."""
        parts = commands.efuses.table.purpose_split.get(self.purpose, (purpose.name,))
        return PIECE * parts.index(purpose.name)

    def _is_free(self, commands: BaseCommands, block: Block) -> bool:
        if block.key_purpose_name is None:
            return False
        field_ = commands.efuses[block.key_purpose_name]
        refused = commands.efuses.table.rules.get("refused_purposes", {}).get(field_.name, ())
        return (
            not block.data
            and not block.pending
            and not field_.purpose_raw()
            and not field_.purpose_raw(False)
            and block.is_readable()
            and block.is_writeable()
            and field_.is_writeable()
            and not any(self.purpose.startswith(prefix) for prefix in refused)
        )

    def label(self, commands: BaseCommands) -> Label | None:
        """What is known of a board's own key; None where none was made."""
        assert self.store is not None
        return self.store.label(commands.efuses.table.key, self.mac, self.purpose)

    def _key(self, commands: BaseCommands) -> bytes:
        """The key's bytes as `burn_key` takes them. A board's own is made where it has none."""
        if self.data is not None:
            return self.data
        assert self.store is not None
        chip = commands.efuses.table.key
        known = self._opened(commands)
        if known is not None:
            return known
        label = self.label(commands)
        if label is None:
            return self.store.make(chip, self.mac, self.purpose, self.bits)
        pieces = self._pieces(commands)
        if all(piece is not None for piece in pieces):
            return b"".join(piece or b"" for piece in pieces)
        if not self._untouched(commands):
            raise FatalError(
                f"A burn of the key {self.purpose} broke off on this board, and what is in the "
                "chip is not all of it.",
                remedy=(
                    "Its owner can complete it: run this again with --identity and the owner's "
                    f"private key ('{self.store.path(chip, self.mac, self.purpose)}')."
                ),
            )
        # Of what was made before nothing else is on the chip: the rest may as well be new.
        return self.store.make(chip, self.mac, self.purpose, self.bits, pieces)

    def _pieces(self, commands: BaseCommands) -> list[bytes | None]:
        """What can be read on the chip of a board's own key, in pieces of a key block."""
        label = self.label(commands)
        count = len(label.sha256.split(",")) if label else 1
        found: list[bytes | None] = [None] * count
        for name, purpose, first in self._known_places(commands):
            target = commands.efuses[name]
            if target.is_readable() and self._matches(commands, target, purpose, first):
                part = target.raw().to_bytes(target.bit_len // 8, "little")
                found[first // PIECE] = part[::-1] if self._reverses(purpose) else part
        return found

    def _known_places(self, commands: BaseCommands) -> list[tuple[str, Purpose | None, int]]:
        """`places`, with blocks that hold a part already but have no purpose yet."""
        out = []
        for name, purpose, first in self.places(commands):
            if not name and purpose is not None:
                blocks = commands.efuses.blocks
                name = next((b.name for b in blocks if self._is_begun(commands, b, purpose)), "")
            if name:
                out.append((name, purpose, first))
        return out

    def _untouched(self, commands: BaseCommands) -> bool:
        """No block holds anything that could be an unknown part of this key."""
        mine = {name for name, _, _ in self._known_places(commands)}
        for name, purpose, first in self.places(commands):
            target = commands.efuses[name] if name else None
            known = target is None or self._matches(commands, target, purpose, first)
            if target is not None and target.raw() and not known:
                return False
        return all(
            block.name in mine or any(goal.explains(commands, block) for goal in self.others)
            for block in commands.efuses.blocks
            if block.key_purpose_name is not None
            and block.data
            and not commands.efuses[block.key_purpose_name].purpose_raw()
        )

    def explains(self, commands: BaseCommands, block: Block) -> bool:
        """Whether a block without a purpose holds a part of this key."""
        parts = commands.efuses.table.purpose_split.get(self.purpose, (self.purpose,))
        return any(
            self._is_begun(commands, block, commands.efuses.table.purpose(name)) for name in parts
        )

    def judge_seen(self, seen: Seen) -> Verdict:
        purposes = seen.get("key_purposes")
        if purposes is None:
            return super().judge_seen(seen)
        if self.purpose in purposes or all(p in purposes for p in seen["split"](self.purpose)):
            return Verdict(State.DONE, "its content cannot be compared")
        return Verdict(State.CONFLICT, "secure download mode is on, so nothing more can be burned")
