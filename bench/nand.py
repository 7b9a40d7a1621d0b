# SPDX-License-Identifier: Apache-2.0
"""NAND flash as a whole: written, verified and read back, with bad blocks and bit errors in it.

    python -m bench.nand --size 64            # MB; the plug-in's machine code is executed
    python -m bench.nand --size 64 --stub model

Which blocks are bad, which fail while they are written and which pages have wrong bits comes of the
seed. It ends with 1 where anything that was read differs from what was written, or something of the
flash was not told.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

from esptool import cmds
from esptool.events import Event, Message
from esptool.virtual.board import NAMED
from esptool.virtual.nand import Nand
from esptool.virtual.nand_parts import PARTS, NandPart

PINS = (6, 2, 7, 4, 10)


class Faults:
    """What is wrong with a flash, drawn by chance from the blocks that a job will meet."""

    def __init__(self, part: NandPart, blocks: int, seed: int) -> None:
        draw = random.Random(seed)
        count = max(1, blocks // 50)
        chosen = draw.sample(range(blocks), 4 * count)
        self.bad, worn, weak = chosen[:count], chosen[count : 2 * count], chosen[2 * count :]
        self.worn = {block: draw.choice(("erase", "program")) for block in worn}
        #: Pages that are corrected, and pages that cannot be: their blocks are given up.
        self.flips = {
            block * part.pages + draw.randrange(part.pages): (
                part.strength + 1 if i < count else draw.randint(1, part.strength)
            )
            for i, block in enumerate(weak)
        }
        self.given_up = {*worn, *weak[:count]}

    def options(self) -> str:
        """As a board's URL has it."""
        worn = ",".join(f"{block}:{what}" for block, what in self.worn.items())
        flips = ",".join(f"{page}:{bits}" for page, bits in self.flips.items())
        bad = ",".join(map(str, self.bad))
        return f"nand_bad={bad}&nand_worn={worn}&nand_flips={flips}"


class Lines:
    """What a job says."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Message):
            self.texts.append(event.text)

    def skipped(self) -> int:
        """How many blocks it says it went around."""
        found = [t for t in self.texts if t.startswith("Bad blocks skipped: ")]
        return int(found[-1].split()[3]) if found else 0


def _timed(what: str, job: Callable[[], object]) -> object:
    begun, used = time.monotonic(), time.process_time()
    done = job()
    print(
        f"{what:<8}{time.monotonic() - begun:8.1f} s, {time.process_time() - used:8.1f} s CPU",
        flush=True,
    )
    return done


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=float, default=1, help="MB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", default="W25N01GV", choices=[*PARTS])
    parser.add_argument("--chip", default="esp32c3")
    parser.add_argument("--stub", default="emulated", choices=["emulated", "model"])
    args = parser.parse_args()
    part = PARTS[args.part]
    data = random.Random(args.seed).randbytes(int(args.size * (1 << 20)))
    block = part.page * part.pages
    blocks = -(-len(data) // block)
    faults = Faults(part, max(blocks, 8), args.seed)
    url = f"virtual://{args.chip}?stub={args.stub}&boot=download&name=bench-nand&nand={part.name}"
    esp = cmds.detect_chip(f"{url}&{faults.options()}")
    esp = cmds.run_stub(esp, ["nand"])
    cmds.attach_flash(esp, PINS, "nand")
    nand = NAMED["bench-nand"].soc.nand
    assert nand is not None
    wrote, verified, read = Lines(), Lines(), Lines()
    _timed(
        "write",
        lambda: cmds.write_flash(
            esp, [(0, data)], flash_type="nand", no_progress=True, listener=wrote
        ),
    )
    _timed(
        "verify", lambda: cmds.verify_flash(esp, [(0, data)], flash_type="nand", listener=verified)
    )
    found = _timed(
        "read",
        lambda: cmds.read_flash(
            esp, 0, len(data), None, flash_type="nand", no_progress=True, listener=read
        ),
    )
    return _judge(nand, faults, found == data, (wrote, verified, read))


def _judge(nand: Nand, faults: Faults, same: bool, lines: tuple[Lines, ...]) -> int:
    used = max(nand.pages) // nand.part.pages
    bad = {block for block in faults.bad if block <= used}
    grown = {block for block in faults.given_up if block <= used}
    marked = set(nand.marked())
    corrected = [t for t in lines[2].texts if "error correction" in t]
    print(f"{nand.log['program']} pages programmed, {nand.log['erase']} blocks erased")
    print(f"factory bad {len(bad)}, grown bad {len(grown)}, marked now {len(marked)}")
    print(f"told as skipped: {', '.join(str(each.skipped()) for each in lines)}")
    print(*corrected, sep="\n")
    right = (
        same
        and {b for b in marked if b <= used} == bad | grown
        and all(each.skipped() == len(bad | grown) for each in lines)
    )
    print("right" if right else "WRONG")
    return 0 if right else 1


if __name__ == "__main__":
    raise SystemExit(main())
