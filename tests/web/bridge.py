# SPDX-License-Identifier: Apache-2.0
"""A server that shows a built page and lends it boards, behind a stand-in for `navigator.serial`.

The stand-in (`stand_in.js`) has the interface of Web Serial; bytes go over a WebSocket, rates and
lines over HTTP, to a port of ours that is opened here: a virtual board, or whatever a URL names.
"""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from esptool.errors import FatalError
from esptool.transport import Port, open_port
from esptool.web.serve import Handler, Server
from tests.web.websocket import BINARY, CLOSE, TEXT, WebSocket, accept

STAND_IN = Path(__file__).with_name("stand_in.js")
#: How long a closed line may still be listened to.
_SLICE_S = 0.02


class Cable:
    """A port that the page may choose: the URL of a board, and how its USB device looks."""

    def __init__(
        self, url: str, vid: int = 0x10C4, pid: int = 0xEA60, *, reset_lines: bool = True
    ) -> None:
        self.url = url
        #: A pseudo-terminal has none; its board listens from the start.
        self.reset_lines = reset_lines
        self.info = {"usbVendorId": vid, "usbProductId": pid}
        self.port: Port | None = None
        #: Rates and bytes to the board, for what a test wants to know.
        self.rates: list[int] = []
        self.sent = 0
        self.lock = threading.RLock()

    def open(self, baud: int) -> None:
        with self.lock:
            self.rates.append(baud)
            if self.port is None:
                self.port = open_port(self.url, baud)
            else:
                self.port.baud = baud
                if not self.port.is_open:
                    self.port.open()

    def close(self) -> None:
        """The page closes it; the board keeps its power, as one on a cable does."""

    def lost(self) -> None:
        with self.lock:
            if self.port is not None:
                self.port.release()


class BoardHandler(Handler):
    """Files, and the boards below `/-/`."""

    server: BoardServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, _, op, number = self.path.split("/")
        try:
            answer = self._do(op, int(number), body)
        except FatalError as e:
            if op == "lines":
                self.server.cables[int(number)].lost()
            answer = {"error": e.message}
        self._answer(answer)

    def _do(self, op: str, number: int, body: bytes) -> Any:
        server = self.server
        if op == "offered":
            return [server.offered, server.cables[server.offered].info]
        if op == "ports":
            return [[i, cable.info] for i, cable in enumerate(server.cables)]
        cable = server.cables[number]
        if op == "open":
            cable.open(json.loads(body)["baud"])
        elif op == "close":
            cable.close()
        elif op == "lines":
            assert cable.port is not None
            if cable.reset_lines:
                cable.port.set_lines(*json.loads(body))
        return None

    def _answer(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if not self.path.startswith("/-/line/"):
            self.server.asked.append(self.path.lstrip("/"))
            super().do_GET()
            return
        cable = self.server.cables[int(self.path.split("/")[3])]
        self.close_connection = True
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept(self.headers["Sec-WebSocket-Key"]))
        super(Handler, self).end_headers()
        self.connection.settimeout(None)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            self._carry(cable, WebSocket(self.rfile, self.connection))

    def _carry(self, cable: Cable, page: WebSocket) -> None:
        """Bytes both ways until the page closes the line or the board is gone."""
        over = threading.Event()
        heard = threading.Thread(target=self._hear, args=(cable, page, over), daemon=True)
        heard.start()
        try:
            while (data := page.receive()) is not None:
                cable.sent += len(data)
                port = cable.port
                assert port is not None
                try:
                    port.send(data)
                except FatalError:
                    cable.lost()
                    break
                # So that the page knows how much of its buffer is free again.
                page.send(TEXT, str(len(data)).encode())
        finally:
            # No byte may go to a line that is closed while the next one is opened.
            over.set()
            heard.join()
            page.send(CLOSE, b"")

    def _hear(self, cable: Cable, page: WebSocket, over: threading.Event) -> None:
        with suppress(OSError):
            while not over.is_set():
                port = cable.port
                try:
                    data = port.receive(_SLICE_S) if port is not None else b""
                except FatalError:
                    cable.lost()
                    page.send(TEXT, b"lost")
                    return
                if data:
                    page.send(BINARY, data)


class BoardServer(Server):
    """The page and its boards; `offer` says what the visitor will choose next."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder, 0, BoardHandler)
        self.cables: list[Cable] = []
        self.offered = 0
        #: Files that browsers have asked for.
        self.asked: list[str] = []

    def offer(self, cable: Cable) -> Cable:
        """Plug a board in, and let it be the one that is chosen."""
        self.cables.append(cable)
        self.offered = len(self.cables) - 1
        return cable
