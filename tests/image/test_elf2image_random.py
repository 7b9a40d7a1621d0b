# SPDX-License-Identifier: Apache-2.0
"""`elf2image` of random layouts: sections close to each other and to page ends, for all chips."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from esptool import chips
from esptool.chips.spec import ChipSpec
from tests.image.conftest import PublicTool
from tests.image.elfmaker import INIT_ARRAY, NOBITS, PROGBITS, RISCV, XTENSA, Elf, Part, pattern
from tests.image.test_elf2image import ours

ROUNDS = 25
SIZES = (1, 3, 4, 8, 20, 64, 255, 256, 300, 4096, 0x7FF8, 0xFFE0, 0xFFF8, 0x10000, 0x10004)
NAMES = (".a", ".flash.text", ".flash.rodata", ".flash.appdesc", ".dram0.bootdesc", ".iram0.text")
OWN_FAILURES = ("FatalError", "KeyError")  # others are tracebacks, where an image is better


def random_part(rng: random.Random, chip: ChipSpec, before: Part | None) -> Part:
    """Often right behind, or nearly behind, the one before."""
    place = rng.choice([m for m in chip.memory_map if m.kind != "PADDING"])
    addr = place.start + rng.choice((0, 1, 2, 4, 0x20, 0x100, 0x10000, rng.randrange(0x30000)))
    if before is not None and rng.random() < 0.5:
        addr = before.addr + len(before.data) + rng.choice((0, 0, 0, 1, 4, 8, 16, -4))
    name, size = rng.choice(NAMES), rng.choice(SIZES)
    data = bytes(size) if rng.random() < 0.2 else pattern(size, rng.randrange(9))
    if name == ".flash.appdesc":
        record = bytearray(max(256, size))
        record[:4] = (0xABCD5432).to_bytes(4, "little")
        record[180] = rng.choice((0, 0, 5, 13, 14, 15, 16, 17, 18))
        data = bytes(record)
    kind = rng.choice((PROGBITS, PROGBITS, PROGBITS, PROGBITS, INIT_ARRAY, NOBITS, 7))
    return Part(name, addr, data, kind=kind, align=rng.choice((1, 4, 4, 16, 64, 4096)))


def random_options(rng: random.Random, chip: ChipSpec) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if chip.key == "esp8266":
        options["version"] = rng.choice((1, 2, 3))
    for name in ("use_segments", "ram_only_header", "secure_pad", "secure_pad_v2"):
        if rng.random() < 0.25:
            options[name] = True
    if rng.random() < 0.3:
        options["flash_mmu_page_size"] = rng.choice(("8KB", "16KB", "32KB", "64KB", "128KB"))
    if rng.random() < 0.2:
        options["elf_sha256_offset"] = rng.choice((0x18, 0x20, 0x40, 0xB0, 0x1000))
    if rng.random() < 0.15:
        options["append_digest"] = False
    elif rng.random() < 0.2 and "ram_only_header" not in options:
        options["pad_to_size"] = rng.choice(("4KB", "64KB", "1MB"))
    return options


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(6))
def test_random_layouts_give_the_public_tools_bytes(
    seed: int, tmp_path: Path, public_tool: PublicTool
) -> None:
    rng = random.Random(seed)
    elf = tmp_path / "random.elf"
    for _ in range(ROUNDS):
        chip = chips.get(rng.choice(chips.KEYS))
        parts: list[Part] = []
        for _ in range(rng.randint(0, 8)):
            parts.append(random_part(rng, chip, parts[-1] if parts else None))
        if rng.random() < 0.5:
            rng.shuffle(parts)
        machine = rng.choice((XTENSA, RISCV))
        elf.write_bytes(Elf(parts, machine, entry=rng.randrange(1 << 32)).build())
        options = random_options(rng, chip)
        mine = ours(elf, chip.key, options)
        answer = public_tool.ask("elf2image", elf=str(elf), chip=chip.key, options=options)
        error = answer.get("error")
        if error is None:
            theirs = public_tool.decode(answer["ok"])
            assert mine == theirs, (chip.key, options, parts)
        elif error.startswith(OWN_FAILURES):
            assert mine is None, (error, chip.key, options, parts)
