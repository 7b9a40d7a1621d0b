# SPDX-License-Identifier: Apache-2.0
"""Lines that break, ports that vanish, chips that reset by themselves, supplies that fail."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from esptool import ops
from esptool.chips.nor import SECTOR
from esptool.device import Session, StubKind, connect
from esptool.errors import FatalError, VerifyError
from esptool.ops.model import Region, WriteOptions
from esptool.protocol.opcodes import Cmd
from esptool.transport import discovery
from esptool.transport.discovery import PortInfo
from esptool.transport.settings import Settings
from esptool.virtual.board import NAMED, Board
from esptool.virtual.faults import FaultPlan
from tests.support.addresses import own_loopback

from .support import Log, firmware, placeholder, url

KB = 1024
BASE = 0x10000
DATA = firmware(60 * KB)


@contextmanager
def opened(
    chip: str, side: str, log: Log | None = None, settings: Settings | None = None, **options: str
) -> Iterator[tuple[Session, Board]]:
    """A session on a virtual clock, and the board behind it; `side` is what answers."""
    stub = "public" if side == "public" else "model"
    where = url(chip, stub=stub, timing="virtual", flash="1MB", **options)
    with connect(where, chip=chip, listener=log or Log(), settings=settings) as s:
        if side != "rom":
            s.run_stub(placeholder(s.spec))
            s.power.change_baud(921_600)
        ops.attach_flash(s)
        yield s, s.link.port.serial.board  # type: ignore[attr-defined]


def write(s: Session, data: bytes = DATA, **options: object) -> ops.WriteResult:
    """Write `data` at `BASE`."""
    [result] = ops.write_flash(s, [Region(BASE, data)], WriteOptions(**options))  # type: ignore[arg-type]
    return result


# --- through the operations ----------------------------------------------------------------------

FAULTS = [
    "drop:25000",
    "drop:9000,drop:25000,drop:25100,away:3",
    "drop:25000,rename,away:2",
    "reset:25000",
    "reset:20000,log:1e-4",
    "log:2e-4",
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("chip", ["esp32c3", "esp32", "esp8266"])
def test_a_write_and_a_read_survive_what_a_line_can_do(fault: str, chip: str) -> None:
    serial = f"{chip}-{FAULTS.index(fault)}"
    with opened(chip, "ours", fault=fault, serial=serial) as (s, _board):
        assert write(s).verified
        assert s.stub_kind is StubKind.OURS
    with opened(chip, "ours", fault=fault, serial=serial) as (s, board):
        board.nor.cells.program(BASE, DATA)
        assert ops.read_flash(s, BASE, len(DATA)) == DATA


@pytest.mark.parametrize("side", ["rom", "public"])
@pytest.mark.parametrize("fault", ["drop:25000", "reset:25000", "flip:1e-4,lose:1e-4", "log:1e-4"])
def test_the_same_without_our_extensions(side: str, fault: str) -> None:
    with opened("esp32s3", side, fault=fault) as (s, board):
        assert write(s).verified
        assert board.nor.cells.read(BASE, len(DATA)) == DATA
        assert ops.read_flash(s, BASE, len(DATA)) == DATA


@pytest.mark.parametrize("fault", ["lose:1e-3", "log:1e-3", "flip:1e-3"])
def test_a_read_goes_on_in_smaller_frames_where_hardly_any_comes_whole(fault: str) -> None:
    noise = random.Random(3).randbytes(0x8000)
    with opened("esp32h2", "ours", fault=fault) as (s, board):
        board.nor.cells.program(BASE, noise)
        assert ops.read_flash(s, BASE, len(noise)) == noise


@pytest.mark.parametrize("side", ["ours", "rom", "public"])
@pytest.mark.parametrize("fault", ["drop", "reset"])
def test_registers_of_the_flash_are_read_and_written_over_a_break(side: str, fault: str) -> None:
    for more in (20, 150, 400):
        with opened("esp32c3", side) as (s, board):
            (board._drops if fault == "drop" else board._resets).append(board.moved + more)
            assert ops.write_status(s, 0x04, 1, non_volatile=True) == 0x04
            assert ops.read_status(s, 1) == 0x04
            assert ops.read_sfdp(s, 0, 4) == b"SFDP"


def test_what_a_rom_refuses_after_it_has_done_it_is_no_refusal() -> None:
    """It calls each damaged request an unknown one; none of them is what was asked before."""
    with opened("esp32c3", "rom") as (s, board):
        board.nor.cells.program(BASE, DATA)
        send, asked = s.link.send_frame, []

        def spoil(payload: bytes) -> None:
            asked.append(payload[1] == Cmd.READ_FLASH_SLOW)
            lost = asked[-1] and sum(asked) % 150 == 0
            send(payload[:1] + b"\x7f" + payload[2:] if lost else payload)

        s.link.send_frame = spoil  # type: ignore[method-assign]
        assert ops.read_flash(s, BASE, len(DATA)) == DATA
        assert sum(asked) > 150 * 4


@pytest.mark.parametrize("side", ["ours", "rom", "public"])
@pytest.mark.parametrize("fault", ["drop:2000", "reset:2000", "powercut:0x14010", "flip:1e-3"])
def test_an_erase_is_begun_again_until_all_is_blank(side: str, fault: str) -> None:
    with opened("esp32c3", side, fault=fault) as (s, board):
        cells = board.nor.cells
        cells.program(BASE - SECTOR, b"\0" * 0xA000)
        ops.erase_region(s, BASE, 0x8000)
        assert cells.read(BASE, 0x8000) == b"\xff" * 0x8000
        around = cells.read(BASE - SECTOR, SECTOR) + cells.read(BASE + 0x8000, SECTOR)
        assert around == b"\0" * 2 * SECTOR


@pytest.mark.parametrize("side", ["ours", "rom", "public"])
def test_flash_that_stays_as_it_was_is_no_successful_erase(side: str) -> None:
    with opened("esp32c3", side, fault="erase:0x12345") as (s, board):
        board.nor.cells.program(BASE, b"\0" * 0x8000)
        with pytest.raises(FatalError, match="0x0001"):
            ops.erase_region(s, BASE, 0x8000)


@pytest.mark.parametrize("side", ["ours", "rom", "public"])
def test_a_comparison_survives_a_reset(side: str) -> None:
    with opened("esp32c3", side, fault="reset:1900") as (s, board):
        board.nor.cells.program(BASE, DATA)
        ops.verify_flash(s, [Region(BASE, DATA)])
        with pytest.raises(VerifyError):
            ops.verify_flash(s, [Region(BASE, DATA[:-1] + b"?")])


def test_neighbours_are_kept_though_the_chip_resets() -> None:
    old = bytes(range(256)) * 64
    with opened("esp32s3", "ours", fault="reset:4500") as (s, board):
        board.nor.cells.program(BASE, old)
        ops.write_flash(s, [Region(BASE + 100, DATA[:9000])], WriteOptions(preserve=True))
        wanted = old[:100] + DATA[:9000] + old[9100:]
        assert board.nor.cells.read(BASE, len(old)) == wanted


def test_encrypted_data_go_plain_to_a_stub_that_cannot_gather_them() -> None:
    found = []
    for side in ("rom", "public", "ours"):
        with opened("esp32c3", side, efuse="purpose0:4") as (s, board):
            assert board.soc.efuse is not None
            board.soc.efuse.burn(4, bytes(range(32)))
            write(s, encrypt=True, ignore_flash_enc_efuse=True)
            found.append(board.nor.cells.read(BASE, len(DATA)))
    assert found[0] == found[1] == found[2] != DATA


def test_a_port_that_stays_away_gives_one_error_that_says_what_is_not_written() -> None:
    patience = Settings(reappear_timeout=2)
    with (
        opened("esp32c3", "ours", settings=patience, fault="drop:25000,away:60") as (s, _board),
        pytest.raises(FatalError, match=r"within 2 s.*0x000\w+ to 0x0001f000 is not written"),
    ):
        write(s)


def test_a_read_that_fails_leaves_no_file(tmp_path: Path) -> None:
    patience = Settings(reappear_timeout=2)
    with opened("esp32c3", "ours", settings=patience, fault="drop:25000,away:60") as (s, board):
        board.nor.cells.program(BASE, DATA)
        with pytest.raises(FatalError, match="Reading stopped at 0x0001"):
            ops.read_flash(s, BASE, len(DATA), tmp_path / "out.bin")
    assert list(tmp_path.iterdir()) == []


def test_another_chip_on_the_same_port_is_refused() -> None:
    with opened("esp32c3", "ours", name="swapped", fault="drop:25000") as (s, board):
        _ = s.facts.macs
        mac = bytes.fromhex("6055f9111213")
        NAMED["swapped"] = Board(replace(board.options, mac=mac, faults=FaultPlan()))
        with pytest.raises(FatalError, match="Another chip answers"):
            write(s)


# --- which port is it ----------------------------------------------------------------------------


OLD = PortInfo("/dev/ttyUSB0", 0x10C4, 0xEA60, "bridge", "0001", "1-1")


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ([PortInfo("/dev/ttyUSB3", 0x10C4, 0xEA60, "bridge", "0001", "1-2")], "/dev/ttyUSB3"),
        (
            [
                PortInfo("/dev/ttyUSB1", 0x10C4, 0xEA60, "bridge", "0001", "1-2"),
                PortInfo("/dev/ttyUSB2", 0x10C4, 0xEA60, "bridge", "0001", "1-1"),
            ],
            "/dev/ttyUSB2",
        ),
        (
            [
                PortInfo("/dev/ttyUSB1", 0x10C4, 0xEA60, "bridge", "0001", "1-2"),
                PortInfo("/dev/ttyUSB2", 0x10C4, 0xEA60, "bridge", "0001", "1-3"),
            ],
            None,
        ),
        ([PortInfo("/dev/ttyACM0", 0x303A, 0x1001, "JTAG", "ab", "1-1")], "/dev/ttyACM0"),
        ([PortInfo("/dev/ttyACM0", 0x303A, 0x1001, "JTAG", "ab", "1-7")], None),
    ],
    ids=["serial number", "twins by socket", "twins", "socket", "stranger"],
)
def test_a_device_is_found_again_by_serial_number_or_socket(
    found: list[PortInfo], name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "all_ports", lambda: found)
    assert discovery.find_again(OLD) == name


# --- as a user meets it --------------------------------------------------------------------------


_PLACE = re.compile(r"socket://\S+:\d+|/dev/\S+")


class Served:
    """`esp_virtual_chip` in a process of its own, that can be killed and started again."""

    def __init__(self, *way: str, state: Path) -> None:
        self.way = way
        self.state = state
        self.url = ""
        self.timing = "real"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start, and note what a client passes to `--port`."""
        command = [sys.executable, "-m", "esptool.cli.virtual_chip", "esp32c3", *self.way]
        options = ["flash=1MB", "stub=model", f"timing={self.timing}", f"state={self.state}"]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        while not (found := _PLACE.search(self.process.stdout.readline())):
            assert self.process.poll() is None
        self.url = found[0]

    def kill(self) -> None:
        """End it without a chance to save anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def _write_while_the_chip_dies(served: Served, port: str, folder: Path, again: object) -> str:
    (folder / "data.bin").write_bytes(DATA)
    command = [sys.executable, "-m", "esptool", "--chip", "esp32c3", "--port", port, "--baud"]
    job = ["57600", "--after", "no-reset", "write-flash", "0x10000", str(folder / "data.bin")]
    with subprocess.Popen(
        [*command, *job], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as client:
        assert client.stdout is not None
        seen = ""
        while not re.search(r"Writing at 0x0001[2-9a-f]", seen):
            piece = client.stdout.read(1)
            assert piece, seen
            seen += piece
        served.kill()
        served.timing = "fast"  # a slow line was needed to meet the client at work
        time.sleep(0.5)
        served.start()
        again()  # type: ignore[operator]
        seen += client.stdout.read()
        assert client.wait() == 0, seen
    assert "Traceback" not in seen
    return seen


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_a_terminal_that_dies_and_comes_back_is_written_to_the_end(tmp_path: Path) -> None:
    # As with a name under /dev/serial/by-id, the link leads to wherever the device is now.
    link = tmp_path / "board"
    served = Served("--pty", state=tmp_path / "state")

    def relink() -> None:
        link.unlink(missing_ok=True)
        link.symlink_to(served.url)

    served.start()
    relink()
    try:
        seen = _write_while_the_chip_dies(served, str(link), tmp_path, relink)
        assert "connecting to it again" in seen
        assert "Hash of data verified." in seen
    finally:
        served.kill()


def test_a_socket_that_dies_and_comes_back_is_written_to_the_end(tmp_path: Path) -> None:
    served = Served("--tcp", f"{own_loopback()}:0", state=tmp_path / "state")
    served.start()
    served.way = ("--tcp", served.url.removeprefix("socket://"))
    try:
        seen = _write_while_the_chip_dies(served, served.url, tmp_path, lambda: None)
        assert "connecting to it again" in seen
        assert "Hash of data verified." in seen
    finally:
        served.kill()


def _esptool(*words: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    import os

    env = {**os.environ, "ESPTOOL_CFGFILE": str(config)} if config else None
    return subprocess.run(
        [sys.executable, "-m", "esptool", *words], capture_output=True, text=True, env=env
    )


def test_retries_and_patience_are_settings(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(DATA)
    config = tmp_path / "esptool.cfg"
    config.write_text("[esptool]\nretries = 0\nreappear_timeout = 1\n")
    port = ["--port", "virtual://esp32c3?name=x&stub=model&timing=virtual&fault="]
    job = ["write-flash", "0x10000", str(tmp_path / "data.bin")]
    for fault, words, code, text in (
        ("brownout:0x10010", [], 2, "Writing stopped at 0x00010000"),
        ("brownout:0x10010", ["--retries", "3"], 0, "Hash of data verified."),
        ("drop:40000,away:4", ["--retries", "3"], 2, "did not come back within 1 s"),
    ):
        where = [port[0], port[1] + fault]
        done = _esptool(*where, *job[:1], *words, *job[1:], config=config)
        assert done.returncode == code, done.stdout + done.stderr
        assert text in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert "unknown config option" not in done.stdout


def test_a_program_for_ram_that_does_not_arrive_names_where() -> None:
    with opened("esp32c3", "rom") as (s, _board):
        send = s.link.send_frame

        def spoil(payload: bytes) -> None:
            send(payload[:-1] + b"?" if payload[1] == Cmd.MEM_DATA else payload)

        s.link.send_frame = spoil  # type: ignore[method-assign]
        image = bytes((0xE9, 1, 2, 0x20)) + (0x40380000).to_bytes(4, "little") + bytes(16)
        image += (0x40380000).to_bytes(4, "little") + (4).to_bytes(4, "little") + b"\x01\xa0\0\0"
        image = image.ljust(47, b"\0") + bytes([0xEF ^ 0x01 ^ 0xA0])
        with pytest.raises(FatalError, match="stopped in the segment for 0x40380000: Failed to wr"):
            ops.load_ram(s, image)
