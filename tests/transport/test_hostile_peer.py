# SPDX-License-Identifier: Apache-2.0
"""The other side of a port may send without end, take nothing, or vanish: the tool comes back."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import espefuse
from esptool import device
from esptool.device.link import Link
from esptool.errors import ConnectError, FatalError, LinkTimeoutError, PortError, ProtocolError
from esptool.transport import Port, Settings, open_port
from esptool.virtual.program import Program

FLOODS = {
    "text": b"boot noise ",
    "a frame without end": b"A" * 64,
    "delimiters": b"\xc0",
    "frames": b"\xc0\x01\xc0",
    "answers to something else": b"\xc0\x01\x99\x02\0\0\0\0\0\0\0\xc0",
    "broken escapes": b"\xc0\xdb\xdb\xc0",
}
BEGIN = {"a frame without end": b"\xc0"}


class Babbler(Program):
    """Code that sends all the time, as fast as the line goes."""

    def __init__(self, board: Any, what: str) -> None:
        self._board = board
        self._text = FLOODS[what] * (256 // len(FLOODS[what]))
        board.soc.send(BEGIN.get(what, b""))

    def next_work(self) -> float:
        return float(self._board.clock.now)

    def work(self, limit: float) -> None:
        self._board.soc.send(self._text)
        self._board.clock.spend(len(self._text) * 10 / 115200)


def babbling(what: str) -> Link:
    port = open_port("virtual://esp32c3?boot=download&timing=virtual")
    board = port.serial.board  # type: ignore[attr-defined]
    board.soc.baud = 115200
    board.soc.program = Babbler(board, what)
    return Link(port)


@pytest.mark.parametrize("what", FLOODS)
def test_a_deadline_counts_all_time_also_while_bytes_keep_coming(what: str) -> None:
    link = babbling(what)
    begin = link.now()
    with pytest.raises((LinkTimeoutError, ProtocolError)):
        link.read_response(8, 3.0)
    # A frame that has begun gets the time that its bytes need, up to the longest one.
    assert link.now() - begin < 3.0 + 2 * 0x10000 * 10 / 115200 + 0.2
    begin = link.now()
    link.discard_input()
    assert link.now() - begin < 0.2
    for _ in link.frames_within(1.0):
        break
    assert link.now() - begin < 2.0 + 2 * 0x10000 * 10 / 115200


def test_a_frame_at_the_rate_of_a_slow_line_is_waited_for() -> None:
    port = open_port("virtual://esp32c3?boot=download&timing=virtual", 9600)
    board = port.serial.board  # type: ignore[attr-defined]
    link = Link(port)
    board.soc.baud = 9600
    port.sleep(0.2)
    link.discard_input()
    frame = b"\xc0" + bytes(8000) + b"\xc0"
    for at in range(0, len(frame), 64):
        board.soc.send(frame[at : at + 64])
    begin = link.now()
    assert len(link.read_frame(0.5)) == 8000
    assert link.now() - begin > 8


@contextmanager
def flooding_server(what: str) -> Iterator[str]:
    """A TCP peer that sends without end, and reads nothing."""
    stop = threading.Event()
    piece = FLOODS[what] * (65536 // len(FLOODS[what]))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def flood(client: socket.socket) -> None:
            with client, contextlib.suppress(OSError):
                client.settimeout(0.1)
                client.sendall(BEGIN.get(what, b""))
                while not stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        client.send(piece)

        def serve() -> None:
            threads = []
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    client, _ = listener.accept()
                    threads.append(threading.Thread(target=flood, args=(client,)))
                    threads[-1].start()
            for thread in threads:
                thread.join()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_over_a_socket_ends_in_an_error_with_bounded_memory(what: str) -> None:
    settings = Settings(sync_timeout=0.01)
    with flooding_server(what) as url:
        tracemalloc.start()
        try:
            # The rate makes the time short that a frame in its middle is given.
            with pytest.raises(FatalError):
                device.connect(url, attempts=1, baud=100_000_000, settings=settings)
            assert tracemalloc.get_traced_memory()[1] < 30_000_000
        finally:
            tracemalloc.stop()


def test_espefuse_comes_back_from_a_flood_too() -> None:
    with flooding_server("text") as url, pytest.raises(FatalError):
        espefuse.main(["--port", url, "--chip", "esp32c3", "--before", "no-reset", "summary"])


def vanished_terminal() -> tuple[Port, int]:
    """A port whose device has gone, and the number by which it may be looked for."""
    pty = pytest.importorskip("pty")
    main, other = pty.openpty()
    port = open_port(os.ttyname(other))
    os.close(other)
    os.close(main)
    return port, main


USES = {
    "receive": lambda port: port.receive(0),
    "send": lambda port: port.send(b"x"),
    "discard": lambda port: port.discard_received(),
    "baud": lambda port: setattr(port, "baud", 921600),
    "dtr": lambda port: port.set_dtr(True),
    "rts": lambda port: port.set_rts(True),
    "lines": lambda port: port.set_lines(True, False),
}


@pytest.mark.parametrize("use", USES)
def test_whatever_a_vanished_device_raises_is_an_error_of_the_port(use: str) -> None:
    port, _ = vanished_terminal()
    with pytest.raises(PortError):
        USES[use](port)
    port.close()


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("url", ["virtual://esp32c3", "socket", "terminal"])
def test_whatever_a_closed_port_raises_is_an_error_of_the_port(url: str, use: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ends: list[int] = []
        if url == "socket":
            url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        elif url == "terminal":
            ends += pytest.importorskip("pty").openpty()
            url = os.ttyname(ends[1])
        port = open_port(url)
        port.close()
        if use == "baud" or (use in ("dtr", "rts", "lines")):
            # pyserial keeps these for the next time that the port is opened.
            with contextlib.suppress(PortError):
                USES[use](port)
        else:
            with pytest.raises(PortError, match="closed"):
                USES[use](port)
        with pytest.raises(PortError, match="closed"):
            port.open()
        for end in ends:
            os.close(end)


def test_a_device_that_vanishes_while_it_is_called_is_said_so(monkeypatch: Any) -> None:
    """At each use of the port in turn the cable is pulled; `termios.error` is no OSError."""
    termios = pytest.importorskip("termios")
    for pulled_at in range(40):
        uses = itertools.count()

        def pull(*_args: object, at: int = pulled_at, uses: Iterator[int] = uses) -> None:
            if next(uses) >= at:
                raise termios.error(5, "Input/output error")

        port = open_port("virtual://esp32c3?boot=download&timing=virtual")
        inner: Any = port.serial
        for name in ("write", "reset_input_buffer", "receive", "set_lines", "_update_dtr_state"):
            real = getattr(inner, name)
            monkeypatch.setattr(
                inner, name, lambda *a, real=real, pull=pull: (pull(), real(*a))[1], raising=False
            )
        try:
            device.connect(port, chip="esp32c3", attempts=1, settings=Settings(sync_timeout=0.05))
        except (ConnectError, PortError):
            pass
        else:
            assert next(uses) <= pulled_at
            return
    raise AssertionError("the chip was never reached")


@pytest.mark.parametrize("baud", [-1, 0, 100_000_001, 99999999999999999999])
def test_a_rate_that_is_none_is_refused_before_the_port_is_opened(baud: int) -> None:
    with pytest.raises(FatalError, match="is not a baud rate"):
        open_port("virtual://esp32c3", baud)
    with (
        device.connect("virtual://esp32c3") as session,
        pytest.raises(FatalError, match="is not a baud rate"),
    ):
        session.power.change_baud(baud)


@pytest.mark.parametrize("url", ["", "  ", "a\0b"])
def test_a_name_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(FatalError, match=r"name of the port is empty|is not a port"):
        open_port(url)


@pytest.mark.parametrize("scheme", ["socket", "rfc2217"])
@pytest.mark.parametrize("rest", ["host", "", ":1", "host:", "host:0", "host:99999", "host:x", "["])
def test_a_network_port_without_host_or_number_is_said_in_words(scheme: str, rest: str) -> None:
    with pytest.raises(FatalError, match=f"Write {scheme}://HOST:PORT"):
        open_port(f"{scheme}://{rest}")
