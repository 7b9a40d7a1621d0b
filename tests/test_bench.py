# SPDX-License-Identifier: Apache-2.0
"""The benchmarks' own promises: rows add up over several runs, and the page shows them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bench import loop
from bench.lib.page import merged
from bench.lib.session_clock import PHASES

ROOT = Path(__file__).resolve().parents[1]


def transfer(*args: str) -> None:
    command = [sys.executable, "-m", "bench.transfer", "--model", "--quick", *args]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=110)


def test_a_run_in_pieces_adds_up_and_renews_only_the_tables_that_it_measured(
    tmp_path: Path,
) -> None:
    figures, page = tmp_path / "figures.json", tmp_path / "page.md"
    page.write_text("<!-- erase -->\nold\n<!-- end -->\n<!-- delta -->\nold\n<!-- end -->\nend\n")
    transfer("--only", "erase", "--json", str(figures))
    transfer("--only", "erase", "--chip", "esp32c3", "--json", str(figures))
    rows = json.loads(figures.read_text())["erase"]
    assert {key.split()[0] for key in rows} == {"esp32s3", "esp32c3"}
    transfer("--only", "none", "--json", str(figures), "--doc", str(page))
    erase, delta = page.read_text().split("<!-- delta -->")
    assert delta == "\nold\n<!-- end -->\nend\n"
    assert "old" not in erase
    shown = rows["esp32s3 model 20"]["erase_s"]
    assert f"{shown:.2f} s" in erase


def test_the_parts_of_a_session_add_up_to_it() -> None:
    row = loop.ours(loop.Case("esp32c3", "uart", "921600", "flash-id", model=True))
    assert sum(row[name] for name in PHASES) == pytest.approx(row["total"])
    assert all(row[name] > 0 for name in PHASES)


def stages(*args: str) -> str:
    """Output of a sweep that found nothing bad."""
    command = [sys.executable, "-m", "bench.stages", "--jobs=1", *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs copies of a process")
@pytest.mark.parametrize(
    ("chip", "options", "what", "step"),
    [
        ("esp32c3", "stub=emulated", "stub", 3000),
        ("esp32c3", "stub=emulated", "late", 9000),
        ("esp32s3", "stub=emulated&link=usb-jtag", "stub", 5000),
        ("esp32", "stub=model", "stub", 450),
    ],
)
def test_a_fault_in_a_copy_of_a_run_ends_as_in_a_run_from_the_start(
    chip: str, options: str, what: str, step: int
) -> None:
    """How all end, to the last digit of the clock."""
    if "emulated" in options:
        pytest.importorskip("icicle")
    out = stages(
        *(f"--chips={chip}", f"--options={options}", f"--what={what}", f"--step={step}"),
        "--check=1",
    )
    runs = [int(count) for count in re.findall(r": (\d+) runs", out)]
    compared = [int(count) for count in re.findall(r"(\d+) of them compared, 0 differ", out)]
    assert runs == compared
    assert len(runs) == 2
    assert min(runs) > 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs copies of a process")
def test_a_sweep_goes_on_where_it_was_left(tmp_path: Path) -> None:
    results = tmp_path / "runs.jsonl"
    sweep = "--chips=esp8266", "--options=stub=model", "--ways=to host", f"--results={results}"
    stages(*sweep, "--step=200")
    some = results.read_text().splitlines()
    out = stages(*sweep, "--step=100")
    more = results.read_text().splitlines()
    assert f"{len(more)} runs, {len(more) - len(some)} of them now" in out
    assert more[: len(some)] == some
    assert len(more) == len(set(more)) > len(some)


HEAD = ["| line | ours | ratio |", "| --- | ---: | ---: |"]


def test_rows_and_cells_that_were_not_measured_again_stay_in_the_page() -> None:
    old = [*HEAD, "| a | 1 s | 0.5 |", "| b | 2 s | 0.6 |", "| d | 4 s | 0.7 |", "| e | 5 s |  |"]
    new = [*HEAD, "| a | 9 s |  |", "| c | 3 s | 0.1 |", "| d |  | failed |", "| e | 6 s | 0.9 |"]
    assert merged(old, new) == [
        *HEAD,
        "| a | 9 s | 0.5 |",
        "| c | 3 s | 0.1 |",
        "| b | 2 s | 0.6 |",
        "| d |  | failed |",
        "| e | 6 s | 0.9 |",
    ]


def test_a_table_with_other_columns_is_made_anew() -> None:
    new = [*HEAD, "| c | 3 s | 0.1 |"]
    assert merged(["| line | ours |", "| --- | ---: |", "| a | 1 s |"], new) == new
    assert merged([], new) == new
