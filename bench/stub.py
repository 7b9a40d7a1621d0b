# SPDX-License-Identifier: Apache-2.0
"""What the stub's machine code costs: instructions a byte for inflate and MD5, on every chip.

    python -m bench.stub [NAME ...] [--json FILE]

Builds the stubs (cross compilers are needed), calls their functions one by one in the emulator and
counts. Output is taken from inflate without being written anywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from esptool.chips.spec import Arch, ChipSpec
from esptool.virtual.emulator.cpu import PAGE, Cpu, IcicleCpu
from esptool.virtual.silicon.spec import Arch as CpuArch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from build_stubs import build, stubs
from stub_toolchain import TOOLCHAINS

SCRATCH = 0x10000000
SCRATCH_SIZE = 1 << 20
RETURN = 0x00001000
#: `return length`, the second argument, in the machine code of each family: all output is taken.
_TAKES_ALL = {Arch.RISCV: bytes.fromhex("2e858280"), Arch.XTENSA: bytes.fromhex("2d030df0")}
#: Where the inflater hands its output on (`writer.c`).
_SINK = "inflated"
#: What the project has promised, for RISC-V.
LIMITS = {"inflate": 40.0, "md5": 15.0}


class NoPorts:
    """Peripherals that show zero; a call of the ROM ends the run."""

    def load(self, address: int, size: int) -> int:
        """Zero."""
        return 0

    def store(self, address: int, size: int, value: int) -> None:
        """Lost."""

    def call(self, address: int, args: tuple[int, int, int, int]) -> int | None:
        """The function has returned."""
        return None


class Code:
    """The functions of one built stub, to be called."""

    def __init__(self, name: str, spec: ChipSpec, work: Path) -> None:
        build(name, spec, work)
        self._arch = Arch.RISCV if spec.arch is Arch.RISCV else Arch.XTENSA
        prefix = TOOLCHAINS[spec.arch].prefix
        nm = subprocess.run(
            [prefix + "nm", work / "stub.elf"], capture_output=True, text=True, check=True
        )
        rows = [row.split() for row in nm.stdout.splitlines()]
        self.symbols = {row[2]: int(row[0], 16) for row in rows if len(row) == 3}
        self._segments = self._load(prefix, work)

    def _load(self, prefix: str, work: Path) -> list[tuple[int, bytes]]:
        out = []
        for part in (".text", ".data"):
            target = work / "part"
            subprocess.run(
                [prefix + "objcopy", "-O", "binary", "-j", part, work / "stub.elf", target],
                check=True,
            )
            listing = subprocess.run(
                [prefix + "objdump", "-h", work / "stub.elf"],
                capture_output=True,
                text=True,
                check=True,
            )
            row = next((r.split() for r in listing.stdout.splitlines() if f" {part} " in r), None)
            if row is not None and target.exists():
                out.append((int(row[3], 16), target.read_bytes()))
        return out

    def start(self) -> Cpu:
        """A processor with the stub in its memory, not started."""
        cpu = IcicleCpu(CpuArch.RISCV if self._arch is Arch.RISCV else CpuArch.LX106, NoPorts())
        pages: dict[int, bytearray] = {}
        end = self.symbols["stack_top"]
        spans = [(a, len(d)) for a, d in self._segments]
        spans.append((self.symbols["bss_start"], end - self.symbols["bss_start"] + PAGE))
        for start, size in spans:
            for page in range(start & -PAGE, start + size, PAGE):
                pages.setdefault(page, bytearray(PAGE))
        for start, data in self._segments:
            for at, byte in enumerate(data, start):
                pages[at & -PAGE][at % PAGE] = byte
        for page, content in sorted(pages.items()):
            cpu.map(page, bytes(content))
        cpu.map(SCRATCH, bytes(SCRATCH_SIZE))
        cpu.write(self.symbols[_SINK], _TAKES_ALL[self._arch])
        return cpu

    def call(self, cpu: Cpu, name: str, *args: int) -> int:
        """Call a function; the number of instructions that it took."""
        assert isinstance(cpu, IcicleCpu)
        before = cpu.instructions
        cpu.enter(self.symbols[name], args, self.symbols["stack_top"], RETURN)
        cpu.run(1 << 32)
        return cpu.instructions - before


def sample(size: int) -> bytes:
    """Bytes that compress about as firmware does, to 60 %."""
    maker = random.Random(3)
    words = [maker.randbytes(maker.randrange(2, 12)) for _ in range(900)]
    out = bytearray()
    while len(out) < size:
        out += maker.choice(words) + maker.randbytes(maker.choice((0, 0, 1, 2)))
    return bytes(out[:size])


def measure(name: str, spec: ChipSpec, work: Path) -> dict[str, float]:
    """Instructions a byte of one stub."""
    code = Code(name, spec, work)
    data = sample(0x20000)
    cpu = code.start()
    packed = zlib.compress(data, 9)
    code.call(cpu, "inflate_start", code.symbols[_SINK])
    total = 0
    for at in range(0, len(packed), 0x4000):
        piece = packed[at : at + 0x4000]
        cpu.write(SCRATCH, piece)
        total += code.call(cpu, "inflate_add", SCRATCH, len(piece), SCRATCH + 0x80000)
    window = cpu.read(code.symbols["inflate_window"], 0x8000)
    assert window == data[-0x8000:], "the stub inflates wrongly"
    cpu = code.start()
    cpu.write(SCRATCH, data)
    md5 = code.call(cpu, "md5_start", SCRATCH + 0x80000)
    md5 += code.call(cpu, "md5_add", SCRATCH + 0x80000, SCRATCH, len(data))
    code.call(cpu, "md5_finish", SCRATCH + 0x80000, SCRATCH + 0x81000)
    assert cpu.read(SCRATCH + 0x81000, 16) == hashlib.md5(data).digest(), "the stub hashes wrongly"
    return {
        "inflate": total / len(data),
        "md5": md5 / len(data),
        "ratio": len(packed) / len(data),
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="stubs (all)")
    parser.add_argument("--json", type=Path, help="also write the figures to a file")
    args = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    missed = False
    print(f"{'stub':<14}{'inflate':>9}{'MD5':>7}   instructions a byte")
    with tempfile.TemporaryDirectory() as work:
        for name, spec in stubs().items():
            if args.names and name not in args.names:
                continue
            f = figures[name] = measure(name, spec, Path(work) / name)
            over = spec.arch is Arch.RISCV and any(f[k] > v for k, v in LIMITS.items())
            missed |= over
            print(f"{name:<14}{f['inflate']:>9.1f}{f['md5']:>7.1f}{'   over the limit' * over}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
