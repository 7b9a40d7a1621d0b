# SPDX-License-Identifier: Apache-2.0
"""What a chip may run, as the board sees it: by default something that ignores the line."""

from __future__ import annotations

import math


class Program:
    """Code that the chip runs. As it stands it is silent, and never has anything to do.

    Attributes:
        cut: it still computes, and stopped only so that the board is looked at.
    """

    cut: bool = False

    @property
    def takes_bytes(self) -> bool:
        """It fetches bytes from `Soc.line` as they come, instead of having them handed over."""
        return False

    def hears(self, data: bytes, baud: int) -> None:
        """Bytes pass on the line at this rate, before any receiver makes something of them."""

    def receive(self, data: bytes) -> None:
        """Bytes from the host have arrived."""

    def next_work(self) -> float:
        """The moment at which it wants to go on; infinity when it waits for the host."""
        return math.inf

    def work(self, limit: float) -> None:
        """Do a piece of its work, where time passes up to about `limit`."""

    def resume(self) -> None:
        """The host listens in vain: one that only seemed to wait may go on."""

    def pending_s(self) -> float:
        """Real seconds until it must be looked at, or infinity."""
        return math.inf


class Silent(Program):
    """A chip held in reset, or a program that ignores the line."""
