# SPDX-License-Identifier: Apache-2.0
"""Programs compiled for the tests of the monitor, once for all of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "programs"
RISCV = ("-march=rv32imc", "-mabi=ilp32", "-Wl,-Ttext=0x40390000", "-Wl,-Tdata=0x3fc90000")
XTENSA = ("-mlongcalls", "-Wl,-Ttext=0x40100000", "-Wl,-Tdata=0x3ffe8000")
BARE = ("-nostdlib", "-ffreestanding", "-Wl,-eentry")

#: Name -> compiler, its options, source.
BUILDS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "riscv-c": ("riscv64-unknown-elf-gcc", (*RISCV, *BARE, "-g", "-O2"), "shapes.c"),
    "riscv-c-O0": ("riscv64-unknown-elf-gcc", (*RISCV, *BARE, "-g", "-O0"), "shapes.c"),
    "riscv-c-dwarf4": (
        "riscv64-unknown-elf-gcc",
        (*RISCV, *BARE, "-g", "-gdwarf-4", "-O2"),
        "shapes.c",
    ),
    "riscv-c++": (
        "riscv64-unknown-elf-g++",
        (*RISCV, *BARE, "-g", "-O2", "-fno-exceptions", "-fno-rtti"),
        "shapes.cpp",
    ),
    "riscv-c++-clang": (
        "clang++",
        (
            *("--target=riscv32", "-march=rv32imc", "-fuse-ld=lld", "-Wl,-Ttext=0x40380000"),
            *(*BARE, "-g", "-O2", "-fno-exceptions", "-fno-rtti"),
        ),
        "shapes.cpp",
    ),
    "xtensa-c": ("xtensa-lx106-elf-gcc", (*XTENSA, *BARE, "-g", "-O2"), "shapes.c"),
    "xtensa-c-dwarf3": (
        "xtensa-lx106-elf-gcc",
        (*XTENSA, *BARE, "-g", "-gdwarf-3", "-O2", "-gz"),
        "shapes.c",
    ),
    "xtensa-c++": (
        "xtensa-lx106-elf-g++",
        (*XTENSA, *BARE, "-g", "-O2", "-fno-exceptions", "-fno-rtti"),
        "shapes.cpp",
    ),
    "host-c++": ("g++", ("-g", "-O2", "-ffunction-sections"), "shapes.cpp"),
    "crash": (
        "riscv64-unknown-elf-gcc",
        (*RISCV, *BARE, "-g", "-O1", "-fno-omit-frame-pointer"),
        "crash.c",
    ),
    "crash-O0": ("riscv64-unknown-elf-gcc", (*RISCV, *BARE, "-g", "-O0"), "crash.c"),
    "crash-eh": (
        "riscv64-unknown-elf-gcc",
        (*RISCV, *BARE, "-g", "-Os", "-fasynchronous-unwind-tables"),
        "crash.c",
    ),
    "crash-O2": ("riscv64-unknown-elf-gcc", (*RISCV, *BARE, "-g", "-O2"), "crash.c"),
}


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Compiles a program of `BUILDS`, or gives the one that was compiled before."""
    folder = tmp_path_factory.mktemp("programs")

    def make(name: str) -> Path:
        target = folder / f"{name}.elf"
        if not target.exists():
            compiler, options, source = BUILDS[name]
            subprocess.run(
                [compiler, *options, str(SOURCES / source), "-o", str(target)],
                check=True,
                capture_output=True,
            )
        return target

    return make
