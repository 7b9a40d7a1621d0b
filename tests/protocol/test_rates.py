# SPDX-License-Identifier: Apache-2.0
"""The search for the best rate, on lines that are reckoned with: right, and in time."""

from __future__ import annotations

import random

import pytest

from esptool.protocol import rates
from esptool.protocol.rates import AROUND, Heard, RateSearch, Trial

BORNE = (115_200, 460_800, 921_600, 2_000_000, 3_000_000)


class Line:
    """Bears all up to `top`; behind it comes an edge at which a byte in so many is damaged."""

    def __init__(
        self, rng: random.Random, top: int, edge: float, round_trip_s: float, noise: float = 0.0
    ) -> None:
        self.rng, self.top, self.edge, self.noise = rng, top, edge, noise
        self.round_trip_s = round_trip_s
        self.trials: list[Trial] = []

    def tried(self, trial: Trial) -> Heard:
        self.trials.append(trial)
        chance = self.chance(trial.rate)
        took, good, lost = 0.006 + self.round_trip_s, 0, 0
        # Before long patterns comes a short one.
        if trial.size > rates.SHORT:
            for _ in range(2 if trial.thorough else 1):
                took += self.round_trip_s + 0.001
                if self.passes(chance, rates.SHORT):
                    break
                took += self.round_trip_s + 0.008
            else:
                lost = trial.frames
        while good + lost < trial.frames and lost < 2 and not (lost and took > trial.patience_s):
            took += trial.line_s / trial.frames
            if trial.window == 1:
                took += self.round_trip_s
            if self.passes(chance, trial.size):
                good += 1
                continue
            if trial.window == 1 or not lost:
                took += self.round_trip_s + 0.01
            lost += 1
        if good < trial.frames - 1:
            took += 1.5 * self.round_trip_s + 0.012
        return Heard(good, took)

    def passes(self, chance: float, size: int) -> bool:
        """A pattern of `size` bytes goes both ways undamaged."""
        return self.rng.random() < (1 - chance) ** (2 * (size + AROUND))

    def settle_s(self) -> float:
        """The way to a rate that is known to be good."""
        return 2 * self.round_trip_s + 0.01

    def chance(self, rate: int) -> float:
        if rate <= self.top:
            return self.noise
        return self.edge if rate <= 2.2 * self.top and self.edge else 1.0


def search(line: Line, remembered: int | None = None) -> RateSearch:
    """Run to the end; it must come."""
    found = RateSearch(
        115_200,
        remembered=remembered,
        spent_s=0.004 + line.round_trip_s,
        round_trip_s=line.round_trip_s,
    )
    for _ in range(40):
        trial = found.next()
        if trial is None:
            return found
        found.took(trial, line.tried(trial))
    raise AssertionError("no end")


@pytest.mark.parametrize("top", BORNE)
@pytest.mark.parametrize("edges", [False, True], ids=["sharp", "with errors at the edge"])
def test_the_best_clean_rate_is_found_in_time(top: int, edges: bool) -> None:
    right = 0
    for seed in range(300):
        rng = random.Random(seed)
        edge = 10 ** rng.uniform(-3, -1) if edges else 0.0
        line = Line(rng, top, edge, rng.choice((0.001, 0.002, 0.004, 0.006)))
        found = search(line)
        right += found.best == top
        assert found.best <= 2.2 * top
        settle_s = line.settle_s() if found.best not in (115_200, line.trials[-1].rate) else 0
        assert found.spent_s + settle_s <= rates.BUDGET_S, (seed, line.trials)
    assert right >= 297


def test_a_remembered_rate_that_still_works_costs_one_trial() -> None:
    line = Line(random.Random(1), 921_600, 0.0, 0.001)
    assert search(line, remembered=921_600).best == 921_600
    assert [t.rate for t in line.trials] == [921_600]


@pytest.mark.parametrize("top", BORNE[:-1])
@pytest.mark.parametrize("remembered", [3_000_000, 12345, 0])
def test_a_remembered_rate_that_does_not_work_any_more_costs_no_more_than_a_trial(
    top: int, remembered: int
) -> None:
    line = Line(random.Random(1), top, 0.0, 0.001)
    found = search(line, remembered=remembered)
    assert found.best == top
    assert found.spent_s + line.settle_s() <= rates.BUDGET_S


@pytest.mark.parametrize("refused", [[460_800], [2_000_000], [921_600, 2_000_000], rates.LADDER])
def test_a_rate_that_the_port_refuses_is_left_out_and_the_next_is_tried(
    refused: list[int],
) -> None:
    found = RateSearch(115_200)
    line = Line(random.Random(1), 3_000_000, 0.0, 0.001)
    while (trial := found.next()) is not None:
        bad = trial.rate in refused
        found.took(trial, Heard(0, 0.0, refused=True) if bad else line.tried(trial))
    assert found.best == max(set(rates.STEPS) - set(refused), default=115_200)


def test_noise_now_and_then_does_not_send_it_down() -> None:
    found = [
        search(Line(random.Random(seed), 3_000_000, 0.0, 0.001, noise=2e-5)).best
        for seed in range(300)
    ]
    assert found.count(3_000_000) >= 290


def test_what_answers_late_is_not_taken() -> None:
    found = RateSearch(115_200)
    while (trial := found.next()) is not None:
        found.took(trial, Heard(trial.frames, 0.01, late=trial.rate > 921_600))
    assert found.best == 921_600


def test_what_is_late_once_as_on_a_busy_machine_is_tried_again() -> None:
    found = RateSearch(115_200)
    tried: list[int] = []
    while (trial := found.next()) is not None:
        tried.append(trial.rate)
        late = tried.count(trial.rate) == 1 and trial.rate > 460_800
        found.took(trial, Heard(trial.frames, 0.01, late=late))
    assert found.best == 3_000_000


def test_any_course_ends_with_a_rate_that_has_passed() -> None:
    for seed in range(2000):
        rng = random.Random(seed)
        found = RateSearch(
            115_200,
            remembered=rng.choice((None, *rates.LADDER)),
            without=rng.sample(rates.LADDER, rng.randrange(3)),
        )
        passed = {115_200}
        for _ in range(60):
            trial = found.next()
            if trial is None:
                break
            good = rng.choice((trial.frames, trial.frames, trial.frames - 1, 0))
            heard = Heard(good, rng.uniform(0, 0.05), rng.random() < 0.1, rng.random() < 0.1)
            if found.took(trial, heard) is rates.Verdict.CLEAN:
                passed.add(trial.rate)
        else:
            raise AssertionError("no end")
        assert found.best in passed


@pytest.mark.parametrize(
    ("rate", "below"),
    [(3_000_000, 2_000_000), (1_000_000, 921_600), (230_400, 115_200), (9600, 115_200)],
)
def test_the_way_down_ends_at_the_rate_of_the_rom(rate: int, below: int) -> None:
    assert rates.lower(rate) == below
