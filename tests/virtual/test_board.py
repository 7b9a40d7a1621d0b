# SPDX-License-Identifier: Apache-2.0
"""A board at its port: reset circuits, boot log, baud rate, time, faults, state, identity."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import serial

from esptool import cmds, virtual
from esptool.virtual.lines import EN_RISE_S
from tests.support.programs import program
from tests.virtual.support import SYNC_PAYLOAD, Client, frame, open_chip

SYNC = frame(b"\x00\x08\x24\x00\x00\x00\x00\x00" + SYNC_PAYLOAD)


def on_its_clock(url: str) -> Any:
    """A port on a board whose time passes only while it is waited for, however busy we are."""
    return open_chip(f"{url}{'&' if '?' in url else '?'}timing=virtual", timeout=0.3)


def play(port: Any, *steps: tuple[str, int] | float) -> None:
    """Set lines (1 is asserted) and wait."""
    for step in steps:
        if isinstance(step, float):
            port.sleep(step)
        else:
            setattr(port, step[0], bool(step[1]))


CLASSIC = (("dtr", 0), ("rts", 1), 0.03, ("dtr", 1), ("rts", 0), 0.03, ("dtr", 0))
USB_JTAG = (
    ("rts", 0), ("dtr", 0), ("dtr", 1), ("rts", 0), ("rts", 1), ("dtr", 0), ("rts", 1),
    ("dtr", 0), ("rts", 0),
)  # fmt: skip
HARD = (("rts", 1), 0.02, ("rts", 0), 0.03)


def test_the_classic_sequence_enters_download_mode_and_a_pulse_on_rts_leaves_it() -> None:
    port = on_its_clock("virtual://esp32")
    assert b"SPI_FAST_FLASH_BOOT" in port.read(5000)
    play(port, *CLASSIC)
    log = port.read(5000)
    assert b"rst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD" in log
    assert b"waiting for download" in log
    play(port, *HARD)
    assert b"SPI_FAST_FLASH_BOOT" in port.read(5000)


def test_both_lines_asserted_pull_neither_pin() -> None:
    port = on_its_clock("virtual://esp32c3?boot=download")
    port.read(5000)
    port.set_lines(True, True)
    port.sleep(2 * EN_RISE_S)
    port.set_lines(False, False)
    port.sleep(2 * EN_RISE_S)
    assert port.read(5000) == b""


def test_a_chip_in_reset_is_silent() -> None:
    port = on_its_clock("virtual://esp32c3?boot=download")
    port.read(5000)
    port.set_lines(False, True)
    port.write(SYNC)
    assert port.read(5000) == b""


def test_usb_jtag_resets_by_its_own_table() -> None:
    port = on_its_clock("virtual://esp32c3?link=usb-jtag")
    port.read(5000)
    play(port, *USB_JTAG)
    assert b"waiting for download" in port.read(5000)
    play(port, ("rts", 1), ("rts", 0))
    assert b"SPI_FAST_FLASH_BOOT" in port.read(5000)


def test_the_loader_takes_any_first_rate_and_then_hears_garbage_at_another() -> None:
    port = open_chip("virtual://esp32?boot=download")
    port.read(5000)
    port.baudrate = 230400
    port.write(SYNC)
    assert len(port.read(5000)) == 8 * 14
    port.baudrate = 460800
    port.write(SYNC)
    assert b"\xc0\x01\x08" not in port.read(5000)


def test_the_boot_log_is_garbage_at_a_wrong_rate_and_esp8266_prints_at_74880() -> None:
    port = open_chip("virtual://esp8266?boot=download")
    assert b"boot mode" not in port.read(500)
    port = on_its_clock("virtual://esp8266")
    port.baudrate = 74880
    play(port, *CLASSIC)
    assert b"boot mode:(1,6)" in port.read(500)


def test_changing_the_rate_is_answered_at_the_old_one_and_shows_in_the_divider() -> None:
    c = Client("virtual://esp32?boot=download")
    c.sync()
    assert c.ask(0x0A, 0x3FF40014)[0] & 0xFFFFF == 40_000_000 // 115200
    assert c.ask(0x0F, 921600, 0)[1][0] == 0
    c.port.baudrate = 921600
    assert c.ask(0x0A, 0x3FF40014)[0] & 0xFFFFF == 40_000_000 // 921600


def test_c2_with_a_26_mhz_crystal_runs_slower_than_it_was_told() -> None:
    c = Client("virtual://esp32c2?boot=download&crystal=26")
    c.sync()
    c.ask(0x0F, 115200 * 40 // 26, 0)
    assert len(c.sync()) == 8


def test_state_lasts_from_run_to_run(tmp_path: Path) -> None:
    url = f"virtual://esp32c3?boot=download&flash=8MB&state={tmp_path / 'board.bin'}"
    c = Client(url)
    c.board.nor.program(0x123456, b"kept")
    c.board.soc.efuse.burn(3, b"\x05")
    c.close()
    c = Client(url)
    assert c.board.nor.read(0x123456, 4) == b"kept"
    assert c.board.soc.efuse.word(3, 0) == 5
    assert c.ask(0x0A, 0x6000887C)[0] == 5
    image = (tmp_path / "board.bin").read_bytes()
    assert image[0x1000 + 0x123456 :][:4] == b"kept"


def test_a_state_of_another_board_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "board.bin"
    Client(f"virtual://esp32c3?state={state}").close()
    with pytest.raises(serial.SerialException, match="belongs to esp32c3"):
        open_chip(f"virtual://esp32s3?state={state}")
    state.write_bytes(b"something else")
    with pytest.raises(serial.SerialException, match="not a state"):
        open_chip(f"virtual://esp32c3?state={state}")


def test_boards_of_one_name_are_one_and_several_run_at_once() -> None:
    ports = [open_chip(f"virtual://esp32c6?name=bench{i}") for i in range(3)]
    ports[1].board.nor.program(0, b"one")
    ports[1].close()
    assert open_chip("virtual://esp32c6?name=bench1").board.nor.read(0, 3) == b"one"
    assert virtual.find_board("bench2").nor.read(0, 1) == b"\xff"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("virtual://esp33", "Unknown chip"),
        ("virtual://", "names no chip"),
        ("virtual://esp32?flesh=8MB", "no option 'flesh'"),
        ("virtual://esp32?flash=3MB", "power of two"),
        ("virtual://esp32?part=W25Q99", "no flash 'W25Q99'"),
        ("virtual://esp32?part=W25Q64JV&flash=4MB", "8192KB, not 4096KB"),
        ("virtual://esp32?fault=gremlins", "not understood"),
        ("virtual://esp32?fault=lose:2", "not understood"),
        ("virtual://esp32?fault=baud:0", "not understood"),
        ("virtual://esp32?fault=edge:2", "not understood"),
        ("virtual://esp8266?secure_download", "no secure download"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url: str, text: str) -> None:
    with pytest.raises(serial.SerialException, match=text):
        open_chip(url)


def test_virtual_time_charges_line_and_flash_without_waiting() -> None:
    c = Client("virtual://esp32c3?boot=download&timing=virtual&latency=1ms&part=W25Q32JV")
    c.prepare_flash()
    clock, started, real = c.board.clock, c.board.clock.elapsed, time.monotonic()
    c.ask(0x02, 0x10000, 64, 0x400, 0, 0)
    erased = clock.elapsed - started
    assert 16 * 0.045 < erased < 16 * 0.045 + 0.3
    started = clock.elapsed
    for number in range(16):
        c.block(0x03, b"\x01" * 0x400, number)
    spent = clock.elapsed - started
    line = 16 * (0x400 + 26) * 10 / 115200
    assert spent >= line + 64 * 0.0004
    assert time.monotonic() - real < 20 * spent  # it takes a twentieth of that
    assert "virtual time" in c.board.report()


def test_real_time_makes_the_host_wait_for_the_line() -> None:
    port = open_chip("virtual://esp32c3?boot=download&timing=real", timeout=60)
    port.read_until(b"waiting for download\r\n")
    port.reset_input_buffer()
    start = time.monotonic()
    port.write(SYNC)
    assert len(port.read(8 * 14)) == 8 * 14
    assert time.monotonic() - start >= (len(SYNC) + 8 * 14) * 10 / 115200


def test_faults_repeat_with_their_seed_and_differ_with_another() -> None:
    def run(seed: int) -> bytes:
        port = open_chip(f"virtual://esp32c3?boot=download&fault=flip:0.02,lose:0.02&seed={seed}")
        for _ in range(20):
            port.write(SYNC)
        port.timeout = 0
        return bytes(port.read(1 << 16))

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize(
    ("baud", "link", "damaged"),
    [
        (460800, "uart", 0.0),
        (921600, "uart", 0.05),
        (2000000, "uart", 1.0),
        (2000000, "usb-jtag", 0.0),
    ],
)
def test_a_line_bears_rates_up_to_its_limit(baud: int, link: str, damaged: float) -> None:
    port = open_chip(f"virtual://esp32s3?link={link}&fault=baud:460800,edge:0.05&seed=1")
    port.baudrate = port.board.soc.baud = baud
    port.read(5000)
    sent = bytes(2000)
    for data in (_arriving(port.board, sent), _leaving(port, sent)):
        share = sum(byte != 0 for byte in data) / len(sent)
        assert share == pytest.approx(damaged, abs=0.02)


def _arriving(board: Any, data: bytes) -> bytes:
    came: list[bytes] = []
    board.soc.program.receive = came.append
    board.host_write(data)
    return b"".join(came)


def _leaving(port: Any, data: bytes) -> bytes:
    port.board.soc.send(data)
    return bytes(port.read(len(data)))


@pytest.mark.parametrize("kind", ["lose", "flip", "repeat"])
def test_a_rate_of_faults_is_met(kind: str) -> None:
    from esptool.virtual.faults import FaultPlan, LineNoise

    plan = FaultPlan()
    plan.add(f"{kind}:0.001,seed:5")
    noise = LineNoise(plan, "test")
    data = bytes(range(256)) * 4
    changed = sum(noise.apply(data)[0] != data for _ in range(2000))
    assert 2000 * 0.45 < changed < 2000 * 0.8  # 1 - 0.999**1024 is 0.64


def test_the_link_drops_where_it_was_told_to() -> None:
    port = open_chip("virtual://esp32c3?boot=download&fault=drop:2000")
    port.timeout = 0

    def talk() -> None:
        for _ in range(100):
            port.write(SYNC)
            port.read(5000)

    with pytest.raises(serial.SerialException, match="gone"):
        talk()


def test_a_brown_out_resets_the_chip_in_mid_write() -> None:
    c = Client("virtual://esp32c3?boot=download&fault=brownout:0x200")
    c.prepare_flash()
    c.ask(0x02, 0x400, 1, 0x400, 0, 0)
    c.port.write(frame(b"\0\x03\x10\x04\xef\0\0\0" + b"\0\x04\0\0" + bytes(12) + bytes(0x400)))
    assert b"BROWNOUT" in c.port.read(5000)
    assert c.board.nor.read(0, 0x300) == bytes(0x200) + b"\xff" * 0x100


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        ("virtual://esp32", (0x10C4, 0xEA60)),
        ("virtual://esp32c3?link=usb-jtag", (0x303A, 0x1001)),
        ("virtual://esp32s2?link=usb-otg", (0x303A, 2)),
    ],
)
def test_a_port_has_the_usb_identity_of_its_link(url: str, ids: tuple[int, int]) -> None:
    port = open_chip(url)
    assert port.usb[:2] == ids


def test_an_application_in_flash_starts_and_prints() -> None:
    c = Client("virtual://esp32c3?boot=download&name=app&app=hello")
    c.board.nor.program(0, program("esp32c3"))
    c.sync()
    c.ask(0x02, 0, 0, 0x400, 0, 0)
    c.port.write(frame(b"\0\x04\x04\0\0\0\0\0\x01\0\0\0"))
    c.close()
    log = open_chip("virtual://esp32c3?name=app").read(5000)
    assert b"load:0x403cbf10,len:0x10" in log
    assert b"entry 0x403cbf10" in log
    assert b"hello" in log


@pytest.mark.parametrize(
    "first", ["import esptool; import serial", "import serial; import esptool"]
)
def test_a_program_that_imports_us_can_open_the_url_and_pays_nothing_before(first: str) -> None:
    code = f"""
import sys
{first}
assert "esptool.virtual.board" not in sys.modules
port = serial.serial_for_url("virtual://esp32c3", baudrate=115200)
assert b"invalid header" in port.read(port.in_waiting)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=110)


def test_the_flash_answers_once_it_is_attached() -> None:
    with cmds.connect_esp(port="virtual://esp32s3", chip="esp32s3") as esp:
        assert esp.flash_id() in (0, 0xFFFFFF)
        cmds.attach_flash(esp)
        assert esp.flash_id() not in (0, 0xFFFFFF)
