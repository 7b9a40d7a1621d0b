# SPDX-License-Identifier: Apache-2.0
"""pyserial's handler for `virtual://CHIP?...`: a port object over a simulated board."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any

from serial.serialutil import (
    PortNotOpenError,
    SerialBase,
    SerialException,
    SerialTimeoutException,
)

from esptool.virtual.clock import Timing

if TYPE_CHECKING:
    from esptool.events import Message
    from esptool.virtual.board import Board

__all__ = ["Serial"]

#: What a wait on a virtual clock really takes, so that other threads get their turn.
_YIELD_S = 0.0005


class Serial(SerialBase):
    """A serial port with a virtual chip behind it.

    Attributes:
        board: the simulated board while the port is open.
    """

    BAUDRATES = (*SerialBase.BAUDRATES, 74880)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.board: Board | None = None
        self._input = bytearray()
        self._ready = threading.Condition()
        super().__init__(*args, **kwargs)

    # --- opening -----------------------------------------------------------------------------

    def open(self) -> None:
        """Power the board, or find it again when it has a name.

        Raises:
            SerialException: the URL is not understood.
        """
        if self.port is None:
            raise SerialException("The port must be configured before it can be used.")
        if self.is_open:
            raise SerialException("The port is open already.")
        from esptool.errors import FatalError
        from esptool.virtual.board import open_board

        try:
            if self.board is not None and self.board.lost and self.board.options.name is None:
                # The same port opened again: the same board, once it is back.
                self.board.replug()
            else:
                self.board = open_board(self.port)
        except FatalError as e:
            raise SerialException(str(e)) from e
        self._input.clear()
        self.is_open = True
        self.board.cable.host_baud = self.baudrate or 115200

    def close(self) -> None:
        """Save the board's state and let go of it."""
        if self.is_open:
            self.is_open = False
            with self._ready:
                self._ready.notify_all()
                board = self.board
                if board is None:
                    return
                if board.lost or board.options.name is not None:
                    board.save()  # it is the same board when it is opened again
                else:
                    board.release()

    def from_url(self, url: str) -> str:
        """pyserial's hook for URLs: nothing to do, the board takes it whole."""
        return url

    def _reconfigure_port(self) -> None:
        if self.board is not None:
            with self._ready:
                self.board.cable.host_baud = self.baudrate or 115200

    @property
    def remarks(self) -> tuple[Message, ...]:
        """What there is to say of the simulation, such as code that is not executed; once each."""
        return self.board.soc.take_remarks() if self.board is not None else ()

    # --- bytes -------------------------------------------------------------------------------

    def _open_board(self) -> Board:
        if not self.is_open or self.board is None:
            raise PortNotOpenError()
        return self.board

    def _pull(self, board: Board) -> None:
        from esptool.virtual.board import LinkLostError

        try:
            self._input += board.take()
        except LinkLostError:
            raise SerialException("The device is gone: the link was cut.") from None

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        board = self._open_board()
        with self._ready:
            self._pull(board)
            return len(self._input)

    def receive(self, timeout_s: float) -> bytes:
        """All that has arrived; where nothing has, what comes first within so many seconds."""
        board = self._open_board()
        deadline = self.now() + timeout_s
        with self._ready:
            while True:
                self._pull(board)
                left = deadline - self.now()
                if self._input or not self.is_open or left <= 0:
                    break
                self._wait(board, left)
            data = bytes(self._input)
            self._input.clear()
        return data

    def read(self, size: int = 1) -> bytes:
        """Up to `size` bytes; fewer when the timeout ends first."""
        board = self._open_board()
        deadline = None if self.timeout is None else self.now() + self.timeout
        with self._ready:
            while True:
                self._pull(board)
                if len(self._input) >= size or not self.is_open:
                    break
                left = None if deadline is None else deadline - self.now()
                if left is not None and left <= 0:
                    break
                self._wait(board, left)
            data = bytes(self._input[:size])
            del self._input[:size]
        return data

    def _wait(self, board: Board, left: float | None) -> None:
        """Sleep until the board has something, another thread has written, or time is up."""
        due = board.due_s(left)
        if left is not None and due > left:
            # On a virtual clock nobody has to sit out a wait; another thread may still have
            # something to send.
            virtual = board.clock.timing is Timing.VIRTUAL
            if not virtual or due == math.inf:
                self._ready.wait(min(left, _YIELD_S) if virtual else left)
            board.clock.idle_host(left)
            return
        pause = board.sleep_s()
        if pause:
            self._ready.wait(min(pause, 0.25))

    def write(self, data: Any) -> int:
        """Send bytes; the board deals with them before this returns."""
        from esptool.virtual.board import LinkLostError

        board = self._open_board()
        payload = bytes(data) if not isinstance(data, bytes) else data
        with self._ready:
            try:
                board.host_write(payload)
            except LinkLostError:
                raise SerialTimeoutException("The device is gone: the link was cut.") from None
            self._ready.notify_all()
        return len(payload)

    def now(self) -> float:
        """The host's clock in seconds: the line's own where its time is charged.

        It stands still while a ROM is executed, which takes longer than on silicon.
        """
        board = self.board
        if board is None:
            return time.monotonic()
        if not board.clock.charged:
            return time.monotonic() - board.soc.busy_s
        return board.clock.host_now()

    def sleep(self, seconds: float) -> None:
        """Let so much of that time pass; a virtual clock jumps."""
        board = self.board
        if board is None or board.clock.timing is not Timing.VIRTUAL:
            time.sleep(seconds)
            return
        with self._ready:
            board.pass_time(seconds)

    def flush(self) -> None:
        """Everything has been sent when `write` returns."""

    def reset_input_buffer(self) -> None:
        """Throw away what has been received."""
        board = self._open_board()
        with self._ready:
            board.discard_input()
            self._input.clear()

    def reset_output_buffer(self) -> None:
        """Nothing waits to be sent."""

    # --- lines -------------------------------------------------------------------------------

    def _update_lines(self) -> None:
        if self.board is not None and self.is_open:
            if self.board.lost:
                raise SerialException("The device is gone: the link was cut.")
            with self._ready:
                self.board.set_lines(bool(self._dtr_state), bool(self._rts_state))
                self._ready.notify_all()

    def _update_dtr_state(self) -> None:
        self._update_lines()

    def _update_rts_state(self) -> None:
        self._update_lines()

    def set_lines(self, dtr: bool, rts: bool) -> None:
        """Set both lines in one step, as an ioctl on a local port would."""
        self._dtr_state, self._rts_state = dtr, rts
        self._update_lines()

    def _update_break_state(self) -> None:
        """A break means nothing to the loader."""

    @property
    def cts(self) -> bool:
        """Not wired: always ready."""
        return True

    @property
    def dsr(self) -> bool:
        """Not wired: always ready."""
        return True

    @property
    def ri(self) -> bool:
        """Not wired."""
        return False

    @property
    def cd(self) -> bool:
        """Not wired: always on."""
        return True

    # --- USB identity ------------------------------------------------------------------------

    @property
    def usb(self) -> tuple[int, int, str, str]:
        """(vendor id, product id, product, serial number), as a port list would show them.

        A native port is Espressif's, the bridge of a dev board Silicon Labs'.
        """
        from esptool.virtual.usb import identity

        return identity(self.port or "")
