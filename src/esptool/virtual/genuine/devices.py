# SPDX-License-Identifier: Apache-2.0
"""UART and USB-Serial/JTAG as the ROM's loader sees them: FIFOs, status, interrupts, and the
measurement of the host's rate.

Sources: the register headers of ESP-IDF (soc/*/register/soc/uart_reg.h, usb_serial_jtag_reg.h).
"""

from __future__ import annotations

from collections.abc import Callable

from esptool.records import dataclass
from esptool.virtual.bus import Peripheral, Registers
from esptool.virtual.silicon.shape import UartKind

_FIFO, _RAW, _ST, _ENA, _CLR, _CLKDIV, _STATUS, _CONF0, _CONF1 = (
    0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x1C, 0x20, 0x24,
)  # fmt: skip
_RX_FULL, _TX_EMPTY, _RX_TIMEOUT, _TX_DONE = 1 << 0, 1 << 1, 1 << 8, 1 << 14
_DEPTH = 128
#: What a status register can count to.
_MOST = 127


@dataclass(frozen=True, slots=True)
class _Layout:
    """`autobaud` is (register, bit), `reset` the bit of CONF0 that empties the receive FIFO."""

    autobaud: tuple[int, int]
    reset: int
    low: int
    high: int
    edges: int
    positive: int
    negative: int
    threshold: int
    #: A register whose bit stays until settings hold.
    update: int | None = None


_LAYOUTS = {
    UartKind.ESP32: _Layout((0x18, 0), 17, 0x28, 0x2C, 0x30, 0x68, 0x6C, 0x7F),
    UartKind.S2: _Layout((0x18, 0), 17, 0x28, 0x2C, 0x30, 0x6C, 0x70, 0x1FF),
    UartKind.C3: _Layout((_CONF0, 27), 17, 0x28, 0x2C, 0x30, 0x70, 0x74, 0x1FF),
    UartKind.C6: _Layout((_CONF0, 19), 22, 0x7C, 0x80, 0x84, 0x74, 0x78, 0xFF, 0x98),
    UartKind.ESP8266: _Layout((0x18, 0), 17, 0x28, 0x2C, 0x30, 0x28, 0x2C, 0x7F),
}


class LoaderUart(Registers):
    """One UART.

    Attributes:
        queue: what the host has sent and the code has not fetched; the FIFO shows its beginning.
        sent: takes what the code sends.
        on_divider: told of a new divider.
        raised: told when the interrupt line may have changed.
        clock: what is divided, in Hz.
    """

    def __init__(self, kind: UartKind, clock: Callable[[], int]) -> None:
        super().__init__()
        self._layout = _LAYOUTS[kind]
        self._clock = clock
        self.queue = bytearray()
        self.sent = bytearray()
        self.on_divider: Callable[[int], None] = lambda _value: None
        self.raised: Callable[[], None] = lambda: None
        self.taken = 0
        self._raw = 0
        self._edges = 0
        self._bit = 0

    def reset(self) -> None:
        """As after a reset of the chip."""
        self.words.clear()
        self.queue.clear()
        self.sent.clear()
        self._raw = self._edges = self._bit = 0

    @property
    def measures(self) -> bool:
        """The host's rate is being measured."""
        register, bit = self._layout.autobaud
        return bool(self.words.get(register, 0) >> bit & 1)

    @property
    def interrupts(self) -> bool:
        """Bytes are fetched by a handler of interrupts."""
        return bool(self.words.get(_ENA, 0) & (_RX_FULL | _RX_TIMEOUT))

    def hear(self, data: bytes, baud: int) -> None:
        """Edges on the line."""
        if self.measures:
            self._bit = self._clock() // baud
            for byte in data:
                frame = byte << 1 | 1 << 9
                self._edges += (frame ^ frame >> 1).bit_count() & 0x1F

    def feed(self, data: bytes) -> None:
        """Bytes as the receiver understands them."""
        self.queue += data
        self._update()

    def _update(self) -> None:
        count = min(len(self.queue), _MOST)
        threshold = self.words.get(_CONF1, 0) & self._layout.threshold
        if count and count >= threshold:
            self._raw |= _RX_FULL
        if count:
            self._raw |= _RX_TIMEOUT
        self._raw |= _TX_EMPTY | _TX_DONE
        self.raised()

    @property
    def active(self) -> bool:
        """It asks for an interrupt."""
        return bool(self._raw & self.words.get(_ENA, 0))

    def read(self, offset: int) -> int:
        """FIFO pops; status, raw and masked interrupts, and the measured pulses."""
        layout = self._layout
        if offset == _FIFO:
            if not self.queue:
                return 0
            byte = self.queue.pop(0)
            self.taken += 1
            self._update()
            return byte
        if offset == _STATUS:
            return min(len(self.queue), _MOST)
        if offset == _RAW:
            return self._raw
        if offset == _ST:
            return self._raw & self.words.get(_ENA, 0)
        if offset in (layout.low, layout.high):
            return max(0, self._bit - 1) & 0xFFFFF if self._edges else 0xFFFFF
        if offset in (layout.positive, layout.negative):
            return max(0, 2 * self._bit - 1) & 0xFFFFF if self._edges else 0xFFFFF
        if offset == layout.update:
            return 0  # what was written holds at once
        if offset == layout.edges:
            return min(self._edges, 0x3FF)
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """FIFO sends; interrupts are cleared and enabled; the divider sets the rate."""
        layout = self._layout
        if offset == _FIFO:
            self.sent.append(value & 0xFF)
            return
        if offset == _CLR:
            self._raw &= ~value
            self._update()
            return
        was = self.words.get(offset, 0)
        self.words[offset] = value
        register, bit = layout.autobaud
        if offset == register and value >> bit & 1 and not was >> bit & 1:
            self._edges = 0
        if offset == _CONF0 and value >> layout.reset & 1:
            self.queue.clear()
            self._raw &= ~(_RX_FULL | _RX_TIMEOUT)
        elif offset == _CLKDIV:
            self.on_divider(value)
        if offset in (_ENA, _CONF1, _CONF0):
            self._update()


class LoaderUsb(Registers):
    """USB-Serial/JTAG: end point 1 in both directions.

    Attributes:
        queue: what the host has sent; `sent` what has left in packets.
        plugged: a host is there.
    """

    _EP1, _CONF, _RAW, _ST, _ENA, _CLR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
    _SOF, _OUT_RECEIVED, _IN_EMPTY = 1 << 1, 1 << 2, 1 << 3
    _DONE, _ROOM, _HEARD = 1, 2, 4
    _PACKET = 64

    def __init__(self, plugged: bool) -> None:
        super().__init__()
        self.plugged = plugged
        self.queue = bytearray()
        self.sent = bytearray()
        self._packet = bytearray()
        self.taken = 0
        self.raised: Callable[[], None] = lambda: None
        self._raw = 0

    def reset(self) -> None:
        """As after a reset of the chip."""
        self.words.clear()
        self.queue.clear()
        self.sent.clear()
        self._packet.clear()
        self._raw = self._IN_EMPTY

    def feed(self, data: bytes) -> None:
        """A packet from the host."""
        self.queue += data
        self._raw |= self._OUT_RECEIVED
        self.raised()

    @property
    def active(self) -> bool:
        """It asks for an interrupt."""
        return bool(self._raw & self.words.get(self._ENA, 0))

    def read(self, offset: int) -> int:
        """EP1 pops a byte; EP1_CONF tells of data and room."""
        if offset == self._EP1:
            if not self.queue:
                return 0
            byte = self.queue.pop(0)
            self.taken += 1
            if self.queue:
                self._raw |= self._OUT_RECEIVED
            return byte
        if offset == self._CONF:
            room = self._ROOM if self.plugged else 0
            return room | (self._HEARD if self.queue else 0)
        if offset == self._RAW:
            return self._raw | (self._SOF if self.plugged else 0)
        if offset == self._ST:
            return self.read(self._RAW) & self.words.get(self._ENA, 0)
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """EP1 adds to the packet, EP1_CONF sends it off."""
        if offset == self._EP1:
            self._packet.append(value & 0xFF)
            if len(self._packet) >= self._PACKET:
                self._flush()
        elif offset == self._CONF:
            if value & self._DONE:
                self._flush()
        elif offset == self._CLR:
            self._raw &= ~value
            if self.queue:
                self._raw |= self._OUT_RECEIVED
            self.raised()
        else:
            self.words[offset] = value
            if offset == self._ENA:
                self.raised()

    def _flush(self) -> None:
        if self.plugged:
            self.sent += self._packet
        self._packet.clear()
        self._raw |= self._IN_EMPTY
        self.raised()


class SlowCommand:
    """A peripheral whose command takes a moment: code that counts looks at it sees it once.

    ESP32's ROM from v3.0 on resets the chip where eFuses are read anew in no time.
    """

    def __init__(self, device: Peripheral, offset: int) -> None:
        self._device, self._offset = device, offset
        self._shown = 0

    def read(self, offset: int) -> int:
        """The command's register shows it once."""
        word = self._device.read(offset)
        if offset == self._offset:
            word, self._shown = word | self._shown, 0
        return word

    def write(self, offset: int, value: int) -> None:
        """Commands are carried out at once nevertheless."""
        if offset == self._offset:
            self._shown = value
        self._device.write(offset, value)
