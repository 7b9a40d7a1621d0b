# SPDX-License-Identifier: Apache-2.0
"""espsecure beside the public tool, in one run on one machine: start-up and flash encryption.

Prints CPU seconds (user and system, the best of several runs) and their ratios, and ends with exit
code 1 where a target is missed. Needs the oracle's environment; see `tests/support/oracle.py`.

    python bench/secure.py [--repeat N] [--size MIB]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ORACLE = Path(os.environ.get("ESPTOOL_ORACLE") or ROOT / ".venv-oracle") / "bin" / "espsecure"
OURS = Path(sys.executable).parent / "espsecure"


@dataclass(frozen=True)
class Case:
    """A command line, and by how many times it has to be faster."""

    name: str
    args: list[str]
    target: float
    small: list[str] | None = None
    """The same on next to no data: its time is start-up, and taken off."""


def cpu_s(program: Path, args: list[str]) -> float:
    """CPU seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([program, *args], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(case: Case, repeat: int) -> tuple[float, float]:
    """Seconds of ours and of the oracle's, in turn so that both meet the same disturbances."""
    best: dict[tuple[Path, bool], float] = {}
    for _ in range(repeat):
        for program in (OURS, ORACLE):
            for small in (False, True):
                args = case.small if small else case.args
                if args is not None:
                    seconds = cpu_s(program, args)
                    best[program, small] = min(seconds, best.get((program, small), seconds))
    ours, theirs = (
        best[program, False] - best.get((program, True), 0.0) for program in (OURS, ORACLE)
    )
    return ours, theirs


def cases(folder: Path, size: int) -> list[Case]:
    """All cases, with the files that they read."""
    for name, content in (
        ("plain", os.urandom(size)),
        ("small", os.urandom(4096)),
        ("key32", os.urandom(32)),
        ("key64", os.urandom(64)),
    ):
        (folder / name).write_bytes(content)

    def crypt(name: str, command: str, key: str, target: float, *options: str) -> Case:
        def line(source: str) -> list[str]:
            files = ["-k", str(folder / key), "-o", str(folder / "out"), str(folder / source)]
            return [command, "--address", "0x10000", *options, *files]

        return Case(name, line("plain"), target, line("small"))

    return [
        Case("start-up (--help)", ["--help"], 2.0),
        crypt("AES-XTS 128 encrypt", "encrypt-flash-data", "key32", 5.0, "--aes-xts"),
        crypt("AES-XTS 128 decrypt", "decrypt-flash-data", "key32", 5.0, "--aes-xts"),
        crypt("AES-XTS 256 encrypt", "encrypt-flash-data", "key64", 5.0, "--aes-xts"),
        crypt("AES-XTS 256 decrypt", "decrypt-flash-data", "key64", 5.0, "--aes-xts"),
        crypt("ESP32 encrypt", "encrypt-flash-data", "key32", 1.5),
        crypt("ESP32 decrypt", "decrypt-flash-data", "key32", 1.5),
    ]


def main() -> int:
    """Run all cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--size", type=int, default=16, help="MiB to encrypt")
    options = parser.parse_args()
    missed = 0
    print(f"{'case':24}{'ours, s':>10}{'oracle, s':>11}{'ratio':>8}{'target':>8}")
    with tempfile.TemporaryDirectory() as name:
        for case in cases(Path(name), options.size << 20):
            ours, theirs = measure(case, options.repeat)
            ratio = theirs / ours
            missed += ratio < case.target
            flag = "" if ratio >= case.target else "  missed"
            print(f"{case.name:24}{ours:10.3f}{theirs:11.3f}{ratio:8.2f}{case.target:8.1f}{flag}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
