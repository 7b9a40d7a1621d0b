# SPDX-License-Identifier: Apache-2.0
"""Writes every file that differs between SoCs, from `facts/<chip>/*.json`.

    python tools/gen.py            write all
    python tools/gen.py --check    compare, write nothing; 1 and the names where any differ
    python tools/gen.py --chip X   only the files of one chip, and those of all chips together

Edit the facts, never what this writes. `facts/README.md` says what stands where.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FACTS = ROOT / "facts"
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "src")]

from generate.files import FactError, chips  # noqa: E402

PARTS = ("host", "efuse", "firmware", "silicon")


def outputs(facts: Path) -> dict[Path, str]:
    """Every generated file: its path from the top of the repository, and its text."""
    made: dict[Path, str] = {}
    for part in PARTS:
        if find_spec(f"generate.{part}") is not None:
            made |= import_module(f"generate.{part}").outputs(facts)
    return formatted(made)


def formatted(made: dict[Path, str]) -> dict[Path, str]:
    """The same, with Python as the project's formatter lays it out."""
    python = {path: text for path, text in made.items() if path.suffix == ".py"}
    if not python:
        return made
    with tempfile.TemporaryDirectory() as name:
        there = Path(name)
        for path, text in python.items():
            (there / path).parent.mkdir(parents=True, exist_ok=True)
            (there / path).write_text(text, encoding="utf-8")
        config = ROOT / "pyproject.toml"
        ruff = [sys.executable, "-m", "ruff", "format", "--quiet", "--no-cache", "--config"]
        subprocess.run([*ruff, config, there], check=True)
        return made | {path: (there / path).read_text(encoding="utf-8") for path in python}


def of_chip(made: dict[Path, str], facts: Path, chip: str) -> dict[Path, str]:
    """What belongs to `chip` or to no single one."""
    others = set(chips(facts)) - {chip}
    return {p: t for p, t in made.items() if p.stem.partition("-")[0] not in others}


def current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--chip", help="only this chip's files, and those of all chips together")
    args = parser.parse_args()
    if args.chip and args.chip not in chips(FACTS):
        parser.error(f"there is no facts/{args.chip}/host.json")
    try:
        made = outputs(FACTS)
    except FactError as e:
        print(e, file=sys.stderr)
        return 1
    if args.chip:
        made = of_chip(made, FACTS, args.chip)
    stale = {p: text for p, text in made.items() if current(ROOT / p) != text}
    for path, text in sorted(stale.items()):
        print(f"{'differs' if args.check else 'written'}: {path.as_posix()}")
        if not args.check:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text, encoding="utf-8")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
