# SPDX-License-Identifier: Apache-2.0
"""Numbered blocks for the first stage, several on their way: no port and no clock.

The stage takes blocks in any order and as often as they come; it answers each, in the order in
which they arrive. So the answer to a later block tells that an earlier one is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from esptool.errors import LinkTimeoutError
from esptool.protocol.stage import StageAnswer, StageOp

#: Silences in a row, with nothing acknowledged between, after which the stage counts as lost.
MAX_SILENCES = 4


class BlockWindow:
    """Which blocks are to be sent now.

    Attributes:
        resent: blocks that had to be sent again.
    """

    def __init__(self, count: int, window: int) -> None:
        self._waiting = deque(range(count))
        self._window = window
        self._on_way: deque[int] = deque()
        self._silences = 0
        self._missing = set(range(count))
        self.resent = 0

    @property
    def over(self) -> bool:
        """All are acknowledged."""
        return not self._missing

    @property
    def missing(self) -> Sequence[int]:
        """Blocks that are not acknowledged, in order."""
        return sorted(self._missing)

    @property
    def on_way(self) -> int:
        """Blocks that were sent and not answered."""
        return len(self._on_way)

    def due(self) -> list[int]:
        """Numbers of the blocks to be sent now; they count as sent."""
        out = []
        while self._waiting and len(self._on_way) < self._window:
            number = self._waiting.popleft()
            if number in self._missing:
                self._on_way.append(number)
                out.append(number)
        return out

    def take(self, answer: StageAnswer) -> None:
        """An answer has come."""
        if answer.op == StageOp.DAMAGED:
            if self._on_way:
                self._again(self._on_way.popleft())
        elif answer.op == StageOp.WRITE and answer.number in self._missing:
            self._silences = 0
            self._missing.discard(answer.number)
            while answer.number in self._on_way:
                first = self._on_way.popleft()
                if first != answer.number:
                    self._again(first)

    def silence(self) -> None:
        """No answer came for as long as one may take: what is on its way is lost.

        Raises:
            LinkTimeoutError: this goes on.
        """
        self._silences += 1
        if self._silences >= MAX_SILENCES:
            raise LinkTimeoutError("The first stage of the stub does not answer any more.")
        while self._on_way:
            self._again(self._on_way.pop())

    def _again(self, number: int) -> None:
        if number in self._missing:
            self.resent += 1
            self._waiting.appendleft(number)
