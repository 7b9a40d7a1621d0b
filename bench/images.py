# SPDX-License-Identifier: Apache-2.0
"""CPU and memory of the image commands, whole processes, side by side with the public tool.

    python bench/images.py --oracle ENVIRONMENT [--rounds N]

Prints one line a case: CPU seconds (least of the rounds) and peak memory of both, and the ratio.
Exits with 1 when a ratio or the memory is over its target.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.image.elfmaker import Elf, Part  # noqa: E402

MEMORY_FACTOR = 8
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Case:
    """A command line, the data it works on, and how much of the public tool's CPU it may take."""

    name: str
    words: Sequence[str]
    data_bytes: int
    target: float


@dataclass(frozen=True)
class Cost:
    """CPU seconds and peak resident bytes of one process."""

    cpu_s: float
    peak: int


def make_inputs(folder: Path) -> None:
    """A 5 MB ELF file and 16 MB of flash contents in three files."""
    rodata, text = os.urandom(3 * MEGABYTE), os.urandom(1800 * 1024)
    parts = [
        Part(".dram0.data", 0x3FC90000, os.urandom(100_000)),
        Part(".iram0.text", 0x40374000, os.urandom(90_000)),
        Part(".flash.rodata", 0x3C000020, rodata),
        Part(".flash.text", 0x42000020 + 4 * MEGABYTE, text),
    ]
    (folder / "app.elf").write_bytes(Elf(parts, machine=0x5E).build())
    (folder / "boot.bin").write_bytes(os.urandom(24_000))
    (folder / "app.bin").write_bytes(os.urandom(6 * MEGABYTE))
    (folder / "data.bin").write_bytes(os.urandom(9 * MEGABYTE + 900_000))


def cases(folder: Path) -> list[Case]:
    files = ["0x0", "boot.bin", "0x10000", "app.bin", "0x610000", "data.bin"]
    chip = ["--chip", "esp32s3"]
    size = 16 * MEGABYTE
    return [
        Case("elf2image 5 MB", [*chip, "elf2image", "-o", "o.bin", "app.elf"], 5 * MEGABYTE, 0.6),
        Case("merge-bin raw 16 MB", [*chip, "merge-bin", "-o", "o.raw", *files], size, 0.6),
        Case(
            "merge-bin uf2 16 MB",
            [*chip, "merge-bin", "-f", "uf2", "-o", "o.uf2", *files],
            size,
            0.6,
        ),
        Case(
            "merge-bin hex 16 MB",
            [*chip, "merge-bin", "-f", "hex", "-o", "o.hex", *files],
            size,
            0.2,
        ),
        Case("image-info hex 16 MB", [*chip, "image-info", "o.hex"], size, 0.2),
    ]


def measure(program: Sequence[str], words: Sequence[str], folder: Path, rounds: int) -> Cost:
    """The least CPU of some runs; a failing command is only allowed to image-info."""
    best = Cost(float("inf"), 0)
    for _ in range(rounds):
        process = subprocess.Popen(
            [*program, *words],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(folder),
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode and "image-info" not in words:
            raise SystemExit(f"{program[-1]} {' '.join(words)} failed: {process.returncode}")
        cost = Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _RSS_UNIT)
        best = min(best, cost, key=lambda c: c.cpu_s)
    return best


def _environment(folder: Path) -> dict[str, str]:
    """As installed for users: compiled modules are kept, here in the scratch folder."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**env, "NO_COLOR": "1", "PYTHONPYCACHEPREFIX": str(folder / "pycache")}


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oracle", default=os.environ.get("ESPTOOL_ORACLE", ".venv-oracle"))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    ours = [sys.executable, "-m", "esptool"]
    theirs = [str(Path(args.oracle).resolve() / "bin" / "python"), "-m", "esptool"]
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(folder)
        for program in (ours, theirs):  # fills the caches
            measure(program, cases(folder)[0].words, folder, 1)
        idle = measure([sys.executable, "-c", "pass"], [], folder, args.rounds)
        print(f"{'case':22} {'ours':>16} {'public tool':>18} {'ratio':>7} {'target':>7}")
        for case in cases(folder):
            mine = measure(ours, case.words, folder, args.rounds)
            rounds = 1 if case.target < 0.5 else args.rounds
            other = measure(theirs, case.words, folder, rounds)
            ratio = mine.cpu_s / other.cpu_s
            memory = (mine.peak - idle.peak) / case.data_bytes
            bad = ratio > case.target or memory > MEMORY_FACTOR
            failed |= bad
            print(
                f"{case.name:22} {_show(mine):>16} {_show(other):>18} {ratio:7.2f} "
                f"{case.target:7.2f}  memory {memory:.1f} x data{'  MISSED' if bad else ''}"
            )
    return int(failed)


def _show(cost: Cost) -> str:
    return f"{cost.cpu_s:.2f} s {cost.peak / MEGABYTE:.0f} MB"


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    raise SystemExit(main())
