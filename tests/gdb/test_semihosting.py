# SPDX-License-Identifier: Apache-2.0
"""Programs that speak to their debugger: what they say arrives in the monitor."""

from __future__ import annotations

import sys
import threading

import pytest

import esptool
from esptool import chips
from esptool.chips.spec import Arch
from esptool.device.console import open_console
from esptool.errors import PortError
from esptool.protocol import semihosting
from esptool.transport import openocd
from esptool.virtual.gdb_server import GdbServer
from tests.gdb.support import client_of, serving

BASE = {Arch.RISCV: 0x3FC90000, Arch.XTENSA: 0x3FFB0000, Arch.LX106: 0x3FFE9000}
CODE = {Arch.RISCV: 0x40390000, Arch.XTENSA: 0x40090000, Arch.LX106: 0x40100000}


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


def li(register: int, value: int) -> bytes:
    """`lui` and `addi`."""
    high = (value + 0x800) & 0xFFFFF000
    low = (value - high & 0xFFF) << 20
    return words(high | register << 7 | 0x37, low | register << 15 | register << 7 | 0x13)


def riscv(calls: list[tuple[int, int]]) -> tuple[bytes, bytes]:
    call = semihosting.RISCV_CALL
    body = b"".join(li(10, number) + li(11, argument) + call for number, argument in calls)
    return b"", body + bytes.fromhex("6f000000")  # it jumps to itself


def xtensa(calls: list[tuple[int, int]], base: int) -> tuple[bytes, bytes]:
    """Literals, as L32R reaches back, and the code behind them."""
    literals = words(*(argument for _, argument in calls))
    code = b""
    for i, (number, _) in enumerate(calls):
        code += bytes((0x22, 0xA0 | number >> 8, number & 0xFF))  # movi a2, number
        pc = base + len(literals) + len(code)
        offset = base + 4 * i - (pc + 3 & ~3) >> 2 & 0xFFFF
        code += b"\x31" + offset.to_bytes(2, "little")  # l32r a3, the argument
        code += semihosting.XTENSA_CALL
    return literals, code + bytes.fromhex("06ffff")  # it jumps to itself


def put(server: GdbServer, key: str, calls: list[tuple[int, int]], data: bytes) -> None:
    """A program in RAM that makes these calls and is about to run; arguments are within `data`."""
    arch = chips.get(key).arch
    base, at = BASE[arch], CODE[arch]
    calls = [(number, base + argument) for number, argument in calls]
    literals, code = riscv(calls) if arch is Arch.RISCV else xtensa(calls, at)
    with client_of(server) as client:
        client.write(base, data + bytes(-len(data) % 4))
        whole = literals + code
        client.write(at, whole + bytes(-len(whole) % 4))
        client.write_register(server.target.pc_number, at + len(literals))


def talker(key: str) -> tuple[list[tuple[int, int]], bytes]:
    """It says something by each of the calls that can."""
    base = BASE[chips.get(key).arch]
    text = b"first\r\n\0of a handle:tt\0!"
    handle = words(2, base + 64 + 8, 11)
    opened = words(base + 64 + 19, 4, 3)
    data = (handle + opened).ljust(64, b"\0") + text
    return [(4, 64), (1, 12), (5, 0), (3, 64 + len(text) - 1), (4, 64 + 5), (4, 64)], data


@pytest.mark.parametrize("key", ["esp32c3", "esp32", "esp8266"])
def test_a_program_speaks_through_its_debugger(
    key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(f"virtual://{key}") as server:
        put(server, key, *talker(key))
        monitor = ("--port", server.url, "monitor", "--no-keys", "--timeout", "100")
        # What is expected last is its last call: at another it would stand without a debugger.
        wanted = ("--expect", "first", "--expect", "^of a handle!$", "--expect", "first")
        esptool.main([*monitor, *wanted])
        assert capsys.readouterr().out.count("first") >= 2
        # It was left running.
        assert server.target.running


def test_a_program_that_ends_or_fails_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    with serving("virtual://esp32c3") as server:
        monitor = ("--port", server.url, "monitor", "--no-keys", "--timeout", "100", "--expect")
        put(server, "esp32c3", [(0x18, 0)], b"")
        esptool.main([*monitor, "The program has ended"])
        put(server, "esp32c3", [], b"")
        with client_of(server) as client:
            client.write(CODE[Arch.RISCV], bytes.fromhex("0290"))  # a breakpoint of its own
        esptool.main([*monitor, r"has stopped at 0x40390000 \(signal 5\)"])
        assert server.target.get(server.target.pc_number) == CODE[Arch.RISCV]


def test_the_chip_is_reset_through_the_debugger_when_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving("virtual://esp32c3") as server:
        put(server, "esp32c3", *talker("esp32c3"))
        esptool.main(["--port", server.url, "monitor", "--no-keys", "--reset", "--timeout", "0"])
        assert server.target.in_rom


def test_a_server_that_is_lost_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    with serving("virtual://esp32c3") as server:
        console = open_console(server.url, None)
        console.client.close()
        with pytest.raises(PortError, match="is closed"):
            console.receive(0)
        console.open()
        console.receive(0)
        assert console.client.running
        console.close()


MEMORY = bytearray(4096)


def read(address: int, size: int) -> bytes:
    return bytes(MEMORY[address : address + size])


def test_files_of_the_host_are_refused() -> None:
    MEMORY[0:12] = words(64, 0, 11)
    MEMORY[64:76] = b"/etc/passwd\0"
    assert semihosting.serve(semihosting.Call.OPEN, 0, read) == (semihosting.REFUSED, b"")
    MEMORY[0:12] = words(5, 64, 11)
    assert semihosting.serve(semihosting.Call.WRITE, 0, read) == (11, b"")
    assert semihosting.serve(0x12, 0, read) == (semihosting.REFUSED, b"")  # SYS_SYSTEM


def test_a_text_without_an_end_and_a_size_beyond_reason_are_bounded() -> None:
    def noise(_address: int, size: int) -> bytes:
        return b"x" * size

    assert len(semihosting.text_at(noise, 3)) <= semihosting.LONGEST + 64
    MEMORY[0:12] = words(2, 64, 0xFFFFFFFF)
    left, text = semihosting.serve(semihosting.Call.WRITE, 0, read)
    assert left == 0xFFFFFFFF - semihosting.LONGEST
    assert len(text) <= semihosting.LONGEST


def test_what_openocd_prints_for_a_program_is_the_program_s() -> None:
    program = (
        "import sys\nprint('Info : Listening on port 4711 for gdb connections', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    said: list[bytes] = []
    done = threading.Event()

    def told(text: bytes) -> None:
        said.append(text)
        done.set()

    program = (
        "import time; print('Info : Listening on port 4711 for gdb connections', flush=True)\n"
        "while True: print('Warn : mine'); print('hello', flush=True); time.sleep(0.05)"
    )
    server = openocd.OpenOcd([sys.executable, "-c", program], None, 100.0)
    server.on_text = told
    assert done.wait(100)
    server.stop()
    assert set(said) == {b"hello\r\n"}
