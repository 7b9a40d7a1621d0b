# SPDX-License-Identifier: Apache-2.0
"""UART0 at register level: divider, date, and the FIFO through which code on the chip sends."""

from __future__ import annotations

from collections.abc import Callable

from esptool.virtual.bus import Registers
from esptool.virtual.silicon import spec


class Uart(Registers):
    """The chip's end of the serial line.

    Attributes:
        on_divider: told of (whole part, sixteenths) when code on the chip sets the divider.
    """

    def __init__(self, layout: spec.Uart, send: Callable[[bytes], None]) -> None:
        super().__init__()
        self._send = send
        self._fifo = layout.fifo[0] - layout.base
        self._clkdiv = layout.clkdiv - layout.base
        self.on_divider: Callable[[int, int], None] | None = None

    def read(self, offset: int) -> int:
        """The loader empties the receive FIFO before anybody else looks at it."""
        return 0 if offset == self._fifo else self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """FIFO sends a byte."""
        if offset == self._fifo:
            self._send(bytes((value & 0xFF,)))
            return
        self.words[offset] = value
        if offset == self._clkdiv and self.on_divider is not None:
            self.on_divider(value & 0xFFFFF, value >> 20 & 0xF)

    def set_divider(self, clock_hz: int, baud: int) -> None:
        """What the ROM puts into CLKDIV: whole part in 20 bits, sixteenths above."""
        sixteenths = (clock_hz * 16 + baud // 2) // baud
        self.words[self._clkdiv] = (sixteenths >> 4) & 0xFFFFF | (sixteenths & 0xF) << 20
