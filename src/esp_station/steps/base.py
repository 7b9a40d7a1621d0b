# SPDX-License-Identifier: Apache-2.0
"""What all steps of a job have in common, and what they are read with."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from esp_station.model import Identity, Images
from esp_station.template import BOARD_NAMES, Template
from esp_station.tomlfile import Table
from esptool.errors import FatalError
from esptool.storage import names

if TYPE_CHECKING:
    from esp_station.board import Board
    from esp_station.rows import Row
    from esptool.storage.names import Span
    from esptool.storage.partitions import PartitionTable


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a job, checked.

    Attributes:
        kind: the word behind `do`.
        name: how people call it; its kind where the job gives it no name.
    """

    kind: str
    name: str

    def run(self, board: Board) -> str | None:
        """Do it; what there is to say of it in a few words.

        Raises:
            FatalError: the board is not good.
        """
        raise NotImplementedError

    def try_row(self, row: Row) -> None:
        """See whether the data of a board will do, without a board.

        Raises:
            FatalError: they will not; says which.
        """

    def redo(self, board: Board) -> bool:
        """What `reprint` does again for a board that is done, and not there; False for nothing."""
        return False


class Encryption(Enum):
    """How far the steps so far have brought flash encryption with a key of a recipe."""

    NONE = "none"
    #: The key is burned: the chip encrypts what it is told to as it is written.
    KEY = "key"
    #: The chip decrypts what it runs, and may not encrypt any more.
    ON = "on"


#: What stands around a step whose data the chip encrypts, for remedies.
STAGES = "a step 'recipe' with until = \"keys\" and a second one without"


@dataclass(slots=True)
class Env:
    """What a step is read with.

    Attributes:
        folder: that of the job, where the files lie that it names.
        identity: which boards it is for.
        images: what is the same on all of them.
        table: the partition table, None where the job has none.
        table_offset: where it stands.
        columns: those of the rows, None where the job has none.
        rows_unread: the job has rows, which could not be read: that is one mistake, not one for
            each place that speaks of a column.
        measured: names of the values that steps before this one take.
        writes: a step before this one writes to flash.
        encryption: how far it is behind the step before this one.
        own_key: its key is made for each board, so that nobody can have encrypted for it.
        encrypted: a step before this one has the chip encrypt what it writes.
        plain: names of steps that write plainly what is decrypted where encryption is on, and
            whether that can be seen of it.
        files: other files that the job is made of, for its hash.
    """

    folder: str
    identity: Identity
    images: Images
    table: PartitionTable | None
    table_offset: int
    columns: tuple[str, ...] | None
    rows_unread: bool = False
    measured: list[str] = field(default_factory=list)
    writes: bool = False
    encryption: Encryption = Encryption.NONE
    own_key: bool = False
    encrypted: bool = False
    plain: list[tuple[str, bool]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """What templates may speak of."""
        rows = [f"row.{column}" for column in self.columns or ()]
        return [*BOARD_NAMES, *rows, *(f"value.{name}" for name in self.measured)]

    def lies_encrypted(self, offset: int) -> bool:
        """What begins there is decrypted by the chip, where flash encryption is on."""
        if self.table is None or offset in (
            self.table_offset, self.identity.chip.flash.bootloader_offset,
        ):  # fmt: skip
            return True
        inside = self.table.at(offset)
        return inside is not None and inside.always_encrypted

    def writes_data(self, name: str, offset: int) -> bool:
        """Note a step that writes data of a board; whether the chip is to encrypt them."""
        self.writes = True
        if not self.lies_encrypted(offset):
            return False
        if self.encryption is not Encryption.KEY:
            self.plain.append((name, True))
            return False
        self.encrypted = True
        return True

    def path(self, name: str) -> str:
        """A file that the job names, from its own folder on."""
        return os.path.join(self.folder, os.path.expanduser(name))

    def template(self, table: Table, key: str, text: str) -> Template | None:
        """A template whose places can all be filled; None where that is wrong and noted."""
        try:
            made = Template(text)
            unread = [n for n in made.names if self.rows_unread and n.startswith("row.")]
            made.refuse_unknown([*self.names(), *unread])
        except FatalError as e:
            table.wrong(key, e.message, e.remedy)
            return None
        return made

    def file(self, table: Table, key: str) -> str | None:
        """The path of a file that must be there; None where that is wrong and noted."""
        name = table.text(key, required=True)
        if not name:
            return None
        path = self.path(name)
        if not os.path.isfile(path) or not os.access(path, os.R_OK):
            table.wrong(key, f"There is no file '{path}' that can be read.")
            return None
        self.files.append(path)
        return path

    def span(self, table: Table, key: str, text: str) -> Span | None:
        """The range of flash that a name stands for; None where that is wrong and noted."""
        try:
            name = names.parse_name(text)
            if self.table is None and names.needs_table(name):
                table.wrong(
                    key,
                    f"'{text}' is a name, and the job has no partition table.",
                    'Add it: partition-table = "partitions.csv", or an image at 0x8000.',
                )
                return None
            bootloader = self.identity.chip.flash.bootloader_offset
            return names.resolve(name, self.table, self.table_offset, bootloader)
        except FatalError as e:
            table.wrong(key, e.message, e.remedy)
            return None


def refuse_before_rows(table: Table, env: Env, what: str) -> bool:
    """Note that a step needs rows; True where the job has them."""
    if env.columns is None and not env.rows_unread:
        table.wrong(
            None,
            f"{what} comes from the board's own row, and the job has none.",
            'Add [data] with rows = "boards.csv" and key = "serial".',
        )
    return env.columns is not None
