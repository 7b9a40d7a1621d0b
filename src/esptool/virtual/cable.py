# SPDX-License-Identifier: Apache-2.0
"""The line between host and chip: rates, latency, noise, and bytes on their way in each direction.

Bytes have moments, in seconds of the board's clock. Nothing here lets time pass.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable

from esptool.virtual.clock import Clock
from esptool.virtual.faults import LineNoise, RateLimit
from esptool.virtual.inbound import Inbound
from esptool.virtual.options import Options

_BAUD_TOLERANCE = 0.04
_BITS_A_BYTE = 10


class Cable:
    """A serial line as the board's options describe it.

    Attributes:
        host_baud: the rate of the host's UART, in bits per second.
        noise_in, noise_out: faults on the way to the chip and to the host.
        inbound: bytes on their way to the chip.
        in_free: when the last of them has left the host.
    """

    def __init__(self, options: Options, clock: Clock, chip_baud: Callable[[], int]) -> None:
        """`chip_baud` tells the rate of the chip's UART, 0 while it waits to measure one."""
        self.host_baud = 115200
        self.noise_in = LineNoise(options.faults, "to chip")
        self.noise_out = LineNoise(options.faults, "to host")
        self.inbound = Inbound()
        self._options = options
        self._clock = clock
        self._chip_baud = chip_baud
        self._limit_in = RateLimit(options.faults, "to chip")
        self._limit_out = RateLimit(options.faults, "to host")
        self._garble = random.Random(0)
        self._outbound: deque[tuple[float, bytes]] = deque()
        self.in_free = self._out_free = 0.0

    # --- host to chip ------------------------------------------------------------------------

    def through(self, data: bytes) -> bytes:
        """What reaches the chip where no time is charged: all of it at once."""
        return self.noise_in.apply(self._limited(data))[0]

    def put(self, data: bytes) -> None:
        """The host sends bytes now; they go on their way behind those sent before."""
        data, late = self.noise_in.apply(self._limited(data))
        start = max(self._clock.host_now(), self.in_free)
        if late:
            start += self._options.faults.delay_s
        byte_s = _BITS_A_BYTE / self._options.line_bits(self.host_baud)
        latency = self._options.latency_s
        end = self.inbound.put(start + latency, byte_s, data, self.host_baud)
        self.in_free = end - latency

    def as_received(self, data: bytes, baud: int) -> bytes:
        """What the chip's UART makes of bytes sent at this rate."""
        if self._options.link != "uart" or self._same_rate(baud):
            return data
        return self._scramble(data)

    def _limited(self, data: bytes) -> bytes:
        if self._options.link != "uart":
            return data
        return self._limit_in.apply(data, self.host_baud)

    # --- chip to host ------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """The chip sends bytes now."""
        data = self._as_sent(data)
        data, late = self.noise_out.apply(data)
        if not self._clock.charged:
            delay_s = self._options.faults.delay_s if late else 0.0
            self._outbound.append((time.monotonic() + delay_s if delay_s else 0.0, data))
            return
        if late and self._options.faults.delay_s:
            self._out_free = max(self._out_free, self._clock.now) + self._options.faults.delay_s
        start = max(self._clock.now, self._out_free)
        bits = self._options.line_bits(self._chip_baud() or self.host_baud)
        self._out_free = start + len(data) * _BITS_A_BYTE / bits
        self._outbound.append((self._out_free + self._options.latency_s, data))

    def leaves(self, data: bytes, moment: float) -> float:
        """Bytes whose last one leaves the chip's UART at `moment`; when they reach the host."""
        data = self._as_sent(data)
        data, late = self.noise_out.apply(data)
        self._out_free = max(self._out_free, moment)
        if late:
            self._out_free += self._options.faults.delay_s
        there = self._out_free + self._options.latency_s
        self._outbound.append((there, data))
        return there

    def next_output(self) -> float:
        """When the next bytes reach the host; infinity when none are on their way."""
        return self._outbound[0][0] if self._outbound else math.inf

    def arrived(self, now: float) -> bytes:
        """Take out what has reached the host by `now`."""
        out = []
        while self._outbound and self._outbound[0][0] <= now:
            out.append(self._outbound.popleft()[1])
        return b"".join(out)

    def _as_sent(self, data: bytes) -> bytes:
        """What the host's UART makes of bytes from the chip."""
        if "mute" in self._options.faults.board:
            return b""
        if self._options.link != "uart":
            return data
        if self._chip_baud() and not self._same_rate(self.host_baud):
            return self._scramble(data)
        return self._limit_out.apply(data, self.host_baud)

    # --- both --------------------------------------------------------------------------------

    def _same_rate(self, baud: int) -> bool:
        return abs(self._chip_baud() - baud) <= _BAUD_TOLERANCE * baud

    def _scramble(self, data: bytes) -> bytes:
        """What the other side makes of bytes at another rate: fewer or more, and other ones."""
        ratio = self._chip_baud() / self.host_baud
        count = max(1, min(4 * len(data), round(len(data) * ratio)))
        return bytes(self._garble.choice(b"\x00\x80\xf8\xfe\xff\x1c\xe0\x86") for _ in range(count))
