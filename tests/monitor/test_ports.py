# SPDX-License-Identifier: Apache-2.0
"""The monitor on ports that vanish and return, on served ports, and on a terminal."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

import esptool
from esptool.virtual.options import parse_url
from esptool.virtual.server import Rfc2217Server, Server, TcpServer, running
from tests.support.signals import interruptible


def monitor(*words: str) -> None:
    esptool.main(["monitor", *words, "--no-keys"])


@pytest.mark.parametrize("rename", [False, True])
def test_a_port_that_vanishes_ten_times_comes_back_each_time(
    rename: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    # The boot log has about 190 bytes each half second; the line is cut after so many.
    drops = ",".join(f"drop:{400 + 500 * i}" for i in range(10))
    name = "&name=vanishing&serial=V1" if rename else ""
    faults = f"{drops},away:0.7" + ",rename" * rename
    url = f"virtual://esp32c3?timing=virtual{name}&fault={faults}"
    monitor(url, "--events", "--timeout", "60")
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    states = [r["state"] for r in records if r["event"] == "port"]
    assert states == ["open", *["lost", "back"] * 10]
    names = {r["port"] for r in records if r.get("state") == "back"}
    assert len(names) == (10 if rename else 1)
    after = records[[r.get("state") for r in records].index("back") :]
    assert any(r.get("text", "").startswith("rst:0x10") for r in after)


class Peer:
    """A server that does what a test says with each client."""

    def __init__(self, serve: Callable[[socket.socket, int], None], clients: int) -> None:
        self._serve, self._clients = serve, clients
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        for number in range(self._clients):
            client, _ = self._listener.accept()
            # A monitor that leaves with bytes unread resets the connection.
            with client, suppress(ConnectionError):
                self._serve(client, number)

    @contextmanager
    def running(self) -> Iterator[Peer]:
        self._thread.start()
        yield self
        self._thread.join(100)
        self._listener.close()


def test_a_server_that_hangs_up_ten_times_is_called_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def serve(client: socket.socket, number: int) -> None:
        client.sendall(f"start {number}\n".encode())
        if number == 10:
            client.sendall(b"all done\n")
            client.recv(1)  # until the monitor leaves

    with Peer(serve, 11).running() as peer:
        monitor(peer.url, "--expect", "all done", "--timeout", "60")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("start")] == [f"start {n}" for n in range(11)]
    assert sum("waiting" in line for line in lines) == 10


def test_what_is_sent_is_answered_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    def serve(client: socket.socket, _number: int) -> None:
        client.sendall(b"esp> ")  # a prompt, without an end of line
        heard = b""
        while not heard.endswith(b"\r\n"):
            heard += client.recv(100)
        client.sendall(b"got " + heard + b"esp> ")
        client.recv(1)

    with Peer(serve, 1).running() as peer:
        words = ["--expect", "esp>", "--send", r"he\x6clo", "--expect", "got hello"]
        monitor(peer.url, *words, "--eol", "CRLF", "--timeout", "60")
    assert "esp> got hello\n" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:set:DeprecationWarning")
@pytest.mark.parametrize("kind", [TcpServer, Rfc2217Server])
def test_served_chips_are_heard(
    kind: Callable[..., Server], capsys: pytest.CaptureFixture[str]
) -> None:
    options = parse_url("virtual://esp32c3?boot=flash")
    options.boot = "strap" if kind is Rfc2217Server else "flash"
    with running(kind(options)) as server:
        words = ["--reset"] if kind is Rfc2217Server else []
        monitor(server.url, *words, "--expect", "ESP-ROM:esp32c3", "--timeout", "60")
    assert "--- All that was expected has come.\n" in capsys.readouterr().out


def test_it_ends_when_nobody_reads_any_more() -> None:
    gone = threading.Event()

    def serve(client: socket.socket, _number: int) -> None:
        client.sendall(b"first\n")
        gone.wait(60)
        try:
            for _ in range(600):
                client.sendall(b"more\n")
                if select.select([client], [], [], 0.1)[0]:
                    return  # it has hung up
        except OSError:
            pass

    with Peer(serve, 1).running() as peer:
        process = subprocess.Popen(
            [sys.executable, "-m", "esptool", "monitor", peer.url, "--no-keys"],
            stdout=subprocess.PIPE,
            preexec_fn=interruptible,
        )
        assert process.stdout is not None
        while b"first" not in process.stdout.readline():
            pass
        process.stdout.close()
        gone.set()
        assert process.wait(60) == 0


def test_a_port_without_reset_lines_says_so() -> None:
    def serve(client: socket.socket, _number: int) -> None:
        client.recv(1)

    with Peer(serve, 1).running() as peer, pytest.raises(esptool.FatalError, match="no reset line"):
        monitor(peer.url, "--reset", "--timeout", "5")


# --- on a terminal -------------------------------------------------------------------------------


class Terminal:
    """The monitor on a pseudo-terminal, and who types there."""

    def __init__(self, *words: str) -> None:
        import fcntl
        import termios

        self.master, slave = os.openpty()
        self.before = termios.tcgetattr(slave)

        def lead() -> None:
            interruptible()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [sys.executable, "-m", "esptool", "monitor", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lead,
            env={k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"},
        )
        self.slave = slave
        self.shown = ""

    def until(self, text: str) -> None:
        """Read until a text is shown."""
        while text not in self.shown:
            assert select.select([self.master], [], [], 60)[0], self.shown
            self.shown += os.read(self.master, 4096).decode("utf-8", "replace")

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals exist on POSIX systems only")
def test_keys_reach_the_chip_and_the_menu(tmp_path: os.PathLike[str]) -> None:
    import termios

    heard: list[bytes] = []
    go_on = threading.Event()

    def serve(client: socket.socket, _number: int) -> None:
        client.sendall(b"E (1) main: ready\n")
        while not b"".join(heard).endswith(b"!"):
            heard.append(client.recv(100))
        client.sendall(b"hidden line\n")
        go_on.wait(60)
        client.sendall(b"shown line\n")
        client.recv(1)

    with Peer(serve, 1).running() as peer:
        terminal = Terminal(peer.url)
        terminal.until("ready")
        # Errors are red, though the chip sends no colours.
        terminal.until("\x1b[31mE (1) main: ready\x1b[0m")
        terminal.type("\x14\x08")
        terminal.until("leave the monitor")
        terminal.type("\x14\x19")
        terminal.until("Paused")
        terminal.type("a\x03b\r!")
        terminal.type("\x14\x09")
        terminal.until("Times are shown")
        terminal.type("\x14\x19")
        terminal.until("Going on")
        go_on.set()
        terminal.until("shown line")
        terminal.type("\x14q")
        terminal.until("No such key")
        terminal.type("\x14\x06")
        terminal.until("nothing to flash")
        terminal.type("\x1d")
        assert terminal.process.wait(60) == 0
    assert b"".join(heard) == b"a\x03b\r!"
    assert termios.tcgetattr(terminal.slave) == terminal.before
    os.close(terminal.slave)
    os.close(terminal.master)
