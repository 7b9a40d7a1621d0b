# SPDX-License-Identifier: Apache-2.0
"""Production lines that go wrong: whatever happens, the records must tell the truth.

    python -m bench.line_soak faults [--boards 1000] [--seed 0]
    python -m bench.line_soak kills [--times 200] [--stations 4] [--postgresql]

`faults` runs boards with faults from their seeds (bad lines, links that are cut, chips that reset,
flash that fails, brown-outs) through a station in this process. `kills` has stations of their own
processes, on boards that are served here and so outlive them, and ends them at random moments as a
power failure would (SIGKILL); then they start again.

What must hold, else the exit code is 1: no board is recorded PASS whose flash and NVS are not
exactly right, no board is missing from the records, no attempt is left running, no row is used for
two boards, and no board has two rows.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.esp_station.support import (
    APP_AT,
    NVS_AT,
    Line,
    app_bytes,
    mac_of,
    url_of,
    write_job,
    wrong_in_cells,
)

from esp_station.job import read_job
from esp_station.model import Slot
from esp_station.records import PASS, RUNNING, Attempt, Query, Records
from esptool.virtual.board import NAMED
from esptool.virtual.options import parse_url
from esptool.virtual.server import Rfc2217Server

#: What a line does with a board that fails: it is plugged in again. The machine may be so busy
#: that a board misses an answer.
_TRIES = 3
#: Bytes that a board's attempt moves: connecting, the stub, application, NVS, hashes.
MOVED = 30_000
Fault = Callable[[random.Random], str]


def _cell(kind: str) -> Fault:
    return lambda rng: f"{kind}:{rng.choice((APP_AT, NVS_AT)) + 0x1000 * rng.randrange(3):#x}"


def _cut(kind: str, more: str = "") -> Fault:
    return lambda rng: f"{kind}:{rng.randrange(200, MOVED)}{more}"


def _line(kind: str) -> Fault:
    return lambda rng: f"{kind}:{rng.choice((1e-5, 1e-4, 5e-4))}"


FAULTS: Sequence[Fault] = (
    lambda _rng: "",
    *(_line(kind) for kind in ("lose", "flip", "repeat", "log")),
    *(_cut(kind) for kind in ("drop", "drop", "reset")),
    _cut("drop", ",away:3"),
    _cut("drop", ",away:90"),
    *(_cell(kind) for kind in ("erase", "program", "brownout", "powercut")),
    lambda _rng: "protect",
)


# --- faults --------------------------------------------------------------------------------------


Outcome = tuple[Counter[str], list[str]]


def faults(folder: Path, boards: int, seed: int = 0, width: int = 16) -> Outcome:
    """Run so many boards with faults; how they ended, and what must not be."""
    app = app_bytes()
    path = write_job(folder, rows=boards, app=app)
    results: Counter[str] = Counter()
    wrong: list[str] = []
    for first in range(0, boards, width):
        numbers = range(first, min(first + width, boards))
        slots = []
        for number in numbers:
            rng = random.Random(f"{seed}-{number}")
            text = rng.choice(FAULTS)(rng)
            more = f"&seed={number}&fault={text}" if text else ""
            slots.append(Slot(str(number), port=url_of(number, "fault", more)))
        line = Line(path, slots)
        line.station.run()
        done = {a.slot: a for a in line.book.find(Query(run=line.station.run_number))}
        line.close()
        for number in numbers:
            name = f"fault-{number}"
            attempt = done.get(str(number))
            if attempt is None:
                wrong.append(f"{name} is not on record")
            else:
                results[attempt.result] += 1
                if attempt.result == PASS and (seen := wrong_in_cells(_cells(name), attempt, app)):
                    wrong.append(f"{name} is recorded PASS, but {seen}")
            NAMED.pop(name, None)
    book = Records(read_job(str(path)).records)
    wrong += wrong_in_records(list(book.find(Query(latest_first=False))))
    book.close()
    return results, wrong


def _cells(name: str) -> Callable[[int, int], bytes]:
    return NAMED[name].nor.cells.read


def wrong_in_records(attempts: Sequence[Attempt]) -> list[str]:
    """What records must not say."""
    wrong = [f"attempt {a.id} is left running" for a in attempts if a.result == RUNNING]
    rows: dict[str, str] = {}
    boards: dict[str, str] = {}
    for a in attempts:
        if a.row_key is None or a.mac is None:
            if a.result == PASS:
                wrong.append(f"attempt {a.id} is PASS without a row")
            continue
        if rows.setdefault(a.row_key, a.mac) != a.mac:
            wrong.append(f"row {a.row_key} is used for {rows[a.row_key]} and {a.mac}")
        if boards.setdefault(a.mac, a.row_key) != a.row_key:
            wrong.append(f"board {a.mac} has the rows {boards[a.mac]} and {a.row_key}")
    return wrong


# --- kills ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def served_boards(count: int) -> Iterator[list[Rfc2217Server]]:
    """Boards that outlive the stations that work on them."""
    servers = [
        Rfc2217Server(parse_url(f"virtual://esp32s3?mac={mac_of(n)}&stub=model"))
        for n in range(count)
    ]
    threads = [server.start() for server in servers]
    try:
        yield servers
    finally:
        for server in servers:
            server.stop()
        for thread in threads:
            thread.join(5)
        for server in servers:
            server.close()


def station(
    job: Path, name: str, boards: Sequence[tuple[int, str]], records: str | None
) -> subprocess.Popen[bytes]:
    """A station in a process of its own, which does each of its boards once."""
    words = [sys.executable, "-m", "esp_station", "run", str(job), "--once", "--plain"]
    words += ["--station", name]
    for number, url in boards:
        words += ["--slot", f"{number}={url}"]
    if records is not None:
        words += ["--records", records]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kills(
    folder: Path,
    times: int,
    *,
    stations: int = 1,
    boards_each: int = 3,
    seed: int = 0,
    records: str | None = None,
) -> Outcome:
    """End stations so many times at random moments, then let them finish; as `faults`."""
    app = app_bytes()
    count = stations * boards_each
    path = write_job(folder, rows=count, app=app)
    wrong: list[str] = []
    url = records or read_job(str(path)).records
    with served_boards(count) as servers:
        shares = [
            [(n, servers[n].url) for n in range(count) if n % stations == s]
            for s in range(stations)
        ]
        longest = _measured(path, shares, records)
        left = times
        lock = threading.Lock()

        def drive(number: int) -> None:
            nonlocal left
            mine = random.Random(f"{seed}-{number}")
            while True:
                with lock:
                    if left <= 0:
                        return
                    left -= 1
                process = station(path, f"s{number}", shares[number], records)
                time.sleep(mine.uniform(0.1 * longest, 1.1 * longest))
                process.kill()
                process.wait()

        threads = [threading.Thread(target=drive, args=(s,)) for s in range(stations)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        book = Records(url)
        book.settle()
        cut = list(book.find(Query(latest_first=False)))
        wrong += wrong_in_records(cut) + _wrong_in_boards(cut, servers, app)
        for _ in range(_TRIES):
            _measured(path, shares, records)
            last = {a.mac: a.result for a in book.find(Query(latest_first=False))}
            if list(last.values()) == [PASS] * count:
                break
        done = list(book.find(Query(latest_first=False)))
        wrong += wrong_in_records(done) + _wrong_in_boards(done, servers, app)
        attempts = {a.mac: a for a in done}
        for number in range(count):
            final = attempts.get(mac_of(number))
            if final is None or final.result != PASS:
                why = "it is not on record" if final is None else final.reason
                wrong.append(f"board {mac_of(number)} did not get right in the end: {why}")
        book.close()
    return Counter(a.result for a in done), wrong


def _measured(
    path: Path, shares: Sequence[Sequence[tuple[int, str]]], records: str | None
) -> float:
    """Let all stations do their boards once, undisturbed; the seconds that it took."""
    start = time.monotonic()
    running = [station(path, f"s{n}", share, records) for n, share in enumerate(shares)]
    for process in running:
        process.wait(300)
    return time.monotonic() - start


def _wrong_in_boards(
    attempts: Sequence[Attempt], servers: Sequence[Rfc2217Server], app: bytes
) -> list[str]:
    """Boards whose last attempt is PASS, and whose flash is not as it must be."""
    last = {a.mac: a for a in attempts if a.mac is not None}
    wrong = []
    for number, server in enumerate(servers):
        attempt = last.get(mac_of(number))
        if attempt is not None and attempt.result == PASS:
            seen = wrong_in_cells(server.board.nor.cells.read, attempt, app)
            if seen:
                wrong.append(f"{attempt.mac} is recorded PASS, but {seen}")
    return wrong


# --- command -------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("faults", "kills"))
    parser.add_argument("--boards", type=int, default=1000)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--stations", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--postgresql", action="store_true")
    args = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        if args.what == "faults":
            results, wrong = faults(folder, args.boards, args.seed)
        else:
            records = None
            if args.postgresql:
                from tests.esp_station.postgres import served

                records = stack.enter_context(served())
            results, wrong = kills(
                folder, args.times, stations=args.stations, seed=args.seed, records=records
            )
    ended = ", ".join(f"{count} {result}" for result, count in sorted(results.items()))
    print(f"{ended} in {time.monotonic() - start:.0f} s")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
