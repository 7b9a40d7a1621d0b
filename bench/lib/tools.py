# SPDX-License-Identifier: Apache-2.0
"""Running the two tools side by side: where they are, and what CPU and memory a run took."""

from __future__ import annotations

import os
import re
import resource
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process: CPU and wall seconds, peak memory in bytes, exit code, output."""

    cpu_s: float
    wall_s: float
    peak_bytes: int
    code: int
    output: str


def ours(program: str = "esptool") -> list[str]:
    """The command of a program of this repository."""
    return [sys.executable, "-m", program]


def public(program: str = "esptool") -> list[str] | None:
    """The command of the public tool in its own environment, None where it is not installed."""
    env = Path(os.environ.get("ESPTOOL_ORACLE") or ROOT / ".venv-oracle")
    path = env / "bin" / "python"
    return [str(path), "-m", program] if path.exists() else None


def run(command: Sequence[str], timeout_s: float = 600) -> Run:
    """Run a command to its end, measuring it alone."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "PYTHONPATH": ""}
    with subprocess.Popen(
        list(command),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            output = f"not done after {timeout_s:g} s\n{process.communicate()[0]}"
        wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(cpu, wall, after.ru_maxrss * 1024, process.returncode, output)


@contextmanager
def virtual_chip(chip: str, *settings: str, way: str = "tcp") -> Iterator[str]:
    """The port of a virtual chip served by a process of its own: a socket, or a terminal (`pty`).

    Raises:
        SystemExit: the server does not come up.
    """
    entry = ["--pty"] if way == "pty" else ["--tcp", "127.0.0.1:0"]
    command = [sys.executable, "-m", "esptool.cli.virtual_chip", chip, *entry, *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            heard, end = b"", time.monotonic() + 30
            while not (found := re.search(rb" on (\S+)\s", heard)):
                ready = select.select([process.stdout], [], [], end - time.monotonic())[0]
                more = os.read(process.stdout.fileno(), 4096) if ready else b""
                if not more:
                    sys.exit(f"The virtual chip cannot be served: {heard.decode()}")
                heard += more
            yield found[1].decode()
        finally:
            process.kill()


@contextmanager
def server(module: str, *args: str) -> Iterator[int]:
    """A helper module that prints its port; ended on leaving."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *args], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()
