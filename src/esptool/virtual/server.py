# SPDX-License-Identifier: Apache-2.0
"""Serves a virtual board to other programs: over a pseudo-terminal, a TCP socket, or RFC 2217."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import select
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from esptool.errors import FatalError, UsageError
from esptool.serving import LOOPBACK, Client, ClientGoneError, Listener, without_telnet
from esptool.virtual.board import Board, LinkLostError
from esptool.virtual.options import Options

LOG = logging.getLogger("esp_virtual_chip")
_CHUNK = 65536
_IDLE_S = 0.05
_NETWORK_LINES_S = 0.3
#: A client's wish is waited for so long; then the client is heard again.
_BUSY_S = 0.3
_STOP_S = 5.0
_SLICE_S = 0.05
_IAC = b"\xff"
_MOST_PENDING = 1 << 20
#: Wishes of a client that may wait while the chip computes.
_MOST_JOBS = 64


def _wait_s(board: Board) -> float:
    due = board.due_s(_IDLE_S)
    if due < _IDLE_S:
        return min(_IDLE_S, board.sleep_s())
    # A virtual clock stands still unless the host is said to wait, and here nobody else does.
    board.clock.idle_host(_IDLE_S)
    return _IDLE_S


class Server:
    """One board behind one way in. `serve` blocks; `stop` from another thread ends it.

    Attributes:
        url: what a client passes to `--port`.
        ended: why `serve` has returned without `stop`, empty otherwise.
    """

    url: str
    ended = ""

    def __init__(self, options: Options, *, lines: bool) -> None:
        # Without reset lines a chip in its application could never be reached.
        if options.boot == "strap" and not lines:
            options.boot = "download"
        self.board = Board(options, slow_lines_s=_NETWORK_LINES_S if lines else 0.0)
        self._stop = threading.Event()

    def stop(self) -> None:
        """Let `serve` return soon."""
        self._stop.set()

    def serve(self) -> None:
        """Serve until `stop`."""
        raise NotImplementedError

    def close(self) -> None:
        """Save the board's state and let go of the way in."""
        self.board.release()

    def start(self) -> threading.Thread:
        """Serve in a thread of its own."""
        thread = threading.Thread(target=self.serve, daemon=True)
        thread.start()
        return thread


class PtyServer(Server):
    """A pseudo-terminal. It carries the baud rate, but neither DTR nor RTS."""

    def __init__(self, options: Options) -> None:
        super().__init__(options, lines=False)
        # What the chip sends while it computes goes out meanwhile: hosts wait for seconds only.
        self.board.soc.slice_s = _SLICE_S
        if os.name != "posix":
            raise UsageError("Pseudo-terminals exist on POSIX systems only: use --tcp.")
        import tty

        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.url = os.ttyname(slave)
        os.close(slave)

    def _baud(self) -> int:
        import termios

        speed = termios.tcgetattr(self._master)[5]
        return _SPEEDS.get(speed, self.board.cable.host_baud)

    def serve(self) -> None:
        """Serve until `stop`; clients may come and go.

        Without reset lines nobody could bring the line back to its first rate, so the chip follows
        the rate that the terminal is set to.
        """
        try:
            self._serve(self.board)
        except LinkLostError:
            # A terminal cannot be pulled and put back, so it ends as a device that was pulled.
            self.ended = "the link was cut, as the fault asks for"

    def _serve(self, board: Board) -> None:
        poller = select.poll()
        poller.register(self._master, select.POLLIN)
        pending = b""
        while not self._stop.is_set():
            # What nobody reads is lost, as in a UART.
            pending = (pending + board.take())[-_MOST_PENDING:]
            poller.modify(self._master, select.POLLIN | (select.POLLOUT if pending else 0))
            events = dict(poller.poll(1000 * _wait_s(board))).get(self._master, 0)
            if events & select.POLLIN:
                data = os.read(self._master, _CHUNK)
                board.cable.host_baud = self._baud()
                if board.soc.baud and board.soc.baud != board.cable.host_baud:
                    board.soc.set_baud(board.cable.host_baud)
                board.host_write(data)
            elif events & select.POLLHUP:
                pending = b""
                self._stop.wait(0.01)
            if pending and events & select.POLLOUT:
                pending = pending[os.write(self._master, pending[:4096]) :]

    def close(self) -> None:
        """Save the state and remove the terminal."""
        super().close()
        with contextlib.suppress(OSError):
            os.close(self._master)


def _speeds() -> dict[int, int]:
    try:
        import termios
    except ImportError:
        return {}
    names = (n for n in dir(termios) if n[0] == "B" and n[1:].isdigit())
    return {getattr(termios, n): int(n[1:]) for n in names}


_SPEEDS = _speeds()


class _Bench:
    """The thread in which a board works, so that a client is heard while the chip computes.

    What clients ask for is done in their order. While nobody is connected, what the chip says is
    lost, as on a line that no program has opened.
    """

    def __init__(self, board: Board, before: Callable[[], None] | None = None) -> None:
        self._board = board
        self._before = before
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._client: Callable[[bytes], None] | None = None
        self._hang_up: Callable[[], None] | None = None
        self._closed = False
        board.on_output = self._pass_on
        # So that reset lines reach a chip that computes.
        board.soc.slice_s = _SLICE_S
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def connect(self, send: Callable[[bytes], None], hang_up: Callable[[], None]) -> None:
        """A client has come: `send` gives it bytes, `hang_up` ends it when the link breaks."""

        def begin() -> None:
            self._board.replug()
            self._board.take()
            self._client, self._hang_up = send, hang_up

        self.do(begin)

    def disconnect(self) -> None:
        """The client has gone; what it still asked for is done."""
        self._client = self._hang_up = None

    def do(self, job: Callable[[], None]) -> None:
        """Let `job` be done. Returns when it is, or soon, while the chip is busy."""
        done = threading.Event()

        def work() -> None:
            try:
                job()
            finally:
                done.set()

        self._jobs.put(work)
        done.wait(_BUSY_S)
        while self._jobs.qsize() > _MOST_JOBS and self._thread.is_alive() and not self._closed:
            done.wait(_BUSY_S)

    def close(self) -> None:
        """Stop; what the chip is computing is waited for."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join(_STOP_S)

    def _pass_on(self) -> None:
        # A frame leaves when it is ready, not when all the work is done.
        if (client := self._client) is not None:
            try:
                client(self._board.arrived())
            except (LinkLostError, ClientGoneError):
                self._end_client()

    def _end_client(self) -> None:
        if self._hang_up is not None:
            self._hang_up()
        self._client = self._hang_up = None

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_wait_s(self._board))
            except queue.Empty:
                job = _nothing
            if job is None:
                return
            try:
                if self._before is not None:
                    self._before()
                job()
                data, client = self._board.take(), self._client
                if data and client is not None:
                    client(data)
            except (LinkLostError, ClientGoneError, FatalError):
                self._end_client()
            except Exception:
                # The board outlives what one client has asked of it.
                LOG.exception("The client's wish could not be done")
                self._end_client()


def _nothing() -> None:
    """The job of a board that nobody asks for anything: let time pass."""


class _NetServer(Server):
    """What the two kinds of sockets share: one client at a time, the chip lives on between."""

    scheme = "socket"

    def __init__(self, options: Options, host: str, port: int, *, lines: bool) -> None:
        # Before the board is made: one whose address is taken leaves no trace.
        stop = threading.Event()
        self._listener = Listener(host, port, stop.is_set)
        try:
            super().__init__(options, lines=lines)
        except BaseException:
            self._listener.close()
            raise
        self._stop = stop
        self.url = f"{self.scheme}://{self._listener.endpoint}"
        self._bench = _Bench(self.board, self._before)

    def _before(self) -> None:
        """Done before each piece of the board's work."""

    def serve(self) -> None:
        """Serve one client after the other until `stop`."""
        while not self._stop.is_set():
            client = self._listener.accept()
            if client is None:
                continue
            try:
                self._serve_client(client)
            except ClientGoneError as e:
                LOG.info("Client %s is gone: %s", client.name, e)
            except Exception:
                # Whatever a client has brought about ends that client alone.
                LOG.exception("Client %s is ended", client.name)
            finally:
                client.close()
                self._bench.disconnect()

    def _serve_client(self, client: Client) -> None:
        raise NotImplementedError

    def _heard(self, client: Client) -> Iterator[bytes]:
        """What the client sends, until it goes."""
        while not self._stop.is_set():
            if select.select([client], [], [], _IDLE_S)[0] and (data := client.receive()):
                yield data
            if self._listener.wants_room(client):
                raise ClientGoneError("it was idle, and another one waits")

    def close(self) -> None:
        """Save the state and stop listening."""
        self.stop()
        self._bench.close()
        self._listener.close()
        super().close()


class TcpServer(_NetServer):
    """Raw bytes over TCP, for `socket://`. The line rate is whatever the chip's is."""

    def __init__(self, options: Options, host: str = LOOPBACK, port: int = 0) -> None:
        super().__init__(options, host, port, lines=False)

    def _before(self) -> None:
        if self.board.soc.baud:
            # Nobody says a rate over a plain socket, so there cannot be a wrong one.
            self.board.cable.host_baud = self.board.soc.baud

    def _serve_client(self, client: Client) -> None:
        self._bench.connect(client.send, client.hang_up)
        for data in self._heard(client):
            self._bench.do(partial(self.board.host_write, data))


class Rfc2217Server(_NetServer):
    """RFC 2217: bytes, baud rate and reset lines, for `rfc2217://`."""

    scheme = "rfc2217"

    def __init__(self, options: Options, host: str = LOOPBACK, port: int = 0) -> None:
        super().__init__(options, host, port, lines=True)

    def _serve_client(self, client: Client) -> None:
        import serial.rfc2217

        port: Any = _BoardPort(self.board, self._bench)
        lock = threading.Lock()

        def send(data: bytes) -> None:
            with lock:
                client.send(data)

        sender: Any = _Sender(send)
        manager = serial.rfc2217.PortManager(port, sender)
        self._bench.connect(lambda data: send(data.replace(_IAC, _IAC + _IAC)), client.hang_up)
        for data in self._heard(client):
            if payload := without_telnet(manager, data):
                self._bench.do(partial(self.board.host_write, payload))


class _Sender:
    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write


class _BoardPort:
    """As much of a pyserial port as pyserial's RFC 2217 manager asks of one."""

    bytesize, parity, stopbits = 8, "N", 1
    xonxoff = rtscts = dsrdtr = False
    cts = dsr = cd = True
    ri = False
    break_condition = False
    name = "virtual"

    def __init__(self, board: Board, bench: _Bench) -> None:
        self._board = board
        self._bench = bench
        self._baud = board.cable.host_baud
        self._dtr = self._rts = False

    @property
    def baudrate(self) -> int:
        """Rate of the host's end of the line."""
        return self._baud

    @baudrate.setter
    def baudrate(self, value: int) -> None:
        if value != self._baud:
            self._baud = value
            self._bench.do(partial(setattr, self._board.cable, "host_baud", value))

    def _set_lines(self) -> None:
        self._bench.do(partial(self._board.set_lines, self._dtr, self._rts))

    @property
    def dtr(self) -> bool:
        """True is asserted."""
        return self._dtr

    @dtr.setter
    def dtr(self, value: bool) -> None:
        self._dtr = bool(value)
        self._set_lines()

    @property
    def rts(self) -> bool:
        """True is asserted."""
        return self._rts

    @rts.setter
    def rts(self, value: bool) -> None:
        self._rts = bool(value)
        self._set_lines()

    def get_settings(self) -> dict[str, Any]:
        """What is given back to `apply_settings` when a client has gone."""
        return {"baudrate": self.baudrate}

    def apply_settings(self, settings: dict[str, Any]) -> None:
        """See `get_settings`."""
        self.baudrate = settings["baudrate"]

    def reset_input_buffer(self) -> None:
        """Throw away what the chip has sent."""
        self._bench.do(self._board.discard_input)

    def reset_output_buffer(self) -> None:
        """Nothing waits to be sent."""


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Serve in a thread for the length of a `with`, then save and close."""
    thread = server.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(5)
        server.close()
        time.sleep(0)
