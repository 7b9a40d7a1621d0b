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
    assert sum(row[name] for name in loop.PHASES) == pytest.approx(row["total"])
    assert all(row[name] > 0 for name in loop.PHASES)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs copies of a process")
@pytest.mark.parametrize(
    ("chip", "options", "what", "step"),
    [
        ("esp32c3", "stub=emulated", "stub", 1500),
        ("esp8266", "stub=emulated", "late", 4000),
        ("esp32s3", "stub=emulated&link=usb-jtag", "stub", 4000),
        ("esp32", "stub=model", "stub", 450),
    ],
)
def test_a_fault_in_a_copy_of_a_run_ends_as_in_a_run_from_the_start(
    chip: str, options: str, what: str, step: int, tmp_path: Path
) -> None:
    """How all end, to the last digit of the clock; and a second call has nothing left to do."""
    if "emulated" in options:
        pytest.importorskip("icicle")
    results = tmp_path / "runs.jsonl"
    command = [sys.executable, "-m", "bench.stages", f"--chips={chip}", f"--options={options}"]
    command += [f"--what={what}", f"--step={step}", "--jobs=1", f"--results={results}"]
    first = subprocess.run(
        [*command, "--check=1"], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert first.returncode == 0, first.stdout + first.stderr
    compared = re.findall(r"(\d+) of them compared, 0 differ", first.stdout)
    runs = len(results.read_text().splitlines())
    assert runs == sum(map(int, compared)) > 0
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(results.read_text().splitlines()) == runs
    assert again.stdout.count(" 0 of them now") == 2
