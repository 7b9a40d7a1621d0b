# SPDX-License-Identifier: Apache-2.0
"""How long work will still take, from what is left of it and the pace that was measured.

Estimates begin when something was measured, and move smoothly. For writes, whose line and flash
have paces of their own, see `esptool.transfer.write_pace`.
"""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], float]

#: What must be done, and how long it must have gone on, before anything is promised.
FIRST_SHARE, FIRST_S = 0.02, 0.1
#: A new estimate replaces the one before in this share of what is left, and at least this time.
SMOOTHING_SHARE, SMOOTHING_S = 0.05, 0.2
#: Reading and hashing flash on the chip, in bytes a second: a check after the work.
CHECK_RATE = 4e6
#: Looking on the chip whether flash is blank.
SCAN_RATE = 9e6


class SmoothEnd:
    """When work will end, as one moving estimate."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._end: float | None = None
        self._at = 0.0

    def left(self, seconds: float) -> float:
        """Seconds left after a new estimate has been taken in."""
        now = self._now()
        if self._end is None:
            self._end = now + seconds
        else:
            span = max(SMOOTHING_S, SMOOTHING_SHARE * max(seconds, self._end - now))
            self._end += min(1.0, (now - self._at) / span) * (now + seconds - self._end)
        self._at = now
        return max(0.0, self._end - now)


class EvenPace:
    """For work of which nothing is known but how much it is: it goes on as it went so far."""

    def __init__(self, now: Clock, total: int, after_s: float = 0.0, begun: int = 0) -> None:
        self._now = now
        self._total = total
        self._after_s = after_s
        self._begun = begun
        self._start = now()
        self._smooth = SmoothEnd(now)

    def left(self, done: int) -> float | None:
        """Seconds until all is done and checked, None while nothing has been measured."""
        took, moved = self._now() - self._start, done - self._begun
        if done >= self._total:
            return self._after_s
        if took < FIRST_S or moved <= 0 or moved < FIRST_SHARE * (self._total - self._begun):
            return None
        return self._smooth.left(took / moved * (self._total - done) + self._after_s)
