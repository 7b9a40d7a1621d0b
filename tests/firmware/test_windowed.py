# SPDX-License-Identifier: Apache-2.0
"""The stub's entry out of a windowed ROM, and its calls back into it, on a core with windows.

The light emulators know no register windows, so `firmware/arch/xtensa.S` runs in QEMU: the calls in
its user mode, and the whole, which needs rights that a user program has not, on a bare machine.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

GCC, QEMU, MACHINE = "xtensa-lx106-elf-gcc", "qemu-xtensa", "qemu-system-xtensa"
ARCH = Path(__file__).resolve().parents[2] / "firmware" / "arch"


def link(program: Path, text: int, *sources: Path, options: str = "") -> None:
    """Compile and link for the core without windows, whose compiler makes our call0 code."""
    subprocess.run(
        [
            *(GCC, "-mlongcalls", "-mtext-section-literals", "-nostdlib", f"-I{ARCH}"),
            *(f"-Wl,--no-relax,-Ttext={text:#x},-e,_start{options}", "-o", program),
            *sources,
        ],
        check=True,
    )


@pytest.mark.skipif(
    not (shutil.which(GCC) and shutil.which(QEMU)), reason=f"needs {GCC} and {QEMU}"
)
def test_windowed_functions_called_deep_leave_everything_in_place(tmp_path: Path) -> None:
    shim = (ARCH / "xtensa.S").read_text().replace("call0 main", "nop")
    # Only the call is tested: the entry needs rights that a user program has not.
    (tmp_path / "shim.S").write_text(
        "stack_top = 0\nbss_start = 0\nbss_end = 0\n" + shim, encoding="utf-8"
    )
    program = tmp_path / "program"
    link(program, 0x1000000, Path(__file__).with_name("windowed_call.S"), tmp_path / "shim.S")
    done = subprocess.run([QEMU, "-cpu", "dc233c", program], timeout=100, check=False)
    assert done.returncode == 42


@pytest.mark.skipif(
    not (shutil.which(GCC) and shutil.which(MACHINE)), reason=f"needs {GCC} and {MACHINE}"
)
def test_the_entry_takes_over_from_a_deep_windowed_rom_with_interrupts(tmp_path: Path) -> None:
    program = tmp_path / "program"
    link(
        program,
        0x10000,
        Path(__file__).with_name("windowed_entry.S"),
        ARCH / "xtensa.S",
        options=",--section-start=.reset=0xFE000000",
    )
    done = subprocess.run(
        [
            MACHINE,
            "-M",
            "sim",
            "-cpu",
            "dc233c",
            "-semihosting",
            "-nographic",
            "-monitor",
            "none",
            "-serial",
            "null",
            "-kernel",
            program,
        ],
        timeout=100,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    assert done.returncode == 42, done.stderr
