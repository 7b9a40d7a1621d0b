# SPDX-License-Identifier: Apache-2.0
"""How much code a command passes through: functions, files, and frames at a frame from the chip.

    python -m bench.calls

Counted on a virtual ESP32-C3 whose own code is left out, as are the bodies of modules and classes.
The depth is that of the most frequent way to the decoder of frames. It says nothing of speed.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = f"{ROOT / 'src'}/"
PORT = "virtual://esp32c3?timing=virtual"
CASES = {
    "write-flash": ["esptool", "write-flash", "0x10000", "{data}"],
    "read-flash": ["esptool", "read-flash", "0x10000", "300000", "{out}"],
    "burn-key": ["espefuse", "--do-not-confirm", "burn-key", "BLOCK_KEY0", "{key}", "USER"],
}
_OPTIMIZED = 1


def _ours(code: CodeType) -> bool:
    """A function of the tool, not of the chip that it talks to."""
    name = code.co_filename
    return bool(code.co_flags & _OPTIMIZED) and name.startswith(SOURCE) and "/virtual/" not in name


def _frames(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def count(program: str, argv: list[str]) -> str:
    """Run a command in this process; what it passed through, as a row."""
    seen: set[tuple[str, int]] = set()
    ways: Counter[tuple[str, ...]] = Counter()

    def look(frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if event != "call" or not _ours(code):
            return
        seen.add((code.co_filename, code.co_firstlineno))
        if code.co_name == "feed" and code.co_filename.endswith("slip.py"):
            ways[tuple(c.co_name for c in _frames(frame) if _ours(c))] += 1

    main = import_module(program).main
    sys.setprofile(look)
    try:
        main(["--chip", "esp32c3", "--port", PORT, *argv])
    finally:
        sys.setprofile(None)
    files = {name for name, _line in seen}
    return f"{len(seen)} functions, {len(files)} files, {len(ways.most_common(1)[0][0])} frames"


def run() -> None:
    """Each command in a process of its own, as caches that one has filled would serve the next."""
    with tempfile.TemporaryDirectory() as folder:
        place = {name: str(Path(folder) / name) for name in ("data", "key", "out")}
        Path(place["data"]).write_bytes(random.Random(0).randbytes(300_000))
        Path(place["key"]).write_bytes(bytes(range(32)))
        for name, words in CASES.items():
            argv = [word.format(**place) for word in words]
            code = f"from bench import calls; row = calls.count({argv[0]!r}, {argv[1:]!r})"
            code += "; import sys; print(row, file=sys.stderr)"
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
            )
            print(f"{name:12} {done.stderr.splitlines()[-1]}")


if __name__ == "__main__":
    run()
