# SPDX-License-Identifier: Apache-2.0
"""What a client may do to a server that lends a board: nothing that outlives the client."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serial.rfc2217 import PortManager

import esptool
from esp_rfc2217_server.lines import KeptPort, LineKeeper
from esp_rfc2217_server.server import Bridge
from esptool import device, serving
from esptool.errors import PortError, UsageError
from esptool.transport import open_port
from esptool.virtual.options import parse_url
from esptool.virtual.server import Rfc2217Server, TcpServer

# pyserial's RFC 2217 client calls a deprecated method of threads.
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")

URL = "virtual://esp32c3"
BRIDGE = "bridge"
CHIP = "chip"
TCP = "tcp"
TELNET = (BRIDGE, CHIP)
MAKERS: dict[str, Callable[[], Any]] = {
    BRIDGE: lambda: Bridge(URL, port=0),
    CHIP: lambda: Rfc2217Server(parse_url(URL)),
    TCP: lambda: TcpServer(parse_url(URL)),
}


@contextmanager
def served(kind: str) -> Iterator[tuple[tuple[str, int], str]]:
    """(address, URL) of a server, which must have ended soon after it was told to."""
    server = MAKERS[kind]()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    listener = server._listener
    scheme = "socket" if kind == TCP else "rfc2217"
    try:
        yield (listener.host, listener.port), f"{scheme}://{listener.endpoint}"
    finally:
        server.stop()
        thread.join(100)
        assert not thread.is_alive()
        server.close()


def sub(*body: int) -> bytes:
    return b"\xff\xfa\x2c" + bytes(body) + b"\xff\xf0"


MALFORMED = {
    "rate without a value": sub(1),
    "rate of three bytes": sub(1, 0, 1, 2),
    "data size without a value": sub(2),
    "parity without a value": sub(3),
    "unknown parity": sub(3, 99),
    "stop size without a value": sub(4),
    "unknown stop size": sub(4, 99),
    "line mask without a value": sub(10),
    "modem mask without a value": sub(11),
    "an end without a begin": b"\xff\xf0",
    "a request without an end": b"\xff\xfa\x2c\x05" + b"A" * 100_000,
}


def ended(client: socket.socket) -> bool:
    """The server has closed this client's connection."""
    client.settimeout(100)
    with contextlib.suppress(ConnectionError):
        while client.recv(65536):
            pass
    return True


@pytest.mark.parametrize("kind", TELNET)
def test_a_malformed_request_ends_that_client_alone(kind: str) -> None:
    with served(kind) as (address, url):
        for what, request in MALFORMED.items():
            with socket.create_connection(address) as client:
                client.sendall(request)
                assert ended(client), what
        with esptool.connect_esp(port=url, chip="esp32c3") as esp:
            assert esp.read_mac()[0] == 0x60  # type: ignore[index]


TELNET_BYTES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(list(MALFORMED.values())),
    st.builds(
        lambda command, value: sub(command) if value is None else sub(command, *value),
        st.integers(0, 13),
        st.none() | st.binary(max_size=5).map(lambda b: b.replace(b"\xff", b"\xff\xff")),
    ),
    st.sampled_from([b"\xff", b"\xff\xfa", b"\xff\xf0", b"\xff\xfd\x2c", b"\xff\xfb\x2c"]),
)


@given(st.lists(TELNET_BYTES, max_size=12))
def test_whatever_a_client_sends_is_served_or_ends_that_client(pieces: list[bytes]) -> None:
    port = open_port("virtual://esp32c3?timing=virtual")
    kept: Any = KeptPort(port, LineKeeper(port))
    answers: list[bytes] = []

    class Client:
        write = staticmethod(answers.append)

    manager = PortManager(kept, Client())  # type: ignore[arg-type]
    with contextlib.suppress(serving.ClientGoneError):
        for piece in pieces:
            serving.without_telnet(manager, piece)
    assert port.is_open
    assert manager.suboption is None or len(manager.suboption) < 200_000


@pytest.mark.parametrize("rate", [1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", TELNET)
def test_an_absurd_rate_is_answered(kind: str, rate: int) -> None:
    with served(kind) as (address, _url), socket.create_connection(address) as client:
        client.settimeout(100)
        client.sendall(sub(1, *rate.to_bytes(4, "big").replace(b"\xff", b"\xff\xff")))
        seen = b""
        while sub(101)[:4] not in seen:
            more = client.recv(4096)
            assert more
            seen += more


@pytest.mark.parametrize("kind", [*TELNET, TCP])
@pytest.mark.parametrize("flood", [b"\xff\xfd\x63", b"\xc0\x00\x08\x24\x00"])
def test_a_client_that_floods_and_never_reads_cannot_hold_the_server(
    kind: str, flood: bytes
) -> None:
    with served(kind) as (address, _url):
        client = socket.create_connection(address)
        client.settimeout(0.3)
        piece = flood * (65536 // len(flood))
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(100):  # until it takes no more, or 6 MB
                client.sendall(piece)
        # `served` ends the server while this client is still there.
    client.close()


@pytest.mark.parametrize("kind", [*TELNET, TCP])
def test_who_comes_second_is_told_so_and_who_comes_after_is_served(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "GRACE_S", 0.1)
    with served(kind) as (address, url):
        with socket.create_connection(address) as first:
            first.sendall(b"x")
            with socket.create_connection(address) as second:
                second.settimeout(100)
                said = b""
                while more := second.recv(4096):
                    said += more
            assert said.startswith(b"The port is in use by another client (127.0.0.1)")
            # pyserial's client listens so long for what it is told; a busy server needs longer.
            for patience_s in (1, 30):
                where, before = f"{url}?timeout={patience_s}", "usb-reset"
                if kind == TCP:
                    where, before = url, "no-reset"
                with pytest.raises(PortError) as refused:
                    device.connect(where, before=before)
                if "in use by another client (127.0.0.1)" in str(refused.value):
                    break
            assert "in use by another client (127.0.0.1)" in str(refused.value)
        monkeypatch.setattr(serving, "GRACE_S", 60.0)  # the first one is still on its way out
        before = "no-reset" if kind == TCP else "default-reset"
        with esptool.connect_esp(port=url, chip="esp32c3", before=before) as esp:
            assert esp.read_mac()[0] == 0x60  # type: ignore[index]


@pytest.mark.parametrize("kind", [*TELNET, TCP])
def test_an_idle_client_makes_room(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "IDLE_S", 0.0)
    monkeypatch.setattr(serving, "GRACE_S", 0.0)
    with served(kind) as (address, _url), socket.create_connection(address) as idle:
        time.sleep(0.01)
        with socket.create_connection(address):
            assert ended(idle)


@pytest.mark.parametrize("host", ["", "0", "127.1", "*", "0x7f000001", "a b", "[::1", "1.2.3"])
def test_nothing_is_listened_on_but_an_address_in_full(host: str) -> None:
    with pytest.raises(UsageError, match="is not an address to listen on"):
        Bridge(URL, host, 0)
    with pytest.raises(UsageError, match="is not an address to listen on"):
        Rfc2217Server(parse_url(URL), host, 0)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("5000", ("127.0.0.1", 5000)),
        (":5000", ("127.0.0.1", 5000)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:1", ("::1", 1)),
        ("board-7.lab:1", ("board-7.lab", 1)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_endpoints(text: str, endpoint: tuple[str, int]) -> None:
    assert serving.parse_endpoint(text) == endpoint


@pytest.mark.parametrize("text", ["", "x", "::1:5000", "[1.2.3.4]:5", "1:65536", "1:-1", "[]:5"])
def test_endpoints_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        serving.parse_endpoint(text)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_not_called_taken(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def resolve(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(name, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(PortError, match="Cannot listen on") as caught:
        Bridge("virtual://esp32c3", host, 0)
    assert "0.0.0.0" in str(caught.value)
    assert "Another program" not in str(caught.value)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
@pytest.mark.parametrize("kind", TELNET)
def test_ipv6_is_served_and_reached(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(socket.socket(socket.AF_INET6)) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 loopback here")
    monkeypatch.setitem(MAKERS, BRIDGE, lambda: Bridge(URL, "[::1]", 0))
    monkeypatch.setitem(MAKERS, CHIP, lambda: Rfc2217Server(parse_url(URL), "::1", 0))
    with served(kind) as (_address, url):
        assert url.startswith("rfc2217://[::1]:")
        with esptool.connect_esp(port=url, chip="esp32c3") as esp:
            assert esp.read_mac()[0] == 0x60  # type: ignore[index]
