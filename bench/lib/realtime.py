# SPDX-License-Identifier: Apache-2.0
"""Ours and the public tool in real time, one after the other, on equal served virtual chips.

The served chip makes both wait for the line and for the flash. A public stub's machine code works
through ROM functions that the virtual chip has not, so the public tool meets the model of its stub
(`stub=model`); ours meets the model of ours, unless `side` says a public one, or the ROM.
"""

from __future__ import annotations

import json
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bench.lib import tools
from bench.lib.counting import Counter
from bench.lib.data import MB, changed, dirty, firmware
from bench.lib.simulated import BASE, PART, scattered
from bench.lib.terminal import Terminal
from esptool.virtual.board import open_board

Row = dict[str, Any]
#: No single client may take longer.
LIMIT_S = 150.0
TOOLS = ("ours", "public")


def available() -> bool:
    """The public tool is installed in its own environment."""
    return tools.public() is not None


def _client(tool: str) -> list[str]:
    if tool == "ours":
        return [sys.executable, "-m", "bench.lib.client_ours"]
    command = tools.public()
    assert command is not None
    return [command[0], str(tools.ROOT / "bench" / "lib" / "client_public.py")]


@contextmanager
def _terminal(chip: str, baud: int, *settings: str) -> Iterator[str]:
    """The terminal of a served chip, whose rate may be one that terminals have no name for."""
    if hasattr(termios, f"B{baud}"):
        with tools.virtual_chip(chip, *settings, way="pty") as port:
            yield port
        return
    with tools.virtual_chip(chip, *settings) as url, closing(Terminal(url)) as terminal:
        yield terminal.url


def _timed(
    tool: str,
    chip: str,
    baud: int,
    latency_ms: int,
    data: bytes,
    *jobs: str,
    side: str = "own",
    old: tuple[tuple[int, bytes], ...] = (),
    link: str = "uart",
) -> Row:
    """Seconds of the jobs by one tool; an error or too much time is a row, too."""
    stub = "public" if side == "public" else "model"
    with tempfile.TemporaryDirectory() as folder:
        file, state = Path(folder, "data.bin"), Path(folder, "board.bin")
        file.write_bytes(data)
        board = open_board(f"virtual://{chip}?part={PART}&state={state}")
        for address, content in old:
            board.nor.cells.program(address, content)
        board.release()
        settings = [f"part={PART}", f"state={state}", f"latency={latency_ms}ms", f"stub={stub}"]
        with _terminal(chip, baud, "timing=real", f"link={link}", *settings) as port:
            loader = "rom" if side == "rom" else "stub"
            done = tools.run([*_client(tool), port, str(baud), str(file), loader, *jobs], LIMIT_S)
    if done.code:
        return {"error": (done.output.strip().splitlines() or ["no output"])[-1]}
    figures: Row = json.loads(done.output.splitlines()[-1])
    return figures


def line(chip: str, baud: int, latency_ms: int, link: str = "uart") -> Row:
    """1 MiB of firmware written to blank flash and read back by both tools."""
    jobs = ("write", f"read:{MB}")
    return {t: _timed(t, chip, baud, latency_ms, firmware(MB), *jobs, link=link) for t in TOOLS}


def delta(chip: str, what: str) -> Row:
    """1 MiB at 921600 baud and 1 ms, written over other content, or with N changed sectors."""
    data = firmware(MB)
    old = dirty(MB) if what == "dirty" else data
    new = data if what == "dirty" else changed(data, int(what))
    return {t: _timed(t, chip, 921600, 1, new, "write", old=((BASE, old),)) for t in TOOLS}


def erase(chip: str, sectors: int) -> Row:
    """All of an 8 MB flash erased, of which so many scattered sectors are not blank."""
    old = tuple((address, bytes(16)) for address in scattered(sectors, 8 * MB))
    return {t: _timed(t, chip, 921600, 1, b"", "erase", old=old) for t in TOOLS}


def fallback(chip: str, side: str, latency_ms: int) -> Row:
    """With a public stub, or with the ROM loader alone, at 921600 baud."""
    small = side == "rom"
    data = firmware(MB // 4 if small else MB)
    jobs = ("write", f"read:{MB // 16 if small else MB}")
    return {t: _timed(t, chip, 921600, latency_ms, data, *jobs, side=side) for t in TOOLS}


def requests(chip: str, side: str) -> Row:
    """Requests before the first data block of `write-flash`; no time is charged."""
    row: Row = {}
    stub = "public" if side == "public" else "model"
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        Path(file.name).write_bytes(firmware(0x4000))
        for tool, command in (("ours", tools.ours()), ("public", tools.public())):
            assert command is not None
            with tools.virtual_chip(chip, f"part={PART}", f"stub={stub}") as url:
                counter = Counter(url)
                place = ["--port", counter.url, "--before", "no-reset", "--after", "no-reset"]
                place += ["--no-stub"] if side == "rom" else []
                job = ["write-flash", "--no-progress", hex(BASE), file.name]
                done = tools.run([*command, *place, *job], LIMIT_S)
                counter.close()
            if done.code:
                row[tool] = {"error": done.output.strip().splitlines()[-1]}
            else:
                row[tool] = {"requests": counter.requests, "upload": counter.upload}
    return row


TABLES: dict[str, Callable[..., Row]] = {
    "public-requests": requests,
    "public-lines": line,
    "public-delta": delta,
    "public-erase": erase,
    "fallback": fallback,
}
