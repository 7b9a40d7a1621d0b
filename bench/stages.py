# SPDX-License-Identifier: Apache-2.0
"""One lost, flipped or repeated byte at each offset of a stub's upload, on the virtual clock.

`python -m bench.stages` damages every offset of both stages' upload, towards the chip and back, on
three chips with machine code, and tells how each run ended: the stub runs, and the chip's RAM holds
it, or there was one clear error. `--what late` damages the upload of the late part, `--what nand`
that of the NAND plug-in. `--step 50` takes every fiftieth offset, `--from` and `--to` a part.
`--check 100` does every hundredth run once more, from the start and in this process, and compares.
`--results FILE` keeps how runs ended: those that stand there are not done again, so that a sweep
may be done in pieces.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.lib.forked_faults import Copies, Ending, Fault, OneFault, watch
from bench.lib.kept_engine import kept
from esptool import stubs
from esptool.device import Session, connect, plugins
from esptool.device.stub_loader import stub_name
from esptool.errors import FatalError
from esptool.stubs.first import first_stage
from esptool.virtual.board import Board
from esptool.virtual.emulator import Program, engines
from esptool.virtual.emulator.confined import Here

CHIPS = ("esp32c3", "esp32", "esp8266")
KINDS = ("lose", "flip", "repeat")
WAYS = ("to chip", "to host")
BAUD = 921_600
OPTIONS = "stub=emulated"
#: Faults by which the engine gets to know the code before it is copied.
TRIED = 15
#: What does not pay for a few runs.
FEW = 500


def _upload(session: Session) -> None:
    session.run_stub(baud=BAUD)


def _complete(session: Session) -> None:
    session.complete_stub()


def _plug_in(session: Session) -> None:
    plugins.require(session, "nand")


#: What is sent, by name: the steps before it, and itself.
WHAT: dict[str, tuple[Callable[[Session], None], ...]] = {
    "stub": (_upload,),
    "late": (_upload, _complete),
    "nand": (_upload, _complete, _plug_in),
}


def board_of(session: Session) -> Board:
    """The virtual board behind a session."""
    board: Board = session.link.port.serial.board  # type: ignore[attr-defined]
    return board


def opened(chip: str, what: str, options: str) -> Session:
    """A chip where what is asked for is about to be sent."""
    session = connect(f"virtual://{chip}?timing=virtual&latency=1&{options}")
    for step in WHAT[what][:-1]:
        step(session)
    return session


def finish(session: Session, what: str) -> str:
    """Send it: how that ended, in words."""
    try:
        WHAT[what][-1](session)
    except FatalError as e:
        return f"error: {e.message}" if e.message else "unclear"
    except Exception as e:
        return f"unclear: {type(e).__name__} {e}"
    if session.ext is None or session.loaded is None:
        return "unclear: no answer of our stub"
    if not _whole(session):
        return "unclear: other code than was sent"
    if what != "stub":
        return "runs"
    how = "runs" if session.loaded.staged else "runs, loaded by the ROM"
    return how + (", blocks resent" if session.loaded.resent else "")


def _whole(session: Session) -> bool:
    """The chip's RAM holds the code that was sent, where it is executed."""
    program = board_of(session).soc.program
    if not isinstance(program, Program):
        return True
    stub = session.loaded_stub or stubs.load(stub_name(session))
    first = first_stage(stubs.load(stub_name(session)))
    assert first is not None
    text = stub.text[: first.image.pieces[0][1]] if session.late_missing else stub.text
    parts = [(stub.text_start, text), *stub.segments]
    if stub.segments:
        table = stub.data_start + (stub.table_offset or 0)
        handlers = stub.handlers("nand")
        parts += [(table + 4 * slot, at.to_bytes(4, "little")) for slot, at in handlers]
    if session.loaded is not None and session.loaded.staged:
        parts.append((first.image.unpacker_at, first.image.unpacker))
    return all(program.ram(address, len(code)) == code for address, code in parts)


def run(
    chip: str, way: str, fault: OneFault, options: str, what: str = "stub"
) -> tuple[str, Session]:
    """Send it with this fault, from the start: how it ended, and the session."""
    session = opened(chip, what, options)
    setattr(board_of(session).cable, "noise_in" if way == "to chip" else "noise_out", fault)
    return finish(session, what), session


def length(chip: str, way: str, options: str, what: str = "stub") -> int:
    """Bytes that an upload without a fault moves."""
    fault = OneFault()
    run(chip, way, fault, options, what)
    return fault.seen


def keep_engine(chip: str, options: str, what: str, tried: int = TRIED) -> dict[str, int]:
    """Have all virtual chips of this process executed by one engine, which has seen the code.

    Returns how many bytes are sent each way.

    A copy of a process has but the thread that made it: the engine is in that one.
    """
    Program.room = Here
    with connect(f"virtual://{chip}?{options}") as session:
        stub = stubs.load(stub_name(session))
    first = first_stage(stub)
    assert first is not None
    code = [(first.text_start, first.text), (stub.text_start, stub.text)]
    Program.engines = staticmethod(kept(code))
    sizes = {}
    for way in WAYS:
        size = sizes[way] = length(chip, way, options, what)
        for number in range(tried):
            fault = Fault(KINDS[number % len(KINDS)], number * size // tried)
            run(chip, way, OneFault(fault), options, what)
    return sizes


def sweep(
    chip: str,
    way: str,
    offsets: Sequence[int],
    kinds: Sequence[str] = KINDS,
    *,
    options: str = OPTIONS,
    what: str = "stub",
    jobs: int = 1,
    tell: Callable[[Ending], None] = lambda _: None,
) -> list[Ending]:
    """Send it with each kind of fault at each of these rising offsets, each in its own process.

    Args:
        jobs: processes at once.
        tell: gets each ending as soon as it is known.
    """
    session = opened(chip, what, options)
    copies = Copies(offsets, kinds, jobs, tell)
    watch(board_of(session), way, copies)
    how = finish(session, what)
    if copies.fault is not None:
        copies.end(how, session.link.now())
    return copies.endings()


def differing(
    chip: str, way: str, endings: Sequence[Ending], options: str, what: str
) -> list[tuple[Ending, str]]:
    """Those that ended otherwise, or at another moment, than the same run from the start does.

    That run has an engine of its own.
    """
    out = []
    kept_engines, Program.engines = Program.engines, staticmethod(engines)
    for ending in endings:
        how, session = run(chip, way, OneFault(ending.fault), options, what)
        if how[:400] != ending.how or session.link.now() != ending.seconds:
            out.append((ending, f"{how} at {session.link.now()}"))
    Program.engines = staticmethod(kept_engines)
    return out


class Results:
    """How runs have ended, in a file of lines, or only in memory."""

    def __init__(self, path: Path | None, row: Sequence[str]) -> None:
        self._path, self._row = path, list(row)
        self.known: dict[Fault, Ending] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                *row, kind, at, how, seconds = json.loads(line)
                if row == self._row:
                    self.known[Fault(kind, at)] = Ending(Fault(kind, at), how, seconds)

    def add(self, ending: Ending) -> None:
        """Keep one."""
        self.known[ending.fault] = ending
        if self._path is not None:
            fields = [*self._row, ending.fault.kind, ending.fault.at, ending.how, ending.seconds]
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(fields) + "\n")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", default=",".join(CHIPS))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--what", default="stub", choices=tuple(WHAT))
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="start")
    parser.add_argument("--to", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--check", type=int, default=0, help="of how many runs one is compared")
    parser.add_argument("--options", default=OPTIONS, help="of the virtual chip's URL")
    parser.add_argument("--results", type=Path, help="file of runs that have been done")
    args = parser.parse_args()
    bad = 0
    for chip in args.chips.split(","):
        sizes = keep_engine(chip, args.options, args.what, 1 if args.step > FEW else TRIED)
        for way in args.ways.split(","):
            bad += _sweep_one(chip, way, sizes[way], args)
    return 1 if bad else 0


def _sweep_one(chip: str, way: str, size: int, args: argparse.Namespace) -> int:
    """Do what is left of one chip and way, and print it; how many runs were bad."""
    kinds = args.kinds.split(",")
    results = Results(args.results, (chip, args.what, args.options, way))
    asked = range(args.start, min(size, args.to or size), args.step)
    left = [at for at in asked if any(Fault(kind, at) not in results.known for kind in kinds)]
    began = time.monotonic()
    endings = sweep(
        chip,
        way,
        left,
        kinds,
        options=args.options,
        what=args.what,
        jobs=args.jobs,
        tell=results.add,
    )
    took = time.monotonic() - began
    row = f"{chip:<9} {way}"
    bad = sum(_tell(row, size, kind, list(results.known.values())) for kind in kinds)
    print(
        f"{row}: {len(results.known)} runs, {len(endings)} of them now, in {took:.0f} s", flush=True
    )
    bad += len(endings) != len(left) * len(kinds)
    if args.check:
        some = sorted(endings, key=lambda ending: (ending.fault.at, ending.fault.kind))
        some = some[args.check // 2 :: args.check]
        wrong = differing(chip, way, some, args.options, args.what)
        bad += len(wrong)
        print(f"{row}: {len(some)} of them compared, {len(wrong)} differ", flush=True)
        for ending, other in wrong:
            print(f"  {ending}: {other}", flush=True)
    return bad


def _tell(row: str, size: int, kind: str, endings: Sequence[Ending]) -> int:
    """Print the row of one kind; how many of its runs were bad."""
    own = [ending for ending in endings if ending.fault.kind == kind]
    bad = [ending for ending in own if ending.how.startswith("unclear")]
    for ending in bad:
        print(f"{row} {kind} {ending.fault.at}: {ending.how}")
    ends = dict(Counter(ending.how for ending in own).most_common())
    slowest = max((ending.seconds for ending in own), default=0.0)
    print(f"{row} {kind:<7} of {size}: {ends}, slowest {slowest:.2f} s", flush=True)
    return len(bad)


if __name__ == "__main__":
    sys.exit(main())
