# SPDX-License-Identifier: Apache-2.0
"""Work over bad lines and on failing flash: each run must end right, or say what is wrong.

    python -m bench.soak [--runs N] [--first SEED] [--side SIDE] [--drops] [--json FILE]

A run takes a chip, a job, data and faults from its seed, works on a virtual clock, and then looks
at the virtual flash itself. SIDE is what answers: `rom`, `public` (a stub without our extensions,
as a model), `model` (ours, as a model), `emulated` (the machine code of ours) or `auto` (ours, as a
model of both stages, with `--baud auto` on a line that bears a rate from the seed). With `--drops`
the runs are one set: the link is cut at as many different bytes, spread over the whole job.

Outcomes: `right` (success, and flash or file is what was asked for), `said` (one clear error that
names a flash offset, or comes before the job began), `unclear` (an error without one), `silent`
(success, but flash or file differ, or a file that is not whole stayed), `crash` (any other
exception), `hung` (past the deadline). The last four must never happen.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from esptool import chips, ops
from esptool.chips.nor import SECTOR
from esptool.chips.spec import ChipSpec, KeyCheck
from esptool.device import Session, connect
from esptool.errors import FatalError, VerifyError
from esptool.stubs import Stub
from esptool.virtual.board import GONE, NAMED, Board, open_board
from esptool.virtual.crypt import encrypt, find_key

DEADLINE_S = 300
BASE = 0x10000
SIDES = ("rom", "public", "model", "emulated", "auto")
_OFFSET = re.compile(r"0x[0-9a-f]{6,8}")
RATES = (1e-6, 1e-5, 1e-4)
#: Bytes that a job moves besides its data: connecting, the stub, hashes.
OVERHEAD = 30_000

Faults = Callable[[random.Random, int], str]


def _line(kind: str) -> Faults:
    return lambda rng, _size: f"{kind}:{rng.choice(RATES)}"


def _cut(kind: str, more: str = "") -> Faults:
    return lambda rng, size: f"{kind}:{rng.randrange(200, size + OVERHEAD)}{more}"


def _cell(kind: str) -> Faults:
    return lambda rng, size: f"{kind}:{BASE + rng.randrange(size):#x}"


FAULTS: dict[str, Faults] = {
    "none": lambda _rng, _size: "",
    "lose": _line("lose"),
    "flip": _line("flip"),
    "repeat": _line("repeat"),
    "log": _line("log"),
    "mixed": lambda rng, _size: ",".join(f"{k}:{rng.choice(RATES)}" for k in ("lose", "flip")),
    "drop": _cut("drop"),
    "drops": lambda rng, size: f"{_cut('drop')(rng, size)},{_cut('drop')(rng, size)}",
    "away": lambda rng, size: f"{_cut('drop')(rng, size)},away:{rng.choice((0.5, 3, 8, 60))}",
    "rename": _cut("drop", ",rename,away:2"),
    "reset": _cut("reset"),
    "erase": _cell("erase"),
    "program": _cell("program"),
    "brownout": _cell("brownout"),
    "powercut": _cell("powercut"),
    "protect": lambda _rng, _size: "protect",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    seed: int
    side: str
    chip: str
    job: str
    group: str
    fault: str
    kind: str
    seconds: float
    detail: str = ""


# --- jobs ---------------------------------------------------------------------------------------


class Job:
    """Work on one range of flash: what stands there before, and what must stand there after."""

    def __init__(self, rng: random.Random, size: int, chip: str) -> None:
        self.rng, self.size, self.chip = rng, size, chip
        self.data = (
            rng.randbytes(size) if rng.random() < 0.5 else bytes(rng.choices(b"abcdefgh", k=size))
        )

    def prepare(self, board: Board) -> None:
        """Fill the flash."""

    def run(self, session: Session) -> None:
        """Do it."""
        ops.write_flash(session, [ops.Region(BASE, self.data)])

    def wrong(self, board: Board) -> str:
        """What is not as it must be after success; nothing when all is."""
        return _difference(board.nor.cells.read(BASE, self.size), self.data)

    def after_failure(self) -> str:
        """What is not as it must be after an error that was said."""
        return ""


class Preserve(Job):
    """A write into the middle of sectors that hold something else."""

    def prepare(self, board: Board) -> None:
        self.around = self.rng.randbytes(self.size + 2 * SECTOR)
        board.nor.cells.program(BASE, self.around)

    def run(self, session: Session) -> None:
        options = ops.WriteOptions(preserve=True)
        ops.write_flash(session, [ops.Region(BASE + 100, self.data)], options)

    def wrong(self, board: Board) -> str:
        wanted = bytearray(self.around)
        wanted[100 : 100 + self.size] = self.data
        return _difference(board.nor.cells.read(BASE, len(wanted)), bytes(wanted))


class Read(Job):
    """A read into a file."""

    def prepare(self, board: Board) -> None:
        board.nor.cells.program(BASE, self.data)
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "out.bin")

    def run(self, session: Session) -> None:
        ops.read_flash(session, BASE, self.size, self.file)

    def wrong(self, board: Board) -> str:
        return _difference(self.file.read_bytes(), self.data)

    def after_failure(self) -> str:
        left = list(Path(self.folder.name).iterdir())
        return f"a file stayed: {left[0].name}" if left else ""


class Erase(Job):
    """An erase of whole sectors between others."""

    def prepare(self, board: Board) -> None:
        self.size = -(-self.size // SECTOR) * SECTOR
        board.nor.cells.program(BASE - SECTOR, self.rng.randbytes(self.size + 2 * SECTOR))
        self.before = board.nor.cells.read(BASE - SECTOR, SECTOR)

    def run(self, session: Session) -> None:
        ops.erase_region(session, BASE, self.size)

    def wrong(self, board: Board) -> str:
        wanted = self.before + b"\xff" * self.size
        return _difference(board.nor.cells.read(BASE - SECTOR, len(wanted)), wanted)


class Verify(Job):
    """A comparison; in half of the runs with something that is not there."""

    def prepare(self, board: Board) -> None:
        board.nor.cells.program(BASE, self.data)
        self.equal = self.rng.random() < 0.5
        if not self.equal:
            at = self.rng.randrange(self.size)
            self.data = self.data[:at] + bytes([self.data[at] ^ 1]) + self.data[at + 1 :]
        self.found: bool | None = None

    def run(self, session: Session) -> None:
        try:
            ops.verify_flash(session, [ops.Region(BASE, self.data)])
            self.found = True
        except VerifyError:
            self.found = False

    def wrong(self, board: Board) -> str:
        return "" if self.found == self.equal else f"said {self.found}, is {self.equal}"


class Encrypted(Job):
    """A write through the flash encryption, which nothing can verify but a look at the cells."""

    def prepare(self, board: Board) -> None:
        if self.chip != "esp32":
            assert board.soc.efuse is not None
            board.soc.efuse.burn(4, bytes(range(32)))
        self.told: list[str] = []

    def run(self, session: Session) -> None:
        options = ops.WriteOptions(encrypt=True, ignore_flash_enc_efuse=True)
        ops.write_flash(
            session,
            [ops.Region(BASE, self.data)],
            options,
            listener=lambda e: self.told.append(getattr(e, "text", "")),
        )

    def wrong(self, board: Board) -> str:
        faults = board.options.faults
        if faults.erase_at or faults.program_at or faults.protect:
            # Nobody can read what the cells made of it, and the user is told so.
            return "" if any("Cannot verify" in t for t in self.told) else "not told"
        key = find_key(board.soc)
        assert key is not None
        align = chips.get(board.silicon.key).flash.encrypted_write_align
        plain = self.data + b"\xff" * (-len(self.data) % align)
        wanted = encrypt(board.soc, key, BASE, plain)
        return _difference(board.nor.cells.read(BASE, len(wanted)), wanted)


JOBS: dict[str, type[Job]] = {
    "write": Job,
    "preserve": Preserve,
    "read": Read,
    "erase": Erase,
    "verify": Verify,
    "encrypted": Encrypted,
}
_WEIGHTS = (10, 3, 4, 3, 2, 2)


def _difference(found: bytes, wanted: bytes) -> str:
    if found == wanted:
        return ""
    at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), -1)
    return f"first difference {at:#x} bytes after the start; {len(found)} for {len(wanted)} bytes"


# --- one run ------------------------------------------------------------------------------------


def names(side: str) -> list[str]:
    """Chips that can do the jobs on this side."""
    if side == "rom":
        return [k for k in chips.KEYS if chips.get(k).rom.flash_ops]
    return [k for k in chips.KEYS if chips.get(k).stub.available and k != "esp32e22"]


def one(seed: int, side: str, drop: tuple[int, int] | None = None) -> Outcome:
    """Run with everything taken from `seed`; `drop` is (number, count) in a set of cuts."""
    rng = random.Random(seed)
    chip = rng.choice(names(side))
    job_name = rng.choices(list(JOBS), _WEIGHTS)[0]
    size = rng.choice((100, 4096, 6000, 10000) if side == "emulated" else (100, 4096, 20000, 40000))
    if job_name == "encrypted" and not _encrypts(chip, side):
        job_name = "write"
    group, make = rng.choice(sorted(FAULTS.items()))
    job = JOBS[job_name](rng, size, chip)
    fault = make(rng, size)
    if side == "auto":
        fault = ",".join(filter(None, (fault, _limit(rng))))
    if drop is not None:
        number, count = drop
        moved = _bytes_moved(JOBS[job_name](random.Random(seed), size, chip), side, chip, seed)
        # Each of the set at its own place: an even spread, moved on by its number.
        group, fault = "cut", f"drop:{int((number + 0.5) * moved / count)}"
    return _run(job, side, chip, seed, job_name, group, fault)


def _limit(rng: random.Random) -> str:
    """What the line bears, as a fault; for most of them with errors at the edge."""
    most = rng.choice((115_200, 460_800, 921_600, 2_000_000, 3_000_000))
    edge = rng.choice(("", *(f",edge:{10 ** rng.uniform(-4, -1):.6f}" for _ in range(3))))
    return f"baud:{most}{edge}"


def _encrypts(chip: str, side: str) -> bool:
    spec = chips.get(chip)
    if chip == "esp32e22" or (side == "rom" and not spec.rom.ext_flash_begin):
        return False
    return chip == "esp32" or spec.security.key_check is KeyCheck.PURPOSES


def _url(side: str, chip: str, seed: int, fault: str, name: str) -> str:
    stub = {"rom": "model", "auto": "model"}.get(side, side)
    faults = f"&fault={fault}" if fault else ""
    key = "&efuse=purpose0:4" if chips.get(chip).security.key_check is KeyCheck.PURPOSES else ""
    return (
        f"virtual://{chip}?name={name}&flash=1MB&seed={seed}&stub={stub}&timing=virtual"
        f"&serial=S{seed}{key}{faults}"
    )


def _bytes_moved(job: Job, side: str, chip: str, seed: int) -> int:
    """Bytes over the line for a job without faults."""
    name = f"soak-measure-{seed}"
    board = open_board(_url("model" if side == "emulated" else side, chip, seed, "", name))
    try:
        job.prepare(board)
        with _session(board.url or "", chip, side) as session:
            job.run(session)
        return board.moved
    finally:
        NAMED.pop(name, None)


@contextmanager
def _session(url: str, chip: str, side: str) -> Iterator[Session]:
    with connect(url, chip=chip) as session:
        if side == "auto":
            session.run_stub(baud="auto")
        elif side != "rom":
            session.run_stub(None if side == "emulated" else placeholder(session.spec))
            session.power.change_baud(921_600)
        ops.attach_flash(session)
        yield session


def _run(
    job: Job, side: str, chip: str, seed: int, job_name: str, group: str, fault: str
) -> Outcome:
    name = f"soak-{seed}"
    board = open_board(_url(side, chip, seed, fault, name))
    start = time.monotonic()
    began = False

    def ended(kind: str, detail: str = "") -> Outcome:
        seconds = round(time.monotonic() - start, 3)
        return Outcome(seed, side, chip, job_name, group, fault, kind, seconds, detail)

    try:
        signal.alarm(DEADLINE_S)
        job.prepare(board)
        with _session(board.url or "", chip, side) as session:
            began = True
            job.run(session)
        wrong = job.wrong(board)
        return ended("silent", wrong) if wrong else ended("right")
    except FatalError as e:
        text = str(e)
        left = job.after_failure()
        if left:
            return ended("silent", left)
        return ended("unclear" if began and not _OFFSET.search(text) else "said", text)
    except _HungError:
        return ended("hung")
    except Exception as e:
        return ended("crash", f"{type(e).__name__}: {e}")
    finally:
        signal.alarm(0)
        for known in [n for n, b in NAMED.items() if b is board]:
            NAMED.pop(known)
        GONE.discard(name)


class _HungError(BaseException):
    """The deadline has passed."""


def _alarm(_number: int, _frame: object) -> None:
    raise _HungError


def _start_worker() -> None:
    os.environ["ESPTOOL_ADAPTERS"] = "off"  # a run is to know nothing of the ones before
    signal.signal(signal.SIGALRM, _alarm)


def placeholder(spec: ChipSpec) -> Stub:
    """A stub without code: all that the virtual chip's model of the protocol needs."""
    layout = next(iter(spec.stub.layouts.values()))
    start = layout.text_start
    return Stub(spec.key, start, text=bytes(64), text_start=start, data=b"", data_start=0)


# --- many ---------------------------------------------------------------------------------------


def _numbered(number: int, first: int, count: int, side: str, drops: bool) -> Outcome:
    # In an order that spreads a set which is stopped early, too.
    place = number * 617 % count
    return one(first + number, side, (place, count) if drops else None)


def table(outcomes: list[Outcome]) -> list[str]:
    """The counts by side and group of faults."""
    lines = [f"{'side':<10}{'fault':<10}{'runs':>6}{'right':>7}{'said':>6}{'bad':>5}"]
    for side in SIDES:
        mine = [o for o in outcomes if o.side == side]
        for group in sorted({o.group for o in mine}):
            kinds = Counter(o.kind for o in mine if o.group == group)
            lines.append(_row(side, group, kinds))
        if mine:
            lines.append(_row(side, "all", Counter(o.kind for o in mine)))
    return lines


def _row(side: str, group: str, kinds: Counter[str]) -> str:
    runs, right, said = sum(kinds.values()), kinds["right"], kinds["said"]
    return f"{side:<10}{group:<10}{runs:>6}{right:>7}{said:>6}{runs - right - said:>5}"


def main() -> None:
    """Run all seeds, print the counts, and fail where one ended as none may."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--side", choices=SIDES, default="rom")
    parser.add_argument("--drops", action="store_true", help="a set of cuts at different bytes")
    parser.add_argument("--minutes", type=float, help="stop after so long, with what there is")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="a line for each run is added to this file")
    args = parser.parse_args()
    start = time.monotonic()
    run = partial(_numbered, first=args.first, count=args.runs, side=args.side, drops=args.drops)
    outcomes: list[Outcome] = []
    record = args.json.open("a") if args.json else None
    with ProcessPoolExecutor(args.jobs, initializer=_start_worker) as pool:
        for outcome in pool.map(run, range(args.runs)):
            outcomes.append(outcome)
            if record is not None:
                print(json.dumps(asdict(outcome)), file=record, flush=True)
            if outcome.kind not in ("right", "said"):
                print(f"BAD {outcome}", flush=True)
            if args.minutes and time.monotonic() - start > 60 * args.minutes:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    print("\n".join(table(outcomes)))
    counts = Counter(o.kind for o in outcomes)
    print(f"{len(outcomes)} runs in {time.monotonic() - start:.0f} s: {dict(counts)}")
    slowest = max(outcomes, key=lambda o: o.seconds)
    print(f"slowest: seed {slowest.seed}, {slowest.fault}, {slowest.seconds} s")
    sys.exit(1 if any(o.kind not in ("right", "said") for o in outcomes) else 0)


if __name__ == "__main__":
    main()
