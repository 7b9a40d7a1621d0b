# SPDX-License-Identifier: Apache-2.0
"""Debian's gdb on a virtual chip: a program of ours is loaded, stopped, stepped and looked into."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.gdb.support import port_of, serving

PROGRAM = """
volatile int result;
static int __attribute__((noinline)) twice(int x)
{
    result = x;
    return x + x;
}
static int __attribute__((noinline)) middle(int x)
{
    int y = twice(x + 1);
    return y + 1;
}
int main(void)
{
    for (int i = 0; i < 3; i++)
        result = middle(20 + i);
    for (;;)
        ;
}
"""
START = """
    .section .start, "ax"
    .global start
start:
    .cfi_startproc
    la sp, {stack}
    .cfi_undefined ra
    call main
    .cfi_endproc
"""
LINKER = """
ENTRY(start)
SECTIONS
{
    .text {text} : { *(.start) *(.text*) *(.rodata*) }
    .bss {data} : { *(.sbss*) *(.bss*) *(.data*) *(.sdata*) }
}
"""
#: Places of code, data and stack.
PLACES = {
    "esp32c3": {"text": "0x40390000", "data": "0x3fca0000", "stack": "0x3fcb0000"},
    "esp32p4": {"text": "0x4ff60000", "data": "0x4ff70000", "stack": "0x4ff80000"},
}
COMMANDS = """
set pagination off
set confirm off
set remotetimeout 150
set tcp connect-timeout 150
target remote 127.0.0.1:{port}
load
break twice
continue
backtrace
print x
info registers pc
delete
finish
stepi
watch result
continue
print result
delete
monitor reset halt
detach
"""


@pytest.mark.parametrize("key", PLACES)
def test_a_program_is_debugged_from_load_to_watchpoint(key: str, tmp_path: Path) -> None:
    for name, text in (("main.c", PROGRAM), ("start.S", START), ("link.ld", LINKER)):
        for word, place in PLACES[key].items():
            text = text.replace("{" + word + "}", place)
        (tmp_path / name).write_text(text)
    subprocess.run(
        "riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32 -Og -g -ffreestanding -nostdlib "
        "-msmall-data-limit=0 -fno-omit-frame-pointer -T link.ld -o program.elf start.S main.c",
        shell=True,
        check=True,
        cwd=tmp_path,
    )
    with serving(f"virtual://{key}") as server:
        script = tmp_path / "commands"
        script.write_text(COMMANDS.format(port=port_of(server)))
        done = subprocess.run(
            ["gdb-multiarch", "-nx", "-batch", "-x", str(script), "program.elf"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    said = done.stdout + done.stderr
    for wanted in (
        r"Breakpoint 1, twice \(x=(x@entry=)?21\)",
        r"#0 +twice \(.*\n#1 .* in middle \(.*\n#2 .* in main \(",
        r"\$1 = 21\n",
        r"Value returned is \$2 = 42\n",
        r"watchpoint 2: result\n\nOld value = 21\nNew value = 43\n",
        r"\$3 = 43\n",
        r"The chip was reset and stands\.",
    ):
        assert re.search(wanted, said), f"{wanted}\n{said}"
