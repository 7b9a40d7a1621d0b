# SPDX-License-Identifier: Apache-2.0
"""The inner loop: what a developer waits for all day, from opening the port to the chip's reset.

    python -m bench.loop [--chips CHIP,...] [--jobs JOB,...] [--baud RATE] [--usb] [--model]
                         [--public] [--workers N] [--json FILE] [--doc docs/performance.md]

Command lines of ours run on a virtual clock (1 ms each way), which shows where the time goes.
With --public the public tool does the same in real time on an equal served board, where the bytes
of its own stub take their time on the line. Rows are added to the JSON file; --doc renews the page.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from bench.lib import tools
from bench.lib.data import MB, changed, dirty, firmware
from bench.lib.page import renew
from bench.lib.session_clock import PHASES, SessionClock
from bench.lib.simulated import PART
from esptool import chips
from esptool.virtual.board import NAMED, Board, open_board

Row = dict[str, Any]
#: Flash before the job, as sectors of the application that differ from what is written.
WRITES = {"nothing": 0, "one": 1, "ten": 10, "all": None}
JOBS = ("flash-id", *WRITES)
#: Chips whose emulated machine code stands for the others' where time is short.
FEW = ("esp8266", "esp32", "esp32c3", "esp32s3")
APP, TABLE = 0x10000, 0x8000
LIMIT_S = 300.0
#: A terminal has no reset lines: what the public tool waits in its pulses is added, as it documents
#: them (into download mode and out of it).
PUBLIC_PULSES_S = {"uart": 0.15 + 0.1, "usb-jtag": 0.3 + 0.4}
_names = count()


@dataclass(frozen=True, slots=True)
class Case:
    """One row: a job on a chip over a link."""

    chip: str
    link: str
    baud: str
    job: str
    model: bool = False

    @property
    def key(self) -> str:
        """Its name in the table."""
        return f"{self.chip} {'model' if self.model else 'code'} {self.link} {self.baud} {self.job}"


def names() -> list[str]:
    """The chips that a stub can run on."""
    return [key for key in chips.KEYS if chips.get(key).stub.available and key != "esp32e22"]


def parts(chip: str) -> list[tuple[int, bytes]]:
    """Boot loader, partition table and application: (offset, content)."""
    loader = bytes(16) + firmware(0x5000 - 16, seed=3)
    table = b"\xaa\x50" + firmware(0xC00 - 2, seed=4)
    return [
        (chips.get(chip).flash.bootloader_offset, loader),
        (TABLE, table),
        (APP, bytes(16) + firmware(MB - 16)),
    ]


def _fill(board: Board, case: Case) -> None:
    """What stands in flash before the job."""
    sectors = WRITES.get(case.job)
    for address, data in parts(case.chip):
        if case.job == "all":
            board.nor.cells.program(address, dirty(len(data)))
        elif sectors and address == APP:
            board.nor.cells.program(address, changed(data, sectors))
        else:
            board.nor.cells.program(address, data)


def _words(case: Case, port: str, folder: Path) -> list[str]:
    """The command line."""
    words = ["--port", port, "--baud", case.baud]
    if case.job == "flash-id":
        return [*words, "flash-id"]
    words += ["write-flash", "--no-progress"]
    for address, data in parts(case.chip):
        file = folder / f"{address:x}.bin"
        file.write_bytes(data)
        words += [hex(address), str(file)]
    return words


def ours(case: Case) -> Row:
    """Seconds of each part of the session, on the virtual clock."""
    import esptool

    name = f"loop-{next(_names)}"
    stub = "model" if case.model else "emulated"
    url = (
        f"virtual://{case.chip}?name={name}&part={PART}&stub={stub}&link={case.link}"
        "&timing=virtual&latency=1ms"
    )
    said = io.StringIO()
    try:
        board = open_board(url)
        _fill(board, case)
        clock = SessionClock(board)
        with (
            tempfile.TemporaryDirectory() as folder,
            clock.attached(),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            esptool.main(_words(case, url, Path(folder)))
        for address, data in parts(case.chip):
            assert board.nor.cells.read(address, len(data)) == data, "not what was written"
        assert not board.in_loader, "the chip was not reset"
        return clock.phases()
    except (Exception, SystemExit) as e:
        return {"error": f"{e} {said.getvalue()[-200:]}"}
    finally:
        NAMED.pop(name, None)


def public(case: Case) -> Row:
    """Seconds of the same session with the public tool, in real time on a served board."""
    command = tools.public()
    assert command is not None
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder, "board.bin")
        board = open_board(f"virtual://{case.chip}?part={PART}&state={state}")
        _fill(board, case)
        board.release()
        settings = [f"part={PART}", f"state={state}", "latency=1ms", "stub=public", "timing=real"]
        with tools.virtual_chip(case.chip, *settings, way="pty") as port:
            client = str(tools.ROOT / "bench" / "lib" / "client_loop.py")
            place = ["--before", "no-reset", "--after", "no-reset"]
            done = tools.run(
                [command[0], client, *place, *_words(case, port, Path(folder))], LIMIT_S
            )
    try:
        row: Row = json.loads(done.output.splitlines()[-1])
        row["session_s"] += PUBLIC_PULSES_S[case.link]
    except (ValueError, IndexError):
        return {"error": done.output[-200:]}
    return row


def cases(args: argparse.Namespace) -> list[Case]:
    """The rows that were asked for."""
    keys = args.chips.split(",") if args.chips else names()
    jobs = args.jobs.split(",") if args.jobs else JOBS
    rows = []
    for chip in keys:
        links = ["uart"]
        if args.usb and chips.get(chip).usb.serial_jtag:
            links.append("usb-jtag")
        rows += [Case(chip, link, args.baud, job, args.model) for link in links for job in jobs]
    return rows


def _run(rows: list[Case], workers: int, beside: bool) -> Iterator[tuple[Case, Row]]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        for case, row in zip(rows, pool.map(ours, rows), strict=True):
            if beside:
                row["public"] = public(case)
            yield case, row


def show(case: Case, row: Row) -> str:
    """A row for people."""
    if "error" in row:
        return f"{case.key}: {row['error']}"
    spent = ", ".join(f"{name} {row[name] * 1000:.0f}" for name in PHASES if row[name] >= 0.0005)
    beside = row.get("public", {})
    told = f"; public tool {beside.get('session_s', beside.get('error'))}" if beside else ""
    return f"{case.key}: {row['total']:.3f} s ({spent} ms){told}"


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--chips", help="comma-separated; all without it")
    parser.add_argument("--jobs", help=f"comma-separated, from {', '.join(JOBS)}")
    parser.add_argument("--baud", default="921600")
    parser.add_argument("--usb", action="store_true", help="also over USB-Serial/JTAG")
    parser.add_argument("--model", action="store_true", help="a model instead of the stub's code")
    parser.add_argument("--public", action="store_true", help="the public tool beside")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file to which rows are added")
    parser.add_argument("--doc", type=Path, help="page whose tables are to be renewed")
    args = parser.parse_args()
    if args.public and tools.public() is None:
        sys.exit("The public tool is not installed: make oracle.")
    start = time.monotonic()
    figures: dict[str, dict[str, Row]] = {}
    if args.json and args.json.exists():
        figures = json.loads(args.json.read_text())
    rows = [] if args.jobs == "none" else cases(args)
    for case, row in _run(rows, args.workers, args.public):
        print(show(case, row), flush=True)
        figures.setdefault("loop", {})[case.key] = row
        if args.json:
            args.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"measured in {time.monotonic() - start:.0f} s")
    if args.doc:
        renew(args.doc, figures)


if __name__ == "__main__":
    main()
