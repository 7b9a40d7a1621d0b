# SPDX-License-Identifier: Apache-2.0
"""The first stage, and the stub as it is sent behind it: in two parts, packed."""

from __future__ import annotations

import base64
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import stub_pack
import stub_stack
from stub_toolchain import FIRMWARE, Toolchain, compile_all, link, run, section, symbols

#: Files whose code comes when it is needed, beside what is marked LATE in others.
LATE_FILES = (
    *("flash", "flash_read", "flash_write", "inflate", "huffman", "adler32", "md5", "compress"),
    *("writer", "ext_write", "ext_read"),
)
#: What calls from the first part to the late one, and looks before whether that is there.
_LATE_CALLS = {("main", "writer_idle"), ("crc32_update", "crc32_words")}
#: Headers of the stub that the first stage uses too.
_HEADERS = ("hal.h", "types.h")
_WORD = 4
_INFLATE_WINDOW = 0x8000


def build_first(
    name: str, tools: Toolchain, work: Path, stub: Mapping[str, Any], found: Mapping[str, int]
) -> dict[str, Any]:
    """Compile and link the first stage in the folder of a stub that was built, and pack the stub,
    which has these fields and symbols, for it."""
    work = work / "first"
    work.mkdir(exist_ok=True)
    for part in ("chip.h", "chip.ld"):
        shutil.copy(work.parent / part, work)
    for source in (
        *FIRMWARE.glob("stage/*.[ch]"),
        *FIRMWARE.glob("arch/*.inc"),
        *(FIRMWARE / "src" / n for n in _HEADERS),
    ):
        shutil.copy(source, work)
    script = (FIRMWARE / "stage" / "stage.ld").read_text()
    (work / "stage.ld").write_text(re.sub(r"\bSTACK\b", f"{stub_stack.STAGE_STACK}", script))
    shutil.copy(FIRMWARE / "stage" / f"entry_{tools.start}", work / "start.S")
    sources = ["start.S", *sorted(p.name for p in work.glob("*.c"))]
    compile_all(tools, tools.stage_flags, sources, work)
    objects = [Path(s).stem + ".o" for s in sources]
    link(tools, objects, work, "stage", flags=tools.stage_flags, libgcc=False)
    text, unpacker = (section(tools, "stage.elf", part, work) for part in ("text", "unpack"))
    own = symbols(tools, "stage.elf", work)
    deepest = stub_stack.deepest(work, "stage", f"{name}, first stage")
    _refuse_crossings(name, tools, found["late_start"], work.parent)
    early, late = _parts(stub, found)
    if stub["text_start"] + len(base64.b64decode(stub["text"])) > own["STAGE_START"]:
        over = stub["text_start"] + len(base64.b64decode(stub["text"])) - own["STAGE_START"]
        raise SystemExit(f"{name}: the stub's code reaches {over} bytes into the first stage.")
    packed, late_packed = stub_pack.pack(early), stub_pack.pack(late)
    packed_at = _line(stub["bss_start"])
    plain_at = packed_at + _line(len(packed))
    if plain_at + len(early) > own["STAGE_RAM"]:
        raise SystemExit(f"{name}: there is no room to unpack the stub.")
    # While the stub runs, where inflated data will be.
    late_packed_at = _line(found["inflate_window"])
    late_plain_at = late_packed_at + _line(len(late_packed))
    if late_plain_at + len(late) > found["inflate_window"] + _INFLATE_WINDOW:
        raise SystemExit(f"{name}: there is no room to unpack the late part.")
    return {
        "entry": own["start"],
        "plain": own[tools.entry],
        "text": base64.b64encode(text).decode(),
        "text_start": own["STAGE_START"],
        "unpacker": base64.b64encode(unpacker).decode(),
        "unpacker_at": own["STAGE_START"] + len(text),
        "unpacker_entry": own["place"],
        "ram_start": own["STAGE_RAM"],
        "ram_end": own["stack_top"],
        "stub_entry": found[tools.entry],
        "packed": base64.b64encode(packed).decode(),
        "packed_at": packed_at,
        "plain_at": plain_at,
        "late_at": found["late_start"],
        "late_missing_at": found["late_missing"],
        "late_packed": base64.b64encode(late_packed).decode(),
        "late_packed_at": late_packed_at,
        "late_plain_at": late_plain_at,
        "facts": {
            "text": len(text),
            "unpacker": len(unpacker),
            "packed": len(packed),
            "late": len(late) - _WORD,
            "late_packed": len(late_packed),
            "stack": stub_stack.STAGE_STACK,
            "stack_used": deepest,
        },
    }


def _line(at: int) -> int:
    return -(-at // 16) * 16


def _parts(stub: Mapping[str, Any], found: Mapping[str, int]) -> tuple[bytes, bytes]:
    """The stub in two: what comes first, with the word that says what is missing, and the late part
    with the one that says that nothing is."""
    text, data = (base64.b64decode(stub[name]) for name in ("text", "data"))
    cut, word = found["late_start"] - stub["text_start"], found["late_missing"]
    whole = zlib.crc32(text + data)
    if not whole or cut % _WORD:
        raise SystemExit("The stub cannot be divided.")
    at = word - stub["data_start"]
    early = text[:cut] + data[:at] + whole.to_bytes(_WORD, "little") + data[at + _WORD :]
    return early, text[cut:] + bytes(_WORD)


def _refuse_crossings(name: str, tools: Toolchain, late: int, work: Path) -> None:
    """What comes first must not call what may not be there."""
    # Small functions that are made once a file have several places.
    places: dict[str, list[int]] = {}
    for row in map(str.split, run(tools.prefix + "nm", "stub.elf", cwd=work).splitlines()):
        if row[1] in "tT":
            places.setdefault(row[2], []).append(int(row[0], 16))
    for caller, called in stub_stack.read(work).calls.items():
        for each in called:
            one, other = caller.rpartition(":")[2], each.rpartition(":")[2]
            if (one, other) in _LATE_CALLS or one not in places or other not in places:
                continue
            if max(places[one]) < late <= min(places[other]):
                raise SystemExit(f"{name}: {one} calls {other}, which comes later.")
