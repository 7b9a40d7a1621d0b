# SPDX-License-Identifier: Apache-2.0
"""Where the time of a session goes, told from what passes between a client and a virtual board."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from esptool.virtual.board import Board

#: The parts of a session in their order. A client that loads a stub in one piece has no stage two.
PHASES = (
    "reset pulses",
    "boot log",
    "sync",
    "detection",
    "stage one",
    "stage two",
    "work",
    "final reset",
)
_SYNC, _MEM_END, _EXT_INFO = 0x08, 0x06, 0xE0
_MEM = frozenset({0x05, 0x06, 0x07})


class SessionClock:
    """Notes when lines move and requests leave, by the board's clock, while it is attached."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.started = board.moment()
        self.moves: list[tuple[float, bool]] = []
        self.requests: list[tuple[float, int]] = []
        self.ended = self.started

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Watch the board's host side; the session is over when this is left."""
        board: Any = self.board
        write, lines = board.host_write, board.set_lines

        def host_write(data: bytes) -> None:
            self._sent(data)
            write(data)

        def set_lines(dtr: bool, rts: bool) -> None:
            # RTS alone holds the chip, or on its own USB port resets it.
            self.moves.append((board.moment(), rts and not dtr))
            lines(dtr, rts)

        board.host_write, board.set_lines = host_write, set_lines
        try:
            yield
        finally:
            self.ended = board.moment()
            board.host_write, board.set_lines = write, lines

    def _sent(self, data: bytes) -> None:
        now = self.board.moment()
        for frame in data.split(b"\xc0"):
            if len(frame) >= 8:
                self.requests.append((now, frame[1] if frame[0] == 0 else -1))

    def phases(self) -> dict[str, float]:
        """Seconds of each part, and of all as "total"."""
        marks = [self.started, *self._marks(), self.ended]
        parts = [max(0.0, b - a) for a, b in itertools.pairwise(marks)]
        return dict(zip(PHASES, parts, strict=True)) | {"total": self.ended - self.started}

    def _marks(self) -> list[float]:
        """The moments at which one part ends and the next begins."""
        times = [t for t, _op in self.requests]
        ops = [op for _t, op in self.requests]
        first = times[0] if times else self.ended
        reset = self._released(first)
        known = _first(ops, lambda op: op != _SYNC, 0)
        begun = _first(ops, lambda op: op in _MEM, known)
        loaded = _first(
            ops, lambda op: op not in _MEM, _first(ops, lambda op: op == _MEM_END, begun)
        )
        running = _first(ops, lambda op: op == _EXT_INFO, loaded)
        running = _first(ops, lambda op: op != _EXT_INFO, running)
        final = min((t for t, _ in self.moves if t > self._at(running)), default=self.ended)
        return [
            reset,
            first,
            self._at(known),
            self._at(begun),
            self._at(loaded),
            self._at(running),
            final,
        ]

    def _released(self, before: float) -> float:
        """When the last reset let go of the chip, so that it started."""
        moves = [move for move in self.moves if move[0] <= before]
        held = [i for i, (_t, alone) in enumerate(moves) if alone]
        if not held:
            return self.started
        at_once = self.board.options.link == "usb-jtag"
        return moves[min(held[-1] + (not at_once), len(moves) - 1)][0]

    def _at(self, index: int) -> float:
        return self.requests[index][0] if index < len(self.requests) else self.ended


def _first(ops: list[int], wanted: Any, start: int) -> int:
    """Index of the first request from `start` on that is wanted; behind the last without one."""
    return next((i for i in range(start, len(ops)) if wanted(ops[i])), len(ops))
