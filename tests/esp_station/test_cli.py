# SPDX-License-Identifier: Apache-2.0
"""The program as a line uses it: events, exit codes, signals, and what it tells afterwards."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import esp_station
from esptool.errors import FatalError
from tests.support.signals import interruptible

from .support import STEPS, secret, url_of, write_job

#: Goes on for as long as the station does.
WAITS = "import os, time; p = os.getppid()\nwhile os.getppid() == p: time.sleep(0.05)"
LONG = f"""
[[step]]
do = "hook"
timeout = 600
command = {json.dumps([sys.executable, "-c", WAITS])}
"""


def words(job: Path, *numbers: int, more: str = "") -> list[str]:
    slots = [f"--slot={n}={url_of(n, 'cli', more)}" for n in numbers]
    return ["run", str(job), *slots]


@contextmanager
def running(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The program in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "esp_station", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
        env={**os.environ, "ESPTOOL_ADAPTERS": "off"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], kind: str) -> list[dict[str, Any]]:
    """Events up to the first of a kind."""
    assert process.stdout is not None
    found = []
    for line in process.stdout:
        found.append(json.loads(line))
        if found[-1]["event"] == kind:
            return found
    raise AssertionError(f"no {kind} in {found}: {process.stderr.read() if process.stderr else ''}")


def test_a_whole_day_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write_job(tmp_path)
    esp_station.main(["check", str(job)])
    assert "is sound" in capsys.readouterr().out
    esp_station.main([*words(job, 1, 2), "--once", "--station", "left"])
    shown = capsys.readouterr().out
    assert shown.count("PASS") == 2
    assert "2 boards, 2 good (100.0 %)" in shown

    monkeypatch.chdir(tmp_path)
    esp_station.main(["report", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (report["boards"], report["good"], report["yield"]) == (2, 2, 1.0)
    esp_station.main(["report"])
    assert "Yield:           100.0 %" in capsys.readouterr().out
    esp_station.main(["show", "A-0000", "--log"])
    shown = capsys.readouterr().out
    assert "Hash of data verified." in shown
    assert secret("A-0000") not in shown
    esp_station.main(["export", "--job", str(job), "-o", "all.csv"])
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert {row["station"] for row in rows} == {"left"}
    assert {row["row_key"] for row in rows} == {"A-0000", "A-0001"}
    esp_station.main(["export", "--format", "json"])
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["result"] for line in lines] == ["PASS", "PASS"]


def test_exit_codes_tell_whether_all_boards_are_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = write_job(tmp_path)
    with pytest.raises(FatalError, match="Not every board has passed: 2 FAIL"):
        esp_station.main([*words(job, 1, 2, more="&fault=protect"), "--boards", "2"])
    shown = capsys.readouterr().out
    assert "FAIL" in shown
    assert "at 'write'" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report"], "There are no records"),
        (["show", "x"], "There are no records"),
        (["run", "none.toml"], "No such file"),
        (["reprint", "job.toml", "A-0000"], "No board 'A-0000' has passed"),
        (["run", "job.toml"], "The job has no slot"),
    ],
)
def test_errors_have_a_remedy_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_job(tmp_path)
    with pytest.raises(FatalError, match=said):
        esp_station.main(arguments)


def test_the_first_signal_lets_a_board_finish(tmp_path: Path) -> None:
    with running([*words(write_job(tmp_path), 1), "--events", "--grace", "600"]) as process:
        read_until(process, "attempt_started")
        process.send_signal(signal.SIGTERM)
        events = read_until(process, "station_ended")
        assert process.wait(300) == 0
    [end] = [e for e in events if e["event"] == "attempt_ended"]
    assert end["result"] == "PASS"


def test_the_second_signal_gives_a_board_up_and_that_is_on_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = write_job(tmp_path, STEPS + LONG)
    with running([*words(job, 1), "--events"]) as process:
        read_until(process, "board_known")
        process.send_signal(signal.SIGINT)
        # What is in work goes on: this board never gets done.
        read_until(process, "station_stopping")
        process.send_signal(signal.SIGINT)
        events = read_until(process, "station_ended")
        assert process.wait(300) == 0
    [end] = [e for e in events if e["event"] == "attempt_ended"]
    assert end["result"] == "INTERRUPTED"
    esp_station.main(["show", "A-0000", "--json", "--job", str(job)])
    [attempt] = json.loads(capsys.readouterr().out)["attempts"]
    assert attempt["result"] == "INTERRUPTED"
    assert attempt["steps"][-1]["result"] == "interrupted"


def test_records_tell_the_truth_after_a_power_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = write_job(tmp_path, STEPS + LONG)
    with running([*words(job, 1), "--events"]) as process:
        read_until(process, "board_known")
        process.send_signal(signal.SIGKILL)
        process.wait()
    esp_station.main(["report", "--json", "--job", str(job)])
    assert json.loads(capsys.readouterr().out)["attempts"] == {"INTERRUPTED": 1}
