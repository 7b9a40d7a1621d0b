# SPDX-License-Identifier: Apache-2.0
"""CPU time of starting up, beside the public tool's where it is installed (`make oracle`).

    python bench/startup.py [--runs N] [--json]

Each figure is the least of N runs in turn, user and system time of the whole process, so that a
busy machine disturbs all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: What is measured, for whom, and the greatest ratio to the reference that is wanted.
ORACLE_CASES = {
    "esptool version": (["esptool", "version"], 0.5),
    "esptool --help": (["esptool", "--help"], 0.5),
    "espsecure --help": (["espsecure", "--help"], 0.5),
    "espefuse --virt summary": (["espefuse", "--chip", "esp32", "--virt", "summary"], 0.5),
}
IMPORT_TARGET = 3.0


def cpu_s(argv: list[str]) -> float:
    """CPU seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def oracle_bin() -> Path | None:
    env = Path(os.environ.get("ESPTOOL_ORACLE") or ROOT / ".venv-oracle")
    return env / "bin" if (env / "bin" / "esptool").exists() else None


def best(commands: dict[str, list[str]], runs: int) -> dict[str, float]:
    """The least CPU time of each command, measured in turn."""
    found = dict.fromkeys(commands, float("inf"))
    for _ in range(runs):
        for name, argv in commands.items():
            found[name] = min(found[name], cpu_s(argv))
    return found


def measure(runs: int) -> list[dict[str, object]]:
    """Rows of what was measured, the reference, their ratio, and the target."""
    own = Path(sys.executable).parent
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import esptool": [sys.executable, "-c", "import esptool"],
    }
    oracle = oracle_bin()
    for name, (argv, _) in ORACLE_CASES.items():
        commands[name] = [str(own / argv[0]), *argv[1:]]
        if oracle:
            commands[f"public {name}"] = [str(oracle / argv[0]), *argv[1:]]
    figures = best(commands, runs)
    bare = figures["python -c pass"]
    rows = [row("import esptool", figures["import esptool"], "bare python", bare, IMPORT_TARGET)]
    for name, (_, target) in ORACLE_CASES.items():
        rows.append(row(name, figures[name], "public tool", figures.get(f"public {name}"), target))
    return rows


def row(
    name: str, seconds: float, against: str, reference: float | None, target: float
) -> dict[str, object]:
    ratio = seconds / reference if reference else None
    return {
        "what": name,
        "cpu_s": round(seconds, 4),
        "against": against,
        "reference_s": None if reference is None else round(reference, 4),
        "ratio": None if ratio is None else round(ratio, 2),
        "target": target,
        "met": None if ratio is None else ratio <= target,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = measure(args.runs)
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    for r in rows:
        ratio = "   -" if r["ratio"] is None else f"{r['ratio']:4}"
        state = {True: "met", False: "MISSED", None: "no reference"}[r["met"]]  # type: ignore[index]
        print(
            f"{r['what']:<26}{r['cpu_s']:>8} s  {ratio} of {r['against']} "
            f"(target {r['target']}: {state})"
        )


if __name__ == "__main__":
    main()
