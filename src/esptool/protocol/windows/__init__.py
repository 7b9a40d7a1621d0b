# SPDX-License-Identifier: Apache-2.0
"""Windowed writing and reading as state machines: no port and no clock (docs/serial-protocol.md).

A window is told what arrived and what time it is, and says what is to be sent and until when it
can wait. So one loop drives both kinds, and tests drive them through any loss without a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

__all__ = ["MAX_QUESTIONS", "MAX_STILL_S", "Request", "Window"]

#: Questions in a row without an answer before the stub counts as lost.
MAX_QUESTIONS = 6
#: Longest time that the work may stand still while the stub answers (a slow chip erase).
MAX_STILL_S = 20.0


class Request(NamedTuple):
    """A request to be framed and sent: its opcode, and its sealed fields."""

    opcode: int
    data: bytes


class Window(Protocol):
    """What the loop that drives a window knows of it. Times are seconds of one clock."""

    @property
    def over(self) -> bool:
        """Nothing is to be sent or waited for any more."""

    def due(self, now: float) -> Sequence[Request]:
        """What is to be sent now. To be asked first, after each answer, and at the deadline.

        Raises:
            LinkTimeoutError: the stub does not answer any more.
        """

    def deadline(self) -> float:
        """When `due` must be asked at the latest, though nothing arrived."""

    def take(self, frame: bytes, now: float) -> None:
        """Take in the payload of a received frame; what does not belong here is passed over.

        Raises:
            ChipResponseError: flash or stream failed on the chip.
            LinkTimeoutError: the stub answers, but its work stands still.
        """
