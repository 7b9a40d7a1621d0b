# SPDX-License-Identifier: Apache-2.0
"""USB-Serial/JTAG at register level: the endpoint FIFO that a stub talks through."""

from __future__ import annotations

from collections.abc import Callable

from esptool.virtual.bus import Registers

_EP1, _EP1_CONF, _INT_RAW = 0x00, 0x04, 0x08
_WR_DONE, _IN_FREE, _OUT_AVAILABLE = 1, 2, 4
_PACKET = 64


class UsbSerialJtag(Registers):
    """EP1 takes and gives bytes; a packet leaves when it is full or when WR_DONE is written.

    Attributes:
        received: bytes from the host that the chip has not taken yet.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        super().__init__()
        self._send = send
        self._packet = bytearray()
        self.received = bytearray()

    def read(self, offset: int) -> int:
        """EP1 pops a byte; EP1_CONF tells whether there is one, and that there is room."""
        if offset == _EP1:
            return self.received.pop(0) if self.received else 0
        if offset == _EP1_CONF:
            return _IN_FREE | (_OUT_AVAILABLE if self.received else 0)
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """EP1 adds a byte to the packet."""
        if offset == _EP1:
            self._packet.append(value & 0xFF)
            if len(self._packet) == _PACKET:
                self._flush()
        elif offset == _EP1_CONF:
            if value & _WR_DONE:
                self._flush()
        else:
            self.words[offset] = value

    def _flush(self) -> None:
        packet, self._packet = bytes(self._packet), bytearray()
        if packet:
            self._send(packet)

    def reset(self) -> None:
        """Empty, as after any reset."""
        self.words.clear()
        self.received.clear()
        self._packet.clear()
