# SPDX-License-Identifier: Apache-2.0
"""Builds the flasher stubs of all chips with the compilers of a Debian machine.

Writes `src/esptool/stubs/data/<name>.json` in the public layout and a manifest; prints sizes. With
`--check` it builds elsewhere and compares: the build is the same, byte for byte, everywhere.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import stub_pack
import stub_stack
from esptool import chips
from esptool._version import __version__
from esptool.chips.spec import Arch, ChipSpec
from generate import firmware as firmware_facts

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
OUT = ROOT / "src" / "esptool" / "stubs" / "data"
#: Folder of the first stages in it, and of the stubs that a debugger serves through memory.
FIRST, MAILBOX = "first", "mailbox"

STACK = 2048
#: Files whose code comes when it is needed, beside what is marked LATE in others.
LATE_FILES = ("flash", "inflate", "writer", "ext_write", "ext_read", "compress", "md5")
#: It shares no line of a cache with what runs before it is there.
CACHE_LINE = 128
#: What calls from the first part to the late one, and looks before whether that is there.
LATE_CALLS = {("main", "writer_idle"), ("crc32_update", "crc32_words")}
#: The first stage's.
STAGE_STACK = 512
#: Headers of the stub that the first stage uses too.
STAGE_HEADERS = ("hal.h", "types.h")
#: What is kept of it for functions of the ROM.
ROM_STACK = 768

#: The plug-in "nand": opcode and handler.
NAND_HANDLERS = {
    0xD5: "on_nand_attach",
    0xD6: "on_nand_read_spare",
    0xD7: "on_nand_write_spare",
    0xD8: "on_nand_read",
    0xD9: "on_nand_begin",
    0xDA: "on_nand_data",
    0xDB: "on_nand_erase_all",
    0xDC: "on_nand_erase",
    0xDD: "on_nand_page",
    0xDE: "on_nand_end",
    0xDF: "on_nand_more",
}
_FIRST_OPCODE = min(NAND_HANDLERS)
_IS_SOURCE = re.compile(r"\.([chSo]|ci|ld)$")
#: What a file has that is another one where memory is the link.
_OTHER_LINK = re.compile(r"MAILBOX|link_wait")
#: The table begins with the word that tells the build.
_BUILD_WORD = 4
_WORD = 4
INFLATE_WINDOW = 0x8000

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


@dataclass(frozen=True, slots=True)
class Built:
    """A linked stub: the public JSON fields, what the manifest tells, and its first stage."""

    fields: dict[str, Any]
    facts: dict[str, object]
    first: dict[str, Any]
    mailbox: dict[str, Any] = field(default_factory=dict)


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def stubs() -> dict[str, ChipSpec]:
    """Every stub that there is, with its chip."""
    return {
        name: spec
        for spec in map(chips.get, chips.KEYS)
        if spec.stub.available
        for name in spec.stub.layouts
    }


def _script(tools: Toolchain, cached: bool) -> str:
    kinds = (".rodata", ".rodata.*", ".srodata", ".srodata.*")
    rodata = f"*({' '.join(kinds)})"
    late = " ".join(f"*{name}.o" for name in LATE_FILES)
    early = f"*({' '.join(f'EXCLUDE_FILE({late}) {kind}' for kind in kinds)})"
    values = {
        "STACK": f"{STACK}",
        "LATE_FILES": late,
        "LATE_ALIGN": f"{CACHE_LINE if cached else 4}",
        "EARLY_RODATA": early if tools.rodata_in_code else "",
        "LATE_RODATA": rodata if tools.rodata_in_code else "",
        "DATA_RODATA": "" if tools.rodata_in_code else rodata,
    }
    text = (FIRMWARE / "stub.ld").read_text()
    return re.sub(rf"\b({'|'.join(values)})\b", lambda m: values[m[1]], text)


def build(name: str, spec: ChipSpec, work: Path) -> Built:
    """Compile and link one stub in `work`."""
    tools = TOOLCHAINS[spec.arch]
    work.mkdir(parents=True, exist_ok=True)
    for suffix in ("h", "ld"):
        shutil.copy(FIRMWARE / "chips" / f"{name}.{suffix}", work / f"chip.{suffix}")
    cached = "ROM_CACHE_WRITE_BACK" in (work / "chip.h").read_text()
    (work / "stub.ld").write_text(_script(tools, cached))
    for source in FIRMWARE.glob("src/*"):
        shutil.copy(source, work)
    shutil.copy(FIRMWARE / "arch" / tools.start, work / "start.S")
    sources = ["start.S", *sorted(p.name for p in FIRMWARE.glob("src/*.c"))]
    gcc = tools.prefix + "gcc"
    # Plain names and one directory, so that no path gets into the output.
    _run(gcc, *COMMON, *tools.flags, "-c", *sources, cwd=work)
    objects = [Path(s).stem + ".o" for s in sources]
    _link(tools, objects, work)
    plugged = "PLUGIN_START" in (work / "chip.ld").read_text()
    if plugged:
        _build_plugin(tools, work)
    made = _collect(name, spec, tools, work, plugged)
    return replace(made, mailbox=build_mailbox(name, spec, work))


def build_mailbox(name: str, spec: ChipSpec, work: Path) -> dict[str, Any]:
    """Compile and link, in the folder of a stub that was built, the same one for a debugger: its
    only link is memory."""
    tools = TOOLCHAINS[spec.arch]
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
    _run(
        *(tools.prefix + "gcc", *COMMON, *tools.flags, "-DMAILBOX", *place, "-c", *other),
        cwd=here,
    )
    _link(tools, [Path(s).stem + ".o" for s in sources], here)
    parts = {part: _section(tools, "stub.elf", part, here) for part in ("text", "data")}
    symbols = _symbols(tools, "stub.elf", here)
    start, size = (symbols[key] for key in ("MAILBOX_START", "MAILBOX_SIZE"))
    text, ram = symbols["TEXT_START"], symbols["RAM_START"]
    deepest = stub_stack.read(here).deepest("main")
    if deepest > STACK - ROM_STACK:
        raise SystemExit(f"{name}, mailbox: the stack may get {deepest} bytes deep.")
    for low, high in (
        (text, text + len(parts["text"])),
        (ram, symbols["bss_end"]),
        (symbols["stack_top"] - STACK, symbols["stack_top"]),
    ):
        if start < high and low < start + size:
            raise SystemExit(f"{name}: the mailbox overlaps {low:#x}-{high:#x}.")
    return {
        "entry": symbols["start"],
        "text": base64.b64encode(parts["text"]).decode(),
        "text_start": text,
        "data": base64.b64encode(parts["data"]).decode(),
        "data_start": ram,
        "bss_start": symbols["bss_start"],
        "ram_end": symbols["stack_top"],
        "mailbox": start,
        "mailbox_size": size,
        "mailbox_break": symbols["mailbox_break"],
        "mailbox_resume": symbols["mailbox_resume"],
    }


def _link(
    tools: Toolchain,
    objects: list[str],
    work: Path,
    name: str = "stub",
    *options: str,
    flags: Sequence[str] | None = None,
    libgcc: bool = True,
) -> None:
    """Link objects by `name`.ld into `name`.elf."""
    _run(
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


def _build_plugin(tools: Toolchain, work: Path) -> None:
    """Compile the NAND plug-in and link it against the stub."""
    gcc = tools.prefix + "gcc"
    shutil.copy(FIRMWARE / "plugin.ld", work)
    files = sorted((FIRMWARE / "nand").glob("*"))
    for source in files:
        shutil.copy(source, work)
    sources = [source.name for source in files if source.suffix == ".c"]
    _run(gcc, *COMMON, *tools.flags, "-c", *sources, cwd=work)
    objects = [Path(s).stem + ".o" for s in sources]
    own = "-Wl,--just-symbols=stub.elf", "-Wl,-e,on_nand_attach"
    _link(tools, objects, work, "plugin", *own)


def _section(tools: Toolchain, elf: str, part: str, work: Path) -> bytes:
    """A section's bytes, filled up to whole words."""
    _run(tools.prefix + "objcopy", "-O", "binary", "-j", f".{part}", elf, part, cwd=work)
    data = (work / part).read_bytes() if (work / part).exists() else b""
    return data.ljust((len(data) + 3) & ~3, b"\0")


def _symbols(tools: Toolchain, elf: str, work: Path) -> dict[str, int]:
    rows = map(str.split, _run(tools.prefix + "nm", elf, cwd=work).splitlines())
    return {row[2]: int(row[0], 16) for row in rows if len(row) == 3}


def _collect(name: str, spec: ChipSpec, tools: Toolchain, work: Path, plugged: bool) -> Built:
    parts = {part: _section(tools, "stub.elf", part, work) for part in ("text", "data")}
    symbols = _symbols(tools, "stub.elf", work)
    text, ram, free = (symbols[name] for name in ("TEXT_START", "RAM_START", "TEXT_SIZE"))
    if len(parts["text"]) > free:
        raise SystemExit(f"{name}: {len(parts['text'])} bytes of code, {free} free.")
    deepest = stub_stack.read(work).deepest("main")
    if deepest > STACK - ROM_STACK:
        raise SystemExit(f"{name}: the stack may get {deepest} bytes deep.")
    table = symbols["plugin_table"] - ram if plugged else 0
    if plugged:
        digest = hashlib.sha256(parts["text"] + parts["data"]).digest()
        parts["data"] = (
            parts["data"][:table] + digest[:_BUILD_WORD] + parts["data"][table + _BUILD_WORD :]
        )
    fields: dict[str, object] = {
        "entry": symbols["start"],
        "text": base64.b64encode(parts["text"]).decode(),
        "text_start": text,
        "data": base64.b64encode(parts["data"]).decode(),
        "data_start": ram,
        "bss_start": symbols["bss_start"],
    }
    facts: dict[str, object] = {
        "text": len(parts["text"]),
        "data": len(parts["data"]),
        "bss": symbols["bss_end"] - symbols["bss_start"],
        "stack": STACK,
        "stack_used": deepest,
        "ram": [
            {"what": "code", "start": text, "size": len(parts["text"])},
            {"what": "data", "start": ram, "size": len(parts["data"])},
            {
                "what": "zeroed",
                "start": symbols["bss_start"],
                "size": symbols["bss_end"] - symbols["bss_start"],
            },
            {"what": "stack", "start": symbols["stack_top"] - STACK, "size": STACK},
        ],
    }
    if plugged:
        fields |= {
            "plugin_first_opcode": _FIRST_OPCODE,
            "plugin_table_offset": table + _BUILD_WORD,
            "plugin_table_entries": len(NAND_HANDLERS),
            "plugins": {"nand": _plugin(tools, work)},
        }
        start, size = _extent(tools, work)
        facts["plugin"] = size
        facts["plugin_ram"] = {"what": "plug-in", "start": start, "size": size}
    first = _first(name, tools, work, fields, symbols)
    first["otg"] = _otg(name, spec)
    facts["first"] = first.pop("facts")
    return Built(fields, facts, first)


def _otg(name: str, spec: ChipSpec) -> dict[str, Any] | None:
    """How the ROM tells that the host is on USB-OTG."""
    otg = (firmware_facts.read(ROOT / "facts", spec).otg or {}).get(name)
    return None if otg is None else {"places": otg.link, "value": otg.link_value}


def _first(
    name: str, tools: Toolchain, work: Path, stub: Mapping[str, Any], symbols: Mapping[str, int]
) -> dict[str, Any]:
    """Compile and link the first stage, and pack the stub for it."""
    work = work / "first"
    work.mkdir(exist_ok=True)
    for part in ("chip.h", "chip.ld"):
        shutil.copy(work.parent / part, work)
    for source in (*FIRMWARE.glob("stage/*.[ch]"), *(FIRMWARE / "src" / n for n in STAGE_HEADERS)):
        shutil.copy(source, work)
    script = (FIRMWARE / "stage" / "stage.ld").read_text()
    (work / "stage.ld").write_text(re.sub(r"\bSTACK\b", f"{STAGE_STACK}", script))
    shutil.copy(FIRMWARE / "stage" / f"entry_{tools.start}", work / "start.S")
    sources = ["start.S", *sorted(p.name for p in work.glob("*.c"))]
    gcc = tools.prefix + "gcc"
    _run(gcc, *COMMON, *tools.stage_flags, "-c", *sources, cwd=work)
    objects = [Path(s).stem + ".o" for s in sources]
    _link(tools, objects, work, "stage", flags=tools.stage_flags, libgcc=False)
    text, unpacker = (_section(tools, "stage.elf", part, work) for part in ("text", "unpack"))
    own = _symbols(tools, "stage.elf", work)
    deepest = stub_stack.read(work).deepest("stage")
    if deepest > STAGE_STACK:
        raise SystemExit(f"{name}: the first stage's stack may get {deepest} bytes deep.")
    _refuse_crossings(name, tools, symbols["late_start"], work.parent)
    early, late = _parts(stub, symbols)
    if stub["text_start"] + len(base64.b64decode(stub["text"])) > own["STAGE_START"]:
        over = stub["text_start"] + len(base64.b64decode(stub["text"])) - own["STAGE_START"]
        raise SystemExit(f"{name}: the stub's code reaches {over} bytes into the first stage.")
    packed, late_packed = stub_pack.pack(early), stub_pack.pack(late)
    packed_at = _line(stub["bss_start"])
    plain_at = packed_at + _line(len(packed))
    if plain_at + len(early) > own["STAGE_RAM"]:
        raise SystemExit(f"{name}: there is no room to unpack the stub.")
    # While the stub runs, where inflated data will be.
    late_packed_at = _line(symbols["inflate_window"])
    late_plain_at = late_packed_at + _line(len(late_packed))
    if late_plain_at + len(late) > symbols["inflate_window"] + INFLATE_WINDOW:
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
        "stub_entry": symbols[tools.entry],
        "packed": base64.b64encode(packed).decode(),
        "packed_at": packed_at,
        "plain_at": plain_at,
        "late_at": symbols["late_start"],
        "late_missing_at": symbols["late_missing"],
        "late_packed": base64.b64encode(late_packed).decode(),
        "late_packed_at": late_packed_at,
        "late_plain_at": late_plain_at,
        "facts": {
            "text": len(text),
            "unpacker": len(unpacker),
            "packed": len(packed),
            "late": len(late) - _WORD,
            "late_packed": len(late_packed),
            "stack": STAGE_STACK,
            "stack_used": deepest,
        },
    }


def _line(at: int) -> int:
    return -(-at // 16) * 16


def _parts(stub: Mapping[str, Any], symbols: Mapping[str, int]) -> tuple[bytes, bytes]:
    """The stub in two: what comes first, with the word that says what is missing, and the late part
    with the one that says that nothing is."""
    text, data = (base64.b64decode(stub[name]) for name in ("text", "data"))
    cut, word = symbols["late_start"] - stub["text_start"], symbols["late_missing"]
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
    for row in map(str.split, _run(tools.prefix + "nm", "stub.elf", cwd=work).splitlines()):
        if row[1] in "tT":
            places.setdefault(row[2], []).append(int(row[0], 16))
    for caller, called in stub_stack.read(work).calls.items():
        for each in called:
            one, other = caller.rpartition(":")[2], each.rpartition(":")[2]
            if (one, other) in LATE_CALLS or one not in places or other not in places:
                continue
            if max(places[one]) < late <= min(places[other]):
                raise SystemExit(f"{name}: {one} calls {other}, which comes later.")


def _extent(tools: Toolchain, work: Path) -> tuple[int, int]:
    """Where the plug-in begins, and its size."""
    size = len(_section(tools, "plugin.elf", "text", work))
    return _symbols(tools, "plugin.elf", work)["PLUGIN_START"], size


def _plugin(tools: Toolchain, work: Path) -> dict[str, object]:
    """The plug-in in the public layout."""
    symbols = _symbols(tools, "plugin.elf", work)
    start = symbols["PLUGIN_START"]
    return {
        "text": base64.b64encode(_section(tools, "plugin.elf", "text", work)).decode(),
        "text_start": start,
        "bss_size": 0,
        "handlers": {
            f"{op:#X}".replace("X", "x"): symbols[name] - start
            for op, name in NAND_HANDLERS.items()
        },
    }


def source_hash() -> str:
    """SHA-256 over all that goes into a build, names included."""
    digest = hashlib.sha256()
    folders = ("src", "arch", "chips", "nand", "stage", "mailbox")
    files = [*(p for f in folders for p in FIRMWARE.glob(f"{f}/*")), *FIRMWARE.glob("*.ld")]
    for path in sorted(files):
        digest.update(f"{path.relative_to(FIRMWARE)}\n".encode() + path.read_bytes())
    digest.update(repr((COMMON, TOOLCHAINS, STACK, STAGE_STACK)).encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """First line of each compiler's version."""
    prefixes = sorted({t.prefix for t in TOOLCHAINS.values()})
    return {p: _run(p + "gcc", "--version").splitlines()[0] for p in prefixes}


@contextmanager
def _workplace() -> Iterator[str]:
    """A folder for the build: that of STUB_BUILD_DIR, kept, or one that goes away."""
    kept = os.environ.get("STUB_BUILD_DIR")
    if kept:
        yield kept
        return
    with tempfile.TemporaryDirectory() as work:
        yield work


def build_all(names: list[str], out: Path) -> dict[str, Built]:
    """Build these stubs into `out`.

    The manifest is written anew when they are all of them; else the one in `out` takes them in.
    """
    built = {}
    with _workplace() as work:
        for name, spec in stubs().items():
            if name in names:
                built[name] = build(name, spec, Path(work) / name)
    for folder in (FIRST, MAILBOX):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for name, stub in built.items():
        (out / f"{name}.json").write_text(json.dumps(stub.fields, indent=1) + "\n")
        (out / FIRST / f"{name}.json").write_text(json.dumps(stub.first, indent=1) + "\n")
        (out / MAILBOX / f"{name}.json").write_text(json.dumps(stub.mailbox, indent=1) + "\n")
    release = _release(OUT / "manifest.json")
    for name, stub in built.items():
        stub.facts["since_release"] = _loaded(stub.facts) - release["sizes"].get(name, 0)
    manifest: dict[str, Any] = {}
    if set(built) == set(stubs()):
        manifest = {
            "version": __version__,
            "sources": source_hash(),
            "compilers": versions(),
            "release": release,
            "stubs": {name: stub.facts for name, stub in built.items()},
        }
    elif (out / "manifest.json").exists():
        manifest = json.loads((out / "manifest.json").read_text())
        manifest["stubs"] |= {name: stub.facts for name, stub in built.items()}
    if manifest:
        (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return built


def _loaded(facts: Mapping[str, Any]) -> int:
    """Bytes that are uploaded."""
    return int(facts["text"]) + int(facts["data"])


def _release(manifest: Path) -> dict[str, Any]:
    """The last release and its sizes, as the manifest has them.

    The first build of another version takes the sizes that are there, its predecessor's.
    """
    old = json.loads(manifest.read_text())
    if old.get("version") == __version__ and "release" in old:
        return dict(old["release"])
    sizes = {name: _loaded(facts) for name, facts in old["stubs"].items()}
    return {"version": old.get("version", __version__), "sizes": sizes}


def _sizes(path: Path) -> dict[str, dict[str, int]]:
    if not path.exists():
        return {}
    return dict(json.loads(path.read_text())["stubs"])


def report(built: dict[str, Built], before: dict[str, dict[str, int]]) -> None:
    """Print a table of sizes and how they changed since `before`."""
    print(
        f"{'stub':<14}{'code':>7}{'data':>7}{'bss':>8}{'stack':>7}{'used':>7}{'change':>8}"
        f"{'since release':>15}{'first':>7}{'unpack':>7}{'stack':>7}{'packed':>8}{'later':>7}"
    )
    for name, stub in built.items():
        f = stub.facts
        old = before.get(name)
        change = f"{_loaded(f) - _loaded(old):+d}" if old else "new"
        since = f"{f['since_release']:+}" if "since_release" in f else ""
        first: Any = f["first"]
        print(
            f"{name:<14}{f['text']:>7}{f['data']:>7}{f['bss']:>8}{f['stack']:>7}"
            f"{f['stack_used']:>7}{change:>8}{since:>15}{first['text']:>7}"
            f"{first['unpacker']:>7}{first['stack_used']:>7}{first['packed']:>8}"
            f"{first['late_packed']:>7}"
        )


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="stubs to build (all)")
    parser.add_argument("--check", action="store_true", help="only compare with what is there")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    args = parser.parse_args()
    names = args.names or list(stubs())
    before = _sizes(OUT / "manifest.json")
    if not args.check:
        report(build_all(names, args.out), before)
        return 0
    with tempfile.TemporaryDirectory() as there:
        built = build_all(names, Path(there))
        files = [
            f"{folder}{name}.json" for name in built for folder in ("", f"{FIRST}/", f"{MAILBOX}/")
        ]
        differ = [
            f
            for f in files
            if not (OUT / f).exists() or (OUT / f).read_bytes() != (Path(there) / f).read_bytes()
        ]
    print("same" if not differ else "different: " + ", ".join(differ))
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main())
