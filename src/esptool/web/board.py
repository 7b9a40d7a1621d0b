# SPDX-License-Identifier: Apache-2.0
"""A simulated board as a channel of a page: without a server, without a thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.virtual.board import Board, LinkLostError
from esptool.virtual.options import parse_url

if TYPE_CHECKING:
    from esptool.events import Message

#: The longest single sleep, so that a page stays responsive.
_SLICE_S = 0.25


class BoardChannel:
    """`esptool.transport.browser.Channel` over a board that `virtual://...` describes.

    Args:
        url: the board, such as "virtual://esp32s3?flash=8MB".
        sleep: waits so many seconds; a page lets its own work go on meanwhile.

    Raises:
        UsageError: the URL is not understood.
    """

    vid: int | None = None
    pid: int | None = None

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        options = parse_url(url)
        self.board = Board(options)
        self.board.no_emulator = "in a page there is no emulator to run it"
        self.name = f"the virtual {self.board.silicon.name}"
        self._sleep = sleep

    @property
    def remarks(self) -> tuple[Message, ...]:
        """See `Channel`."""
        return self.board.soc.take_remarks()

    def open(self, baud: int) -> None:
        """See `Channel`."""
        if self.board.lost:
            self.sleep(self.board.away_s())
            self.board.replug()
        self.board.cable.host_baud = baud

    def close(self) -> None:
        """See `Channel`; the board keeps its power."""

    def receive(self, timeout_s: float) -> bytes:
        """See `Channel`."""
        deadline = self.now() + timeout_s
        while True:
            data = self._take()
            left = deadline - self.now()
            if data or left <= 0:
                return data
            due = self.board.due_s(left)
            if due > left:
                self.board.clock.idle_host(left)
                if not self.board.clock.charged:
                    self._sleep(left)
                continue
            self._sleep(min(self.board.sleep_s(), _SLICE_S))

    def _take(self) -> bytes:
        try:
            return self.board.take()
        except LinkLostError:
            raise OSError("the link was cut") from None

    def send(self, data: bytes) -> None:
        """See `Channel`."""
        try:
            self.board.host_write(data)
        except LinkLostError:
            raise OSError("the link was cut") from None

    def discard(self) -> None:
        """See `Channel`."""
        self.board.discard_input()

    def set_rate(self, baud: int) -> None:
        """See `Channel`."""
        self.board.cable.host_baud = baud

    def set_lines(self, dtr: bool, rts: bool) -> None:
        """See `Channel`."""
        if self.board.lost:
            raise OSError("the link was cut")
        self.board.set_lines(dtr, rts)

    def now(self) -> float:
        """The board's clock where it charges time, else that of the machine."""
        clock = self.board.clock
        return clock.host_now() if clock.charged else time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See `Channel`; a virtual clock jumps."""
        from esptool.virtual.clock import Timing

        if self.board.clock.timing is Timing.VIRTUAL:
            self.board.pass_time(seconds)
        elif seconds > 0:
            self._sleep(seconds)
