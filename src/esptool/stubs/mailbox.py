# SPDX-License-Identifier: Apache-2.0
"""Our stubs as a debugger runs them: their only link is a pair of buffers in RAM.

The processor stands at `stop` when the stub waits for the debugger, which fills one buffer, empties
the other, and lets it go on at `resume` (docs/serial-protocol.md).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from esptool import stubs
from esptool.errors import FatalError
from esptool.textfile import read_text

FOLDER = "mailbox"
#: The counts between the two buffers: taken, waiting, stops, idle.
COUNTS = 16


@dataclass(frozen=True, slots=True)
class MailboxStub:
    """A stub for a debugger.

    Attributes:
        pieces: what goes to RAM: (address, bytes).
        entry: where it starts.
        start, size: of the buffers: the one for the stub first, then the counts, then the other.
        stop: where the processor stands when the stub waits.
        resume: where it then goes on.
        ram: all that it takes, whole words.
    """

    name: str
    pieces: tuple[tuple[int, bytes], ...]
    entry: int
    start: int
    size: int
    stop: int
    resume: int
    ram: tuple[range, ...]

    @property
    def room(self) -> int:
        """Bytes that the buffer for the stub holds."""
        return self.size // 2 - COUNTS

    @property
    def counts(self) -> int:
        """Where the counts begin."""
        return self.start + self.room

    @property
    def answers(self) -> int:
        """Bytes that the stub's buffer holds."""
        return self.size - self.room - COUNTS


def load(name: str) -> MailboxStub:
    """The stub called `name`, such as `esp32c3`.

    Raises:
        FatalError: there is none.
    """
    path = Path(stubs.DATA, FOLDER, f"{name}.json")
    if not path.is_file():
        raise FatalError(f"There is no stub of {name} for a debugger.")
    raw = json.loads(read_text(path, "stub file"))
    text, data = base64.b64decode(raw["text"]), base64.b64decode(raw["data"])
    start, size = raw["mailbox"], raw["mailbox_size"]
    places = (
        range(raw["text_start"], raw["text_start"] + len(text)),
        range(raw["data_start"], raw["ram_end"]),
        range(start, start + size),
    )
    inside = [r for r in places if not any(_within(r, other) for other in places if other is not r)]
    return MailboxStub(
        name,
        ((raw["text_start"], text), (raw["data_start"], data)),
        raw["entry"],
        start,
        size,
        raw["mailbox_break"],
        raw["mailbox_resume"],
        tuple(inside),
    )


def _within(part: range, whole: range) -> bool:
    return whole.start <= part.start and part.stop <= whole.stop
