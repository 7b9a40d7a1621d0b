# SPDX-License-Identifier: Apache-2.0
"""A stub that was left running is found at its rate in one round trip, and told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import esptool
from esptool.device import StubKind, adapters, connect
from esptool.errors import FatalError
from esptool.protocol.ext import Capability
from esptool.transport import open_port

URL = "virtual://{}?name=left&timing=virtual&latency=10ms&stub={}"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "adapters.json"
    monkeypatch.setenv(adapters.VARIABLE, str(found))
    return found


def leave(chip: str, baud: int, kind: str = "model") -> str:
    """A board on which a stub is left running at `baud`; its URL."""
    url = URL.format(chip, kind)
    esptool.main(["--port", url, "--baud", str(baud), "--after", "no-reset-stub", "flash-id"])
    return url


@pytest.mark.parametrize("chip", ["esp8266", "esp32", "esp32s2", "esp32c3", "esp32s3"])
@pytest.mark.parametrize("baud", [115_200, 921_600])
def test_it_is_found_and_used_in_one_round_trip(chip: str, baud: int) -> None:
    port = open_port(leave(chip, baud))
    begin = port.now()
    with connect(port, before="no-reset") as session:
        took = port.now() - begin
        session.run_stub()
        assert session.spec.key == chip
        assert session.stub_kind is StubKind.OURS
        assert session.link.baud == baud
        assert session.loaded_stub is None
    # Chips without a security info of their own are told by a register.
    trips = 1 if chip in ("esp32c3", "esp32s3") else 2
    assert took < 0.02 * trips + (0.02 if baud > 115_200 else 0.05)


def test_a_board_that_was_reset_since_is_called_as_before() -> None:
    url = leave("esp32c3", 921_600)
    port = open_port(url)
    port.serial.board._boot(True, esptool.virtual.bootlog.POWER_ON)  # type: ignore[attr-defined]
    with connect(port, before="no-reset") as session:
        assert session.stub_kind is StubKind.NONE


def test_a_board_that_is_silent_at_that_rate_is_called_as_before() -> None:
    url = "virtual://esp32c3?name=left&timing=virtual&fault=baud:921600"
    with connect(url) as session:
        adapters.learn(session.link.port, stub_at=2_000_000)
    with connect(url, before="no-reset") as session:
        assert session.stub_kind is StubKind.NONE
        assert adapters.recall(session.link.port).stub_at == 0


@pytest.mark.parametrize("missing", ["all", "one"])
def test_one_that_is_not_this_versions_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    url = leave("esp32c3", 921_600, "public" if missing == "all" else "model")
    if missing == "one":
        less = Capability.all() & ~Capability.CRC32_SUM
        monkeypatch.setattr("esptool.virtual.stub_ext._CAPABILITIES", int(less), raising=True)
    capsys.readouterr()
    esptool.main(["--port", url, "--baud", "921600", "--before", "no-reset", "flash-id"])
    said = capsys.readouterr().out
    assert "Stub flasher is already running" in said
    whose = "another tool's" if missing == "all" else "an older one of this tool"
    assert f"The stub that runs is {whose}. It is used as it is." in said
    assert "Detected flash size" in said


@pytest.mark.parametrize("rate", [460_800, 921_600, 1_500_000, 3_000_000])
def test_it_is_found_at_a_usual_rate_that_nobody_has_noted(
    rate: int, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv(adapters.VARIABLE, "off")
    url = leave("esp32c3", rate)
    capsys.readouterr()
    esptool.main(["--port", url, "--before", "no-reset", "flash-id"])
    said = capsys.readouterr().out
    assert f"The stub that was left running answers at {rate} baud." in said
    assert "Stub flasher is already running" in said
    assert "Detected flash size" in said


def test_a_loader_without_stub_is_found_at_its_rate_too(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv(adapters.VARIABLE, "off")
    url = URL.format("esp32c3", "model")
    words = ["--no-stub", "--baud", "460800", "--after", "no-reset", "flash-id"]
    esptool.main(["--port", url, *words])
    esptool.main(["--port", url, "--before", "no-reset", "--no-stub", "flash-id"])
    assert "The loader that was left running answers at 460800 baud." in capsys.readouterr().out


def test_one_at_an_unusual_rate_is_told_how_to_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(adapters.VARIABLE, "off")
    url = leave("esp32c3", 750_000)
    with pytest.raises(FatalError, match="--before no-reset-no-sync and that --baud"):
        esptool.main(["--port", url, "--before", "no-reset", "flash-id"])
    esptool.main(["--port", url, "-b", "750000", "--before", "no-reset-no-sync", "flash-id"])
