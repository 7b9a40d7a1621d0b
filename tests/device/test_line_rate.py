# SPDX-License-Identifier: Apache-2.0
"""`--baud auto`: the best rate that the line bears, remembered, and left when it gets bad."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import rates as bench

import esptool
from esptool import cmds, ops
from esptool.device import Session, adapters, connect
from esptool.device.line_rate import LineRate
from esptool.errors import PortError, UsageError
from esptool.events import Event, Level, Message
from esptool.protocol.rates import Trial
from esptool.virtual.board import NAMED

DATA = random.Random(1).randbytes(100_000)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "adapters.json"
    monkeypatch.setenv(adapters.VARIABLE, str(found))
    return found


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[Trial]:
    """The trials that are made from now on."""
    made: list[Trial] = []
    tried = LineRate._tried

    def spy(rate: LineRate, trial: Trial) -> Any:
        made.append(trial)
        return tried(rate, trial)

    monkeypatch.setattr(LineRate, "_tried", spy)
    return made


@contextlib.contextmanager
def on_line(
    fault: str, chip: str = "esp32c3", stub: str = "model", more: str = ""
) -> Iterator[tuple[Session, list[str]]]:
    """A session without a stub yet, and the warnings that it gives."""
    url = f"virtual://{chip}?name=rates&stub={stub}&timing=virtual&latency=1ms&fault={fault}{more}"
    warnings: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Message) and event.level is Level.WARNING:
            warnings.append(event.text)

    with connect(url, listener=listen) as session:
        yield session, warnings


@pytest.mark.parametrize("edges", [False, True], ids=["sharp", "errors at the edge"])
@pytest.mark.parametrize("top", bench.TOPS)
def test_the_best_rate_is_found_in_time(top: int, edges: bool) -> None:
    for seed in range(4):
        found = bench.one(seed, top, edges)
        assert (found.found, found.error) == (top, ""), found
        assert found.probing_s <= bench.MOST_S


@pytest.mark.parametrize("chip", ["esp32", "esp32c3"])
def test_machine_code_finds_it_too(chip: str) -> None:
    pytest.importorskip("icicle")
    found = bench.one(1, 921_600, True, True, (chip,))
    assert found.found == 921_600
    assert found.probing_s <= bench.MOST_S


def test_it_is_remembered_by_adapter_and_looked_for_anew_where_it_does_not_work_any_more(
    file: Path, trials: list[Trial]
) -> None:
    for expected in (921_600, 921_600):
        with on_line("baud:921600") as (session, _):
            session.run_stub(baud="auto")
            assert session.link.baud == expected
    assert [t.rate for t in trials[-1:]] == [921_600]
    assert trials[-1].thorough
    assert len(trials) > 2
    trials.clear()
    NAMED.clear()
    with on_line("baud:460800") as (session, warnings):
        session.run_stub(baud="auto")
        assert session.link.baud == 460_800
        assert adapters.recall(session.link.port).rate == 460_800
        assert not warnings
    assert trials[0].rate == 921_600


def test_a_rate_that_the_port_refuses_is_left_out(
    trials: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_line("seed:1") as (session, warnings):
        real = session.link.set_baud

        def set_baud(baud: int) -> None:
            if baud == 2_000_000:
                raise PortError("Failed to set baud rate 2000000.")
            real(baud)

        monkeypatch.setattr(session.link, "set_baud", set_baud)
        session.run_stub(baud="auto")
        assert session.link.baud == 3_000_000
        assert not warnings


@pytest.mark.parametrize("chance", [1e-3, 4e-4])
def test_an_error_that_patterns_have_missed_is_found_by_the_stubs_blocks(
    chance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = LineRate.find
    monkeypatch.setattr(LineRate, "find", lambda rate, _known, **_: rate.go(2_000_000))
    assert find is not LineRate.find
    with on_line(f"baud:921600,edge:{chance}", "esp32s3") as (session, warnings):
        session.run_stub(baud="auto")
        assert session.link.baud in (921_600, 1_500_000)
        assert warnings[0].startswith("The line does not bear 2000000 baud. Going on at")


@pytest.mark.parametrize("asked", ["auto", 2_000_000])
def test_an_automatic_rate_goes_down_when_the_line_gets_bad(asked: int | str, file: Path) -> None:
    with on_line("seed:1") as (session, warnings):
        session.run_stub(baud="auto" if asked == "auto" else asked)
        before = session.link.baud
        session.wanted_baud = asked
        ops.attach_flash(session)
        faults = session.link.port.serial.board.options.faults  # type: ignore[attr-defined]
        faults.most_baud, faults.edge = 1_400_000, 0.002
        [written] = ops.write_flash(session, [ops.Region(0x10000, DATA)])
        assert written.verified
        if asked == "auto":
            assert warnings
            assert warnings[0].startswith(f"Data are damaged at {before} baud. Going on at ")
            assert session.link.baud < before
            assert adapters.recall(session.link.port).rate == session.link.baud
        else:
            assert not warnings
            assert session.link.baud == before


@pytest.mark.parametrize("way", ["option", "variable", "file", "python"])
def test_each_way_to_ask_for_it_prints_the_rate(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    url = "virtual://esp32c3?timing=virtual&fault=baud:921600"
    words = ["--port", url, "flash-id"]
    if way == "option":
        words = ["--baud", "auto", *words]
    elif way == "variable":
        monkeypatch.setenv("ESPTOOL_BAUD", "auto")
    elif way == "file":
        (tmp_path / "esptool.cfg").write_text("[esptool]\nbaud = auto\n")
        monkeypatch.setenv("ESPTOOL_CFGFILE", str(tmp_path / "esptool.cfg"))
    if way == "python":
        with cmds.detect_chip(url) as esp:
            cmds.run_stub(esp, baud="auto")
            assert esp.get_baud() == 921_600
    else:
        esptool.main(words)
    said = capsys.readouterr()
    assert said.out.count("Baud rate: 921600, the best that the line bears.") == 1
    assert "baud" not in said.err.lower()


@pytest.mark.parametrize("text", ["fast", "-1", "0", ""])
def test_a_rate_in_the_configuration_that_is_none_is_named_and_ignored(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "esptool.cfg").write_text(f"[esptool]\nbaud = {text}\n")
    monkeypatch.setenv("ESPTOOL_CFGFILE", str(tmp_path / "esptool.cfg"))
    monkeypatch.setattr("esptool.config._shown", set())
    esptool.main(["--port", "virtual://esp32c3?timing=virtual", "read-mac"])
    said = capsys.readouterr()
    assert f"Configuration option 'baud' cannot be {text}" in said.err
    assert "Changing baud rate" not in said.out


def test_over_the_chips_own_usb_nothing_is_tried_or_said(trials: list[Trial], capsys: Any) -> None:
    url = "virtual://esp32s3?link=usb-jtag&timing=virtual"
    esptool.main(["--port", url, "--baud", "auto", "flash-id"])
    said = capsys.readouterr()
    assert not trials
    assert "baud" not in (said.out + said.err).replace("--baud", "").lower()


def test_without_a_first_stage_a_likely_rate_is_taken(capsys: Any) -> None:
    url = "virtual://esp32c3?timing=virtual"
    esptool.main(["--port", url, "--baud", "auto", "--no-stub", "flash-id"])
    assert "Changing baud rate to 460800..." in capsys.readouterr().out


def test_a_rate_that_was_asked_for_is_tried_once_and_named_in_one_warning(capsys: Any) -> None:
    url = "virtual://esp32c3?timing=virtual&fault=baud:460800,edge:0.05"
    esptool.main(["--port", url, "--baud", "921600", "flash-id"])
    said = capsys.readouterr()
    assert said.err.count("does not bear 921600 baud. Going on at 460800 baud.") == 1
    assert "Detected flash size" in said.out


@pytest.mark.parametrize("asked", [921_600, 3_000_000])
@pytest.mark.parametrize("top", [230_400, 460_800])
def test_below_a_rate_that_the_line_does_not_bear_the_next_one_is_taken(
    asked: int, top: int
) -> None:
    with on_line(f"baud:{top}") as (session, warnings):
        session.run_stub(baud=asked)
        assert session.link.baud == top
        assert warnings == [f"The line does not bear {asked} baud. Going on at {top} baud."]


def test_a_search_that_was_cut_short_says_so_and_goes_on_next_time(file: Path) -> None:
    """Each trial takes round trips, of which a slow bridge leaves time for few."""
    rates, texts = [], []
    for _ in range(6):
        NAMED.clear()
        url = "virtual://esp32c3?stub=model&timing=virtual&latency=16ms"
        with connect(url, listener=lambda e: texts.append(getattr(e, "text", ""))) as session:
            session.run_stub(baud="auto")
            rates.append(session.link.baud)
    assert rates == sorted(rates)
    assert rates[0] < rates[-1] == 3_000_000
    said = [text for text in texts if text.startswith("Baud rate: ")]
    assert said[0] == f"Baud rate: {rates[0]}, the best found in time."
    assert said[-1] == "Baud rate: 3000000, the best that the line bears."


def test_a_rate_at_which_a_stub_was_left_is_named(file: Path, capsys: Any) -> None:
    NAMED.clear()
    url = "virtual://esp32c3?name=rates&timing=virtual&stub=model"
    esptool.main(["--port", url, "-b", "921600", "--after", "no-reset-stub", "flash-id"])
    esptool.main(["--port", url, "-b", "auto", "--before", "no-reset", "flash-id"])
    said = capsys.readouterr()
    assert "Baud rate: 921600, at which the stub was left running." in said.out
    NAMED.clear()


@pytest.mark.parametrize("baud", ["auto", "x", None, True, 0, -1, 1.5])
def test_what_is_no_rate_is_refused(baud: Any) -> None:
    with cmds.detect_chip("virtual://esp32c3?timing=virtual") as esp:
        with pytest.raises(UsageError, match="not a baud rate") as caught:
            esp.change_baud(baud)
        assert ("run_stub" in (caught.value.remedy or "")) == (baud == "auto")
        assert esp.get_baud() == 115_200


def test_a_read_leaves_a_rate_at_which_frames_are_damaged(file: Path) -> None:
    with on_line("seed:1") as (session, warnings):
        session.run_stub(baud="auto")
        session.wanted_baud = "auto"
        ops.attach_flash(session)
        board = session.link.port.serial.board  # type: ignore[attr-defined]
        board.nor.cells.load(DATA)
        board.options.faults.most_baud, board.options.faults.edge = 1_400_000, 0.0003
        assert ops.read_flash(session, 0, len(DATA)) == DATA
        assert warnings[0].startswith("Data are damaged at 3000000 baud. Going on at ")
        assert session.link.baud < 3_000_000


def test_nand_is_worked_with_at_the_rate_that_was_found(capsys: Any, tmp_path: Path) -> None:
    url = "virtual://esp32s3?timing=virtual&nand=W25N01GV&fault=baud:921600"
    words = ["read-flash", "--flash-type", "nand", "--spi-connection", "6,3,7,4,5"]
    esptool.main(["-p", url, "-b", "auto", *words, "0", "0x800", str(tmp_path / "copy.bin")])
    assert "Baud rate: 921600" in capsys.readouterr().out
    assert (tmp_path / "copy.bin").read_bytes() == b"\xff" * 0x800
