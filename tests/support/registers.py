# SPDX-License-Identifier: Apache-2.0
"""A session whose chip is a table of registers: a real one, but for the way requests take."""

from __future__ import annotations

import struct
from typing import Any

import serial

from esptool.chips.spec import ChipSpec
from esptool.device import Link, Session
from esptool.device.link import Reply
from esptool.protocol.opcodes import Cmd
from esptool.transport import adapt


class Registers(Session):
    """Registers by address; those that are not in the table read as 0.

    Attributes:
        words: the table.
        done: [address, its new value] of each write, and ["sleep", microseconds], in order.
    """

    def __init__(self, spec: ChipSpec, words: dict[int, int]) -> None:
        super().__init__(spec, Link(adapt(serial.Serial())))
        self.words = dict(words)
        self.done: list[list[Any]] = []
        self.link.sleep = lambda seconds: self.done.append(["sleep", round(seconds * 1e6)])

    def request(
        self,
        what: str,
        opcode: int,
        data: bytes = b"",
        check: int = 0,
        timeout_s: float | None = None,
        attempts: int = 1,
        size: int | None = None,
    ) -> Reply:
        """See `Requester`; any request but those for registers is a fault of the test."""
        if opcode == Cmd.READ_REG:
            return Reply(self.words.get(int.from_bytes(data, "little"), 0), b"")
        assert opcode == Cmd.WRITE_REG, what
        for address, value, mask, delay_us in struct.iter_unpack("<4I", data):
            assert not delay_us
            self.words[address] = (self.words.get(address, 0) & ~mask) | (value & mask)
            self.done.append([address, self.words[address]])
        return Reply(0, b"")
