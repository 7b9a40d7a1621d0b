# SPDX-License-Identifier: Apache-2.0
"""Code that no processor can run: the chip says so as a chip does, and starts again."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import serial

from esptool import chips, stubs
from esptool.device import connect
from esptool.errors import FatalError
from esptool.events import Level, Message
from esptool.transport.settings import Settings
from esptool.virtual import ramcode, register, silicon, soc
from esptool.virtual.emulator import decode
from esptool.virtual.ramcode import start
from esptool.virtual.silicon.spec import Arch

register()
STUBS = sorted(
    path.stem for path in stubs.DATA.glob("*.json") if path.stem.partition("-")[0] in chips.KEYS
)
#: How far behind the entry the machine code is torn out: behind the shim that is skipped.
KEPT = 64
ONCE = Settings(retries=0, reset_delay=0.01)


def torn(name: str, folder: Path) -> stubs.Stub:
    """Our stub with zeros instead of what follows its first instructions, as a package has it."""
    raw = json.loads((stubs.DATA / f"{name}.json").read_text(encoding="utf-8"))
    text = base64.b64decode(raw["text"])
    begin = raw["entry"] - raw["text_start"]
    kept = text[: begin + KEPT] if silicon.of(name).arch is Arch.XTENSA else text[:begin]
    raw["text"] = base64.b64encode(kept.ljust(len(text), b"\0")).decode()
    path = folder / f"{name}.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    return stubs.load_file(path)


@pytest.mark.parametrize("name", [n for n in STUBS if n in chips.KEYS])
def test_a_stub_that_runs_into_zeroed_ram_crashes_with_cause_and_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("icicle")
    stub = torn(name, tmp_path)
    monkeypatch.setattr(stubs, "DATA", tmp_path)
    told: list[str] = []

    def listen(event: Any) -> None:
        if isinstance(event, Message) and event.level is Level.NOTE:
            told.append(event.text)

    with (
        connect(
            f"virtual://{name}?stub=emulated&timing=virtual", settings=ONCE, listener=listen
        ) as session,
        pytest.raises(FatalError),
    ):
        session.run_stub(stub)
    crashes = [text for text in told if "crashed" in text]
    assert crashes, told
    place = int(re.findall(r"0x[0-9a-f]+", crashes[0])[0], 16)
    assert stub.text_start <= place < stub.text_start + len(stub.text)
    assert "llegal" in crashes[0]


def load(url: str, code: bytes, *, at: int = 0, entry: int | None = None) -> Any:
    """A port to a chip that has started `code` in RAM, `at` bytes into its last RAM."""
    pytest.importorskip("icicle")
    port = serial.serial_for_url(f"{url}&boot=download&stub=emulated", 115200, timeout=0.2)
    port.read(2000)
    board = port.board  # type: ignore[attr-defined]
    spans = [m for m in board.silicon.memory if m.kind == "iram"]
    address = spans[-1].end - 0x4000 + at
    board.soc.bus.write(address, code)
    board.soc.loaded.append((address, len(code)))
    start(board, address if entry is None else entry)
    return port


@pytest.mark.parametrize("chip", ["esp8266", "esp32", "esp32s3", "esp32c3", "esp32p4"])
def test_the_chip_prints_the_exception_and_resets(chip: str) -> None:
    port = load(f"virtual://{chip}?", bytes(16))
    heard = port.read(3000)
    deadline = time.monotonic() + 60
    while not port.board.in_loader and time.monotonic() < deadline:
        heard += port.read(1000)
    assert b"Fatal exception (" in heard
    assert b"llegal" in heard
    assert port.board.in_loader
    assert any("crashed" in m.text and m.level is Level.NOTE for m in port.remarks)
    assert port.remarks == ()


def test_a_jump_to_where_nothing_is_is_an_exception() -> None:
    # lui t0, 0x12345; jr t0
    port = load("virtual://esp32c3?", bytes.fromhex("b7523412") + bytes.fromhex("67800200"))
    port.timeout = 60
    assert port.read_until(b"mepc=0x12345000").endswith(b"mepc=0x12345000")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("c02000", 3),  # memw
        ("d02000", 3),  # extw
        ("002000", 3),  # isync
        ("102000", 3),  # rsync
        ("202000", 3),  # esync
        ("302000", 3),  # dsync
        ("306f00", 3),  # rsil a3, 15
        ("000000", 0),  # ill
        ("403000", 0),  # not assigned
        ("ffffff", 0),
        ("005000", 0),  # syscall
        ("004000", 0),  # break
    ],
)
def test_only_what_has_no_effect_is_stepped_over(text: str, length: int) -> None:
    assert decode.harmless(Arch.XTENSA, bytes.fromhex(text) + b"\0") == length


@pytest.mark.parametrize("chip", ["esp32s3", "esp32c3"])
def test_without_an_emulator_a_person_is_told_once_that_a_model_answers(
    chip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esptool.virtual.emulator.engines", dict)
    monkeypatch.setattr(soc, "_TOLD", set())
    monkeypatch.delenv(ramcode.VARIABLE, raising=False)
    told: list[Message] = []
    for _ in range(2):
        with connect(
            f"virtual://{chip}",
            listener=lambda e: told.append(e) if isinstance(e, Message) else None,
        ) as session:
            session.run_stub()
    notes = [m.text for m in told if m.level is Level.NOTE and "model" in m.text]
    assert len(notes) == 1
    assert 'pip install "esptool[emulator]"' in notes[0]
    assert "\n" not in notes[0]


def test_who_asks_for_a_model_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soc, "_TOLD", set())
    told: list[Message] = []
    with connect(
        "virtual://esp32c3?stub=model",
        listener=lambda e: told.append(e) if isinstance(e, Message) else None,
    ) as session:
        session.run_stub()
    assert [m.level for m in told if "model" in m.text] == [Level.DEBUG]
