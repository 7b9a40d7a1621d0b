# SPDX-License-Identifier: Apache-2.0
"""One lost, flipped or repeated byte at each offset of a stub's upload, on the virtual clock.

`python -m bench.stages` damages every offset of both stages' upload, towards the chip and back, on
three chips with machine code, and tells how each run ended: the stub runs, or there was one clear
error. That takes hours; `--step 50` takes every fiftieth offset, `--from` and `--to` a part.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from esptool.device import Session, connect
from esptool.errors import FatalError

CHIPS = ("esp32c3", "esp32", "esp8266")
KINDS = ("lose", "flip", "repeat")
WAYS = ("to chip", "to host")
BAUD = 921_600


@dataclass
class OneFault:
    """Damages the byte at one offset, counted from when it is put on the line.

    Attributes:
        seen: bytes that have passed.
    """

    kind: str = ""
    at: int = -1
    seen: int = 0

    def apply(self, data: bytes) -> tuple[bytes, bool]:
        """The bytes that come through; none is late."""
        index = self.at - self.seen
        self.seen += len(data)
        if not 0 <= index < len(data):
            return data, False
        byte = data[index]
        damaged = {
            "lose": b"",
            "flip": bytes((byte ^ 1 << self.at % 8,)),
            "repeat": bytes((byte, byte)),
        }[self.kind]
        return data[:index] + damaged + data[index + 1 :], False


def run(chip: str, way: str, fault: OneFault, options: str) -> tuple[str, Session | None]:
    """Upload with this fault: how it ended, and the session where the stub runs."""
    session = connect(f"virtual://{chip}?timing=virtual&latency=1&{options}")
    board = session.link.port.serial.board  # type: ignore[attr-defined]
    setattr(board.cable, "noise_in" if way == "to chip" else "noise_out", fault)
    try:
        session.run_stub(baud=BAUD)
    except FatalError as e:
        return (f"error: {e.message}" if e.message else "unclear"), None
    if session.ext is None:
        return "unclear: no answer of our stub", None
    resent = session.loaded.resent if session.loaded else 0
    staged = session.loaded is not None and session.loaded.staged
    return ("runs" if staged else "runs, loaded by the ROM") + (
        ", blocks resent" if resent else ""
    ), session


def length(chip: str, way: str, options: str) -> int:
    """Bytes that an upload without a fault moves."""
    fault = OneFault()
    run(chip, way, fault, options)
    return fault.seen


def offsets(size: int, args: argparse.Namespace) -> Iterator[int]:
    """Those asked for."""
    yield from range(args.start, min(size, args.to or size), args.step)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", default=",".join(CHIPS))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="start")
    parser.add_argument("--to", type=int, default=0)
    parser.add_argument("--options", default="stub=emulated", help="of the virtual chip's URL")
    args = parser.parse_args()
    bad = 0
    for chip in args.chips.split(","):
        for way in args.ways.split(","):
            size = length(chip, way, args.options)
            for kind in args.kinds.split(","):
                ends: Counter[str] = Counter()
                slowest = 0.0
                for at in offsets(size, args):
                    end, session = run(chip, way, OneFault(kind, at), args.options)
                    ends[end] += 1
                    if session is not None:
                        slowest = max(slowest, session.link.now())
                    if end.startswith("unclear"):
                        bad += 1
                        print(f"{chip} {way} {kind} {at}: {end}", flush=True)
                print(
                    f"{chip:<9} {way} {kind:<7} of {size}: {dict(ends)}, slowest {slowest:.2f} s",
                    flush=True,
                )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
