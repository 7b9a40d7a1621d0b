# SPDX-License-Identifier: Apache-2.0
"""The two compilers that stubs are made with: flags, compiling, linking, what came of it."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from esptool.chips.spec import Arch

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"

COMMON = [
    "-Os",
    "-std=gnu11",
    "-ffreestanding",
    "-fno-builtin",
    "-nostdlib",
    "-ffunction-sections",
    "-fno-common",
    "-fno-jump-tables",
    "-fno-ident",
    "-fcallgraph-info=su",
    "-Wall",
    "-Wextra",
    "-Werror",
]


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A compiler with its flags for one family.

    Attributes:
        entry: where a first stage enters the stub.
    """

    prefix: str
    flags: tuple[str, ...]
    start: str
    rodata_in_code: bool
    stage_flags: tuple[str, ...]
    entry: str


#: RISC-V calls are made short by the linker; on Xtensa they are short from the start, as the code
#: lies in one piece, and nothing may move there: the entry's offset is known to emulators.
_RISCV = ("-march=rv32imc", "-mabi=ilp32", "-msmall-data-limit=0", "-msave-restore")
_CALL0 = ("-mtext-section-literals", "-Wl,--no-relax")
#: Helpers that save registers pay only where there are many functions.
_RISCV_STAGE = _RISCV[:-1]

TOOLCHAINS = {
    Arch.RISCV: Toolchain("riscv64-unknown-elf-", _RISCV, "riscv.S", True, _RISCV_STAGE, "start"),
    Arch.XTENSA: Toolchain("xtensa-lx106-elf-", _CALL0, "xtensa.S", False, _CALL0, "plain"),
    Arch.LX106: Toolchain("xtensa-lx106-elf-", _CALL0, "lx106.S", False, _CALL0, "start"),
}


#: Where the output of the preprocessor comes to the next file.
_NEXT_FILE = re.compile(r'^# 0 "(?!<)([^"/]+\.[cS])"$', re.MULTILINE)
_REMARKS = re.compile(r"^(#.*)?\n", re.MULTILINE)
#: What has been compiled in this run, by compiler, flags, name and preprocessed text: object and
#: call graph. Chips differ in constants that few files look at.
_COMPILED: dict[tuple[str, ...], tuple[bytes, bytes | None]] = {}


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """A command's output; it ends the build when it fails."""
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def compile_all(tools: Toolchain, flags: Sequence[str], sources: Sequence[str], work: Path) -> None:
    """Compile the sources in a folder, each text once in a run.

    Plain names and one directory, so that no path gets into the output.
    """
    gcc = (tools.prefix + "gcc", *COMMON, *flags)
    parts = _NEXT_FILE.split(run(*gcc, "-E", *sources, cwd=work))
    texts = dict(zip(parts[1::2], parts[2::2], strict=True))
    keys = {
        name: (*gcc, name, hashlib.sha256(_REMARKS.sub("", texts[name]).encode()).hexdigest())
        for name in sources
    }
    new = [name for name in sources if keys[name] not in _COMPILED]
    if new:
        run(*gcc, "-c", *new, cwd=work)
    for name, key in keys.items():
        out, graph = ((work / name).with_suffix(suffix) for suffix in (".o", ".ci"))
        if key not in _COMPILED:
            _COMPILED[key] = out.read_bytes(), graph.read_bytes() if graph.exists() else None
            continue
        made, calls = _COMPILED[key]
        out.write_bytes(made)
        if calls is not None:
            graph.write_bytes(calls)


def link(
    tools: Toolchain,
    objects: list[str],
    work: Path,
    name: str = "stub",
    *options: str,
    flags: Sequence[str] | None = None,
    libgcc: bool = True,
) -> None:
    """Link objects by `name`.ld into `name`.elf."""
    run(
        tools.prefix + "gcc",
        *(tools.flags if flags is None else flags),
        "-nostdlib",
        *(options or ("-Wl,--gc-sections",)),
        "-Wl,-z,max-page-size=4",
        *("-T", f"{name}.ld", "-o", f"{name}.elf"),
        *objects,
        *(("-lgcc",) if libgcc and tools.prefix.startswith("riscv") else ()),
        cwd=work,
    )


def section(tools: Toolchain, elf: str, part: str, work: Path) -> bytes:
    """A section's bytes, filled up to whole words."""
    run(tools.prefix + "objcopy", "-O", "binary", "-j", f".{part}", elf, part, cwd=work)
    data = (work / part).read_bytes() if (work / part).exists() else b""
    return data.ljust((len(data) + 3) & ~3, b"\0")


def symbols(tools: Toolchain, elf: str, work: Path) -> dict[str, int]:
    """Addresses by the names of a linked program."""
    rows = map(str.split, run(tools.prefix + "nm", elf, cwd=work).splitlines())
    return {row[2]: int(row[0], 16) for row in rows if len(row) == 3}


def versions() -> dict[str, str]:
    """First line of each compiler's version."""
    prefixes = sorted({t.prefix for t in TOOLCHAINS.values()})
    return {p: run(p + "gcc", "--version").splitlines()[0] for p in prefixes}
