# SPDX-License-Identifier: Apache-2.0
"""A hand-written client of the serial protocol, apart from both the tool's codec and the chip's."""

from __future__ import annotations

import struct
from typing import Any

import serial

from esptool import virtual

SYNC_PAYLOAD = b"\x07\x07\x12\x20" + b"\x55" * 32


def open_chip(url: str, timeout: float = 0.05) -> Any:
    """A port on a virtual chip."""
    virtual.register()
    return serial.serial_for_url(url, baudrate=115200, timeout=timeout)


def frame(body: bytes) -> bytes:
    """SLIP, a byte at a time."""
    out = bytearray(b"\xc0")
    for byte in body:
        out += {0xC0: b"\xdb\xdc", 0xDB: b"\xdb\xdd"}.get(byte, bytes((byte,)))
    return bytes(out + b"\xc0")


def frames(data: bytes) -> list[bytes]:
    """Bodies of the frames in `data`."""
    out = []
    for piece in data.split(b"\xc0"):
        if piece:
            out.append(piece.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))
    return out


class Client:
    """Sends requests and gives (value, data with status) of the answers.

    Attributes:
        quiet_s: silence after which nothing more is waited for.
    """

    quiet_s = 0.02

    def __init__(self, url: str) -> None:
        self.port = open_chip(url)
        self.board = self.port.board

    def send(
        self, op: int, data: bytes = b"", check: int = 0, *, keep: bool = False
    ) -> list[bytes]:
        """All frames that come back, and with `keep` those that had come late before."""
        late = self.listen(0) if self.port.in_waiting else b""
        self.port.write(frame(struct.pack("<BBHI", 0, op, len(data), check) + data))
        return frames((late if keep else b"") + self.listen())

    def listen(self, longest_s: float = 1.0) -> bytes:
        """What comes, from the first byte to a short silence."""
        self.port.timeout = longest_s
        out = bytes(self.port.read(1))
        self.port.timeout = self.quiet_s
        while more := self.port.read(1 << 16):
            out += more
        return out

    def ask(self, op: int, *words: int, data: bytes = b"", check: int = 0) -> tuple[int, bytes]:
        """Value and data of the first answer."""
        answer = self.send(op, struct.pack(f"<{len(words)}I", *words) + data, check)[0]
        direction, got, length, value = struct.unpack_from("<BBHI", answer)
        assert direction == 1
        assert got == op
        assert length == len(answer) - 8
        return value, answer[8:]

    def block(self, op: int, data: bytes, seq: int = 0) -> bytes:
        """Status of a data block."""
        check = 0xEF
        for byte in data:
            check ^= byte
        return self.ask(op, len(data), seq, 0, 0, data=data, check=check)[1]

    def sync(self) -> list[bytes]:
        """Answers to SYNC."""
        return self.send(0x08, SYNC_PAYLOAD)

    def prepare_flash(self) -> None:
        """Attach the flash and tell its size, where the ROM has these commands."""
        self.sync()
        if self.board.silicon.loader.flash_commands:
            self.ask(0x0D, 0, 0)
            self.ask(0x0B, 0, self.board.nor.part.size, 0x10000, 0x1000, 0x100, 0xFFFF)

    def close(self) -> None:
        """Close the port."""
        self.port.close()
