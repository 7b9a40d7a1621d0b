# SPDX-License-Identifier: Apache-2.0
"""Falsifies facts of `host.json`, one at a time, and tells which of them nobody misses.

    python tools/mutate_facts.py [--count 100] [--seed 1] [--tests]

Each falsified fact is given to the generator, which may refuse it; then to the comparison of the
two witnesses and with the public tool's constants; and with `--tests`, what is left, to the tests
of `TESTS` in a copy of the repository with everything made anew. What nothing catches is a
survivor: it needs a test, or a reason here.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools"), str(ROOT / "src")]

from generate import firmware, host  # noqa: E402
from generate.files import FactError, chips  # noqa: E402

#: What a falsified fact meets in the copy.
TESTS = (
    "tests/chips/test_chips.py",
    "tests/device/test_flash_power.py",
    "tests/device/test_stub_rules.py",
    "tests/image/test_elf2image_random.py",
)
#: Parts of a file that hold registers, addresses and bits.
SECTIONS = (
    *("uart", "spi", "memory_map", "image", "identity", "security", "efuse", "reset", "stub"),
    *("voltage", "octal_flash", "flash_power_on", "registers", "firmware"),
)
#: What may survive, and why.
REASONS = {
    "firmware.ram.*.text_size": "a limit for the build: larger, it lets more pass than it should",
    "stub.layouts.*.data_start": "of the published stub; nothing reads it",
    "stub.layouts.*.bss_start": "of the published stub; ours lies where firmware.ram says",
}
#: The same for what only a stub needs.
STUB_TESTS = ("tests/firmware/test_build.py",)
COPIED = ("src", "tools", "facts", "tests", "firmware", "pyproject.toml", "docs", "bench")

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Mutation:
    """One falsified number of a chip's host.json."""

    chip: str
    path: Path_
    old: int
    new: int

    @property
    def name(self) -> str:
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else f".{part}"
        return text.removeprefix(".").replace(".v[", "[").removesuffix(".v")

    def __str__(self) -> str:
        return f"{self.chip} {self.name}: {self.old:#x} -> {self.new:#x}"


def numbers(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, int]]:
    """Every number in a part of a facts file, and where it stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("src", "note", "labels", "vendors", "major_map"):
                yield from numbers(inner, (*path, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from numbers(inner, (*path, i))
    elif isinstance(value, str) and value.startswith("0x"):
        yield path, int(value, 16)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, value


def falsified(value: int, rng: random.Random) -> int:
    """Another number of the same kind: an address close by, another bit, one more or less."""
    if value > 0xFFFF and value.bit_count() > 2:
        return value + rng.choice((4, -4, 0x20, 0x1000))
    if value and value.bit_count() <= 2:
        return value << 1 if value < 1 << 31 else value >> 1
    return value + 1


def drawn(facts: Path, count: int, seed: int) -> list[Mutation]:
    """So many falsified facts, over all chips."""
    rng = random.Random(seed)
    every = []
    for chip in chips(facts):
        raw = json.loads((facts / chip / "host.json").read_text(encoding="utf-8"))
        for section in SECTIONS:
            every += [(chip, path, old) for path, old in numbers(raw.get(section), (section,))]
    return [
        Mutation(chip, path, old, falsified(old, rng))
        for chip, path, old in rng.sample(every, count)
    ]


def apply(facts: Path, mutation: Mutation) -> None:
    """Write a falsified fact into `facts`."""
    file = facts / mutation.chip / "host.json"
    raw = copy.deepcopy(json.loads(file.read_text(encoding="utf-8")))
    place = raw
    for part in mutation.path[:-1]:
        place = place[part]
    place[mutation.path[-1]] = mutation.new
    file.write_text(json.dumps(raw), encoding="utf-8")


def caught(facts: Path, mutation: Mutation) -> str | None:
    """What catches a falsified fact without running the program, or None."""
    from tests.chips import constants, test_two_sources, witnesses

    original = (facts / mutation.chip / "host.json").read_bytes()
    apply(facts, mutation)
    try:
        specs = host.specs(facts)
        spec = next(s for s in specs if s.key == mutation.chip)
        if spec.stub.available:
            firmware.read(facts, spec)
    except FactError as e:
        return f"the generator: {e}"
    else:
        for row in witnesses.rows_of(facts, spec, believed=True):
            if row.host != row.silicon and test_two_sources.excepted(row) is None:
                return f"the second source: {row.name}"
        for name, _ours, _theirs in constants.differences(spec):
            return f"the public tool: {name}"
    finally:
        (facts / mutation.chip / "host.json").write_bytes(original)
    return None


def excused(mutation: Mutation) -> str | None:
    """Why a falsified fact may survive, or None."""
    return next((text for path, text in REASONS.items() if fnmatch(mutation.name, path)), None)


def tree_for(work: Path) -> Path:
    """A copy of the repository in which `TESTS` pass.

    Raises:
        SystemExit: they fail there though no fact is falsified.
    """
    tree = work / "tree"
    tree.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "build")
            shutil.copytree(source, tree / name, ignore=ignore)
        else:
            shutil.copy(source, tree / name)
    failed = failure(tree)
    if failed is not None:
        raise SystemExit(f"The tests fail without a falsified fact: {failed}")
    return tree


def failure(tree: Path, tests: tuple[str, ...] = TESTS) -> str | None:
    """The first of `tests` that fails in `tree`, or None."""
    # Not by the environment: the public tool runs in a child, and must not import our package.
    path = f"pythonpath={tree / 'src'} {tree}"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-o", path]
    done = subprocess.run([*command, *tests], cwd=tree, capture_output=True, text=True)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return None if done.returncode == 0 else failed[0] if failed else done.stderr


def caught_by_tests(mutation: Mutation, tree: Path) -> str | None:
    """What of `TESTS` fails in `tree` with the falsified fact, or None."""
    file = tree / "facts" / mutation.chip / "host.json"
    original = file.read_bytes()
    made = [sys.executable, str(tree / "tools" / "gen.py")]
    apply(tree / "facts", mutation)
    try:
        done = subprocess.run(made, cwd=tree, capture_output=True, text=True)
        if done.returncode:
            return f"the generator: {done.stderr.strip()}"
        return failure(tree, STUB_TESTS if mutation.path[0] == "firmware" else TESTS)
    finally:
        file.write_bytes(original)
        subprocess.run(made, cwd=tree, capture_output=True)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tests", action="store_true", help="also run tests on what is left")
    args = parser.parse_args()
    survivors: list[Mutation] = []
    harmless = 0
    with tempfile.TemporaryDirectory() as name:
        facts = Path(name) / "facts"
        shutil.copytree(ROOT / "facts", facts)
        tree = tree_for(Path(name)) if args.tests else None
        for mutation in drawn(facts, args.count, args.seed):
            reason = caught(facts, mutation)
            if reason is None and (text := excused(mutation)):
                harmless += 1
                reason = f"may survive: {text}"
            if reason is None and tree is not None:
                reason = caught_by_tests(mutation, tree)
            if reason is None:
                survivors.append(mutation)
            print(f"{mutation}: {reason or 'SURVIVES'}", flush=True)
    found = args.count - len(survivors) - harmless
    print(f"{found} of {args.count} caught, {harmless} may survive, {len(survivors)} survive:")
    for mutation in survivors:
        print(f"  {mutation}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
