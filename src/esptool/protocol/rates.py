# SPDX-License-Identifier: Apache-2.0
"""Which rates to try on a line, in which order, and which is the best: no port and no clock.

The caller makes the trials that are wanted, with numbered patterns that the chip sends back, and
tells how they went. Rates rise by steps of about two; between the last that went and the first that
did not, one more is tried. The best is then tried thoroughly, as a line at its edge spoils a byte
now and then, and so on downwards. All of it takes no longer than the budget: what was measured
before counts, and so does the way to the rate that is taken in the end.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import Enum

from esptool.protocol.packets import BITS_A_BYTE

#: What a search goes through first, and what lies between.
STEPS = (115_200, 460_800, 921_600, 2_000_000, 3_000_000)
BETWEEN = (230_400, 1_500_000)
#: All of them, for stepping down.
LADDER = tuple(sorted((*STEPS, *BETWEEN)))
BUDGET_S = 0.3
#: Over a bridge whose round trips are longer than this, a search may take so many of them more: it
#: would never come to the fast rates, of which each trial takes several.
SLOW_S, SLOW_TRIPS = 0.01, 8
#: What is asked for instead of a rate: the best one that the line bears.
AUTO = "auto"
#: What stands around a pattern in its frame: header, seal, marks, escapes.
AROUND = 12
#: Patterns that fit into a FIFO come back while the next ones go out. At fast rates a chip may be
#: too slow for both at once: there they are longer, and go one by one.
FAST = 1_000_000
SHORT, WINDOW = 100, 6
QUICK_FRAMES, THOROUGH_FRAMES = 3, 40
QUICK_FAST_FRAMES, THOROUGH_FAST_FRAMES = 2, 5
MIDDLE, LONG = 200, 600
#: A thorough trial has fewer frames where they would take longer.
THOROUGH_S = 0.09
#: A trial that fails costs as much as so many round trips and this more: the chip has to be told
#: of the rate, nothing comes, and the chip has to come back.
FAILURE_TRIPS, FAILURE_S = 6, 0.035
#: Going to a rate that is known to be good: asked for, with a pattern to see it there.
WAY_TRIPS, WAY_S = 2, 0.012
#: Waiting in vain for a pattern, and the way back after that.
LOSS_TRIPS, LOSS_S = 4, 0.026


class Verdict(Enum):
    """How a trial went."""

    CLEAN = "clean"
    #: A single frame of several was lost, which noise may do at any rate, or they came late, which
    #: a busy machine may cause: it is tried once more.
    DOUBTFUL = "doubtful"
    BAD = "bad"
    #: Port or chip cannot be set to the rate.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Trial:
    """Go to a rate, and exchange patterns.

    Attributes:
        frames: how many, each of `size` bytes.
        window: how many are on their way at once.
        patience_s: when so much time is gone, the first pattern that is lost ends it.
    """

    rate: int
    frames: int
    size: int
    window: int
    thorough: bool = False
    patience_s: float = field(default=math.inf, compare=False)

    @property
    def line_s(self) -> float:
        """Seconds that it takes on the line, besides round trips."""
        frame_s = (self.size + AROUND) * BITS_A_BYTE / self.rate
        return frame_s * (2 * self.frames if self.window == 1 else self.frames + 1)

    def most_s(self, round_trip_s: float) -> float:
        """What it may take: one with many short patterns ends soon where they are lost."""
        failure_s = FAILURE_TRIPS * round_trip_s + FAILURE_S
        success_s = (self.frames / self.window + WAY_TRIPS) * round_trip_s + WAY_S
        return self.line_s + max(success_s, failure_s if self.window == 1 else failure_s / 2)


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a trial.

    Attributes:
        good: patterns that came back whole.
        seconds: what it took, with the change of the rate and the way back from a failure.
        refused: the rate could not be set.
        late: the patterns came back, but later than line and bridge explain.
    """

    good: int
    seconds: float
    refused: bool = False
    late: bool = False


def judge(trial: Trial, heard: Heard) -> Verdict:
    """What a trial says of its rate."""
    if heard.refused:
        return Verdict.REFUSED
    if heard.good < trial.frames - 1:
        return Verdict.BAD
    if heard.late or heard.good < trial.frames:
        return Verdict.DOUBTFUL
    return Verdict.CLEAN


class RateSearch:
    """One search, from `base` upwards, or with what is remembered of the adapter.

    Attributes:
        best: the best rate that is known to be good so far; at the end, the one to take.
        spent_s: seconds that it took so far.
        cut: there was no time for higher rates, or answers were late at them, which a busy machine
            may cause: they may work as well.
    """

    def __init__(
        self,
        base: int,
        *,
        remembered: int | None = None,
        further: bool = False,
        spent_s: float = 0.0,
        round_trip_s: float = 0.0,
        budget_s: float = BUDGET_S,
        without: Collection[int] = (),
    ) -> None:
        """Begin a search.

        Args:
            base: the rate at which chip and host are.
            remembered: a rate that was good before, in bits a second.
            further: it was not known to be the best.
            spent_s: seconds that are gone before the first trial.
            round_trip_s: of the line, besides the time of the bytes on it.
            budget_s: seconds that all may take, the way to the best rate included; more over a
                slow bridge.
            without: rates that are known not to work.
        """
        self.base = self.best = base
        self.spent_s = spent_s
        self._round_trip_s = round_trip_s
        self.cut = False
        self._budget_s = budget_s + SLOW_TRIPS * max(0.0, round_trip_s - SLOW_S)
        self._refused = set(without)
        self._bad: set[int] = set()
        #: Rates that passed a short trial, and those that passed a thorough one.
        self._passed: set[int] = set()
        self._proven: set[int] = {base}
        #: What is tried thoroughly without a short trial before.
        self._hopes: set[int] = set()
        self._doubted: set[Trial] = set()
        self._climbing = True
        self._first: int | None = None
        if remembered in LADDER and remembered > base and remembered not in self._refused:
            if further:
                # What there was no time for before is tried before what there was.
                self._passed.add(remembered)
            else:
                self._first = remembered

    def next(self) -> Trial | None:
        """The trial to make now; None when the search is over."""
        trial = self._wanted()
        if trial is not None and self.spent_s + self._most_s(trial) > self._budget_s:
            # What passed a short trial is taken where there is no time for a thorough one.
            self.best = max(self._passed | self._proven)
            self.cut = self.cut or trial.rate > self.best
            return None
        if trial is None:
            return None
        loss_s = LOSS_TRIPS * self._round_trip_s + LOSS_S
        left_s = self._budget_s - self.spent_s - self._way_s(trial)
        return replace(trial, patience_s=left_s - loss_s)

    def _most_s(self, trial: Trial) -> float:
        """What a trial may take, with the way to the rate that is the best if it fails."""
        return trial.most_s(self._round_trip_s) + self._way_s(trial)

    def _way_s(self, trial: Trial) -> float:
        """What the way to the rate takes that is the best if a trial fails."""
        below = any(self.base < r < trial.rate for r in self._passed | self._proven)
        return WAY_TRIPS * self._round_trip_s + WAY_S if below else 0.0

    def _wanted(self) -> Trial | None:
        if self._first is not None:
            trial = thorough(self._first)
            # Over a slow bridge there is no time for that.
            fits = self.spent_s + self._most_s(trial) <= self._budget_s
            return trial if fits else quick(self._first)
        if self._climbing:
            rate = self._higher()
            if rate is not None:
                return quick(rate)
            self._climbing = False
        candidates = [r for r in self._passed | self._hopes if r > max(self._proven)]
        return thorough(max(candidates)) if candidates else None

    def _higher(self) -> int | None:
        """The next rate to climb to."""
        top = max(self._passed, default=self.base)
        if self._passed and self.spent_s + self._most_s(quick(top)) + THOROUGH_S > self._budget_s:
            self.cut = self.cut or top < STEPS[-1]
            return None
        wall = min((rate for rate in self._bad if rate > top), default=None)
        for rate in STEPS if wall is None else LADDER:
            if rate > top and rate not in self._refused and (wall is None or rate < wall):
                return rate
        return None

    def took(self, trial: Trial, heard: Heard) -> Verdict:
        """Take in how a trial went; what was made of it."""
        self.spent_s += heard.seconds
        verdict = judge(trial, heard)
        self.cut = self.cut or heard.late
        if verdict is Verdict.DOUBTFUL:
            if trial not in self._doubted:
                self._doubted.add(trial)
                return verdict
            verdict = Verdict.BAD
        if trial.rate == self._first:
            self._first = None
            self._climbing = verdict is not Verdict.CLEAN
        if verdict is not Verdict.CLEAN:
            self._drop(trial.rate, verdict)
            return verdict
        self._passed.add(trial.rate)
        if trial.thorough:
            self._proven.add(trial.rate)
            self.best = max(self._proven)
        return verdict

    def _drop(self, rate: int, verdict: Verdict) -> None:
        if verdict is Verdict.REFUSED:
            self._refused.add(rate)
            worse = {rate}
        else:
            # What is faster is not better.
            self._bad.add(rate)
            worse = {r for r in self._passed | self._hopes if r >= rate}
        self._passed -= worse
        self._hopes -= worse
        if not self._climbing:
            below = max((r for r in LADDER if r < rate and r not in self._refused), default=0)
            if below > max(self._passed | self._proven):
                self._hopes.add(below)


def quick(rate: int) -> Trial:
    """A trial that tells whether a rate works at all."""
    if rate < FAST:
        return Trial(rate, QUICK_FRAMES, SHORT, WINDOW)
    return Trial(rate, QUICK_FAST_FRAMES, MIDDLE, 1)


def thorough(rate: int) -> Trial:
    """A trial that finds the errors of a line at its edge."""
    if rate < FAST:
        fits = int(THOROUGH_S * rate / BITS_A_BYTE / (SHORT + AROUND))
        frames = max(QUICK_FRAMES + 1, min(THOROUGH_FRAMES, fits))
        return Trial(rate, frames, SHORT, WINDOW, thorough=True)
    fits = int(THOROUGH_S * rate / BITS_A_BYTE / (LONG + AROUND) / 2)
    frames = max(QUICK_FAST_FRAMES + 1, min(THOROUGH_FAST_FRAMES, fits))
    return Trial(rate, frames, LONG, 1, thorough=True)


def lower(rate: int, least: int = LADDER[0]) -> int:
    """The next rate to go down to; `least` at the end."""
    return max((r for r in LADDER if least <= r < rate), default=least)
