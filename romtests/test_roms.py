# SPDX-License-Identifier: Apache-2.0
"""The chips' own ROMs on the virtual chip: `make test-roms`.

It needs the ROM files of ESP-IDF's tool esp-rom-elfs (or a folder named by ESPTOOL_ROM_DIR), which
nobody may pass on, so CI does not run it. ROMs that are not found are named.
"""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from boot import Booted, differs
from corner_cases import SYNC, Loader, Step, shown, steps
from tests.support.programs import DAMAGES, program

from esptool.errors import UsageError
from esptool.virtual import silicon
from esptool.virtual.board import Board
from esptool.virtual.options import parse_url
from esptool.virtual.silicon.spec import Silicon

#: What a ROM answers in another way than our model, and why that is left.
KNOWN = {
    "flash begin before attach": "the ROM waits for a flash that does not answer on silicon",
    "hash beyond the flash": "the body is what was in the buffer",
    "read too much": "the body is what was in the buffer",
}

#: Programs that ESP32 and ESP8266 meet without a check: what they do then is not modelled.
UNCHECKED = {
    ("esp32", "segments"): "it maps flash for a segment that is none, and does not come back",
    ("esp32", "truncated"): "the same",
    ("esp32", "no segments"): "the checksum is looked for somewhere else",
    ("esp8266", "no segments"): "it starts the program nevertheless, which crashes",
}


def roms() -> list[tuple[str, int]]:
    """(chip, revision) of all ROMs that could be run."""
    found = []
    for key in sorted(silicon.names()):
        chip = silicon.of(key)
        if chip.shape is not None:
            found += [(key, rom.since) for rom in chip.roms]
    return found


@cache
def url(chip: str, since: int) -> str:
    """The board with that ROM; skips where its file is not there."""
    found = f"virtual://{chip}?rom=auto&rev=v{since // 100}.{since % 100}"
    if silicon.of(chip).factory.crystal_mhz == 26:
        found += "&crystal=40"
    return found


@cache
def loader(chip: str, since: int) -> Loader | str:
    """A loader that has answered, or why there is none."""
    try:
        return Loader(url(chip, since) + "&boot=download")
    except UsageError as e:
        return str(e)


@cache
def absent(chip: str, since: int) -> str:
    """Why that ROM cannot be run; empty where it can."""
    try:
        Board(parse_url(url(chip, since) + "&boot=download"))
    except UsageError as e:
        return str(e)
    return ""


@pytest.fixture(params=roms(), ids=lambda rom: f"{rom[0]}-v{rom[1] // 100}.{rom[1] % 100}")
def booting(request: pytest.FixtureRequest) -> tuple[str, int]:
    chip, since = request.param
    if why := absent(chip, since):
        pytest.skip(why)
    return chip, since


@pytest.fixture(params=roms(), ids=lambda rom: f"{rom[0]}-v{rom[1] // 100}.{rom[1] % 100}")
def rom(request: pytest.FixtureRequest) -> tuple[str, int]:
    chip, since = request.param
    found = loader(chip, since)
    if isinstance(found, str):
        pytest.skip(found)
    return chip, since


def free_ram(chip: Silicon) -> int:
    """RAM that no ROM uses while its loader runs."""
    start = min(r.start for r in chip.memory if r.kind == "dram")
    return start + (0x8000 if chip.key == "esp32c2" else 0x10000)


@pytest.mark.timeout(600)
def test_the_model_answers_as_the_rom_does(rom: tuple[str, int]) -> None:
    genuine = loader(*rom)
    assert isinstance(genuine, Loader)
    model = Loader(url(*rom).replace("rom=auto&", "") + "&boot=download")
    chip = silicon.of(rom[0])
    count = chip.loader.status_bytes
    wrong = []
    for step in steps(free_ram(chip), 5 if chip.loader.encrypted_begin else 4):
        ours, theirs = shown(model.ask(step), count), shown(genuine.ask(step), count)
        if step.leaves:
            # The ROM goes on to what follows its loader, and says so.
            ours, theirs = ours[:1], theirs[:1]
        if ours != theirs and step.name not in KNOWN:
            wrong.append((step.name, theirs[:1], ours[:1]))
    assert not wrong


def esptool(port: str, *command: str, by_stub: bool) -> str:
    """What the tool says, which must succeed."""
    flags = [] if by_stub else ["--no-stub"]
    words = [sys.executable, "-m", "esptool", "--port", port, *flags, *command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(900)
@pytest.mark.parametrize("stub", [True, False], ids=["stub", "no-stub"])
def test_usb_serial_jtag(booting: tuple[str, int], stub: bool, tmp_path: Path) -> None:
    if silicon.of(booting[0]).usb_jtag is None:
        pytest.skip("the chip has none")
    port = f"{url(*booting)}&link=usb-jtag&state={tmp_path / 'board.bin'}"
    image = tmp_path / "image.bin"
    image.write_bytes(random.Random(2).randbytes(3000))
    assert "Detected flash size: 4MB" in esptool(port, "flash-id", by_stub=stub)
    assert "verified" in esptool(port, "write-flash", "0x20000", str(image), by_stub=stub)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("stub", [True, False], ids=["stub", "no-stub"])
def test_flash_is_written_read_and_erased(rom: tuple[str, int], stub: bool, tmp_path: Path) -> None:
    port = f"{url(*rom)}&state={tmp_path / 'board.bin'}"
    image, back = tmp_path / "image.bin", tmp_path / "back.bin"
    rng = random.Random(1)
    image.write_bytes(rng.randbytes(2000) + bytes(3000) + rng.randbytes(1192))

    # ESP8266's loader can neither hash nor read flash, nor erase part of it: the stub does.
    able = stub or silicon.of(rom[0]).loader.flash_commands

    def run(*command: str, by_stub: bool = stub) -> str:
        return esptool(port, *command, by_stub=by_stub)

    assert "Detected flash size: 4MB" in run("flash-id")
    written = run("write-flash", "0x10000", str(image))
    assert ("verified" in written) == able
    by_stub = stub or not able
    run("read-flash", "0x10000", str(image.stat().st_size), str(back), by_stub=by_stub)
    assert back.read_bytes() == image.read_bytes()
    run("erase-region", "0x10000", "0x1000", by_stub=by_stub)
    run("read-flash", "0x10000", "0x20", str(back), by_stub=by_stub)
    assert back.read_bytes() == b"\xff" * 32


def same_log(rom: tuple[str, int], image: bytes, folder: Path, more: str = "") -> None:
    genuine = Booted(url(*rom) + more, image, folder)
    model = Booted(url(*rom).replace("rom=auto&", "") + more, image, folder)
    assert differs(genuine.lines, model.lines) is None
    if genuine.lines[-2].startswith("entry"):
        machine = genuine.board.soc.machine
        assert machine is not None
        assert machine.core.pc == int.from_bytes(image[4:8], "little")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("damage", ["", *DAMAGES])
def test_the_boot_log_is_that_of_the_rom(
    booting: tuple[str, int], damage: str, tmp_path: Path
) -> None:
    if (booting[0], damage) in UNCHECKED:
        pytest.skip(UNCHECKED[booting[0], damage])
    same_log(booting, program(booting[0], damage), tmp_path)


#: What a ROM says of a program that is not as it should be.
_BAD = ("ailed", "ailure", "nvalid", "ets_loader", "csum err", "read err", "wrong", "ets_main")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "damage", ["", "checksum", "hash", "chip", "magic", "segments", "no segments", "truncated"]
)
def test_image_info_judges_as_the_rom_does(
    booting: tuple[str, int], damage: str, tmp_path: Path
) -> None:
    chip = booting[0]
    if (chip, damage) in UNCHECKED:
        pytest.skip(UNCHECKED[chip, damage])
    if (chip, damage) in {("esp32", "hash"), ("esp8266", "hash"), ("esp8266", "chip")}:
        pytest.skip("the ROM does not look at it")
    if booting == ("esp32", 0) and damage == "chip":
        pytest.skip("the ROM does not look at it")
    if (chip, damage) == ("esp8266", "segments"):
        pytest.skip("the ROM waits for a segment that does not end, and says nothing")
    file = tmp_path / "image.bin"
    file.write_bytes(program(chip, damage))
    # A chip that is named is believed.
    named = [] if damage == "chip" else ["--chip", chip]
    words = [sys.executable, "-m", "esptool", *named, "image-info", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    ours = done.returncode != 0 or "invalid" in done.stdout
    said = "\n".join(Booted(url(*booting), program(chip, damage), tmp_path).lines)
    assert ours == any(word in said for word in _BAD), done.stdout + done.stderr + said


@pytest.mark.timeout(300)
@pytest.mark.parametrize("damage", ["", "hash", "checksum"])
@pytest.mark.parametrize("key", [False, True], ids=["no-key", "key"])
def test_secure_boot_refuses_as_the_rom_does(
    booting: tuple[str, int], damage: str, key: bool, tmp_path: Path
) -> None:
    chip = silicon.of(booting[0])
    burned = {"esp32": "0x3FF5A018:0x20", "esp8266": ""}.get(booting[0], "secure_boot:1")
    if not burned:
        pytest.skip("ESP8266 has no secure boot")
    if key and chip.efuse is not None and chip.efuse.purposes:
        burned += ",purpose1:10"
    elif key:
        pytest.skip("its key has a place of its own")
    same_log(booting, program(booting[0], damage), tmp_path, f"&efuse={burned}")


def _start(chip: Silicon) -> tuple[int, bytes]:
    """A place in RAM that holds code, and an endless loop for it."""
    places = {"esp32": 0x4009_0000, "esp32s2": 0x4002_8000, "esp32s3": 0x4037_8000}
    if chip.key in places:
        return places[chip.key], bytes.fromhex("36410006ffff0000")
    return free_ram(chip), bytes.fromhex("6f0000006f000000")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("secure", [False, True], ids=["open", "secure-boot"])
@pytest.mark.parametrize("way", ["mem end", "read", "hash"])
def test_code_in_ram_is_started_where_the_rom_does(
    rom: tuple[str, int], way: str, secure: bool
) -> None:
    chip = silicon.of(rom[0])
    pointer = chip.loader.read_pointer
    if chip.key == "esp8266" or (way != "mem end" and pointer is None):
        pytest.skip("it has none")
    entry, code = _start(chip)
    burned = "0x3FF5A018:0x20" if chip.key == "esp32" else "secure_boot:1"
    found = url(*rom) + "&boot=download" + (f"&efuse={burned}" if secure else "")
    ends = {
        "mem end": Step("mem end", 0x06, struct.pack("<2I", 0, entry)),
        "read": Step("read", 0x0E, struct.pack("<2I", 0, 0)),
        "hash": Step("hash", 0x13, struct.pack("<4I", 0, 16, 0, 0)),
    }
    seen = []
    for board in (Loader(found), Loader(found.replace("rom=auto&", ""))):
        # What one took for the answer to its first SYNC may have been the end of its boot log.
        board.ask(Step("sync", 0x08, SYNC))
        board.ask(Step("mem begin", 0x05, struct.pack("<4I", 8, 1, 0x1800, entry)))
        board.ask(Step("mem data", 0x07, struct.pack("<4I", 8, 0, 0, 0) + code, None))
        if way != "mem end":
            assert pointer is not None
            board.ask(Step("turn", 0x09, struct.pack("<4I", pointer, entry, 0xFFFFFFFF, 0)))
        answers = board.ask(ends[way])
        # The model takes whatever is started for a stub, which greets.
        seen.append([a[:2] if a[:1] == b"\1" else b"log" for a in answers if a != b"OHAI"])
    assert seen[0] == seen[1]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("baud", ["115200", "921600", "auto"])
def test_with_secure_boot_the_stub_is_started_by_the_detour(
    booting: tuple[str, int], baud: str, tmp_path: Path
) -> None:
    if silicon.of(booting[0]).loader.read_pointer is None:
        pytest.skip("the ROM has none")
    port = f"{url(*booting)}&efuse=secure_boot:1&state={tmp_path / 'board.bin'}"
    image = tmp_path / "image.bin"
    image.write_bytes(random.Random(3).randbytes(5000))
    words = ["--baud", baud, "write-flash", "0x20000", str(image)]
    said = esptool(port, *words, by_stub=True)
    assert "Stub flasher running." in said
    assert "verified" in said


@pytest.mark.timeout(300)
def test_the_boot_log_comes_at_the_rate_of_the_usual_crystal(
    booting: tuple[str, int], tmp_path: Path
) -> None:
    usual = url(*booting).replace("&crystal=40", "")
    rates = [
        Booted(found, program(booting[0]), tmp_path).board.soc.baud
        for found in (usual, usual.replace("rom=auto&", ""))
    ]
    # S2's ROM leaves the divider as it is after a reset.
    assert rates[0] == pytest.approx(rates[1], rel=0.01) or (booting[0], rates[0]) == ("esp32s2", 0)
