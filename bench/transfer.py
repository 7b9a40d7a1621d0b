# SPDX-License-Identifier: Apache-2.0
"""Transfers over an emulated line: times, shares of the limit, and the public tool beside.

    python -m bench.transfer [--public] [--quick] [--json FILE] [--doc docs/performance.md]

Ours runs against a virtual ESP32-S3 on a virtual clock, which charges the line at its rate, the
latency each way, the flash's typical times and the chip's own work, and waits for none of it. With
--public, the public tool runs against the same virtual chip in real time (that takes minutes).
`limit` is the longer of what the line needs for the deflated bytes and what the flash needs.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from bench.lib import tools
from bench.lib.data import MB, firmware, half_empty
from bench.soak import placeholder
from esptool import ops
from esptool.device import Session, connect
from esptool.ops.model import SECTOR
from esptool.ops.plan import Stretch, flash_seconds
from esptool.virtual.board import NAMED

LINES = [(b, ms) for b in (115200, 921600, 2_000_000, 3_000_000, 12_000_000) for ms in (1, 16)]
QUICK = [(921600, 1), (921600, 16), (2_000_000, 1), (3_000_000, 1)]
#: The public tool waits for the line in real time: the slowest lines are left out.
PUBLIC = [(921600, 1), (921600, 16), (3_000_000, 1), (12_000_000, 1)]
BITS_A_BYTE = 10
_names = count()


@contextmanager
def chip(baud: int, latency_ms: float, model: bool, **options: object) -> Iterator[Session]:
    """A session with our stub on a fresh virtual chip, flash attached, at `baud`."""
    name = f"transfer-{next(_names)}"
    more = "".join(f"&{k}={v}" for k, v in options.items())
    timing = f"&timing=virtual&latency={latency_ms}ms" if latency_ms >= 0 else ""
    kind = "model" if model else "emulated"
    # A part with the times of docs/performance.md: 0.4 ms a page, 45 ms a sector.
    url = f"virtual://esp32s3?name={name}&part=W25Q64JV&stub={kind}{timing}{more}"
    with connect(url, chip="esp32s3") as session:
        session.run_stub(placeholder(session.spec) if model else None)
        if baud != 115200:
            session.change_baud(baud)
        ops.attach_flash(session)
        yield session
    NAMED.pop(name, None)


def write(session: Session, data: bytes, **options: Any) -> dict[str, float]:
    """Seconds of a write: all of it, and the part between the first block and the last."""
    lines: list[tuple[float, str]] = []
    start = session.link.now()

    def listen(event: object) -> None:
        text = getattr(event, "text", "")
        lines.append((session.link.now() - start, text))

    region = ops.Region(0x10000, data)
    [result] = ops.write_flash(session, [region], ops.WriteOptions(**options), listener=listen)
    total = session.link.now() - start
    wrote = next((t for t, text in lines if text.startswith("Wrote")), total)
    began = max((t for t, text in lines if text.startswith("Compressed")), default=0.0)
    return {"total_s": total, "transfer_s": wrote - began, "bytes": result.sent}


def read(session: Session, size: int) -> float:
    """Seconds of a read."""
    start = session.link.now()
    ops.read_flash(session, 0x10000, size)
    return session.link.now() - start


def limits(data: bytes, baud: int) -> tuple[float, float]:
    """Seconds that the line needs for the deflated data, and the flash for blank sectors."""
    line = len(zlib.compress(data, 9)) * BITS_A_BYTE / baud
    return line, flash_seconds(Stretch(0x10000, data)) - _erase_seconds(len(data))


def _erase_seconds(size: int) -> float:
    """The part of `flash_seconds` that a blank flash does not need."""
    return flash_seconds(Stretch(0x10000, b"\xff" * size))


def lines_table(model: bool, lines: list[tuple[int, int]], public: bool) -> list[dict[str, Any]]:
    """1 MiB of firmware over each line, written to blank flash and read back."""
    data = firmware(MB)
    rows = []
    for baud, latency in lines:
        line, flash = limits(data, baud)
        with chip(baud, latency, model) as session:
            wrote = write(session, data)
            moved = session.link.port.board.moved  # type: ignore[attr-defined]
            read_s = read(session, MB)
            moved = session.link.port.board.moved - moved  # type: ignore[attr-defined]
        row: dict[str, Any] = {"baud": baud, "latency_ms": latency, "read_s": read_s, **wrote}
        row["limit_s"] = max(line, flash)
        row["write_share"] = row["limit_s"] / wrote["transfer_s"]
        row["read_share"] = moved * BITS_A_BYTE / baud / read_s
        row["plain_read_s"] = MB * BITS_A_BYTE / baud
        if public and (baud, latency) in PUBLIC:
            row["public"] = public_tool(data, baud, latency)
        rows.append(row)
        print(
            f"{baud:>9} baud {latency:>3} ms: limit {row['limit_s']:7.2f} s, transfer "
            f"{wrote['transfer_s']:7.2f} s ({row['write_share']:.1%}), with checks "
            f"{wrote['total_s']:7.2f} s, read {read_s:7.2f} s "
            f"({row['read_share']:.1%} of the line)"
            + (f", public {row['public']}" if "public" in row else ""),
            flush=True,
        )
    return rows


def public_tool(data: bytes, baud: int, latency_ms: int) -> dict[str, float] | None:
    """The public tool's seconds for the same over the same line, in real time."""
    command = tools.public()
    if command is None:
        return None
    serve = [sys.executable, "-m", "esptool.cli.virtual_chip", "esp32s3", "--tcp", "127.0.0.1:0"]
    options = ["timing=real", f"latency={latency_ms}ms", "flash=8MB", "stub=model"]
    with (
        tempfile.NamedTemporaryFile(suffix=".bin") as file,
        subprocess.Popen([*serve, *options], stdout=subprocess.PIPE, text=True) as server,
    ):
        try:
            Path(file.name).write_bytes(data)
            assert server.stdout is not None
            url = ""
            while not url:
                found = re.search(r"socket://\S+:\d+", server.stdout.readline())
                url = found[0] if found else ""
            script = str(tools.ROOT / "bench" / "lib" / "client_public.py")
            done = tools.run([command[0], script, url, str(baud), file.name, "read"], 900)
            if done.code:
                sys.exit(f"the public tool failed:\n{done.output}")
            figures: dict[str, float] = json.loads(done.output.splitlines()[-1])
            return figures
        finally:
            server.kill()


def delta_table(model: bool) -> list[dict[str, Any]]:
    """Changed sectors of 256, without the old file."""
    old = firmware(MB)
    rows = []
    for changed in (256, 0, 1, 10, 100):
        new = bytearray(old)
        step = max(1, 256 // max(1, changed))
        for sector in range(0, changed * step, step):
            new[sector * SECTOR + 99] ^= 0x55
        with chip(921600, 1, model) as session:
            if changed < 256:
                write(session, old)
            figures = write(session, bytes(new) if changed < 256 else old)
        rows.append({"changed": changed, **figures})
        share = figures["total_s"] / rows[0]["total_s"]
        print(f"{changed:>4} of 256 sectors: {figures['total_s']:6.2f} s ({share:.1%} of all)")
    return rows


def half_empty_read(model: bool) -> dict[str, float]:
    """4 MB of flash, half of them blank, read at 921600 baud."""
    data = half_empty()
    with chip(921600, 1, model) as session:
        write(session, data)
        took = read(session, len(data))
    plain = len(data) * BITS_A_BYTE / 921600
    print(f"4 MB half empty: read in {took:.1f} s, its bytes at line rate {plain:.1f} s")
    return {"read_s": took, "plain_s": plain, "ratio": plain / took}


def faults_table(model: bool) -> list[dict[str, Any]]:
    """Time lost to damaged bytes, over several seeds."""
    data = firmware(MB)
    rows: list[dict[str, Any]] = []
    for rate in (0.0, 1e-6, 1e-5):
        times: list[tuple[float, float]] = []
        for seed in range(1 if not rate or rate > 5e-5 else 3):
            fault = {"fault": f"flip:{rate}", "seed": seed} if rate else {}
            with chip(921600, 1, model, **fault) as session:
                wrote = write(session, data)
                times.append((wrote["total_s"], read(session, MB)))
        row = {
            "rate": rate,
            "write_s": sum(w for w, _ in times) / len(times),
            "read_s": sum(r for _, r in times) / len(times),
        }
        rows.append(row)
        lost_w = row["write_s"] / rows[0]["write_s"] - 1
        lost_r = row["read_s"] / rows[0]["read_s"] - 1
        print(f"flips {rate:g} a byte: write +{lost_w:.1%}, read +{lost_r:.1%}", flush=True)
    return rows


def requests_made(model: bool) -> dict[str, int]:
    """Requests for `flash-id`, and before the first data block of a write."""
    name = f"transfer-{next(_names)}"
    kind = "model" if model else "emulated"
    with connect(f"virtual://esp32s3?name={name}&flash=8MB&stub={kind}") as session:
        facts = session.facts
        _ = facts.description, facts.features, facts.crystal_mhz, facts.macs
        session.run_stub(placeholder(session.spec) if model else None)
        ops.attach_flash(session)
        ready = session.link.requests
        ops.show_flash_info(session)
        flash_id = session.link.requests
        before = session.link.requests
        ops.write_flash(session, [ops.Region(0x10000, b"data")], ops.WriteOptions(delta=False))
        # the block itself, the end and the final hash come after
        first_block = ready + session.link.requests - before - 3
    print(f"requests: {flash_id} for flash-id, {first_block} before the first data block")
    return {"flash_id": flash_id, "first_block": first_block}


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--public", action="store_true", help="the public tool too, in real time")
    parser.add_argument("--quick", action="store_true", help="three lines only")
    parser.add_argument("--model", action="store_true", help="a model instead of the stub's code")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--doc", type=Path, help="page whose tables are to be renewed")
    args = parser.parse_args()
    start = time.monotonic()
    figures: dict[str, Any] = {"stub": "model" if args.model else "machine code"}
    figures["requests"] = requests_made(args.model)
    figures["lines"] = lines_table(args.model, QUICK if args.quick else LINES, args.public)
    if not args.quick:
        figures["delta"] = delta_table(args.model)
        figures["half_empty"] = half_empty_read(args.model)
        figures["faults"] = faults_table(args.model)
    print(f"measured in {time.monotonic() - start:.0f} s")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")
    if args.doc:
        from bench.lib.page import renew

        renew(args.doc, figures)


if __name__ == "__main__":
    main()
