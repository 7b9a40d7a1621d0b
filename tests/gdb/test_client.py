# SPDX-License-Identifier: Apache-2.0
"""Our client of the GDB remote protocol, against servers of others and against our own."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from esptool.errors import LinkTimeoutError, PortError, UsageError
from esptool.protocol import gdb
from esptool.protocol.gdb import StopReason
from esptool.transport.gdb import GdbClient, TargetError, parse_url
from tests.gdb.support import client_of, qemu, serving

#: addi a0, a0, 1; nop; j to the first.
LOOP = struct.pack("<3I", 0x00150513, 0x00000013, 0xFF9FF06F)
A0, PC = 10, 32


@contextlib.contextmanager
def virtual_chip() -> Iterator[GdbClient]:
    with serving("virtual://esp32c3") as server, client_of(server) as client:
        yield client


SERVERS: dict[str, tuple[Callable[[], contextlib.AbstractContextManager[GdbClient]], int]] = {
    "qemu": (qemu, 0x80000000),
    "ours": (virtual_chip, 0x40380000),
}


@pytest.mark.parametrize("server", SERVERS)
def test_registers_memory_breakpoints_and_steps(server: str) -> None:
    make, ram = SERVERS[server]
    with make() as client:
        names = {r.name: r.number for r in gdb.parse_registers(client.description())}
        assert names["pc"] == PC
        assert names["a0"] == A0
        data = random.Random(1).randbytes(9001)
        client.write(ram + 0x2000, data)
        assert client.read(ram + 0x2000, len(data)) == data
        assert client.read(ram + 0x2003, 5) == data[3:8]
        client.write(ram, LOOP)
        client.write_register(PC, ram)
        client.write_register(A0, 5)
        client.set_breakpoint(ram + 4)
        client.resume()
        stop = client.wait(120)
        assert stop is not None
        assert (stop.signal, client.read_register(PC), client.read_register(A0)) == (5, ram + 4, 6)
        client.resume(ram + 8)
        assert client.wait(120) is not None
        assert client.read_register(A0) == 7
        client.clear_breakpoint(ram + 4)
        client.write_register(PC, ram)
        assert client.step().signal == 5
        assert client.read_register(PC) == ram + 4
        whole = client.read_registers()
        assert whole[4 * PC : 4 * PC + 4] == (ram + 4).to_bytes(4, "little")
        client.write_register(A0, 99)
        client.write_registers(whole)
        assert client.read_register(A0) == 8
        # A busy machine may let the processor wait.
        for _ in range(200):
            client.resume()
            assert client.wait(0.05) is None
            stop = client.interrupt()
            assert stop is not None
            assert stop.signal == 2
            if client.read_register(A0) > 8:
                break
        assert client.read_register(A0) > 8


def test_code_that_is_replaced_is_executed_as_it_is_now() -> None:
    with virtual_chip() as client:
        at = 0x40380000
        client.write(at, LOOP)
        client.write_register(PC, at)
        client.set_breakpoint(at + 4)
        client.resume()
        assert client.wait(120) is not None
        client.write(at, struct.pack("<I", 0x01050513))  # addi a0, a0, 16
        client.write_register(A0, 0)
        client.resume(at)
        assert client.wait(120) is not None
        assert client.read_register(A0) == 16


@pytest.mark.parametrize(
    ("kind", "instruction"),
    [(2, 0x00A62023), (3, 0x00062503), (4, 0x00062503)],  # sw a0, 0(a2); lw a0, 0(a2); the same
)
def test_a_watchpoint_stops_behind_the_access_and_names_it(kind: int, instruction: int) -> None:
    with virtual_chip() as client:
        at, watched = 0x40380000, 0x3FC90010
        client.write(at, struct.pack("<3I", 0x00000013, instruction, 0xFF9FF06F))
        client.write_register(PC, at)
        client.write_register(12, watched)
        assert client.request(b"Z%x,%x,4" % (kind, watched)) == b"OK"
        client.resume()
        stop = client.wait(120)
        assert stop is not None
        assert (stop.reason, stop.address) == (StopReason.WATCHPOINT, watched)
        assert client.read_register(PC) == at + 8
        assert client.request(b"z%x,%x,4" % (kind, watched)) == b"OK"
        client.resume()
        assert client.wait(0.05) is None
        client.interrupt()


def test_a_crash_stops_at_the_instruction() -> None:
    with virtual_chip() as client:
        client.write(0x40380000, bytes(8))
        client.write_register(PC, 0x40380000)
        client.resume()
        stop = client.wait(120)
        assert stop is not None
        assert stop.signal == 4
        assert client.read_register(PC) == 0x40380000


def test_memory_where_nothing_is_is_refused() -> None:
    with virtual_chip() as client:
        with pytest.raises(TargetError, match="0x00000010"):
            client.read(0x10, 4)
        with pytest.raises(TargetError, match="0xf0000000"):
            client.write(0xF0000000, b"1234")


# --- servers that misbehave --------------------------------------------------------------------


class Server:
    """Answers packets by a function; None ends the connection."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        decoder = gdb.Decoder(runs=False)
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(4096):
                for item in decoder.feed(data):
                    if item.kind is not gdb.Kind.PACKET:
                        continue
                    reply = self._answer(item.data)
                    if reply is None:
                        return
                    connection.sendall(reply)

    def close(self) -> None:
        self._socket.close()


def plainly(answers: dict[bytes, bytes]) -> Callable[[bytes], bytes]:
    def answer(request: bytes) -> bytes:
        return b"+" + gdb.encode(answers.get(request, b""))

    return answer


@contextlib.contextmanager
def misbehaving(answer: Callable[[bytes], bytes | None]) -> Iterator[GdbClient]:
    server = Server(answer)
    client = GdbClient("127.0.0.1", server.port)
    try:
        client.open()
        yield client
    finally:
        client.close()
        server.close()


def test_an_answer_that_arrives_damaged_is_asked_for_again() -> None:
    seen = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        if request == b"?":
            return b"+$S05#b8"
        if request == b"m20000000,4":
            return b"+$01020304#00" + gdb.encode(b"01020304")
        return b"+" + gdb.encode(b"")

    with misbehaving(answer) as client:
        assert client.read(0x20000000, 4) == bytes((1, 2, 3, 4))


def test_a_packet_that_arrives_damaged_is_sent_again() -> None:
    refused: list[bytes] = []

    def answer(request: bytes) -> bytes:
        if request == b"?":
            return b"+$S05#b8"
        if request == b"m20000000,4" and not refused:
            refused.append(request)
            return b"-"
        return b"+" + gdb.encode(b"01020304" if request[:1] == b"m" else b"")

    with misbehaving(answer) as client:
        assert client.read(0x20000000, 4) == bytes((1, 2, 3, 4))
    assert refused


def test_a_server_without_binary_writes_and_single_registers_is_enough() -> None:
    memory = bytearray(64)
    registers = bytearray(4 * 33)

    def answer(request: bytes) -> bytes:
        reply = b""
        if request == b"?":
            reply = b"S05"
        elif request[:1] == b"M":
            head, _, digits = request[1:].partition(b":")
            at = int(head.split(b",")[0], 16) - 0x20000000
            data = bytes.fromhex(digits.decode())
            memory[at : at + len(data)] = data
            reply = b"OK"
        elif request[:1] == b"m":
            at, size = (int(n, 16) for n in request[1:].split(b","))
            reply = bytes(memory[at - 0x20000000 :][:size]).hex().encode()
        elif request == b"g":
            reply = bytes(registers).hex().encode()
        elif request[:1] == b"G":
            registers[:] = bytes.fromhex(request[1:].decode())
            reply = b"OK"
        return b"+" + gdb.encode(reply)

    with misbehaving(answer) as client:
        client.write(0x20000004, b"abcdefgh")
        assert client.read(0x20000000, 12) == b"\0\0\0\0abcdefgh"
        client.write_register(32, 0x40380000)
        assert client.read_register(32) == 0x40380000


def test_a_connection_that_ends_is_told_once_and_in_words() -> None:
    with misbehaving(lambda r: b"+$S05#b8" if r == b"?" else None if r == b"g" else b"+$#00") as c:
        with pytest.raises(PortError, match=r"connection to the GDB server at .* is lost"):
            c.read_registers()
        assert not c.is_open


def test_what_is_no_gdb_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GdbClient.request, "__defaults__", (0.1,))
    with (
        pytest.raises(PortError, match="does not answer as a GDB server"),
        misbehaving(lambda _r: b"Open On-Chip Debugger\r\n> "),
    ):
        pass


def test_nobody_there_is_told_with_a_remedy() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(PortError, match="No GDB server answers") as caught:
            GdbClient("127.0.0.1", port).open()
    assert caught.value.remedy is not None


def test_a_target_that_does_not_stop_is_told() -> None:
    with misbehaving(
        lambda r: b"+$S05#b8" if r == b"?" else b"+" + (b"" if r == b"c" else b"$#00")
    ) as c:
        c.resume()
        with pytest.raises(LinkTimeoutError, match="does not stop"):
            c.interrupt(0.05)


@pytest.mark.parametrize(
    "url", ["gdb://", "gdb://host", "gdb://:3333", "gdb://host:0x", "tcp://a:1"]
)
def test_a_url_without_host_or_port_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="where to connect"):
        parse_url(url)


def test_urls_name_host_and_port() -> None:
    assert parse_url("gdb://localhost:3333") == ("localhost", 3333)
    assert parse_url("gdb://[::1]:1234") == ("::1", 1234)
