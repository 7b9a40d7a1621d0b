# SPDX-License-Identifier: Apache-2.0
"""Transfers on a virtual clock: one function a row, each with a fresh board and session.

The board charges the line at its rate, the latency each way, the flash's typical times and the
chip's own work, and nothing waits: load of the machine changes no figure.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from bench.lib.data import MB, changed, dirty, firmware, half_empty
from bench.soak import placeholder
from esptool import ops
from esptool.chips.nor import SECTOR
from esptool.device import Session, connect, late
from esptool.protocol.packets import BITS_A_BYTE
from esptool.transfer.pace import program_seconds
from esptool.transfer.segments import Segment
from esptool.virtual.board import NAMED, Board, open_board
from esptool.virtual.nor import BUS_HZ

Row = dict[str, Any]
#: A part with the times of docs/performance.md: 0.4 ms a page, 45 ms a sector.
PART = "W25Q64JV"
BASE = 0x10000
#: Bytes a second at which flash gives its content on four lines.
SCAN_RATE = BUS_HZ * 4 / 8
_names = count()


@contextmanager
def session_on(
    chip: str,
    model: bool,
    baud: int,
    latency_ms: float,
    old: bytes = b"",
    whole: bool = True,
    **options: object,
) -> Iterator[tuple[Session, Board]]:
    """A session with our stub at `baud`, flash attached, `old` in flash from `BASE` on.

    Without `whole`, the late part of the stub comes when it is first needed.
    """
    name = f"bench-{next(_names)}"
    more = "".join(f"&{k}={v}" for k, v in options.items())
    kind = "model" if model else "emulated"
    url = (
        f"virtual://{chip}?name={name}&part={PART}&stub={kind}"
        f"&timing=virtual&latency={latency_ms}ms{more}"
    )
    try:
        board = open_board(url)
        board.nor.cells.program(BASE, old)
        with connect(url, chip=chip) as session:
            session.run_stub(placeholder(session.spec) if model else None)
            if baud != 115200:
                session.power.change_baud(baud)
            ops.attach_flash(session)
            if whole:
                late.load(session)
            yield session, board
    finally:
        NAMED.pop(name, None)


def _write(session: Session, data: bytes) -> Row:
    """Seconds of a write: all of it, and the part between the first block and the last."""
    lines: list[tuple[float, str]] = []
    start = session.link.now()

    def listen(event: object) -> None:
        lines.append((session.link.now() - start, getattr(event, "text", "")))

    [result] = ops.write_flash(session, [ops.Region(BASE, data)], listener=listen)
    total = session.link.now() - start
    wrote = next((t for t, text in lines if text.startswith("Wrote")), total)
    began = max((t for t, text in lines if text.startswith("Compressed")), default=0.0)
    return {"write_s": total, "transfer_s": wrote - began, "bytes": result.sent}


def _read(session: Session, board: Board, data: bytes, baud: int) -> Row:
    """Seconds of a read, and the share of them in which the line carried bytes."""
    start, moved = session.link.now(), board.moved
    found = ops.read_flash(session, BASE, len(data))
    took = session.link.now() - start
    if found != data:
        raise AssertionError("What was read is not what stands in flash.")
    return {"read_s": took, "read_share": (board.moved - moved) * BITS_A_BYTE / baud / took}


def limits(data: bytes, baud: int) -> tuple[float, float]:
    """Seconds that the line needs for the deflated data, and blank flash to take it in."""
    line = len(zlib.compress(data, 9)) * BITS_A_BYTE / baud
    return line, program_seconds(Segment(BASE, data))


def _both_ways(
    data: bytes, chip: str, model: bool, baud: int, latency_ms: float, link: str = "uart"
) -> Row:
    line, flash = limits(data, baud)
    with session_on(chip, model, baud, latency_ms, link=link) as (session, board):
        row = _write(session, data) | _read(session, board, data, baud)
    limit = max(line, flash)
    return row | {
        "limit_s": limit,
        "write_share": limit / row["transfer_s"],
        "read_limit_s": line,
        "plain_s": len(data) * BITS_A_BYTE / baud,
    }


def line(chip: str, model: bool, baud: int, latency_ms: int, link: str = "uart") -> Row:
    """1 MiB of firmware, written to blank flash and read back."""
    return _both_ways(firmware(MB), chip, model, baud, latency_ms, link)


def half(chip: str, model: bool, baud: int, latency_ms: int) -> Row:
    """4 MB of which half are blank, written to blank flash and read back."""
    return _both_ways(half_empty(), chip, model, baud, latency_ms)


def delta(chip: str, model: bool, what: str) -> Row:
    """1 MiB at 921600 baud and 1 ms: over `blank` flash, `dirty` flash, or N changed sectors."""
    data = firmware(MB)
    old = {"blank": b"", "dirty": dirty(MB)}.get(what, data)
    new = data if old is not data else changed(data, int(what))
    with session_on(chip, model, 921600, 1, old) as (session, board):
        row = _write(session, new)
        assert board.nor.cells.read(BASE, len(new)) == new
    return row


def erase(chip: str, model: bool, sectors: int) -> Row:
    """All of an 8 MB flash erased, of which so many scattered sectors are not blank."""
    with session_on(chip, model, 921600, 1) as (session, board):
        for address in scattered(sectors, board.nor.part.size):
            board.nor.cells.program(address, bytes(16))
        start = session.link.now()
        ops.erase_flash(session)
        took = session.link.now() - start
        assert not board.nor.cells.read(0, board.nor.part.size).strip(b"\xff")
        times, size = board.nor.part.times, board.nor.part.size
    return {
        "erase_s": took,
        "limit_s": sectors * times.sector[0] + size / SCAN_RATE,
        "chip_s": times.chip[0],
    }


def scattered(sectors: int, size: int) -> list[int]:
    """Offsets of so many sectors, spread over a flash of `size` bytes."""
    step = size // max(1, sectors) // SECTOR * SECTOR
    return [number * step for number in range(sectors)]


def fault(chip: str, model: bool, rate: float, seed: int) -> Row:
    """1 MiB at 921600 baud and 1 ms with damaged bytes, written and read back."""
    data = firmware(MB)
    faults: dict[str, Any] = {"fault": f"flip:{rate}", "seed": seed} if rate else {}
    with session_on(chip, model, 921600, 1, **faults) as (session, board):
        row = _write(session, data)
        assert board.nor.cells.read(BASE, len(data)) == data
        return row | _read(session, board, data, 921600)


def requests(chip: str, model: bool) -> Row:
    """Requests for `flash-id`, and before the first data block of a write."""
    with session_on(chip, model, 115200, 0, whole=False) as (session, _board):
        facts = session.facts
        _ = facts.description, facts.features, facts.crystal_mhz, facts.macs
        ready = session.link.requests
        ops.show_flash_info(session)
        flash_id = before = session.link.requests
        ops.write_flash(session, [ops.Region(BASE, b"data")], ops.WriteOptions(delta=False))
        # the block itself, the end and the final hash come after
        first_block = ready + session.link.requests - before - 3
    return {"flash_id": flash_id, "first_block": first_block}


TABLES: dict[str, Callable[..., Row]] = {
    "requests": requests,
    "lines": line,
    "half": half,
    "delta": delta,
    "erase": erase,
    "faults": fault,
}
