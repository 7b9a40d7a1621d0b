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
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import stub_stack
from esptool import chips
from esptool._version import __version__
from esptool.chips.spec import ChipSpec
from generate import firmware as firmware_facts
from stub_first import LATE_FILES, build_first
from stub_mailbox import build_mailbox
from stub_plugin import FIRST_OPCODE, NAND_HANDLERS, build_plugin, extent, plugin_fields
from stub_stack import STACK, STAGE_STACK
from stub_toolchain import (
    COMMON,
    FIRMWARE,
    ROOT,
    TOOLCHAINS,
    Toolchain,
    compile_all,
    link,
    section,
    symbols,
    versions,
)

OUT = ROOT / "src" / "esptool" / "stubs" / "data"
#: Folder of the first stages in it, and of the stubs that a debugger serves through memory.
FIRST, MAILBOX = "first", "mailbox"

#: The late part shares no line of a cache with what runs before it is there.
_CACHE_LINE = 128
#: A table of plug-ins begins with the word that tells the build.
_BUILD_WORD = 4


@dataclass(frozen=True, slots=True)
class Built:
    """A linked stub: the public JSON fields, what the manifest tells, and its first stage."""

    fields: dict[str, Any]
    facts: dict[str, object]
    first: dict[str, Any]
    mailbox: dict[str, Any] = field(default_factory=dict)


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
        "LATE_ALIGN": f"{_CACHE_LINE if cached else 4}",
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
    for source in FIRMWARE.glob("arch/*.inc"):
        shutil.copy(source, work)
    shutil.copy(FIRMWARE / "arch" / tools.start, work / "start.S")
    sources = ["start.S", *sorted(p.name for p in FIRMWARE.glob("src/*.c"))]
    compile_all(tools, tools.flags, sources, work)
    objects = [Path(s).stem + ".o" for s in sources]
    link(tools, objects, work)
    plugged = "PLUGIN_START" in (work / "chip.ld").read_text()
    if plugged:
        build_plugin(tools, work)
    made = _collect(name, spec, tools, work, plugged)
    return replace(made, mailbox=build_mailbox(name, tools, work))


def _collect(name: str, spec: ChipSpec, tools: Toolchain, work: Path, plugged: bool) -> Built:
    parts = {part: section(tools, "stub.elf", part, work) for part in ("text", "data")}
    found = symbols(tools, "stub.elf", work)
    text, ram, free = (found[name] for name in ("TEXT_START", "RAM_START", "TEXT_SIZE"))
    if len(parts["text"]) > free:
        raise SystemExit(f"{name}: {len(parts['text'])} bytes of code, {free} free.")
    deepest = stub_stack.deepest(work, "main", name)
    stub_stack.refuse_circles(work)
    table = found["plugin_table"] - ram if plugged else 0
    if plugged:
        digest = hashlib.sha256(parts["text"] + parts["data"]).digest()
        parts["data"] = (
            parts["data"][:table] + digest[:_BUILD_WORD] + parts["data"][table + _BUILD_WORD :]
        )
    fields: dict[str, object] = {
        "entry": found["start"],
        "text": base64.b64encode(parts["text"]).decode(),
        "text_start": text,
        "data": base64.b64encode(parts["data"]).decode(),
        "data_start": ram,
        "bss_start": found["bss_start"],
    }
    facts: dict[str, object] = {
        "text": len(parts["text"]),
        "data": len(parts["data"]),
        "bss": found["bss_end"] - found["bss_start"],
        "stack": STACK,
        "stack_used": deepest,
        "ram": [
            {"what": "code", "start": text, "size": len(parts["text"])},
            {"what": "data", "start": ram, "size": len(parts["data"])},
            {
                "what": "zeroed",
                "start": found["bss_start"],
                "size": found["bss_end"] - found["bss_start"],
            },
            {"what": "stack", "start": found["stack_top"] - STACK, "size": STACK},
        ],
    }
    if plugged:
        fields |= {
            "plugin_first_opcode": FIRST_OPCODE,
            "plugin_table_offset": table + _BUILD_WORD,
            "plugin_table_entries": len(NAND_HANDLERS),
            "plugins": {"nand": plugin_fields(tools, work)},
        }
        start, size = extent(tools, work)
        facts["plugin"] = size
        facts["plugin_ram"] = {"what": "plug-in", "start": start, "size": size}
    first = build_first(name, tools, work, fields, found)
    first["otg"] = _otg(name, spec)
    facts["first"] = first.pop("facts")
    return Built(fields, facts, first)


def _otg(name: str, spec: ChipSpec) -> dict[str, Any] | None:
    """How the ROM tells that the host is on USB-OTG."""
    otg = (firmware_facts.read(ROOT / "facts", spec).otg or {}).get(name)
    return None if otg is None else {"places": otg.link, "value": otg.link_value}


def source_hash() -> str:
    """SHA-256 over all that goes into a build, names included."""
    digest = hashlib.sha256()
    folders = ("src", "arch", "chips", "nand", "stage", "mailbox")
    files = [*(p for f in folders for p in FIRMWARE.glob(f"{f}/*")), *FIRMWARE.glob("*.ld")]
    for path in sorted(files):
        digest.update(f"{path.relative_to(FIRMWARE)}\n".encode() + path.read_bytes())
    digest.update(repr((COMMON, TOOLCHAINS, STACK, STAGE_STACK)).encode())
    return digest.hexdigest()


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
