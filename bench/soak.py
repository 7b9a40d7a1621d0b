# SPDX-License-Identifier: Apache-2.0
"""Many writes over bad lines and on failing flash: each must end right, or say what is wrong.

    python -m bench.soak [--runs N] [--first SEED] [--stub] [--json FILE]

A run takes a chip, data and faults from its seed, writes, and then looks at the virtual flash
itself. Outcomes: `right` (success, and flash is what was asked for), `said` (one clear error that
names a flash offset), `unclear` (an error without one, before any data were sent counts as said),
`silent` (success, but flash differs), `crash` (any other exception), `hung` (past the deadline).
The last three must never happen.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from esptool import chips, ops
from esptool.chips.spec import ChipSpec
from esptool.device import connect
from esptool.errors import FatalError
from esptool.ops.model import SECTOR

DEADLINE_S = 120.0
#: Shorter waits than on a real line: the virtual one has no distance.
_FAST = {"timeout": 0.3, "sync_timeout": 0.05, "erase_write_timeout_per_mb": 4.0}
_OFFSET = re.compile(r"0x[0-9a-f]{6,8}")

Faults = Callable[[random.Random, int], str]


def _line(kind: str) -> Faults:
    def make(rng: random.Random, _size: int) -> str:
        return f"{kind}:{rng.choice((1e-6, 1e-5, 1e-4))}"

    return make


FAULTS: dict[str, Faults] = {
    "none": lambda _rng, _size: "",
    "lose": _line("lose"),
    "flip": _line("flip"),
    "repeat": _line("repeat"),
    "all": lambda rng, _size: ",".join(f"{k}:{rng.choice((1e-6, 1e-5))}" for k in ("lose", "flip")),
    "drop": lambda rng, size: f"drop:{rng.randrange(200, size + 6000)}",
    "erase": lambda rng, size: f"erase:{0x10000 + rng.randrange(size):#x}",
    "program": lambda rng, size: f"program:{0x10000 + rng.randrange(size):#x}",
    "brownout": lambda rng, size: f"brownout:{0x10000 + rng.randrange(size):#x}",
    "protect": lambda _rng, _size: "protect",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    seed: int
    chip: str
    fault: str
    kind: str
    seconds: float
    detail: str = ""


def one(seed: int, stub: bool = False) -> Outcome:
    """Run with everything taken from `seed`."""
    from esptool.transport.settings import Settings
    from esptool.virtual.board import NAMED

    rng = random.Random(seed)
    names = [k for k in chips.KEYS if chips.get(k).rom.flash_ops and (k != "esp32e22" or not stub)]
    chip = rng.choice(names)
    size = rng.choice((100, 4096, 20000, 40000))
    name, fault = rng.choice(sorted(FAULTS.items()))
    data = rng.randbytes(size) if rng.random() < 0.5 else bytes(rng.choices(b"abcdefgh", k=size))
    faults = fault(rng, size)
    board = f"soak-{seed}"
    url = f"virtual://{chip}?name={board}&flash=1MB&seed={seed}&stub=model"
    if faults:
        url += f"&fault={faults}"
    start = time.monotonic()

    def ended(kind: str, detail: str = "") -> Outcome:
        seconds = round(time.monotonic() - start, 3)
        if seconds > DEADLINE_S:
            kind = "hung"
        return Outcome(seed, chip, faults or name, kind, seconds, detail)

    try:
        with connect(url, chip=chip, settings=Settings(**_FAST)) as session:
            if stub:
                session.run_stub(placeholder(session.spec))
                session.change_baud(921_600)
            ops.attach_flash(session)
            ops.write_flash(session, [ops.Region(0x10000, data)])
        flash = NAMED[board].nor.cells.read(0x10000, len(data))
        return ended("right") if flash == data else ended("silent", _first_difference(flash, data))
    except FatalError as e:
        text = str(e)
        before = "connect" in text.lower() or "stub" in text.lower()
        return ended("said" if before or _OFFSET.search(text) else "unclear", text)
    except Exception as e:
        return ended("crash", f"{type(e).__name__}: {e}")
    finally:
        NAMED.pop(board, None)


def placeholder(spec: ChipSpec) -> Any:
    """A stub without code: all that the virtual chip's model of the protocol needs."""
    layout = next(iter(spec.stub.layouts.values()))
    start = layout.text_start
    code = bytes(64)
    return SimpleNamespace(
        entry=start, text=code, text_start=start, data=b"", data_start=0, segments=()
    )


def _first_difference(found: bytes, wanted: bytes) -> str:
    at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), -1)
    return f"first difference at {0x10000 + at:#x} (sector {at // SECTOR})"


def _one_with_stub(seed: int) -> Outcome:
    return one(seed, stub=True)


def main() -> None:
    """Run all seeds, print the counts, and fail where one ended as none may."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--stub", action="store_true", help="with the flasher stub")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    seeds = range(args.first, args.first + args.runs)
    start = time.monotonic()
    with ProcessPoolExecutor(args.jobs) as pool:
        run = _one_with_stub if args.stub else one
        outcomes = list(pool.map(run, seeds, chunksize=5))
    counts = Counter(o.kind for o in outcomes)
    by_fault = Counter((o.fault.partition(":")[0], o.kind) for o in outcomes)
    print(f"{len(outcomes)} runs in {time.monotonic() - start:.0f} s: {dict(counts)}")
    for (fault, kind), count in sorted(by_fault.items()):
        print(f"  {fault:<10}{kind:<10}{count:6}")
    slowest = max(outcomes, key=lambda o: o.seconds)
    print(f"slowest: seed {slowest.seed}, {slowest.fault}, {slowest.seconds} s")
    bad = [o for o in outcomes if o.kind not in ("right", "said")]
    for o in bad[:20]:
        print(f"BAD seed {o.seed} {o.chip} {o.fault}: {o.kind} {o.detail}")
    if args.json:
        report = {"counts": counts, "bad": [asdict(o) for o in bad], "slowest_s": slowest.seconds}
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
