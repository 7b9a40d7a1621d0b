# SPDX-License-Identifier: Apache-2.0
"""A hand-written client of a stub and of its extensions, by the published specification."""

from __future__ import annotations

import struct
import zlib

from tests.virtual.support import Client, frame, frames


class Answer:
    """A response: opcode, value, fields without seal, status byte."""

    def __init__(self, body: bytes, *, sealed: bool) -> None:
        direction, self.op, length, self.value = struct.unpack_from("<BBHI", body)
        assert direction == 1
        assert length == len(body) - 8
        data = body[8:]
        self.status, self.reason = data[-2], data[-1]
        self.fields = data[:-2]
        if sealed:
            self.fields, seal = data[:-6], data[-6:-2]
            covered = bytes((self.op,)) + body[4:8] + self.fields + data[-2:]
            assert zlib.crc32(covered) == int.from_bytes(seal, "little"), "the seal is broken"

    def words(self) -> tuple[int, ...]:
        """The fields as 32-bit words."""
        return struct.unpack(f"<{len(self.fields) // 4}I", self.fields)


class StubClient(Client):
    """Starts a stub on a virtual chip and talks to it."""

    quiet_s = 0.004

    def __init__(self, chip: str, how: str, extra: str = "", *, name: str = "") -> None:
        super().__init__(f"virtual://{chip}?boot=download&flash=4MB&stub={how}{extra}")
        self.sync()
        self.greeting = self._start(name or chip)

    def _start(self, name: str) -> bytes:
        from esptool import stubs

        stub = stubs.load(name)
        for data, start in ((stub.text, stub.text_start), (stub.data, stub.data_start)):
            if data:
                count = (len(data) + 0x17FF) // 0x1800
                self.ask(0x05, len(data), count, 0x1800, start)
                for number in range(count):
                    block = data[0x1800 * number : 0x1800 * (number + 1)]
                    assert self.block(0x07, block, number)[0] == 0
        answers = self.send(0x06, struct.pack("<II", 0, stub.entry))
        return answers[-1]

    def plain(self, op: int, *words: int, data: bytes = b"", check: int = 0) -> Answer:
        """A request of the public protocol."""
        body = struct.pack(f"<{len(words)}I", *words) + data
        return Answer(self.send(op, body, check)[0], sealed=False)

    def data(self, op: int, payload: bytes, seq: int = 0, *, spoil: int = 0) -> Answer:
        """A data block, with a wrong checksum when `spoil` is not 0."""
        check = 0xEF ^ spoil
        for byte in payload:
            check ^= byte
        return self.plain(op, len(payload), seq, 0, 0, data=payload, check=check)

    def all_sealed(
        self, op: int, fields: bytes, *, spoil: int = 0, keep: bool = False
    ) -> list[Answer]:
        """Every answer to a sealed request; see `send` for `keep`."""
        request = fields + struct.pack("<I", zlib.crc32(bytes((op,)) + fields) ^ spoil)
        return [Answer(f, sealed=True) for f in self.send(op, request, keep=keep)]

    def sealed(self, op: int, *words: int, data: bytes = b"", spoil: int = 0) -> Answer:
        """The last answer to a sealed request."""
        return self.all_sealed(op, struct.pack(f"<{len(words)}I", *words) + data, spoil=spoil)[-1]

    def raw(self, body: bytes) -> list[bytes]:
        """Frames that come back to one that is no request, such as an acknowledgement."""
        self.port.write(frame(body))
        return frames(self.listen(0.3))
