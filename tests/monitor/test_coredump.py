# SPDX-License-Identifier: Apache-2.0
"""Core dumps of every version, made of a program that crashed in the emulator."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import esptool
from esptool.errors import FatalError
from esptool.monitor import coredump
from esptool.monitor.builds import Builds
from esptool.monitor.coredump.corefile import core_file
from esptool.monitor.decoder import Decoder
from esptool.monitor.elfdata import XTENSA, ElfData
from esptool.monitor.symbols import Program, Symbolizer
from esptool.storage.partitions import PartitionTable
from tests.monitor.crashes import Crash, crashed
from tests.monitor.dumps import TCB, VERSIONS, as_console, dump
from tests.monitor.test_unwind import STACKS, address_of

REASON = "abort() was called at PC 0x40390024 on core 0"
TABLE = "nvs,data,nvs,0x9000,24K\ncoredump,data,coredump,,64K\n"


@pytest.fixture
def app(build: Callable[[str], Path]) -> Path:
    return build("crash-O2")


@pytest.fixture
def crash(app: Path) -> Crash:
    pytest.importorskip("icicle")
    return crashed(app, address_of(app, "run"), 0)


def made(version: tuple[int, int], crash: Crash, app: Path) -> bytes:
    sha256 = ElfData.load(app).sha256[:16]
    return dump(version, crash.registers, crash.stack, reason=REASON, sha256=sha256)


def chain(report: coredump.Report) -> list[str | None]:
    rows = report.record()["tasks"][0]["backtrace"]
    return [frame["function"] for row in rows for frame in row["frames"]]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: f"{v[0]}.{v[1]}")
@pytest.mark.parametrize("form", ["flash", "console"])
def test_every_version_tells_tasks_registers_and_callers(
    version: tuple[int, int], form: str, crash: Crash, app: Path
) -> None:
    data = made(version, crash, app)
    # What is behind the dump in its partition is not looked at.
    raw = data + b"\xff" * 100 if form == "flash" else as_console(data).encode()
    core = coredump.load(raw)
    report = coredump.Report(core, Symbolizer([Program(ElfData.load(app))]))
    assert chain(report) == STACKS[0]
    record = report.record()
    assert record["version"] == f"{version[0]}.{version[1]}"
    assert record["checksum"] == ("sha256" if version in ((1, 1), (1, 3), (1, 4)) else "crc32")
    assert record["revision"] == (4 if version in ((0, 3), (1, 2), (1, 3), (1, 4)) else None)
    assert record["chip"] == "esp32c3"
    assert [task["failed"] for task in record["tasks"]] == [True, False]
    first = record["tasks"][0]
    assert first["tcb"] == TCB
    assert {k: first["registers"][k] for k in crash.registers} == crash.registers
    if version[0]:
        assert [task["name"] for task in record["tasks"]] == ["main", "IDLE"]
        assert record["panic"] == REASON
        assert record["failure"]["reason"] == "abort"
        assert record["matches"] is True
    else:
        assert core.memory.read(0x3FC88000, 7) == b"memory!" or version == (0, 1)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: f"{v[0]}.{v[1]}")
def test_damage_anywhere_is_found(version: tuple[int, int], crash: Crash, app: Path) -> None:
    data = made(version, crash, app)
    generator = random.Random(version[1])
    for _ in range(40):
        at = generator.randrange(len(data))
        wrong = bytearray(data)
        wrong[at] ^= 1 << generator.randrange(8)
        with pytest.raises(coredump.CoreDumpError):
            coredump.load(bytes(wrong))
    for size in (0, 7, 19, 60, len(data) - 1):
        with pytest.raises(coredump.CoreDumpError):
            coredump.load(data[:size])


@pytest.mark.parametrize("left", [1, 2, 9, 17, -30])
def test_a_log_that_is_cut_is_told_as_a_log(
    left: int, crash: Crash, app: Path, tmp_path: Path
) -> None:
    text = "boot\r\n" + as_console(made((1, 2), crash, app))
    lines = text.split("\r\n")
    cut = text[:left] if left < 0 else "\r\n".join(lines[: 1 + left])
    cut = cut[:-40] if left < 0 else cut
    (tmp_path / "log.txt").write_text(cut)
    with pytest.raises(FatalError, match="log") as caught:
        esptool.main(["coredump", "info", str(tmp_path / "log.txt")])
    assert "CORE DUMP END" in str(caught.value)
    assert "partition" not in str(caught.value)
    if len(lines) > 10:
        del lines[5]
        with pytest.raises(coredump.CoreDumpError, match="log"):
            coredump.load("\r\n".join(lines).encode())


@pytest.mark.parametrize("data", [b"\xff" * 4096, bytes(4096), b"", b"just text"])
def test_what_is_none_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(coredump.CoreDumpError, match=r"no core dump"):
        coredump.load(data)


@given(st.binary(max_size=300), st.sampled_from(VERSIONS), st.booleans())
def test_any_body_gives_a_dump_or_an_error(
    body: bytes, version: tuple[int, int], elf: bool
) -> None:
    import hashlib
    import zlib

    body = b"\x7fELF\1\1\1" + body if elf else body
    words = {(0, 1): 2, (0, 2): 3, (1, 0): 3, (1, 1): 3, (1, 4): 1}.get(version, 4)
    strong = version in ((1, 1), (1, 3), (1, 4))
    size = 8 + 4 * words + len(body) + (32 if strong else 4)
    head = struct.pack("<II", size, 5 << 16 | version[0] << 8 | version[1])
    covered = head + struct.pack("<4I", 2, 8, 1, 4)[: 4 * words] + body
    proof = hashlib.sha256(covered).digest() if strong else struct.pack("<I", zlib.crc32(covered))
    try:
        report = coredump.Report(coredump.load(covered + proof), Symbolizer())
    except coredump.CoreDumpError:
        return
    assert report.record()["chip"] == "esp32c3"
    assert report.title()


def test_the_monitor_explains_a_dump_that_the_console_shows(crash: Crash, app: Path) -> None:
    decoder = Decoder(Builds([str(app)]))
    text = "before\r\n" + as_console(made((1, 2), crash, app)) + "after"
    notes = [note for line in text.splitlines() for note in decoder.feed(line.strip())]
    (note,) = notes
    assert note.kind == "core-dump"
    assert f"Reason: {REASON}" in note.lines
    assert any(line.startswith("Task 'main'") for line in note.lines)
    assert any("leaf at" in line for line in note.lines)
    assert not decoder.listening
    lines = as_console(made((1, 2), crash, app)).splitlines()
    del lines[5]
    notes = [note for line in lines for note in decoder.feed(line.strip())]
    assert notes[-1].data["core_dump"] is None


def test_gdb_reads_the_core_file_of_a_binary_dump(
    crash: Crash, app: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gdb = shutil.which("gdb-multiarch")
    assert gdb is not None, "apt-get install gdb-multiarch"
    source, out = tmp_path / "dump.bin", tmp_path / "core.elf"
    source.write_bytes(made((0, 3), crash, app))
    esptool.main(["coredump", "elf", str(source), "-o", str(out)])
    assert "2 tasks" in capsys.readouterr().out
    done = subprocess.run(
        [gdb, "-batch", "-nx", "-ex", "bt -frame-arguments none", str(app), str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    text = done.stdout[done.stdout.rindex("\n#0 ") :]
    theirs = re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\w+) \(", text, re.MULTILINE)
    assert theirs == STACKS[0]
    # And what was written is a dump itself.
    again = coredump.Report(
        coredump.load(out.read_bytes()), Symbolizer([Program(ElfData.load(app))])
    )
    assert chain(again) == STACKS[0]


def test_a_dump_is_read_from_its_partition_on_a_device_and_in_a_file(
    crash: Crash, app: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flash = bytearray(b"\xff" * 0x40000)
    table = PartitionTable.from_csv(TABLE)
    flash[0x8000:0x8C00] = table.to_bytes()
    at = table.partitions[1].offset
    data = made((1, 3), crash, app)
    flash[at : at + len(data)] = data
    file = tmp_path / "flash.bin"
    file.write_bytes(flash)
    board = "virtual://esp32c3?name=coredump&timing=virtual"
    esptool.main(["--port", board, "write-flash", "0", str(file), "--force"])
    capsys.readouterr()
    for words in (["--port", board, "coredump", "info"], ["coredump", "info", "--file", str(file)]):
        esptool.main([*words, "--elf", str(app), "--brief"])
        out = capsys.readouterr().out
        assert "Core dump of esp32c3 revision v0.4: version 1.3, elf layout, SHA256 is right" in out
        assert "Task 'main' (TCB 0x3fc8ec30) failed" in out
        assert re.search(r"0x4039\w+: fail_inlined at .*crash\.c:\d+\n +\(inlined by\) leaf", out)
    esptool.main(["--port", board, "erase-region", hex(at), "0x1000"])
    with pytest.raises(FatalError, match="nothing was written there"):
        esptool.main(["--port", board, "coredump", "info"])


def test_a_dump_comes_from_standard_input_too(crash: Crash, app: Path) -> None:
    console = "noise\r\n" + as_console(made((0, 2), crash, app))
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "coredump", "info", "-", "--brief", "--elf", str(app)],
        input=console,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "version 0.2, binary layout" in done.stdout
    assert "leaf at" in done.stdout


def test_a_wrong_elf_file_is_named(
    crash: Crash,
    app: Path,
    build: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / "dump.bin"
    source.write_bytes(made((1, 1), crash, app))
    esptool.main(["coredump", "info", str(source), "--elf", str(build("crash"))])
    assert "not the file of the program that failed" in "".join(capsys.readouterr())
    # In a folder the right one is found.
    esptool.main(["coredump", "info", str(source), "--elf", str(app.parent)])
    shown = "".join(capsys.readouterr())
    assert "not the file" not in shown
    assert "recursive at" in shown


def test_register_windows_of_xtensa_are_followed() -> None:
    """Each function's caller has its a0 and a1 below the stack pointer of what it called."""
    pointers = [0x3FFB4F00, 0x3FFB4F40, 0x3FFB4FA0, 0x3FFB5000]
    returns = [0x800D1003, 0x800D2006, 0x800D3009, 0]
    stack = bytearray(0x140)
    for number, pointer in enumerate(pointers[:-1]):
        at = pointer - 16 - 0x3FFB4EC0
        struct.pack_into("<II", stack, at, returns[number + 1], pointers[number + 1])
    registers = {"PC": 0x400D0010, "A0": returns[0], "A1": pointers[0]}
    core = coredump.load(core_file(XTENSA, [("main", registers)], [(0x3FFB4EC0, bytes(stack))]))
    assert coredump.callers(core, core.tasks[0], lambda _a: None) == [
        *(0x400D0010, 0x400D1000, 0x400D2003, 0x400D3006),
    ]
