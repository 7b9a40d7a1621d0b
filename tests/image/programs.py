# SPDX-License-Identifier: Apache-2.0
"""Small firmware-like programs, compiled with the distribution's compilers for the tests."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SOURCE = """
typedef unsigned int u32;
struct desc { u32 magic, secure; u32 r1[2]; char version[32], project[32], time[16], date[16];
              char idf[32]; unsigned char sha[32]; unsigned short lo, hi; unsigned char mmu;
              unsigned char r3[3]; u32 r2[18]; };
#ifdef APP
__attribute__((section(".flash.appdesc"), used)) const struct desc app = {
    .magic = 0xABCD5432, .version = "1.2.3", .project = "probe", .time = "12:00:00",
    .date = "Jan  1 2025", .idf = "v5.5", .hi = 199 };
#endif
const char table[5000] __attribute__((section(".flash.rodata"), used)) = {1, 2, 3, [4999] = 9};
int counters[40] __attribute__((section(".dram0.data"), used)) = {5, 6, 7};
int zeros[64] __attribute__((section(".dram0.bss"), used));
__attribute__((section(".rtc.data"), used)) int kept = 42;
__attribute__((section(".iram0.text"), used, noinline)) int quick(int a) { return a * 3 + kept; }
__attribute__((section(".flash.text"), used, noinline)) int slow(int a) {
    int s = 0;
    for (int i = 0; i < a; i++) s += table[i] ^ counters[i & 31];
    return s + quick(a);
}
__attribute__((section(".iram0.vectors"), used)) void entry(void) {
    zeros[1] = slow(40);
    for (;;) zeros[2]++;
}
"""

_SCRIPT = """
ENTRY(entry)
SECTIONS
{{
  .iram0.vectors {iram:#x} : {{ KEEP(*(.iram0.vectors)) }}
  .iram0.text : ALIGN(4) {{ *(.iram0.literal .iram0.text) *(.text .text.* .literal .literal.*) }}
  .dram0.data {dram:#x} : {{ *(.dram0.data) *(.data .data.*) }}
  .dram0.bss (NOLOAD) : {{ *(.dram0.bss) *(.bss .bss.* COMMON) }}
  .rtc.data {rtc:#x} : {{ *(.rtc.data) }}
  . = {drom:#x};
  .flash.appdesc : {{ KEEP(*(.flash.appdesc)) }}
  .flash.rodata : ALIGN(16) {{ *(.flash.rodata) *(.rodata .rodata.*) }}
  .flash.text {irom:#x} : {{ *(.literal.flash.text .flash.literal .flash.text) }}
  /DISCARD/ : {{ *(.comment .note* .riscv.attributes .xtensa.info .xt.* .eh_frame*) }}
}}
"""


@dataclass(frozen=True)
class Program:
    """How one ELF file is made, and which chip's addresses it has."""

    chip: str
    compiler: str
    flags: tuple[str, ...]
    iram: int
    dram: int
    rtc: int
    drom: int
    irom: int
    app: bool = True
    linker: str | None = None


_RISCV_GCC = ("riscv64-unknown-elf-gcc", ("-march=rv32imc", "-mabi=ilp32"))
_CLANG = ("clang", ("--target=riscv32-unknown-elf", "-march=rv32imac", "-mabi=ilp32", "-mno-relax"))
_LX106 = ("xtensa-lx106-elf-gcc", ("-mlongcalls", "-mtext-section-literals", "-Wl,--no-relax"))

PROGRAMS = {
    "riscv-c3": Program(
        "esp32c3", *_RISCV_GCC, 0x40380000, 0x3FC90000, 0x50000000, 0x3C020020, 0x42000020
    ),
    "riscv-c6": Program(
        "esp32c6", *_RISCV_GCC, 0x40800000, 0x40820000, 0x50000000, 0x42008020, 0x42010020
    ),
    "riscv-p4": Program(
        "esp32p4", *_RISCV_GCC, 0x4FF00000, 0x4FF40000, 0x50108000, 0x40000020, 0x40010020
    ),
    "riscv-c5-bare": Program(
        "esp32c5",
        *_RISCV_GCC,
        0x40800000,
        0x40820000,
        0x50000000,
        0x42000020,
        0x42020020,
        app=False,
    ),
    "clang-h2": Program(
        "esp32h2",
        *_CLANG,
        0x40800000,
        0x40820000,
        0x50000000,
        0x42000020,
        0x42020020,
        linker="riscv64-unknown-elf-ld",
    ),
    "xtensa-esp32": Program(
        "esp32", *_LX106, 0x40080000, 0x3FFB0000, 0x50000000, 0x3F400020, 0x400D0020
    ),
    "xtensa-s3": Program(
        "esp32s3", *_LX106, 0x40374000, 0x3FC90000, 0x50000000, 0x3C020020, 0x42000020
    ),
    "xtensa-esp8266": Program(
        "esp8266",
        *_LX106,
        0x40100000,
        0x3FFE8000,
        0x3FFEC000,
        0x3FFE9000,
        0x40220000,
        app=False,
    ),
}


def compile_all(folder: Path) -> dict[str, Path]:
    """Compile every program whose compiler (and linker) is installed."""
    source = folder / "probe.c"
    source.write_text(_SOURCE)
    made = {}
    for name, program in PROGRAMS.items():
        tools = (program.compiler, program.linker or program.compiler)
        if any(shutil.which(tool) is None for tool in tools):
            continue
        script = folder / f"{name}.ld"
        places = {k: getattr(program, k) for k in ("iram", "dram", "rtc", "drom", "irom")}
        script.write_text(_SCRIPT.format(**places))
        made[name] = _compile(program, source, script, folder / f"{name}.elf")
    return made


def _compile(program: Program, source: Path, script: Path, elf: Path) -> Path:
    define = ["-DAPP"] if program.app else []
    freestanding = ["-Os", "-ffreestanding", "-fno-builtin", "-fno-asynchronous-unwind-tables"]
    common = [program.compiler, *program.flags, *define, *freestanding, str(source)]
    if program.linker is None:
        link = ["-nostdlib", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4", "-T", str(script)]
        _run([*common, *link, "-o", str(elf)])
        return elf
    made = elf.with_suffix(".o")
    _run([*common, "-c", "-o", str(made)])
    emulation = ["-m", "elf32lriscv", "-z", "max-page-size=4", "-T", str(script)]
    _run([program.linker, *emulation, "-o", str(elf), str(made)])
    return elf


def _run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}\n{done.stderr}")
