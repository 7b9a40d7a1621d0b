# SPDX-License-Identifier: Apache-2.0
"""What the host side costs: codec throughput, and CPU of whole writes and reads.

    python -m bench.host [--size MB] [--large [--quick]] [--json FILE]

The peer answers at once (`bench.lib.instant`), so only the client's own work counts. The public
tool does the same against the same peer, where its environment is installed. `--large` measures
CPU and peak memory of writing and reading up to 64 MB through a stub, and of the public tool up to
4 MB: the peer is the terminal of a virtual ESP32-S3 in a process of its own, where a model of the
stub answers.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.lib import tools
from bench.lib.data import firmware
from esptool.protocol import packets, slip

MB = 1 << 20
Row = dict[str, float | str]


def rate(work: Callable[[], object], num_bytes: int, at_least_s: float = 0.3) -> float:
    """Best of several runs, in MB/s."""
    best = float("inf")
    end = time.perf_counter() + at_least_s
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return num_bytes / best / 1e6


def codec(size: int = 4 * MB, block: int = 0x4000) -> dict[str, float]:
    """SLIP and checksum speeds over random data in blocks of `block` bytes."""
    data = random.Random(1).randbytes(size)
    blocks = [data[i : i + block] for i in range(0, size, block)]
    stream = b"".join(slip.encode(b) for b in blocks)
    chunks = [stream[i : i + 0x10000] for i in range(0, len(stream), 0x10000)]

    def decode() -> None:
        decoder = slip.Decoder()
        frames = 0
        for chunk in chunks:
            frames += len(list(decoder.feed(chunk)))
        assert frames == len(blocks)

    return {
        "slip_decode_mb_s": rate(decode, size),
        "slip_encode_mb_s": rate(lambda: [slip.encode(b) for b in blocks], size),
        "checksum_mb_s": rate(lambda: [packets.checksum(b) for b in blocks], size),
    }


def transfers(size: int) -> dict[str, dict[str, float]]:
    """CPU seconds of whole processes: start-up alone, writes, and a read."""
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "data.bin")
        source.write_bytes(random.Random(2).randbytes(size))
        small = Path(folder, "small.bin")
        small.write_bytes(random.Random(3).randbytes(64 * 1024))
        target = str(Path(folder, "out.bin"))
        jobs = {
            "version": ["version"],
            "write-flash -u": ["write-flash", "-u", "--no-progress", "0x10000", str(source)],
            "read-flash 64k": ["read-flash", "--no-progress", "0x10000", "64k", target],
        }
        for name, job in jobs.items():
            rows[name] = {}
            for tool, command in (("ours", tools.ours()), ("public", tools.public())):
                if command is None:
                    continue
                rows[name][tool] = _cpu(command, job, name == "version")
    return rows


def _cpu(command: list[str], job: list[str], alone: bool) -> float:
    """The lower CPU time of two runs, against a fresh peer each."""
    best = float("inf")
    for _ in range(2):
        if alone:
            done = tools.run([*command, *job])
        else:
            with tools.server("bench.lib.instant") as port:
                place = ["--chip", "esp32s3", "--port", f"socket://127.0.0.1:{port}"]
                modes = ["--before", "no-reset", "--after", "no-reset", "--no-stub"]
                done = tools.run([*command, *place, *modes, *job])
        if done.code:
            sys.exit(f"{' '.join(command + job)} failed:\n{done.output}")
        best = min(best, done.cpu_s)
    return best


def large(public_mb: list[int], ours_mb: list[int]) -> list[Row]:
    """Firmware-like files of growing size, written to and read from a blank flash of 128 MB.

    Each tool's `connect` is a `flash-id`: start-up and the stub's upload, which is taken off before
    CPU is divided by the size.
    """
    rows: list[Row] = []
    start_up: dict[str, float] = {}
    for tool, command, sizes in (
        ("public", tools.public(), public_mb),
        ("ours", tools.ours(), ours_mb),
    ):
        if command is None:
            continue
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder, _terminal() as port:
                source, target = Path(folder, "in.bin"), Path(folder, "out.bin")
                block = firmware(MB)[4:]
                with source.open("wb") as file:
                    for number in range(size):
                        file.write(number.to_bytes(4, "big") + block)
                place = [*command, "--chip", "esp32s3", "--port", port, "--before", "no-reset"]
                place += ["--after", "no-reset-stub"]
                if tool not in start_up:
                    start_up[tool], _peak = _measured([*place, "flash-id"])
                    print(f"{tool:<8}connect: CPU {start_up[tool]:.2f} s", flush=True)
                write = ["write-flash", "--no-progress", "0x10000", str(source)]
                read = ["read-flash", "--no-progress", "0x10000", str(size * MB), str(target)]
                for name, job in (("write", write), ("read", read)):
                    cpu, peak = _measured([*place, *job])
                    rows.append(_row(tool, name, size, cpu, start_up[tool], peak))
                # Piece by piece: what this process takes counts in the peak of what it starts.
                if not filecmp.cmp(source, target, shallow=False):
                    sys.exit(f"{tool}: what was read is not what was written")
    _compare(rows)
    return rows


def _row(tool: str, name: str, size: int, cpu: float, start_up: float, peak: float) -> Row:
    each = max(0.0, cpu - start_up) / size
    print(
        f"{tool:<8}{name:<7}{size:>4} MB: CPU {cpu:6.2f} s ({each:.3f} a MB more than connecting), "
        f"peak {peak / MB:4.0f} MB",
        flush=True,
    )
    return {
        "tool": tool, "job": name, "mb": size, "cpu_s": cpu, "cpu_a_mb_s": each,
        "peak_mb": peak / MB,
    }  # fmt: skip


def _compare(rows: list[Row]) -> None:
    """Ours as a part of the public tool's, for sizes that both have done."""
    by = {(row["tool"], row["job"], row["mb"]): row for row in rows}
    for (tool, job, size), theirs in by.items():
        ours = by.get(("ours", job, size))
        if tool == "public" and ours is not None:
            whole = float(ours["cpu_s"]) / float(theirs["cpu_s"])
            each = float(ours["cpu_a_mb_s"]) / float(theirs["cpu_a_mb_s"])
            ours["of_public"], ours["of_public_a_mb"] = whole, each
            print(f"{job} of {size} MB: {whole:.2f} of the public tool's CPU, {each:.2f} a MB")


@contextmanager
def _terminal() -> Iterator[str]:
    """The terminal of a virtual chip in another process; pyserial reads sockets byte by byte."""
    with tools.virtual_chip("esp32s3", "flash=128MB", "stub=model", way="pty") as port:
        yield port


def _measured(command: list[str], attempts: int = 3) -> tuple[float, float]:
    """CPU seconds and peak bytes of one process; on a busy machine one may run out of time."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        if attempts > 1:
            return _measured(command, attempts - 1)
        sys.exit(f"{' '.join(command)} failed:\n{output.decode()}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=4, help="megabytes to write")
    parser.add_argument("--large", action="store_true", help="files up to 64 MB, instead")
    parser.add_argument("--quick", action="store_true", help="with --large: up to 4 MB")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    if args.large:
        rows = large([1, 4], [1, 4] if args.quick else [1, 4, 16, 64])
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1) + "\n")
        return
    figures: dict[str, object] = {"cpus": os.cpu_count(), "codec": codec()}
    for name, value in codec().items():
        print(f"{name:<22}{value:10.0f}")
    small = transfers(args.size * MB)
    figures["cpu_s"] = small
    print(f"\n{'CPU seconds':<22}{'ours':>8}{'public':>8}{'ratio':>8}")
    for name, row in small.items():
        their = row.get("public")
        ratio = f"{row['ours'] / their:8.2f}" if their else " " * 8
        print(f"{name:<22}{row['ours']:8.2f}{their if their else 0:8.2f}{ratio}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
