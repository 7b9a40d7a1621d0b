# SPDX-License-Identifier: Apache-2.0
"""Reset lines moved from afar reach the board with a board's timing, however the network played."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esp_rfc2217_server.lines import LineKeeper
from esptool.transport import Port, open_port

#: The classic reset as a client sends it: (line, on, seconds that the client waits afterwards).
CLASSIC = (
    ("dtr", False, 0.0),
    ("rts", True, 0.1),
    ("dtr", True, 0.0),
    ("rts", False, 0.05),
    ("dtr", False, 0.0),
)
HARD = (("rts", True, 0.1), ("rts", False, 0.0))


#: So long a board must be held in reset at least, and its boot strap behind that.
MIN_HELD_S = 0.05


class Bench:
    """A virtual board on its own clock, and when its lines were moved."""

    def __init__(self, extra_delay_s: float = 0.0) -> None:
        self.port: Port = open_port("virtual://esp32c3?timing=virtual")
        self.board: Any = self.port.serial.board  # type: ignore[attr-defined]
        self.moves: list[tuple[float, bool, bool]] = []
        real = self.board.set_lines

        def spy(dtr: bool, rts: bool) -> None:
            self.moves.append((self.port.now(), dtr, rts))
            real(dtr, rts)

        self.board.set_lines = spy
        self.keeper = LineKeeper(self.port, extra_delay_s=extra_delay_s)
        self.port.sleep(0.2)
        self.port.receive(0)

    def held_s(self, dtr: bool, rts: bool) -> list[float]:
        """How long the lines stood so, each time that they did and were moved on."""
        steps = zip(self.moves, self.moves[1:], strict=False)
        return [after - at for (at, *lines), (after, *_) in steps if lines == [dtr, rts]]


def play(steps: tuple[tuple[str, bool, float], ...], delays: list[float]) -> str:
    """Move the lines as `steps` say, each delayed by the network; how the board started last."""
    bench = Bench()
    port, keeper = bench.port, bench.keeper
    begin = port.now()
    sent = arrived = 0.0
    for (line, on, pause), delay in zip(steps, delays, strict=True):
        arrived = max(arrived, sent + delay)  # TCP keeps the order
        port.sleep(max(0.0, begin + arrived - port.now()))
        keeper.set(**{line: on})
        sent += pause
    port.sleep(keeper.pending_s() or 0.0)
    keeper.settle()
    port.sleep(0.2)
    assert all(held >= MIN_HELD_S for held in bench.held_s(False, True))
    if b"POWERON" not in port.receive(0):
        return "not at all"
    return "download" if bench.board.in_loader else "application"


@given(st.lists(st.floats(0.0, 0.5), min_size=5, max_size=5))
def test_a_classic_reset_ends_in_download_mode_whatever_the_latency(delays: list[float]) -> None:
    assert play(CLASSIC, delays) == "download"


@given(st.lists(st.floats(0.0, 0.5), min_size=2, max_size=2))
def test_a_hard_reset_starts_the_application_whatever_the_latency(delays: list[float]) -> None:
    assert play(HARD, delays) == "application"


def test_a_lone_dtr_in_reset_takes_effect_after_a_while() -> None:
    bench = Bench()
    keeper = bench.keeper
    keeper.set(rts=True)
    keeper.set(dtr=True)
    assert bench.port.lines == (False, True)
    left = keeper.pending_s()
    assert left is not None
    bench.port.sleep(left)
    assert keeper.pending_s() == 0
    keeper.settle()
    assert bench.port.lines == (True, True)


@pytest.mark.parametrize("extra", [0.0, 0.5])
def test_the_boot_strap_is_held_longer_on_request(extra: float) -> None:
    bench = Bench(extra)
    for line, on in (("rts", True), ("dtr", True), ("rts", False), ("dtr", False)):
        bench.keeper.set(**{line: on})
    assert bench.held_s(True, False) == [pytest.approx(0.05 + extra)]
