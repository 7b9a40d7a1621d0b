# SPDX-License-Identifier: Apache-2.0
"""How the first stage of our stubs behaves on the wire, where its machine code is not executed.

What it does is specified in docs/serial-protocol.md, "The first stage".
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from esptool.virtual.framing import wrap
from esptool.virtual.program import Program
from esptool.virtual.silicon.spec import Arch
from esptool.virtual.stage_stream import place

if TYPE_CHECKING:
    from esptool.virtual.soc import Soc

_HELLO, _RATE, _WRITE, _ECHO, _START, _DAMAGED = 0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xAF
_GOOD, _UNKNOWN = 0, 1
_HEADER, _SEAL, _LEAST, _LONGEST = 4, 4, 12, 1028
_VERSION = 1
_FRACTION_BITS = 4
_END, _ESCAPE = 0xC0, 0xDB
#: Bytes without a good frame for which a rate is kept: one that was just set, and a proven one.
_ON_TRIAL, _PROVEN = 256, 8192


class StageModel(Program):
    """A first stage that has just been entered: it greets, and then serves requests."""

    def __init__(self, soc: Soc) -> None:
        self._soc = soc
        self._base = self._divider
        self._frame = bytearray()
        self._escaped = False
        self._patience = _PROVEN

    @property
    def _divider(self) -> int:
        return self._soc.bus.read_word(self._soc.silicon.uart.clkdiv)

    def greet(self) -> None:
        """Say that it runs."""
        self._hello(0)

    # --- the wire ----------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes from the host."""
        for byte in data:
            self._patience -= 1
            if self._patience < 0:
                self._set_divider(self._base)
                self._patience = _PROVEN
            if byte == _END:
                frame, self._frame, self._escaped = bytes(self._frame), bytearray(), False
                if frame:
                    self._judge(frame)
                if self._soc.program is not self:
                    return
            elif byte == _ESCAPE:
                self._escaped = True
            else:
                if self._escaped:
                    byte = _ESCAPE if byte & 1 else _END
                self._escaped = False
                self._frame.append(byte)

    def _judge(self, frame: bytes) -> None:
        body, seal = frame[:-_SEAL], frame[-_SEAL:]
        good = len(frame) >= _LEAST and len(body) <= _HEADER + _LONGEST
        if not good or seal != zlib.crc32(body).to_bytes(4, "little"):
            self._answer(_DAMAGED, 0, 0)
            return
        self._patience = _PROVEN
        op, number, fields = body[0], int.from_bytes(body[2:4], "little"), body[4:]
        if op == _HELLO:
            self._hello(number)
        elif op == _ECHO:
            self._answer(op, _GOOD, number, fields)
        elif op == _WRITE:
            data = fields[4:]
            self._soc.bus.write(_word(fields, 0), data[: len(data) & ~3])
            self._answer(op, _GOOD, number)
        elif op == _RATE:
            self._answer(op, _GOOD, number)
            self._set_divider(_word(fields, 0))
            self._patience = _ON_TRIAL
        elif op == _START:
            self._start(number, fields)
        else:
            self._answer(op, _UNKNOWN, number)

    def _set_divider(self, word: int) -> None:
        if self._soc.options.link != "usb-jtag":
            self._soc.bus.write_word(self._soc.silicon.uart.clkdiv, word)

    def _hello(self, number: int) -> None:
        fraction = 0 if self._soc.silicon.arch is Arch.LX106 else _FRACTION_BITS
        fields = struct.pack("<HBBI", _LONGEST, _VERSION, fraction, self._divider)
        self._answer(_HELLO, _GOOD, number, fields)

    def _answer(self, op: int, status: int, number: int, fields: bytes = b"") -> None:
        body = struct.pack("<BBH", op, status, number) + fields
        self._soc.send(wrap(body + struct.pack("<I", zlib.crc32(body))))

    # --- the stub ----------------------------------------------------------------------------

    def _start(self, number: int, fields: bytes) -> None:
        status = place(self._soc, fields)
        self._answer(_START, status, number)
        if status == _GOOD:
            self._soc.run_ram(_word(fields, 1))


def _word(fields: bytes, index: int) -> int:
    return int(struct.unpack_from("<I", fields, 4 * index)[0])
