# SPDX-License-Identifier: Apache-2.0
"""UART0 at register level: divider, date, and the FIFOs that a stub works with."""

from __future__ import annotations

from collections.abc import Callable

from esptool.virtual.bus import Registers

_FIFO, _INT_RAW, _INT_ST, _INT_ENA, _INT_CLR, _CLKDIV, _STATUS = 0x00, 4, 8, 0x0C, 0x10, 0x14, 0x1C
_RX_DEPTH = 127


class Uart(Registers):
    """The chip's end of the serial line.

    Attributes:
        on_divider: told of (whole part, sixteenths) when code on the chip sets the divider.
        received: bytes that wait in the receive FIFO and behind it, oldest first.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        super().__init__()
        self._send = send
        self.received = bytearray()
        self.on_divider: Callable[[int, int], None] | None = None

    def read(self, offset: int) -> int:
        """FIFO pops a byte; STATUS counts what is waiting."""
        if offset == _FIFO:
            return self.received.pop(0) if self.received else 0
        if offset == _STATUS:
            return min(len(self.received), _RX_DEPTH)
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """FIFO sends a byte."""
        if offset == _FIFO:
            self._send(bytes((value & 0xFF,)))
            return
        self.words[offset] = value
        if offset == _CLKDIV and self.on_divider is not None:
            self.on_divider(value & 0xFFFFF, value >> 20 & 0xF)

    def set_divider(self, clock_hz: int, baud: int) -> None:
        """What the ROM puts into CLKDIV: whole part in 20 bits, sixteenths above."""
        sixteenths = (clock_hz * 16 + baud // 2) // baud
        self.words[_CLKDIV] = (sixteenths >> 4) & 0xFFFFF | (sixteenths & 0xF) << 20
