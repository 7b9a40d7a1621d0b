# SPDX-License-Identifier: Apache-2.0
"""The stub for a debugger: the same sources with memory as their only link."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path
from typing import Any

import stub_stack
from stub_toolchain import FIRMWARE, Toolchain, compile_all, link, section, symbols

_IS_SOURCE = re.compile(r"\.([chSo]|ci|inc|ld)$")
#: What a file has that is another one where memory is the link.
_OTHER_LINK = re.compile(r"MAILBOX|link_wait")


def build_mailbox(name: str, tools: Toolchain, work: Path) -> dict[str, Any]:
    """Compile and link, in the folder of a stub that was built, the same one for a debugger: its
    only link is memory."""
    numbers = dict(re.findall(r"(\w+) = (0x\w+);", (work / "chip.ld").read_text()))
    here = work / "mailbox"
    shutil.copytree(
        work, here, ignore=lambda _d, names: [n for n in names if not _IS_SOURCE.search(n)]
    )
    for source in FIRMWARE.glob("mailbox/*"):
        shutil.copy(source, here)
    place = [f"-D{key}={numbers[key]}u" for key in ("MAILBOX_START", "MAILBOX_SIZE")]
    names = {p.name for p in (*FIRMWARE.glob("src/*.c"), *FIRMWARE.glob("mailbox/*.c"))}
    sources = ["start.S", *sorted(names)]
    # All other files are compiled already, and the same.
    other = [s for s in sources if _OTHER_LINK.search((here / s).read_text())]
    compile_all(tools, (*tools.flags, "-DMAILBOX", *place), other, here)
    link(tools, [Path(s).stem + ".o" for s in sources], here)
    parts = {part: section(tools, "stub.elf", part, here) for part in ("text", "data")}
    found = symbols(tools, "stub.elf", here)
    start, size = (found[key] for key in ("MAILBOX_START", "MAILBOX_SIZE"))
    text, ram = found["TEXT_START"], found["RAM_START"]
    stub_stack.deepest(here, "main", f"{name}, mailbox")
    for low, high in (
        (text, text + len(parts["text"])),
        (ram, found["bss_end"]),
        (found["stack_top"] - stub_stack.STACK, found["stack_top"]),
    ):
        if start < high and low < start + size:
            raise SystemExit(f"{name}: the mailbox overlaps {low:#x}-{high:#x}.")
    return {
        "entry": found["start"],
        "text": base64.b64encode(parts["text"]).decode(),
        "text_start": text,
        "data": base64.b64encode(parts["data"]).decode(),
        "data_start": ram,
        "bss_start": found["bss_start"],
        "ram_end": found["stack_top"],
        "mailbox": start,
        "mailbox_size": size,
        "mailbox_break": found["mailbox_break"],
        "mailbox_resume": found["mailbox_resume"],
    }
