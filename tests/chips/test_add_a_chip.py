# SPDX-License-Identifier: Apache-2.0
"""Adding a SoC is three files and one command, as docs/add-a-chip.md says: done with a made-up one.

ESP32-X9 is much like ESP32-C6, but its ids are its own, and its registers, memory and ROM functions
lie elsewhere, so that nothing works by being taken for another chip.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEY, NAME, CHIP_ID, UF2_ID = "esp32x9", "ESP32-X9", 99, "0x0E5932A9"
MODEL = "esp32c6"
#: Where addresses of the model go: (from, to, distance).
MOVED = (
    (0x60000000, 0x60100000, 0x00010000),
    (0x40800000, 0x40890000, 0x00200000),
    (0x40000000, 0x40060000, 0x00001000),
)
COPIED = ("src", "tools", "facts", "firmware", "pyproject.toml")

#: What is done with the new chip, inside the copy; prints one JSON object.
DRIVER = """
import io, json, sys
from contextlib import redirect_stdout
from pathlib import Path

import esptool
from esptool.virtual.board import NAMED

work, image, elf = (Path(p) for p in sys.argv[1:4])
found = {}

def told(*args):
    out = io.StringIO()
    with redirect_stdout(out):
        esptool.main(list(map(str, args)))
    return out.getvalue()

for link in ("uart", "usb-jtag"):
    port = f"virtual://esp32x9?name=x9-{link}&link={link}&stub=emulated"
    back = work / f"back-{link}.bin"
    found[link] = {
        "flash-id": told("-p", port, "flash-id"),
        "write": told("-p", port, "write-flash", "0x1000", image),
        "verify": told("-p", port, "verify-flash", "0x1000", image),
        "read": told("-p", port, "read-flash", "0x1000", image.stat().st_size, back),
        "same": back.read_bytes() == image.read_bytes(),
        "notes": list(NAMED[f"x9-{link}"].soc.notes),
    }
found["explicit"] = told("--chip", "esp32x9", "-p", "virtual://esp32x9", "read-mac")
found["elf2image"] = told("--chip", "esp32x9", "elf2image", "-o", work / "app.bin", elf)
found["image-info"] = told("image-info", work / "app.bin")
found["image id"] = (work / "app.bin").read_bytes()[12]
from esptool.targets import CHIP_DEFS, ESP32X9ROM
from esptool.bin_image import ESP32X9FirmwareImage
with esptool.detect_chip("virtual://esp32x9") as esp:
    found["class"] = [type(esp).__name__, esp.CHIP_NAME, CHIP_DEFS["esp32x9"] is ESP32X9ROM]
import espefuse
out = io.StringIO()
with redirect_stdout(out):
    espefuse.main(["-p", "virtual://esp32x9", "summary"])
found["summary"] = out.getvalue()
json.dump(found, sys.stdout)
"""


#: What the command line offers, as a person sees it.
LIST = """
from esptool.cli.main import cli
chip = next(p for p in cli.params if p.name == "chip")
print("CHIP:", "ESP32-X9" if "esp32x9" in chip.type.choices else chip.type.choices)
"""


def moved(text: str) -> str:
    """The text of a facts file with every address where the new chip has it."""

    def move(match: re.Match[str]) -> str:
        value = int(match[1], 16)
        for first, end, distance in MOVED:
            if first <= value <= end:
                return f'"0x{value + distance:08X}"'
        return match[0]

    return re.sub(r'"0x([0-9A-Fa-f]{8})"', move, text)


def write_facts(facts: Path) -> None:
    """The three files of the new chip."""
    (facts / KEY).mkdir()
    for part in ("host", "silicon", "efuse"):
        text = moved((facts / MODEL / f"{part}.json").read_text(encoding="utf-8"))
        data: dict[str, Any] = json.loads(text.replace("ESP32-C6", NAME).replace(MODEL, KEY))
        source = {"src": "made up"}
        if part == "host":
            data["image_chip_id"] = {"v": CHIP_ID, **source}
            data["uf2_family_id"] = {"v": UF2_ID, **source}
        if part == "silicon":
            data["values"]["image.chip_id"] = {"v": CHIP_ID, **source}
            data["values"]["image.uf2_family"] = {"v": UF2_ID, **source}
        else:
            data["position"] = {"v": 990, **source}
        (facts / KEY / f"{part}.json").write_text(json.dumps(data, indent=1), encoding="utf-8")


#: A build and an emulated chip take their time where much else is going on.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the new chip: three files, one command."""
    top = tmp_path_factory.mktemp("tree")
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "build")
            shutil.copytree(ROOT / name, top / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, top / name)
    write_facts(top / "facts")
    run(top, "tools/gen.py")
    return top


def run(top: Path, *command: str | Path, python: str = sys.executable) -> str:
    """Run a Python program with the copy's package; its standard output."""
    env = {**os.environ, "PYTHONPATH": str(top / "src")}
    done = subprocess.run(
        [python, *command], cwd=top, env=env, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_was_made_is_complete_and_lists_the_chip_last(tree: Path) -> None:
    run(tree, "tools/gen.py", "--check")
    code = "from esptool.chips import KEYS; from espefuse._index import CHIP_NAMES as E"
    assert run(tree, "-c", f"{code}; print(KEYS[-1], E[-1])").split() == [KEY, KEY]
    assert f"CHIP: {NAME}" in run(tree, "-c", LIST)


@pytest.mark.emulator
def test_the_new_chip_is_detected_written_verified_and_read_by_its_own_machine_code(
    tree: Path, tmp_path: Path
) -> None:
    pytest.importorskip("icicle", reason="needs the extra 'emulator'")
    if shutil.which("riscv64-unknown-elf-gcc") is None:
        pytest.skip("needs the cross compiler")
    assert KEY in run(tree, "tools/build_stubs.py", KEY)
    image = tmp_path / "image.bin"
    image.write_bytes(bytes(range(256)) * 64)
    (tmp_path / "driver.py").write_text(DRIVER)
    elf = write_elf(tmp_path / "app.elf")
    lines = run(tree, tmp_path / "driver.py", tmp_path, image, elf).splitlines()
    found = json.loads(lines[-1])
    for link in ("uart", "usb-jtag"):
        done = found[link]
        assert f"Detecting chip type... {NAME}" in done["flash-id"]
        assert "Detected flash size: 4MB" in done["flash-id"]
        assert "Stub flasher running" in done["write"]
        assert "Hash of data verified" in done["write"]
        assert "Verification successful" in done["verify"]
        assert done["same"]
        assert not any("model" in note for note in done["notes"]), "no machine code was executed"
    assert f"{NAME}" in found["explicit"]
    assert found["image id"] == CHIP_ID
    assert NAME in found["image-info"]
    assert found["class"] == ["ESP32X9ROM", NAME, True]
    assert "WAFER_VERSION_MAJOR" in found["summary"]
    assert "MAC (BLOCK1)" in found["summary"]


def write_elf(path: Path) -> Path:
    """A RISC-V program of one section in the new chip's RAM."""
    code, start = bytes.fromhex("0000a001") * 4, 0x40A00000
    header, entry = 52, 40
    names = b"\0.text\0.shstrtab\0"
    at = header + 32
    sections = at + len(code) + len(names)
    numbers = (2, 0xF3, 1, start, header, sections, 0, header, 32, 1, entry, 3, 2)
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    elf = ident + struct.pack("<HHIIIIIHHHHHH", *numbers)
    elf += struct.pack("<8I", 1, at, start, start, len(code), len(code), 5, 4)
    elf += code + names + bytes(entry)
    elf += struct.pack("<10I", 1, 1, 6, start, at, len(code), 0, 0, 4, 0)
    elf += struct.pack("<10I", 7, 3, 0, 0, at + len(code), len(names), 0, 0, 1, 0)
    path.write_bytes(elf)
    return path
