# SPDX-License-Identifier: Apache-2.0
"""Reset lines moved from afar reach the board with a board's timing, however the network played."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esp_rfc2217_server.lines import LineKeeper

#: The classic reset as a client sends it: (line, on, seconds that the client waits afterwards).
CLASSIC = (
    ("dtr", False, 0.0),
    ("rts", True, 0.1),
    ("dtr", True, 0.0),
    ("rts", False, 0.05),
    ("dtr", False, 0.0),
)
HARD = (("rts", True, 0.1), ("rts", False, 0.0))


class Board:
    """A board with an auto-reset circuit, and a clock. EN rises slowly, as on real boards."""

    EN_RISE_S = 0.002
    MIN_RESET_S = 0.01

    def __init__(self) -> None:
        self.now = 0.0
        self.dtr = self.rts = False
        self.reset_since: float | None = None
        self.boots: list[str] = []
        self._sample_at: float | None = None
        self.is_open = True
        self.name = self.port = "board"

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self._advance(self.now + seconds)

    def _advance(self, until: float) -> None:
        if self._sample_at is not None and self._sample_at <= until:
            low = self.dtr and not self.rts
            self.boots.append("download" if low else "application")
            self._sample_at = None
        self.now = until

    def set_dtr_rts(self, dtr: bool, rts: bool) -> None:
        was = self.rts and not self.dtr
        self.dtr, self.rts = dtr, rts
        held = rts and not dtr
        if held and not was:
            self.reset_since, self._sample_at = self.now, None
        if was and not held:
            assert self.reset_since is not None
            if self.now - self.reset_since >= self.MIN_RESET_S:
                self._sample_at = self.now + self.EN_RISE_S


def play(steps: tuple[tuple[str, bool, float], ...], delays: list[float]) -> list[str]:
    """Move the lines as `steps` say, each delayed by the network; returns how the board booted."""
    board = Board()
    keeper = LineKeeper(board)
    sent = arrived = 0.0
    for (line, on, pause), delay in zip(steps, delays, strict=True):
        arrived = max(arrived, sent + delay)  # TCP keeps the order
        board.sleep(max(0.0, arrived - board.now))
        keeper.set(**{line: on})
        sent += pause
    board.sleep(max(0.0, (keeper.pending_s() or 0.0)))
    keeper.settle()
    board.sleep(1.0)
    return board.boots


@given(st.lists(st.floats(0.0, 0.5), min_size=5, max_size=5))
def test_a_classic_reset_ends_in_download_mode_whatever_the_latency(delays: list[float]) -> None:
    assert play(CLASSIC, delays)[-1:] == ["download"]


@given(st.lists(st.floats(0.0, 0.5), min_size=2, max_size=2))
def test_a_hard_reset_starts_the_application_whatever_the_latency(delays: list[float]) -> None:
    assert play(HARD, delays)[-1:] == ["application"]


def test_a_lone_dtr_in_reset_takes_effect_after_a_while() -> None:
    board = Board()
    keeper = LineKeeper(board)
    keeper.set(rts=True)
    keeper.set(dtr=True)
    assert (board.dtr, board.rts) == (False, True)
    left = keeper.pending_s()
    assert left is not None
    board.sleep(left)
    assert keeper.pending_s() == 0
    keeper.settle()
    assert (board.dtr, board.rts) == (True, True)


@pytest.mark.parametrize("extra", [0.0, 0.5])
def test_the_boot_strap_is_held_longer_on_request(extra: float) -> None:
    board = Board()
    keeper = LineKeeper(board, extra_delay_s=extra)
    keeper.set(rts=True)
    keeper.set(dtr=True)
    keeper.set(rts=False)
    released = board.now
    keeper.set(dtr=False)
    assert board.now - released == pytest.approx(0.05 + extra)
