# SPDX-License-Identifier: Apache-2.0
"""Reset sequences, judged by what a board's auto-reset circuit makes of them."""

from __future__ import annotations

import os
from typing import Any

import pytest

from esptool.errors import PortError, UsageError
from esptool.transport import NoLinesError, Port, open_port, reset

Moves = list[tuple[bool, bool]]


def board_of(port: Port) -> Any:
    return port.serial.board  # type: ignore[attr-defined]


def watched(url: str = "virtual://esp32c3?timing=virtual") -> tuple[Port, Moves]:
    """A board on its own clock, and how its lines are moved from now on."""
    port = open_port(url)
    port.set_lines(False, False)  # as opened, pyserial takes both for asserted
    board, moves = board_of(port), Moves()
    real = board.set_lines

    def spy(dtr: bool, rts: bool) -> None:
        moves.append((dtr, rts))
        real(dtr, rts)

    board.set_lines = spy
    port.sleep(0.2)
    port.receive(0)
    return port, moves


def run(sequence: reset.Sequence, flow_control: bool = False) -> tuple[Port, Moves]:
    port, moves = watched()
    reset.play(port, sequence, flow_control=flow_control)
    port.sleep(0.2)
    return port, moves


QUICK_MS = (20, 50, 20)


@pytest.mark.parametrize(
    ("sequence", "boots"),
    [
        (reset.quick(*QUICK_MS, usb_jtag=False, tight=True), "download"),
        (reset.quick(*QUICK_MS, usb_jtag=False, tight=False), "download"),
        (reset.classic(), "download"),
        (reset.unix_tight(), "download"),
        (reset.hard(), "flash"),
        (reset.hard(uses_usb=True), "flash"),
        (reset.parse_custom("D0|R1|W0.1|D1|R0|W0.05|D0"), "download"),
        (reset.parse_custom("U0,1|W0.1|U1,0|W0.05|U0,0"), "download"),
    ],
)
def test_a_sequence_starts_the_chip_in_the_right_mode(sequence: reset.Sequence, boots: str) -> None:
    port, moves = run(sequence)
    assert board_of(port).in_loader == (boots == "download")
    assert port.receive(0).count(b"POWERON") == 1
    assert moves[-1] == port.lines == (False, False)


def test_a_tight_reset_moves_both_lines_of_a_virtual_board_at_once() -> None:
    _port, moves = run(reset.unix_tight())
    released, both, held, strapped = (False, False), (True, True), (False, True), (True, False)
    assert moves == [released, both, held, strapped, released, released]


@pytest.mark.parametrize(
    "sequence",
    [reset.USB_JTAG_SERIAL, reset.quick(*QUICK_MS, usb_jtag=True, tight=True)],
    ids=["usual", "quick"],
)
def test_usb_jtag_never_passes_through_both_lines_released(sequence: reset.Sequence) -> None:
    _port, moves = run(sequence)
    first = moves.index((True, False))
    second = moves.index((False, True))
    assert (False, False) not in moves[first:second]


def test_a_flow_control_bridge_keeps_dtr_at_the_end() -> None:
    port, _moves = run(reset.classic(), flow_control=True)
    assert port.lines == (True, False)


@pytest.mark.parametrize("text", ["", "X1", "D2", "R", "Wx", "U1", "D0||R1", "W-1", "Wnan", "Winf"])
def test_a_malformed_custom_sequence_is_refused_with_its_syntax(text: str) -> None:
    with pytest.raises(UsageError, match="Steps are D0/D1"):
        reset.parse_custom(text)


def test_a_port_without_lines_gives_one_clear_error() -> None:
    pty = pytest.importorskip("pty")
    main, other = pty.openpty()
    port = open_port(os.ttyname(other))
    with pytest.raises(NoLinesError, match="Setting RTS/DTR lines is not supported"):
        reset.play(port, reset.unix_tight())
    with pytest.raises(NoLinesError, match="Setting RTS/DTR lines is not supported"):
        reset.play(port, reset.hard())
    port.close()
    os.close(main)
    os.close(other)


def test_a_port_that_is_gone_is_one_clear_error() -> None:
    port, _moves = watched("virtual://esp32c3?timing=virtual&fault=drop:1000,away:60")
    with pytest.raises(PortError, match="Lost the connection"):
        port.send(bytes(1001))
    with pytest.raises(PortError, match=r"reset lines.*The device is not there(?s:.*)no-reset"):
        reset.play(port, reset.hard())


def test_strategies_follow_port_and_configuration() -> None:
    def pick(url: str = "/dev/ttyUSB0", **kw: object) -> tuple[reset.Sequence, ...]:
        args: dict[str, object] = {"usb_jtag": False, "delay_s": None, "custom": None, **kw}
        return reset.download_strategies(url=url, **args)  # type: ignore[arg-type]

    assert pick(custom="D0")[0] == (reset.Dtr(False),)
    assert pick(usb_jtag=True) == (reset.USB_JTAG_SERIAL,)
    assert pick("rfc2217://x:1") == (reset.classic(), reset.classic(reset.EXTRA_RESET_DELAY_S))
    assert reset.Wait(2.0) in pick(delay_s=2.0)[-2]


@pytest.mark.parametrize(
    "given",
    [{"custom": "D0"}, {"delay_s": 0.1}, {"url": "rfc2217://x:1"}],
    ids=["a sequence", "a delay", "a network"],
)
def test_nothing_is_tried_before_what_the_user_or_the_way_prescribes(
    given: dict[str, object],
) -> None:
    usual: dict[str, object] = {
        "url": "/dev/ttyUSB0", "usb_jtag": False, "delay_s": None, "custom": None
    }  # fmt: skip
    assert reset.quick_strategy(QUICK_MS, **usual) is not None  # type: ignore[arg-type]
    assert reset.quick_strategy(QUICK_MS, **(usual | given)) is None  # type: ignore[arg-type]
