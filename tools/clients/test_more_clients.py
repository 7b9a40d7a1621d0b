# SPDX-License-Identifier: Apache-2.0
"""More programs from PyPI that build on esptool, each at its usual work; see `test_clients`."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import select
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

import esptool

PROGRAMS = Path(__file__).parents[1] / "demo"
STORAGE, STORAGE_SIZE = 0x210000, 0x40000
ROWS = (
    *((1, 2, 0x9000, 0x5000, b"nvs"), (1, 0, 0xE000, 0x2000, b"otadata")),
    *((0, 0x10, 0x10000, 0x100000, b"ota_0"), (0, 0x11, 0x110000, 0x100000, b"ota_1")),
    (1, 0x83, STORAGE, STORAGE_SIZE, b"storage"),
)


def partition_table() -> bytes:
    rows = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, name, 0)
        for kind, subtype, offset, size, name in ROWS
    )
    rows += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest()
    return rows.ljust(0xC00, b"\xff")


class Board:
    """A simulated board whose flash is kept in a file, and a folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = f"virtual://esp32s3?state={folder}/board.bin"
        (folder / "table.bin").write_bytes(partition_table())
        for name in ("boot", "hello"):
            esptool.elf2image(str(PROGRAMS / f"{name}.elf"), "esp32s3", str(folder / f"{name}.bin"))
        words = ["0x0", "boot.bin", "0x8000", "table.bin", "0x10000", "hello.bin"]
        files = [str(folder / w) if w.endswith(".bin") else w for w in words]
        esptool.main(["--port", self.port, "write-flash", *files])

    def idftool(self, *words: str) -> str:
        line = [sys.executable, "-m", "idftool", "-p", self.port, *words]
        done = subprocess.run(
            line, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    def holds(self, offset: int, size: int) -> bytes:
        out = self.folder / "held.bin"
        esptool.main(["--port", self.port, "read-flash", hex(offset), hex(size), str(out)])
        return out.read_bytes()


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


# --- idftool -------------------------------------------------------------------------------------


def test_idftool_writes_reads_and_compares_partitions(board: Board) -> None:
    data = os.urandom(20000)
    (board.folder / "data.bin").write_bytes(data)
    assert "storage" in board.idftool("print-table")
    board.idftool("write", "storage", "data.bin")
    assert board.holds(STORAGE, len(data)) == data
    board.idftool("read", "storage", "back.bin")
    assert (board.folder / "back.bin").read_bytes()[: len(data)] == data
    # A difference in one sector: compared by hashes, written by sectors.
    changed = data[:5000] + b"changed" + data[5007:]
    (board.folder / "data.bin").write_bytes(changed)
    said = board.idftool("write", "--diff", "storage", "data.bin")
    assert "wrote 4.00kB" in said
    assert board.holds(STORAGE, len(data)) == changed
    assert "already in flash" in board.idftool("write", "--skip-flashed", "storage", "data.bin")
    board.idftool("erase", "storage")
    assert set(board.holds(STORAGE, 0x1000)) == {0xFF}


def test_idftool_updates_over_the_air_partitions(board: Board) -> None:
    board.idftool("ota", "hello.bin")
    image = (board.folder / "hello.bin").read_bytes()
    assert board.holds(0x10000, len(image)) == image
    assert "ota_0" in board.idftool("get-boot")
    board.idftool("set-boot", "ota_1")
    assert "ota_1" in board.idftool("get-boot")


def test_idftool_keeps_settings_and_files(board: Board) -> None:
    (board.folder / "settings.csv").write_text(
        "key,type,encoding,value\nwifi,namespace,,\nname,data,string,board\n"
    )
    board.idftool("create-nvs", "-o", "nvs.bin", "--size", "0x5000", "settings.csv")
    board.idftool("write", "nvs", "nvs.bin")
    assert "board" in board.idftool("print-nvs", "nvs")
    files = board.folder / "files"
    files.mkdir()
    (files / "hello.txt").write_text("hello")
    board.idftool("write-fs", "storage", "files")
    assert "hello.txt" in board.idftool("print-fs", "storage")


def test_idftool_makes_images_and_bundles(board: Board) -> None:
    board.idftool(
        *("create-image", "-o", "image.bin", "--flash-partition-table", "ota_0", "hello.bin")
    )
    assert (board.folder / "image.bin").stat().st_size > 0x8000
    board.idftool("create-bundle", "-o", "app.bundle", "ota_0", "hello.bin")
    board.idftool("write-bundle", "app.bundle")


def test_idftool_runs_the_tools_on_its_board(board: Board) -> None:
    assert "Detected flash size" in board.idftool("esptool", "flash-id")
    assert "MAC" in board.idftool("espefuse", "summary")


# --- the others ----------------------------------------------------------------------------------


def test_esp_donut_lends_a_port() -> None:
    import serial
    from donut.hands import DonutPortManager

    sent: list[bytes] = []
    connection = SimpleNamespace(write=sent.append)
    port = serial.serial_for_url("virtual://esp32c3")
    manager = DonutPortManager(port, connection)
    assert b"".join(manager.filter(b"abc\xff\xff")) == b"abc\xff"
    played: list[str] = []
    manager._reset_thread = lambda: played.append("download")
    manager._telnet_process_subnegotiation(b"\x2c\x05\x08")
    assert played == ["download"]
    port.close()


@contextmanager
def on_a_terminal(chip: str) -> Iterator[str]:
    """A simulated board on a pseudo-terminal."""
    words = [str(Path(sys.executable).with_name("esp_virtual_chip")), chip, "--pty"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        select.select([served.stdout], [], [], 30)
        found = re.search(r"/dev/\S+", served.stdout.readline())
        try:
            assert found is not None
            yield found[0]
        finally:
            served.terminate()


def test_mcesptool_finds_out_what_chip_it_is() -> None:
    from mcesptool.components.chip_control import ChipControl

    control = ChipControl.__new__(ChipControl)
    control.config = SimpleNamespace(
        esptool_path=str(Path(sys.executable).with_name("esptool")), default_baud_rate=115200
    )
    with on_a_terminal("esp32c3") as port:
        told = [
            asyncio.run(control._detect_chip_impl(None, port, None, True))["chip_info"]
            for _ in range(2)
        ]
    # The second process meets a stub that still runs: what it says must be what is so now.
    assert told[0] == told[1]
    assert told[0]["chip_type"].startswith("ESP32-C3")
    assert told[0]["flash_size"] == "4MB"
    assert re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", told[0]["mac_address"])


@pytest.mark.parametrize("method", ["ESPToolSubprocess", "ESPToolModuleMain"])
def test_mp_image_tool_reads_and_writes_flash(method: str, tmp_path: Path) -> None:
    from mp_image_tool_esp32 import esptool_io

    data = os.urandom(8192)
    tool = getattr(esptool_io, method)(f"virtual://esp32s3?state={tmp_path}/board.bin")
    assert tool.chip_name == "esp32s3"
    assert tool.write_flash(STORAGE, data) == len(data)
    assert tool.read_flash(STORAGE, len(data)) == data
    tool.erase_flash(STORAGE, 4096)
    assert tool.read_flash(STORAGE, 4096) == b"\xff" * 4096
    tool.close()


def test_mp_image_tool_reads_through_the_loader_object(tmp_path: Path) -> None:
    from mp_image_tool_esp32 import esptool_io

    tool = esptool_io.ESPToolModuleDirect(f"virtual://esp32s3?state={tmp_path}/board.bin")
    assert tool.read_flash(STORAGE, 4096) == b"\xff" * 4096
    tool.erase_flash(STORAGE, 4096)
    tool.close()
