# SPDX-License-Identifier: Apache-2.0
"""Debuggers that are lost, killed, or whose target runs away: the work is taken up again, or ends
with one error that says what is in flash."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from esptool import cmds, device
from esptool.device.recover import recover
from esptool.errors import PortError, UsageError
from esptool.loader import ESPLoader
from esptool.targets import CHIP_DEFS
from esptool.transport import Settings
from esptool.virtual.gdb_server import GdbServer
from tests.gdb.support import port_of, serving

DATA = random.Random(5).randbytes(3 * 4096)
QUIET: dict[str, Any] = {"flash_mode": "keep", "flash_freq": "keep", "flash_size": "keep"}
#: A busy machine may keep a server waiting that is there.
SETTINGS = Settings(reappear_timeout=100)
GONE = Settings(reappear_timeout=0.5)


class Proxy:
    """Lies between client and server, and cuts the connection behind the packet of that number.

    Attributes:
        packets: how many have passed to the server.
        cut_at: the packet behind which the connection is cut, once; None for never.
        url: where it listens.
    """

    def __init__(self, server: GdbServer, cut_at: int | None, *, for_good: bool = False) -> None:
        self._target = ("127.0.0.1", port_of(server))
        self.cut_at, self._for_good = cut_at, for_good
        self.packets = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"gdb://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                with client, socket.create_connection(self._target) as server:
                    if self._pass_on(client, server) and self._for_good:
                        self._socket.close()
                        return

    def _pass_on(self, client: socket.socket, server: socket.socket) -> bool:
        with contextlib.suppress(OSError):
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return False
                    if ready is server:
                        client.sendall(data)
                        continue
                    self.packets += data.count(b"$")
                    server.sendall(data)
                    if self.cut_at is not None and self.packets >= self.cut_at:
                        self.cut_at = None
                        return True
        return False

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def through(server: GdbServer, cut_at: int | None, *, for_good: bool = False) -> Iterator[Proxy]:
    proxy = Proxy(server, cut_at, for_good=for_good)
    try:
        yield proxy
    finally:
        proxy.close()


def open_chip(url: str, settings: Settings = SETTINGS) -> ESPLoader:
    session = device.connect(url, settings=settings)
    return CHIP_DEFS[session.spec.key].from_session(session)


def write(esp: ESPLoader) -> None:
    cmds.attach_flash(esp)
    cmds.write_flash(esp, [(0x10000, DATA)], **QUIET)


def length() -> int:
    """Packets of the whole job once the stub has greeted. How many come before it is up to how
    long the ROM takes."""
    with serving("virtual://esp32c3") as server, through(server, None) as proxy:
        esp = open_chip(proxy.url)
        ready = proxy.packets
        write(esp)
        esp.session.close()
        return proxy.packets - ready


def test_a_connection_that_is_cut_is_taken_up_again_or_ends_in_one_error() -> None:
    whole = length()
    taken_up = 0
    for cut_at in range(1, whole, max(1, whole // 5)):
        with serving("virtual://esp32c3") as server, through(server, None) as proxy:
            esp = open_chip(proxy.url)
            proxy.cut_at = proxy.packets + cut_at
            # A single request is not repeated, as on a serial port.
            with contextlib.suppress(PortError):
                write(esp)
                assert server.board.nor.read(0x10000, len(DATA)) == DATA, cut_at
                taken_up += 1
            esp.session.close()
    assert taken_up >= 2


def test_a_connection_that_is_cut_before_the_stub_runs_is_one_error() -> None:
    with (
        serving("virtual://esp32c3") as server,
        through(server, 9) as proxy,
        pytest.raises(PortError, match="is lost"),
    ):
        open_chip(proxy.url)


def test_a_server_that_is_gone_for_good_is_one_error_that_tells_what_is_in_flash() -> None:
    half = length() // 2
    with (
        serving("virtual://esp32c3") as server,
        through(server, None, for_good=True) as proxy,
    ):
        esp = open_chip(proxy.url, GONE)
        proxy.cut_at = proxy.packets + half
        with pytest.raises(PortError, match="did not come back"):
            write(esp)
        esp.session.close()


def test_a_target_that_is_taken_elsewhere_gets_the_stub_again() -> None:
    with serving("virtual://esp32c3") as server:
        esp = open_chip(server.url)
        port: Any = esp.session.debugger.port  # type: ignore[union-attr]
        cmds.attach_flash(esp)
        go_on = port._go_on
        taken: list[int] = []

        def led_astray() -> None:
            if len(port._waiting) > 4096 and not taken:
                # As a reset by a watchdog: the processor meets something that is no instruction.
                taken.append(port.stops)
                server.target.write(port.stub.resume, bytes(4))
            go_on()

        port._go_on = led_astray
        cmds.write_flash(esp, [(0x10000, DATA)], **QUIET)
        assert taken
        assert server.board.nor.read(0x10000, len(DATA)) == DATA
        esp.session.close()


def test_a_target_that_runs_away_is_stopped_and_gets_the_stub_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving("virtual://esp32c3") as server:
        esp = open_chip(server.url)
        port: Any = esp.session.debugger.port  # type: ignore[union-attr]
        server.target.write(port.stub.resume, bytes.fromhex("6f000000"))  # it jumps to itself
        port.client.resume(port.stub.resume)
        monkeypatch.setattr("esptool.device.mailbox.PATIENCE", 0.05)
        assert not port.receive(1.0)
        monkeypatch.undo()
        recover(esp.session)
        write(esp)
        assert server.board.nor.read(0x10000, len(DATA)) == DATA
        esp.session.close()


def test_a_serial_port_cannot_pause_a_program() -> None:
    with pytest.raises(UsageError, match="by a debugger only"):
        device.connect("virtual://esp32c3", before="attach")
