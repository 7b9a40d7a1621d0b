# SPDX-License-Identifier: Apache-2.0
"""Many boards at once beside one: what a station costs for each further slot.

    python -m bench.station [--slots 16] [--hosts 16] [--public BOARDS] [--json FILE]

Each board gets 1 MB at 921600 baud, and an NVS of its own. The boards are virtual ones that make
the station wait for the line and for the flash (`timing=real`), served by processes of their own,
as they take more of a core than the station does and must not wait for each other. The time of all
slots at once is at most 1.3 times that of one, on two cores that are otherwise idle. `--public`
does so many boards with a shell loop of the public tool, one after the other, for comparison.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.esp_station.support import HEAD, STEPS, Line, write_job

from bench.lib import tools
from bench.lib.data import MB, firmware
from bench.lib.simulated import PART
from esp_station.model import Slot
from esp_station.records import PASS

TARGET = 1.3
PARTITION = "factory,  app,  factory,  0x10000, 2M\n"


@contextlib.contextmanager
def boards(count: int, hosts: int) -> Iterator[list[str]]:
    """The addresses of so many boards, served by so many processes."""
    chip = f"esp32s3?part={PART}&stub=model&timing=real"
    with contextlib.ExitStack() as stack:
        running = []
        for host in range(min(hosts, count)):
            words = [sys.executable, "-m", "bench.lib.boards", chip]
            words += [str(n) for n in range(host, count, hosts)]
            process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tools.ROOT
            )
            running.append(stack.enter_context(process))
        urls: list[str] = []
        for process in running:
            assert process.stdout is not None
            urls += process.stdout.readline().split()
        yield urls
        for process in running:
            assert process.stdin is not None
            process.stdin.close()


def run_slots(folder: Path, app: bytes, count: int, hosts: int) -> dict[str, float]:
    """One board in each slot, all at once; the times of the station's process."""
    path = write_job(folder, STEPS, HEAD, rows=64, app=app)
    (folder / "partitions.csv").write_text("nvs, data, nvs, 0x9000, 16K\n" + PARTITION)
    (folder / "station.db").unlink(missing_ok=True)
    with boards(count, hosts) as urls:
        line = Line(path, [Slot(str(n), port=url) for n, url in enumerate(urls)])
        start, cpu = time.monotonic(), time.process_time()
        done = line.run()
        figures = {"s": time.monotonic() - start, "cpu_s": time.process_time() - cpu}
        line.close()
    assert [a.result for a in done.values()] == [PASS] * count, [a.reason for a in done.values()]
    figures["load"] = os.getloadavg()[0]
    return figures


def shell_loop(folder: Path, boards: int) -> float | None:
    """The public tool on one board after the other; the seconds of a board."""
    command = tools.public()
    if command is None:
        return None
    seconds = 0.0
    for _ in range(boards):
        settings = (f"part={PART}", "stub=model", "timing=real")
        with tools.virtual_chip("esp32s3", *settings) as url:
            start = time.monotonic()
            words = ["--chip", "esp32s3", "--port", url, "--baud", "921600"]
            words += ["write-flash", "0x10000", str(folder / "app.bin")]
            subprocess.run(
                [command[0], "-m", "esptool", *words], check=True, stdout=subprocess.DEVNULL
            )
            seconds += time.monotonic() - start
    return seconds / boards


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--hosts", type=int, default=16, help="processes that serve the boards")
    parser.add_argument("--public", type=int, default=0, metavar="BOARDS")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    app = firmware(MB)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_slots(folder, app, 1, 1)  # what is deflated once is not of one slot
        one = run_slots(folder, app, 1, args.hosts)
        many = run_slots(folder, app, args.slots, args.hosts)
        ratio = many["s"] / one["s"]
        figures: dict[str, Any] = {"one": one, "many": many, "slots": args.slots, "ratio": ratio}
        print(f"one slot: {one['s']:.1f} s ({one['cpu_s']:.1f} s of a core)")
        print(
            f"{args.slots} slots: {many['s']:.1f} s ({many['cpu_s']:.1f} s of a core), "
            f"{3600 * args.slots / many['s']:.0f} boards an hour"
        )
        print(f"ratio: {ratio:.2f} (target {TARGET}); load of the machine {many['load']:.1f}")
        if args.public:
            each = shell_loop(folder, args.public)
            figures["public_s"] = each
            if each is not None:
                print(f"public tool in a loop: {each:.1f} s a board, {3600 / each:.0f} an hour")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
