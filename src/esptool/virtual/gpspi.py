# SPDX-License-Identifier: Apache-2.0
"""The general-purpose SPI controller with a NAND flash behind the GPIO matrix, at register level.

A transaction is what the registers said when CMD.UPDATE was written, and begins with CMD.USR. The
flash hears of it where the matrix leads the signals to its pins.
"""

from __future__ import annotations

from esptool.virtual.bus import Registers
from esptool.virtual.clock import Clock
from esptool.virtual.nand import Nand
from esptool.virtual.silicon.spec import GpSpi

_UPDATE, _USR = 1 << 23, 1 << 24
_CMD, _ADDR, _CLOCK, _USER, _USER1, _USER2, _LENGTH = 0x00, 0x04, 0x0C, 0x10, 0x14, 0x18, 0x1C
_W0, _GATE = 0x98, 0xE8
_COMMAND, _ADDRESS, _MISO, _MOSI = 31, 30, 28, 27
_BUFFER = 64
_PINS = 49
_MHZ = 1e6


class Matrix(Registers):
    """The selectors of the GPIO matrix; `changes` counts what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0

    def write(self, offset: int, value: int) -> None:
        """Keep the word."""
        self.changes += 1
        super().write(offset, value)


class GpSpiController(Registers):
    """SPI2 with `nand` on its chip select."""

    def __init__(
        self,
        layout: GpSpi,
        nand: Nand,
        clock: Clock,
        crystal_mhz: int,
        pins: tuple[int, ...] | None,
    ) -> None:
        super().__init__()
        self.matrix = Matrix()
        #: Where the matrix must be attached: (base, size).
        first = min(layout.in_select, layout.out_select) & ~0xFF
        end = max(layout.in_select + 0x400, layout.out_select + 4 * 64)
        self.matrix_span = first, (end + 0xFF & ~0xFF) - first
        self._layout = layout
        self._nand = nand
        self._clock = clock
        self._crystal_mhz = crystal_mhz
        self._pins = pins
        self._latched: dict[int, int] = {}
        self._pending = 0
        self._seen = -1
        self._connected = False

    def reset(self) -> None:
        """The state after power-on."""
        self.words.clear()
        self.matrix.words.clear()
        self.matrix.changes += 1
        self._latched = {}
        self._pending = 0

    def read(self, offset: int) -> int:
        """CMD shows what has not been done."""
        return self._pending if offset == _CMD else self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """CMD.UPDATE and CMD.USR act, where the controller has a clock."""
        if offset != _CMD:
            self.words[offset] = value
            return
        if self.words.get(_GATE, 0) & 3 != 3:
            self._pending |= value & (_UPDATE | _USR)
            return
        if value & _UPDATE:
            self._latched = dict(self.words)
        if value & _USR:
            self._run()

    def _run(self) -> None:
        w = self._latched
        user, user1 = w.get(_USER, 0), w.get(_USER1, 0)
        bits = (user1 >> 27 & 0x1F) + 1 if user >> _ADDRESS & 1 else 0
        count = min((w.get(_LENGTH, 0) + 8) // 8, _BUFFER)
        out = self._buffer(count) if user >> _MOSI & 1 else b""
        want = count if user >> _MISO & 1 else 0
        self._clock.spend((8 + bits + 8 * (len(out) + want)) / self._hz())
        address = w.get(_ADDR, 0) >> (32 - bits) if bits else 0
        if user >> _COMMAND & 1 and self._leads_to_flash():
            answer = self._nand.transfer(w.get(_USER2, 0) & 0xFF, address, bits, out, want)
        else:
            answer = b"\xff" * want
        for at in range(0, want, 4):
            self.words[_W0 + at] = int.from_bytes(answer[at : at + 4], "little")

    def _hz(self) -> float:
        """Clock of the bus: the crystal, divided."""
        divider = self._latched.get(_CLOCK, 0)
        if divider >> 31:
            return self._crystal_mhz * _MHZ
        return self._crystal_mhz * _MHZ / ((divider >> 18 & 0xF) + 1) / ((divider >> 12 & 0x3F) + 1)

    def _buffer(self, count: int) -> bytes:
        # The buffer is not a register of the controller's clock: what stands there now is sent.
        words = (self.words.get(_W0 + at, 0) for at in range(0, count, 4))
        return b"".join(word.to_bytes(4, "little") for word in words)[:count]

    def _leads_to_flash(self) -> bool:
        if self._seen != self.matrix.changes:
            self._seen = self.matrix.changes
            self._connected = self._connect()
        return self._connected

    def _connect(self) -> bool:
        layout, start = self._layout, self.matrix_span[0]
        clk, q, d, hd, _wp, cs = layout.signals
        words = self.matrix.words
        first = layout.out_select - start
        outputs = [words.get(first + 4 * pin, 0) & 0x1FF for pin in range(_PINS)]
        source = words.get(layout.in_select - start + 4 * q, 0)
        if not source >> layout.in_select_bit & 1:
            return False
        if self._pins is None:
            return all(signal in outputs for signal in (clk, d, hd, cs))
        pin_clk, pin_q, pin_d, pin_hd, pin_cs = self._pins
        led = [outputs[pin] for pin in (pin_clk, pin_d, pin_hd, pin_cs)]
        return led == [clk, d, hd, cs] and source & 0x3F == pin_q
