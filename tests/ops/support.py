# SPDX-License-Identifier: Apache-2.0
"""What the tests of operations share: a virtual chip, and data that look like firmware."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from esptool.chips.spec import ChipSpec
from esptool.device import Session, connect
from esptool.events import Event, Level, Message
from esptool.stubs import Stub
from esptool.transport.settings import Settings
from esptool.virtual.board import NAMED, Board

_number = count()


class Log:
    """A listener that keeps the lines of an operation."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def text(self) -> str:
        """All lines, notes and warnings marked as on the command line."""
        marks = {Level.NOTE: "NOTE: ", Level.WARNING: "WARNING: "}
        lines = [marks.get(e.level, "") + e.text for e in self.events if isinstance(e, Message)]
        return "\n".join(lines)


def url(chip: str, **options: object) -> str:
    """The URL of a fresh virtual board."""
    options.setdefault("name", f"ops-{next(_number)}")
    options.setdefault("stub", "model")
    return f"virtual://{chip}?" + "&".join(f"{k}={v}" for k, v in options.items())


def board(name: str) -> Board:
    """The virtual board of that name, to look at its parts."""
    return NAMED[name]


def placeholder(spec: ChipSpec) -> Stub:
    """A stub without code: all that the virtual chip's model of the protocol needs."""
    start = next(iter(spec.stub.layouts.values())).text_start
    return Stub(spec.key, start, text=bytes(64), text_start=start, data=b"", data_start=0)


@contextmanager
def session(
    chip: str, *, stub: bool = False, log: Log | None = None, **options: object
) -> Iterator[Session]:
    """A session with a virtual chip, closed at the end."""
    place = options.pop("place", None)
    where = str(place) if place is not None else url(chip, **options)
    settings = Settings(timeout=0.5, sync_timeout=0.05)
    with connect(where, chip=chip, listener=log or Log(), settings=settings) as s:
        if stub:
            s.run_stub(placeholder(s.spec))
            s.power.change_baud(2_000_000)
        yield s


def firmware(size: int, seed: int = 1) -> bytes:
    """Data that deflate to about half, as firmware does: code-like words, tables, blank parts."""
    rng = random.Random(seed)
    words = [rng.randbytes(4) for _ in range(400)]
    out = bytearray()
    while len(out) < size:
        kind = rng.random()
        if kind < 0.7:
            out += b"".join(rng.choices(words, k=64))
        elif kind < 0.95:
            out += rng.randbytes(200)
        else:
            out += bytes([rng.choice((0, 0xFF))]) * 512
    return bytes(out[:size])
