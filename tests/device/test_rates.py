# SPDX-License-Identifier: Apache-2.0
"""Rates that a line or a port does not bear: one warning, and the work goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bench.soak import placeholder

from esptool import chips, ops
from esptool.device import Session, connect
from esptool.errors import PortError, RateError
from esptool.events import Event, Level, Message

#: What answers when the rate is changed.
SIDES = ("rom", "public", "model")


@contextmanager
def session_on(
    side: str, fault: str = "", chip: str = "esp32c3", **options: object
) -> Iterator[tuple[Session, list[str]]]:
    stub = "model" if side == "rom" else side
    more = "".join(f"&{k}={v}" for k, v in options.items())
    url = f"virtual://{chip}?stub={stub}&timing=virtual&latency=1ms&fault={fault}{more}"
    warnings: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Message) and event.level is Level.WARNING:
            warnings.append(event.text)

    with connect(url, listener=listen) as session:
        if side != "rom":
            session.run_stub(placeholder(session.spec))
        yield session, warnings


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("fault", ["baud:460800", "baud:460800,edge:0.05"])
def test_a_rate_that_the_line_does_not_bear_is_given_up_with_one_warning(
    side: str, fault: str
) -> None:
    with session_on(side, fault) as (session, warnings):
        kind = session.stub_kind
        session.change_baud(921_600)
        assert warnings == ["The line does not bear 921600 baud. Going on at 115200 baud."]
        assert session.link.baud == 115_200
        assert session.stub_kind is kind
        session.change_baud(460_800)
        assert len(warnings) == 1
        assert session.link.baud == 460_800
        ops.attach_flash(session)
        [written] = ops.write_flash(session, [ops.Region(0x10000, bytes(range(256)) * 16)])
        assert written.verified


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("key", chips.KEYS)
def test_a_rate_that_the_line_bears_is_kept_to(key: str, side: str) -> None:
    spec = chips.get(key)
    if not spec.rom.flash_ops and side == "rom":
        return
    if not spec.stub.available and side != "rom":
        return
    with session_on(side, "baud:921600,flip:1e-5", key) as (session, warnings):
        begin = session.link.now()
        session.change_baud(921_600)
        assert not warnings
        assert session.link.baud == 921_600
        assert session.link.now() - begin < 0.1


def test_a_rate_that_the_port_refuses_is_not_told_to_the_chip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with session_on("model") as (session, warnings):
        link, real = session.link, session.link.set_baud

        def set_baud(baud: int) -> None:
            if baud == 921_600:
                raise PortError("Failed to set baud rate 921600.")
            real(baud)

        monkeypatch.setattr(link, "set_baud", set_baud)
        asked = link.requests
        session.change_baud(921_600)
        assert link.requests == asked
        assert warnings == ["The port cannot be set to 921600 baud. Going on at 115200 baud."]


def test_a_chip_that_may_not_be_reset_and_is_lost_is_an_error() -> None:
    with session_on("rom", "baud:460800") as (session, warnings):
        session.may_reset = False
        with pytest.raises(RateError, match="does not bear 921600 baud"):
            session.change_baud(921_600)
        assert not warnings


@pytest.mark.parametrize("flags", [[], ["--no-stub"]])
@pytest.mark.parametrize("asked", ["921600", "2000000"])
def test_the_command_line_warns_once_on_standard_error_and_goes_on(
    asked: str, flags: list[str], capsys: Any
) -> None:
    import esptool

    url = "virtual://esp32c3?timing=virtual&fault=baud:460800"
    esptool.main(["--port", url, "--baud", asked, *flags, "flash-id"])
    said = capsys.readouterr()
    warning = f"WARNING: The line does not bear {asked} baud. Going on at 460800 baud.\n"
    assert said.err == warning
    assert said.out.count("Changing baud rate to ") == 1
    assert "Detected flash size: 4MB" in said.out
    assert "Hard resetting" in said.out
