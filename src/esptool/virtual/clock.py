# SPDX-License-Identifier: Apache-2.0
"""Time as the board sees it: none (as fast as it can), real, or virtual. It moves no bytes."""

from __future__ import annotations

import time
from enum import Enum


class Timing(Enum):
    """How line time, flash times and latency are charged."""

    FAST = "fast"
    REAL = "real"
    VIRTUAL = "virtual"


class Clock:
    """Two time lines in seconds: the device's `now`, and the host's, which may lag or lead.

    Fast: both stand still. Real: the host's is the wall clock. Virtual: the host's jumps to when
    the bytes that it waits for arrive, so that nothing waits and the total can be reported.
    """

    __slots__ = ("_host", "_start", "charged", "now", "timing")

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.charged = timing is not Timing.FAST
        self.now = 0.0
        self._host = 0.0
        self._start = time.monotonic()

    def spend(self, seconds: float) -> None:
        """The device works for so long."""
        if self.charged:
            self.now += seconds

    def advance_to(self, moment: float) -> None:
        """The device is idle until `moment`."""
        if self.charged and moment > self.now:
            self.now = moment

    def host_now(self) -> float:
        """What the host's clock shows."""
        if self.timing is Timing.REAL:
            return time.monotonic() - self._start
        return self._host

    def host_reaches(self, moment: float) -> float:
        """Seconds that the host must really sleep to be at `moment`; a virtual clock jumps."""
        if self.timing is Timing.REAL:
            return max(0.0, moment - self.host_now())
        self._host = max(self._host, moment)
        return 0.0

    def idle_host(self, seconds: float) -> None:
        """The host has waited in vain for so long."""
        if self.timing is Timing.VIRTUAL:
            # A little more, or a wait too short for the number's last digit would never end.
            self._host += seconds + 1e-9

    @property
    def elapsed(self) -> float:
        """Seconds since power-on on whichever time line is ahead."""
        return max(self.now, self.host_now())
