# SPDX-License-Identifier: Apache-2.0
"""Reset sequences, judged by what a board's auto-reset circuit makes of them."""

from __future__ import annotations

import pytest

from esptool.errors import PortError, UsageError
from esptool.transport import reset


class AutoReset:
    """The usual two-transistor circuit: EN falls when RTS alone, IO0 when DTR alone is asserted."""

    is_open = True
    name = port = None

    def __init__(self) -> None:
        self._dtr = self._rts = False
        self.boots: list[str] = []
        self.moves: list[tuple[bool, bool]] = []

    def set_dtr_rts(self, dtr: bool, rts: bool) -> None:
        was_in_reset = self._rts and not self._dtr
        self._dtr, self._rts = dtr, rts
        self.moves.append((dtr, rts))
        in_reset = rts and not dtr
        if was_in_reset and not in_reset:
            # EN rises slowly behind its capacitor: the strap is read after the next move.
            self.boots.append("pending")
        if self.boots and self.boots[-1] == "pending" and not in_reset:
            self.boots[-1] = "pending" if dtr and rts else "download" if dtr else "flash"

    dtr = property(lambda s: s._dtr, lambda s, v: s.set_dtr_rts(bool(v), s._rts))
    rts = property(lambda s: s._rts, lambda s, v: s.set_dtr_rts(s._dtr, bool(v)))

    def open(self) -> None:
        raise OSError("gone")

    def close(self) -> None: ...


def run(sequence: reset.Sequence, flow_control: bool = False) -> AutoReset:
    board = AutoReset()
    reset.play(board, sequence, flow_control=flow_control, sleep=lambda _s: None)  # type: ignore[arg-type]
    return board


@pytest.mark.parametrize(
    ("sequence", "boots"),
    [
        (reset.classic(), "download"),
        (reset.unix_tight(), "download"),
        (reset.hard(), "flash"),
        (reset.hard(uses_usb=True), "flash"),
        (reset.parse_custom("D0|R1|W0.1|D1|R0|W0.05|D0"), "download"),
        (reset.parse_custom("U0,1|W0.1|U1,0|U0,0"), "download"),
    ],
)
def test_a_sequence_starts_the_chip_in_the_right_mode(sequence: reset.Sequence, boots: str) -> None:
    board = run(sequence)
    assert board.boots == [boots]
    assert (board._dtr, board._rts) == (False, False)


def test_usb_jtag_never_passes_through_both_lines_released() -> None:
    moves = run(reset.USB_JTAG_SERIAL).moves
    first = moves.index((True, False))
    second = moves.index((False, True))
    assert (False, False) not in moves[first:second]


def test_a_flow_control_bridge_keeps_dtr_at_the_end() -> None:
    assert run(reset.classic(), flow_control=True)._dtr


@pytest.mark.parametrize("text", ["", "X1", "D2", "R", "Wx", "U1", "D0||R1"])
def test_a_malformed_custom_sequence_is_refused_with_its_syntax(text: str) -> None:
    with pytest.raises(UsageError, match="Steps are D0/D1"):
        reset.parse_custom(text)


def test_a_port_without_lines_gives_one_clear_error() -> None:
    class NoLines(AutoReset):
        def set_dtr_rts(self, dtr: bool, rts: bool) -> None:
            raise OSError("Inappropriate ioctl")

    with pytest.raises(PortError, match=r"reset lines.*\n.*no-reset"):
        reset.play(NoLines(), reset.hard(), sleep=lambda _s: None)  # type: ignore[arg-type]


def test_strategies_follow_port_and_configuration() -> None:
    def pick(url: str = "/dev/ttyUSB0", **kw: object) -> tuple[reset.Sequence, ...]:
        args: dict[str, object] = {"usb_jtag": False, "delay_s": None, "custom": None, **kw}
        return reset.download_strategies(url=url, **args)  # type: ignore[arg-type]

    assert pick(custom="D0")[0] == (reset.Dtr(False),)
    assert pick(usb_jtag=True) == (reset.USB_JTAG_SERIAL,)
    assert pick("rfc2217://x:1") == (reset.classic(), reset.classic(reset.EXTRA_RESET_DELAY_S))
    assert reset.Wait(2.0) in pick(delay_s=2.0)[-2]
