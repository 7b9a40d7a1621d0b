# SPDX-License-Identifier: Apache-2.0
"""How much of a debugger's link arrives as data of the flash.

    python -m bench.gdb [--size KiB] [--chip CHIP] [--json]

Our own GDB server on the loopback, as fast as it goes and held to 100 and 500 kB/s, as adapters
are. `RAM` is what plain accesses to memory get of it. `share` is the part of the bytes on the link
that are data of the flash, whatever time the emulated processor takes beside it; of data that pack
well it is more than all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from esptool import cmds
from esptool.errors import FatalError
from esptool.loader import ESPLoader
from esptool.targets import CHIP_DEFS
from esptool.transport.gdb import GdbClient
from esptool.virtual.gdb_server import GdbServer
from esptool.virtual.options import parse_url

PACES = (None, 500_000.0, 100_000.0)
QUIET: dict[str, Any] = {"flash_mode": "keep", "flash_freq": "keep", "flash_size": "keep"}
#: RAM where plain memory accesses are measured, of a chip that stands in its ROM.
RAM = {"esp32c3": 0x3FC90000, "esp32": 0x3FFB0000}


@dataclass(frozen=True)
class Row:
    """Rates in kB/s, and the share of the link's own that plain data get."""

    link: str
    memory_write: float
    memory_read: float
    write: float
    read: float
    packed_write: float
    write_share: float
    read_share: float
    packed_share: float


@contextlib.contextmanager
def serving(chip: str, pace: float | None) -> Iterator[GdbServer]:
    server = GdbServer(parse_url(f"virtual://{chip}"), pace=pace)
    thread = server.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(5)


def memory(server: GdbServer, address: int, size: int) -> tuple[float, float]:
    """Bytes a second of plain writes and reads of RAM."""
    client = GdbClient("127.0.0.1", int(server.url.rpartition(":")[2]))
    client.open()
    data = random.Random(1).randbytes(size)
    began = time.monotonic()
    client.write(address, data)
    between = time.monotonic()
    if client.read(address, size) != data:
        raise FatalError("Memory does not hold what was written.")
    ended = time.monotonic()
    client.close()
    return size / (between - began), size / (ended - between)


def connected(server: GdbServer) -> ESPLoader:
    from esptool import device

    session = device.connect(server.url)
    return CHIP_DEFS[session.spec.key].from_session(session)


def measure(chip: str, pace: float | None, size: int) -> Row:
    """One row; `size` bytes of data that do not pack, and as many that do."""
    noise = random.Random(2).randbytes(size)
    text = b"".join(b"line %d of a text\n" % n for n in range(size // 16))[:size]
    with serving(chip, pace) as server:
        put, got = memory(server, RAM[chip], 0x8000)
        esp = connected(server)
        cmds.attach_flash(esp)
        times, moved = [], []
        for at, data in ((0x10000, noise), (0x200000, text)):
            before, began = server.target.moved, time.monotonic()
            cmds.write_flash(esp, [(at, data)], **QUIET)
            times.append(time.monotonic() - began)
            moved.append(server.target.moved - before)
        before, began = server.target.moved, time.monotonic()
        if cmds.read_flash(esp, 0x10000, size) != noise:
            raise FatalError("The flash does not hold what was written.")
        times.append(time.monotonic() - began)
        moved.append(server.target.moved - before)
        esp.session.close()
    written, packed, read = (round(size / t / 1000, 1) for t in times)
    write_share, packed_share, read_share = (round(size / count, 3) for count in moved)
    name = "loopback" if pace is None else f"{pace / 1000:.0f} kB/s"
    plain = round(put / 1000, 1), round(got / 1000, 1)
    return Row(name, *plain, written, read, packed, write_share, read_share, packed_share)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128, help="KiB of each kind of data")
    parser.add_argument("--chip", default="esp32c3", choices=sorted(RAM))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        rows = [measure(args.chip, pace, args.size << 10) for pace in PACES]
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return 0
    heads = ("RAM w", "RAM r", "write", "read", "packed", "write", "read", "packed")
    print(f"{'link':<10}{'kB/s':>40}{'share of the link':>30}")
    print(" " * 10 + "".join(f"{head:>9}" for head in heads))
    for r in rows:
        rates = (r.memory_write, r.memory_read, r.write, r.read, r.packed_write)
        shares = (r.write_share, r.read_share, r.packed_share)
        print(
            f"{r.link:<10}"
            + "".join(f"{rate:>9.1f}" for rate in rates)
            + "".join(f"{share:>9.0%}" for share in shares)
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
