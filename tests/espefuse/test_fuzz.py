# SPDX-License-Identifier: Apache-2.0
"""Random sequences of burns, judged by the bit arithmetic of eFuses (`arithmetic`).

EFUSE_FUZZ names how many sequences each test runs (e.g. 1000); the suite runs a few.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reedsolo import RSCodec

from tests.espefuse.arithmetic import Ask, Chip, Place, coded_3_4, judge
from tests.espefuse.support import run

SEQUENCES = int(os.environ.get("EFUSE_FUZZ", "20"))
CHIPS = ("esp32", "esp32c2", "esp32c3", "esp32c6", "esp32h21", "esp32s2", "esp32s3")
#: Fields after which no later run could look at the chip, or that change how blocks are read.
LEFT_OUT = (
    *("DIS_DOWNLOAD_MODE", "ENABLE_SECURITY_DOWNLOAD", "UART_DOWNLOAD_DIS"),
    *("CODING_SCHEME", "MAC", "MAC_EXT", "CUSTOM_MAC"),
)
UNPROVED = "could not be read back and compared"
FUZZ = settings(
    max_examples=SEQUENCES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Line:
    """The words of some commands, the files that they name, and what they ask for."""

    words: list[str]
    files: list[bytes]
    ask: Ask

    def add(self, *words: object) -> None:
        self.words += [str(word) for word in words]

    def file(self, data: bytes) -> str:
        self.files.append(data)
        return f"@{len(self.files) - 1}"

    def written(self, folder: Path) -> list[str]:
        """The words, with the files' paths in them."""
        for i, data in enumerate(self.files):
            (folder / f"file{i}").write_bytes(data)
        return [str(folder / f"file{w[1:]}") if w.startswith("@") else w for w in self.words]


# --- drawing -----------------------------------------------------------------------------------


def content(draw: st.DrawFn, size: int) -> bytes:
    """Bytes of a key or of data: few different ones, so that some fit over others."""
    kind = draw(st.integers(0, 5))
    if kind < 4:
        return bytes([(0xFF, 0x0F, 0x05, 0x00)[kind]]) * size
    return draw(st.binary(min_size=size, max_size=size))


def add_fields(draw: st.DrawFn, chip: Chip, line: Line) -> None:
    usable = [
        p
        for p in chip.places.values()
        if p.kind in ("bool", "uint")
        and p.name not in LEFT_OUT
        and p.extras.get("class", "") in ("", "bitcount")
        and not p.extras.get("group")
        and p.extras.get("burnable", True)
    ]
    line.add("burn-efuse")
    names = st.lists(st.sampled_from(usable), min_size=1, max_size=3, unique_by=lambda p: p.name)
    for place in draw(names):
        top = (1 << place.length) - 1
        value = 1 if place.kind == "bool" else draw(st.sampled_from([1, 2, 3, top]))
        value = min(value, top)
        line.add(place.name, value)
        chip.field(line.ask, place.name, value)


def add_bits(draw: st.DrawFn, chip: Chip, line: Line) -> None:
    name = draw(st.sampled_from(chip.raw["burn_block_names"]))
    block = chip.block(name)[2]
    size = chip.sizes[block]
    bits = draw(st.lists(st.integers(0, min(size, 192) - 1), min_size=1, max_size=4))
    off = [chip.places[f] for f in LEFT_OUT if f in chip.places]
    bits = [b for b in bits if not any(p.block == block and p.mask >> b & 1 for p in off)] or [3]
    line.add("burn-bit", name, *bits)
    for bit in bits:
        line.ask.bits(block, 1 << bit)


def add_data(draw: st.DrawFn, chip: Chip, line: Line, scheme: int) -> None:
    name = draw(st.sampled_from(chip.raw["burn_block_names"][1:]))
    block = chip.block(name)[2]
    size = 24 if scheme == 1 else chip.sizes[block] // 8
    offset = draw(st.sampled_from([0, 0, 1, 6, size - 4]))
    data = content(draw, size if not offset else draw(st.integers(1, size - offset)))
    line.add("burn-block-data", name, line.file(data))
    if offset:
        line.add("--offset", offset)
    mask = ((1 << 8 * len(data)) - 1) << 8 * offset
    value = int.from_bytes(data, "little") << 8 * offset
    if block:
        line.ask.value(block, mask, value)
    else:
        line.ask.bits(block, value)


def add_key(draw: st.DrawFn, chip: Chip, line: Line, scheme: int) -> None:
    name = draw(st.sampled_from(chip.raw["burn_key_names"]))
    force = draw(st.sampled_from([[], [], [], ["--force-write-always"]]))
    if not chip.raw["purposes"]:
        data = content(draw, 24 if scheme == 1 else 32)
        reverse = name in ("flash_encryption", "secure_boot_v1")
        bare = draw(st.booleans())
        line.add("burn-key", name, line.file(data), *(["--no-protect-key"] if bare else []), *force)
        chip.key(line.ask, name, data[::-1] if reverse else data, not bare, reverse and not bare)
        return
    rules = chip.raw.get("rules", {})
    targets = rules.get("purpose_targets")
    plain = [p for p in chip.raw["purposes"] if "v" not in p[2] and "ECDSA" not in p[0]]
    purpose, number, flags = draw(st.sampled_from(plain))
    target = targets[purpose] if targets else name
    data = content(draw, chip.places[target].length // 8 if targets else 32)
    keep = draw(st.sampled_from([[], [], ["--no-read-protect"], ["--no-write-protect"]]))
    line.add("burn-key", name, line.file(data), purpose, *keep, *force)
    stored = data[::-1] if "r" in flags else data
    hides = "p" in flags and keep != ["--no-read-protect"]
    chip.key(line.ask, target, stored, keep != ["--no-write-protect"], hides)
    companion = rules.get("purpose_sets", {}).get(purpose)
    if companion:
        line.ask.bits(0, chip.places[companion["field"]].mask, needed=False)
    if not targets:
        add_purpose(chip, line.ask, chip.block(name)[8], number)


def add_purpose(chip: Chip, ask: Ask, name: str, number: int) -> None:
    place: Place = chip.places[name]
    chip.field(ask, name, number & ((1 << place.length) - 1))
    if f"{name}_H" in chip.places:
        chip.field(ask, f"{name}_H", number >> place.length)
    chip.protect(ask, place.locks, 0)


def add_protection(draw: st.DrawFn, chip: Chip, line: Line) -> None:
    reading = draw(st.booleans())
    usable = [
        p
        for p in chip.places.values()
        if (p.hides if reading else p.locks) and not p.extras.get("group")
    ]
    place = draw(st.sampled_from(usable))
    line.add("read-protect-efuse" if reading else "write-protect-efuse", place.name)
    chip.protect(line.ask, 0 if reading else place.locks, place.hides if reading else 0)


def draw_line(draw: st.DrawFn, chip: Chip, scheme: int) -> Line:
    line = Line([], [], Ask())
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        kind = draw(st.integers(0, 9))
        if kind < 3:
            add_fields(draw, chip, line)
        elif kind < 4:
            add_bits(draw, chip, line)
        elif kind < 6:
            add_data(draw, chip, line, scheme)
        elif kind < 9:
            add_key(draw, chip, line, scheme)
        else:
            add_protection(draw, chip, line)
    if draw(st.integers(0, 9)) == 0:
        line.words.insert(1, "--dry-run")
        line.ask = Ask()
    return line


@st.composite
def sequences(draw: st.DrawFn) -> tuple[str, int, list[Line], int]:
    """A chip, the coding scheme of an ESP32, some command lines, and the seed of a line's noise."""
    name = draw(st.sampled_from(CHIPS))
    scheme = draw(st.sampled_from([0, 0, 1, 3])) if name == "esp32" else 0
    chip = Chip(name)
    lines = [draw_line(draw, chip, scheme) for _ in range(draw(st.integers(1, 4)))]
    if scheme:
        first = Line(["burn-efuse", "CODING_SCHEME", str(scheme)], [], Ask())
        chip.field(first.ask, "CODING_SCHEME", scheme)
        lines.insert(0, first)
    return name, scheme, lines, draw(st.integers(0, 1 << 16))


# --- running -----------------------------------------------------------------------------------


def said_well(code: int, out: str, err: str, line: Line) -> None:
    """A documented end, and no key in what was said."""
    assert code in (0, 2)
    assert (code == 0) or err
    if "burn-key" not in line.words or "burn-block-data" in line.words:
        return
    for data in line.files:
        if len(set(data)) > 8:
            for order in (data, data[::-1]):
                assert order[:6].hex() not in out + err
                assert order[:6].hex(" ") not in out + err


class Registers:
    """What software reads of the file of `--path-efuse-file`."""

    def __init__(self, chip: Chip, path: Path) -> None:
        self.chip, self.path = chip, path

    def read(self) -> list[int]:
        memory = self.path.read_bytes()[::-1] if self.path.exists() else b""
        return [
            int.from_bytes(memory[at : at + size // 8], "little")
            for at, size in zip(self.chip.reads, self.chip.sizes, strict=True)
        ]


@given(sequences())
@FUZZ
def test_virtual_memory_holds_what_was_asked_for(
    sequence: tuple[str, int, list[Line], int],
) -> None:
    name, _, lines, _ = sequence
    chip = Chip(name)
    with tempfile.TemporaryDirectory() as folder:
        memory = Registers(chip, Path(folder) / "memory")
        base: list[str | Path] = [
            "--chip",
            name,
            "--virt",
            "--path-efuse-file",
            memory.path,
            "--do-not-confirm",
        ]
        truth = memory.read()
        for line in lines:
            code, out, err = run(*base, *line.written(Path(folder)))
            said_well(code, out, err, line)
            shown = memory.read()
            judge(chip, line.ask, truth, shown, code, visible=True, unproved=UNPROVED in out)
            truth = [a | b for a, b in zip(truth, shown, strict=True)]
            if code == 0 and UNPROVED not in out:
                truth = [bits | line.ask.required.get(i, 0) for i, bits in enumerate(truth)]


class Cells:
    """The burned bits in the state file of a virtual board, whether or not software reads them."""

    def __init__(self, chip: Chip, path: Path) -> None:
        self.chip, self.path = chip, path

    def _head(self) -> dict[str, dict[str, str]]:
        head: dict[str, dict[str, str]] = json.loads(self.path.read_bytes()[:0x1000])
        return head

    def read(self) -> list[int]:
        blocks = self._head()["efuses"]
        return [int.from_bytes(bytes.fromhex(blocks[str(i)]), "little") for i in range(len(blocks))]

    def check(self, code: int, asked: dict[int, int]) -> None:
        """After a success the check bytes of each coded block that was asked for fit its data."""
        for name, text in self._head()["checks"].items():
            if not self.chip.coded or code or not asked.get(int(name)):
                continue
            data = bytes.fromhex(self._head()["efuses"][name]).ljust(32, b"\0")
            assert bytes(RSCodec(12).encode(data)[32:]) == bytes.fromhex(text), name


def run_on_board(sequence: tuple[str, int, list[Line], int], rate: str | None) -> None:
    name, scheme, lines, seed = sequence
    chip = Chip(name)
    with tempfile.TemporaryDirectory() as folder:
        cells = Cells(chip, Path(folder) / "board")
        board = f"virtual://{name}?state={cells.path}&timing=virtual"
        assert run("--port", board, "summary", "MAC")[0] == 0
        if rate is not None and scheme:
            assert run("--port", board, "--do-not-confirm", *lines.pop(0).words)[0] == 0
        before = cells.read()
        for i, line in enumerate(lines):
            noise = "" if rate is None else f"&fault=flip:{rate}&seed={seed + i}"
            words = line.written(Path(folder))
            code, out, err = run("--port", board + noise, "--do-not-confirm", *words)
            said_well(code, out, err, line)
            after = cells.read()
            unproved = UNPROVED in out
            coded = bool(scheme) and chip.field_value(after, "CODING_SCHEME") == 1
            if coded:
                judge_words(line.ask, before, after, code)
            judge(
                chip,
                line.ask,
                without_check_bytes(before) if coded else before,
                without_check_bytes(after) if coded else after,
                code,
                unproved=unproved,
            )
            cells.check(code, {} if unproved else line.ask.required)
            before = after


def without_check_bytes(cells: list[int]) -> list[int]:
    """The data in an ESP32's cells under the 3/4 scheme: 6 of 8 bytes, but for BLOCK0."""
    out = [cells[0]]
    for block in cells[1:]:
        raw = block.to_bytes(32, "little")
        out.append(int.from_bytes(b"".join(raw[i : i + 6] for i in range(0, 32, 8)), "little"))
    return out


def judge_words(ask: Ask, before: list[int], after: list[int], code: int) -> None:
    """The same cells with their check bytes: none that nobody asked for, and those that fit."""
    data = without_check_bytes(after)
    for block in range(1, len(after)):
        allowed = before[block] | coded_3_4(ask.allowed.get(block, 0))
        assert not after[block] & ~allowed, f"BLOCK{block} has check bits of other data"
        if code == 0 and ask.required.get(block):
            assert after[block] == coded_3_4(data[block]), f"BLOCK{block} has wrong check bytes"


@given(sequences())
@FUZZ
def test_a_controller_holds_what_was_asked_for(sequence: tuple[str, int, list[Line], int]) -> None:
    run_on_board(sequence, None)


@given(sequences(), st.sampled_from(["3e-5", "1e-4", "3e-4"]))
@FUZZ
def test_a_noisy_line_makes_no_other_bits(
    sequence: tuple[str, int, list[Line], int], rate: str
) -> None:
    run_on_board(sequence, rate)


# --- the judge itself --------------------------------------------------------------------------

KEY_ROW = 4


@pytest.mark.parametrize(
    ("after", "code", "verdict"),
    [
        ({4: 0x0F}, 0, None),
        ({4: 0x1F}, 2, "nobody asked"),
        ({4: 0x07}, 0, "lacks"),
        ({4: 0x07}, 2, None),
        ({4: 0x0F, 1: 0}, 2, "lost bits"),
        ({4: 0x07, 0: 1 << 23}, 2, "protected without"),
        ({4: 0x0F, 0: 1 << 23}, 0, None),
    ],
)
def test_the_judge_judges(after: dict[int, int], code: int, verdict: str | None) -> None:
    chip = Chip("esp32c3")
    before = [0, 5, *[0] * 9]
    ask = Ask()
    ask.value(KEY_ROW, 0xFF, 0x0F)
    chip.protect(ask, 1 << 23, 0, needed=False)
    ask.guards.append((KEY_ROW, 1 << 23, 0, 0xFF, 0x0F))
    state = [after.get(i, bits) for i, bits in enumerate(before)]
    if verdict is None:
        judge(chip, ask, before, state, code)
        return
    with pytest.raises(AssertionError, match=verdict):
        judge(chip, ask, before, state, code)
