# SPDX-License-Identifier: Apache-2.0
"""The SPI controller that drives the flash, at register level: user-defined transactions.

Only what a loader or a stub uses is modelled: a CMD.USR transaction made of command, address,
dummy, MOSI and MISO phases, with the layout that the chip's data gives.
"""

from __future__ import annotations

from esptool.virtual.bus import Registers
from esptool.virtual.nor import LANES, Nor
from esptool.virtual.silicon.spec import Spi

_USR = 1 << 18
_COMMAND, _ADDRESS, _DUMMY, _MISO, _MOSI = 31, 30, 29, 28, 27
_BUFFER = 64
_CTRL = 0x08
#: Two or four lines for what is read; the flash must have been sent a command that answers so.
_CTRL_DUAL, _CTRL_QUAD = 1 << 13 | 1 << 14, 1 << 13 | 1 << 20
#: Four lines for what is sent, in USER.
_USER_OUT_QUAD = 1 << 13


class SpiController(Registers):
    """SPI1 (SPI0 on ESP8266) with `nor` on its first chip select."""

    def __init__(self, layout: Spi, nor: Nor) -> None:
        super().__init__()
        self._nor = nor
        #: What a flash that is still selected has been sent: (command, address, address bytes,
        #: data), and how many bytes it has answered.
        self._open: tuple[int, int | None, int, bytes] | None = None
        self._answered = 0
        base = layout.base
        self._user, self._user1, self._user2 = (
            register - base for register in (layout.user, layout.user1, layout.user2)
        )
        self._w0, self._status = layout.w0 - base, layout.status - base
        #: Registers of the lengths sent and received; None where USER1 holds them.
        self._dlen: tuple[int, int] | None = None
        if layout.mosi_dlen is not None and layout.miso_dlen is not None:
            self._dlen = layout.mosi_dlen - base, layout.miso_dlen - base
        #: (register, bit) that keeps the flash selected behind a transaction.
        self._hold: tuple[int, int] | None = None
        if layout.hold is not None:
            self._hold = layout.hold.address - base, 1 << layout.hold.shift
        self._short_address_on_top = layout.short_address_on_top
        #: Set while the flash is wired up (ESP32 and later: after SPI_ATTACH or by eFuse).
        self.attached = True

    def reset(self) -> None:
        """As after power-on: commands of eight bits and addresses of 24 are prepared."""
        self.words.clear()
        self._open = None
        self.words[self._user] = 1 << _COMMAND
        self.words[self._user1] = 23 << 26 | 7
        self.words[self._user2] = 7 << 28

    def read(self, offset: int) -> int:
        """CMD reads as zero when the transaction is over, until when the reader waits."""
        if offset == 0:
            self._nor.wait_bus()
            return self.words.get(0, 0) & ~_USR
        return self.words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Writing CMD.USR runs the transaction that the other registers describe."""
        if offset == 0:
            if value & _USR:
                self._nor.wait_bus()
                self._nor.beside = True
                try:
                    self._run()
                finally:
                    self._nor.beside = False
            elif value:
                self._legacy(value)
            self.words[0] = 0
            return
        self.words[offset] = value

    def _run(self) -> None:
        w = self.words
        usr = w.get(self._user, 0)
        usr1 = w.get(self._user1, 0)
        usr2 = w.get(self._user2, 0)
        command = usr2 & 0xFF if usr >> _COMMAND & 1 else None
        address_bits = (usr1 >> 26 & 0x3F) + 1 if usr >> _ADDRESS & 1 else 0
        mosi_bits, miso_bits = self._lengths(usr1)
        out = self._buffer((mosi_bits + 7) // 8) if usr >> _MOSI & 1 else b""
        want = (miso_bits + 7) // 8 if usr >> _MISO & 1 else 0
        address = self._address(address_bits)
        dummy = (usr1 & 0x3F) + 1 if usr >> _DUMMY & 1 else 0
        lanes = self._lanes(usr, out)
        answer = self._transact(command, address, address_bits // 8, out, want, dummy, lanes)
        if want:
            self._fill(answer, miso_bits)

    def _lanes(self, usr: int, out: bytes) -> int:
        """Lines on which the data pass."""
        if out:
            return 4 if usr & _USER_OUT_QUAD else 1
        ctrl = self.words.get(_CTRL, 0)
        if ctrl & _CTRL_QUAD == _CTRL_QUAD:
            return 4
        return 2 if ctrl & _CTRL_DUAL == _CTRL_DUAL else 1

    def _transact(
        self,
        command: int | None,
        address: int | None,
        address_bytes: int,
        out: bytes,
        want: int,
        dummy: int,
        lanes: int,
    ) -> bytes:
        """Bytes that come back; a flash that stays selected acts on what it got when it is not."""
        nor = self._nor
        if not self.attached:
            return bytes(want)
        opened, self._open = self._open, None
        new = out
        if opened is not None:
            # The bytes go on where the transaction before has stopped, whatever they are meant for.
            start = b"" if command is None else bytes((command,))
            command, address, address_bytes, before = opened
            new = start + out
            out = before + new
        else:
            self._answered = 0
        if command is None:
            return b"\xff" * want
        understood = LANES.get(command, 1)
        agrees = lanes == understood and (lanes < 4 or nor.four_lines)
        if new and not agrees:
            out = out[: len(out) - len(new)] + _misread(new)
        hold = self._hold
        if hold is not None and self.words.get(hold[0], 0) & hold[1] and not nor.busy:
            self._open = (command, address, address_bytes, out)
            if not want:
                nor.clocks(8 * len(new) // lanes)
                return b""
        done, self._answered = self._answered, self._answered + want
        if opened is None:
            answer = nor.transfer(
                command, address, address_bytes, out, want, dummy=dummy, lanes=lanes
            )
        else:
            nor.clocks(8 * (len(new) + want) // lanes)
            if address is not None and want:
                address, done = address + done, 0
            answer = nor.transfer(command, address, address_bytes, out, done + want, clocked=True)[
                done:
            ]
        if want and not agrees:
            # Bits are read from lines that the flash does not drive, or are missing.
            return bytes(byte & 0xAA | 0x55 for byte in answer)
        return answer

    def _lengths(self, usr1: int) -> tuple[int, int]:
        if self._dlen is None:
            return (usr1 >> 17 & 0x1FF) + 1, (usr1 >> 8 & 0x1FF) + 1
        mosi, miso = (self.words.get(register, 0) & 0x3FF for register in self._dlen)
        return mosi + 1, miso + 1

    def _address(self, bits: int) -> int | None:
        if not bits:
            return None
        value = self.words.get(4, 0)
        if self._short_address_on_top and bits < 32:
            return value >> (32 - bits)
        return value & ((1 << bits) - 1)

    def _buffer(self, length: int) -> bytes:
        first = self._w0
        words = (self.words.get(first + 4 * i, 0) for i in range((min(length, _BUFFER) + 3) // 4))
        return b"".join(w.to_bytes(4, "little") for w in words)[:length]

    def _fill(self, data: bytes, bits: int) -> None:
        first = self._w0
        data = data[:_BUFFER]
        for at in range(0, len(data), 4):
            piece = data[at : at + 4]
            word = int.from_bytes(piece, "little")
            if bits < 8 * (at + 4):
                keep = bits - 8 * at
                word &= (1 << keep) - 1 if keep > 0 else 0
            self.words[first + at] = word

    def _legacy(self, value: int) -> None:
        """The controller's ready-made commands, each a bit of CMD (ESP8266 and ESP32 names)."""
        for bit, command in _READY_MADE.items():
            if value >> bit & 1:
                self._ready_made(command)

    def _ready_made(self, command: int) -> None:
        raw = self.words.get(4, 0)
        w0 = self._w0
        if command == 0x9F:
            self.words[w0] = int.from_bytes(self._nor.transfer(command, None, 0, b"", 3), "little")
        elif command == 0x05:
            self.words[self._status] = self._nor.transfer(command, None, 0, b"", 1)[0]
        elif command == 0x01:
            status = self.words.get(self._status, 0)
            self._nor.transfer(command, None, 0, status.to_bytes(4, "little")[:1], 0)
        elif command == 0x02:
            length = raw >> 24 & 0xFF
            self._nor.transfer(command, raw & 0xFFFFFF, 3, self._buffer(length), 0)
        elif command in (0x20, 0xD8):
            self._nor.transfer(command, raw & 0xFFFFFF, 3, b"", 0)
        elif command == 0x03:
            self._fill(self._nor.transfer(command, raw & 0xFFFFFF, 3, b"", 64), 512)
        else:
            self._nor.transfer(command, None, 0, b"", 0)


def _misread(data: bytes) -> bytes:
    """What a flash makes of data that come on other lines than it looks at."""
    return bytes(byte & 0x11 | 0xEE for byte in data)


_READY_MADE = {
    31: 0x03,
    30: 0x06,
    29: 0x04,
    28: 0x9F,
    27: 0x05,
    26: 0x01,
    25: 0x02,
    24: 0x20,
    23: 0xD8,
    22: 0xC7,
    21: 0xB9,
    20: 0xAB,
}
