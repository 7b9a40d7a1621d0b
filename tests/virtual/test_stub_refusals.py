# SPDX-License-Identifier: Apache-2.0
"""What a stub refuses: the model and the machine code give the same status, and touch no flash."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest

from tests.virtual.stub_client import StubClient
from tests.virtual.test_stub import KINDS, start

LENGTH, CHECKSUM, SIZE, COMMAND, FLASH, NOT_WRITING = 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC6
TOO_LITTLE, TOO_MUCH, UNKNOWN = 0xC8, 0xC9, 0xFF
MB = 1 << 20
#: The flash has 4 MiB. Ranges that reach beyond it, or wrap in 32 bits: (offset, size).
OUTSIDE = [
    (4 * MB, 0x1000),
    (4 * MB - 0x1000, 0x2000),
    (0, 4 * MB + 0x1000),
    (16 * MB, 0x1000),
    (0xFFFFF000, 0x1000),
    (0xFFFFF000, 0x2000),
    (0x1000, 0xFFFFF000),
]


@dataclass(frozen=True)
class Wrong:
    """A request that is refused with `status`."""

    op: int
    words: tuple[int, ...]
    status: int
    data: bytes = b""
    sealed: bool = False


def _plain_range(op: int, offset: int, size: int) -> tuple[int, ...]:
    begin = (size, 1, 0x400, offset)
    orders = {0x02: begin, 0x10: begin, 0x13: (offset, size), 0xD1: (offset, size)}
    return orders.get(op, (offset, size, 0x400, 1))


def _sealed_range(op: int, offset: int, size: int) -> tuple[int, ...]:
    return {
        0xE2: (7, offset, size, size, 0x1000, 2),
        0xE6: (offset, size, 0x1000, 0),
        0xE7: (offset, size),
        0xE8: (7, offset, size, 0x1000, 4, 0),
        0xEB: (offset, size, 0),
    }[op]


#: Words that each request has at least.
PLAIN_WORDS = {
    0x02: 4, 0x03: 4, 0x04: 1, 0x05: 4, 0x06: 2, 0x07: 4, 0x09: 4, 0x0A: 1, 0x0B: 6, 0x0D: 1,
    0x0F: 2, 0x10: 4, 0x11: 4, 0x12: 1, 0x13: 2, 0xD1: 2, 0xD2: 4, 0xD4: 4,
}  # fmt: skip
SEALED_WORDS = {
    0xE1: 1, 0xE2: 6, 0xE3: 2, 0xE4: 1, 0xE5: 1, 0xE6: 4, 0xE7: 2, 0xE8: 6, 0xEA: 3, 0xEB: 3,
    0xEC: 1, 0xED: 2,
}  # fmt: skip


def _batch(count: int, *operations: bytes) -> bytes:
    return struct.pack("<HH", 0, count) + b"".join(operations)


SFDP = struct.pack("<BBBBBBI", 4, 0x5A, 24, 8, 0, 64, 0)
WRONG = [
    *(Wrong(op, (0,) * (least - 1), LENGTH) for op, least in PLAIN_WORDS.items()),
    *(Wrong(op, (), LENGTH, bytes(4 * least - 1)) for op, least in PLAIN_WORDS.items()),
    # A block of data whose opcode was damaged must not erase the flash, say, or set its size.
    *(
        Wrong(op, (), LENGTH, bytes(0x110))
        for op in {*PLAIN_WORDS, 0xD0, 0xD3, 0xE0} - {0x03, 0x07, 0x11, 0xD4}
    ),
    *(
        Wrong(op, _plain_range(op, *outside), FLASH)
        for op in (0x02, 0x10, 0x13, 0xD1, 0xD2)
        for outside in OUTSIDE
    ),
    *(Wrong(op, (0x1000, 1, 0x4001, 0), SIZE) for op in (0x02, 0x10)),
    *(Wrong(op, (4, 0, 0, 0), NOT_WRITING, b"\0\0\0\0") for op in (0x03, 0x11, 0xD4)),
    Wrong(0x07, (5, 0, 0, 0), LENGTH, b"\0\0\0\0"),
    *(Wrong(op, (1,), NOT_WRITING) for op in (0x04, 0x12)),
    Wrong(0x09, (0,) * 5, LENGTH),
    *(Wrong(0xD1, where, SIZE) for where in ((0x800, 0x1000), (0, 0x800), (1, 0x1000))),
    *(Wrong(0xD2, (0, 0x1000, packet, 1), SIZE) for packet in (0, 100, 0x3FF)),
    *(Wrong(op, (0,) * 6, COMMAND) for op in (0x01, 0x0C, 0x15, 0x7E, 0xD6, 0xE9, 0xEE, 0xFF)),
    *(
        Wrong(op, (0,) * (least - 1), LENGTH, sealed=True)
        for op, least in SEALED_WORDS.items()
        if op != 0xE3
    ),
    *(
        Wrong(op, _sealed_range(op, *outside), FLASH, sealed=True)
        for op in (0xE2, 0xEB)
        for outside in OUTSIDE
    ),
    *(
        Wrong(op, _sealed_range(op, *outside), FLASH, sealed=True)
        for op in (0xE6, 0xE7, 0xE8)
        for outside in OUTSIDE
        if outside[1] <= 0x2000 or op == 0xE8
    ),
    *(
        Wrong(0xE2, words, SIZE, sealed=True)
        for words in (
            (0, 0, 0x1000, 0x1000, 0x1000, 2),  # no session
            (7, 0, 0x1000, 0x1000, 0, 2),  # blocks of nothing
            (7, 0, 0x1000, 0x1000, 0x1004, 2),  # too large
            (7, 0, 0x1000, 0x1000, 0x3FE, 2),  # not of whole words
            (7, 0x800, 0x1000, 0x1000, 0x1000, 2),  # erases from within a sector
            (7, 2, 0x1000, 0x1000, 0x1000, 0),  # begins within a word
            (7, 0, 0x1000, 0x800, 0x1000, 2),  # a plain stream is as long as what it writes
        )
    ),
    *(Wrong(op, (99, 0), NOT_WRITING, sealed=True) for op in (0xE3, 0xE4, 0xE5)),
    *(
        Wrong(0xE6, words, SIZE, sealed=True)
        for words in (
            (0, 0x1000, 0, 0), (0, 0x1000, 0x800, 0), (0, 0x1800, 0x1000, 0),
            (0, 0x101000, 0x1000, 0), (0, 0x1000, 0x1000, 3),
        )
    ),
    *(Wrong(0xE7, words, SIZE, sealed=True) for words in ((0, 0x800), (0, 0x801000))),
    *(
        Wrong(0xE8, words, SIZE, sealed=True)
        for words in (
            (0, 0, 0x1000, 0x400, 4, 0), (7, 0, 0x1000, 0, 4, 0), (7, 0, 0x1000, 0x1001, 4, 0),
            (7, 0, 0x1000, 0x400, 0, 0),
        )
    ),
    *(Wrong(0xEB, (*w, 0), SIZE, sealed=True) for w in ((0x800, 0x1000), (0, 0x800))),
    Wrong(0xE1, (), LENGTH, _batch(1), sealed=True),
    Wrong(0xE1, (), LENGTH, _batch(1, b"\1\0\0"), sealed=True),
    Wrong(0xE1, (), LENGTH, _batch(1, struct.pack("<BBBBBBI", 4, 3, 23, 0, 0, 4, 0)), sealed=True),
    Wrong(0xE1, (), LENGTH, _batch(1, struct.pack("<BBBBBBI", 4, 3, 24, 0, 65, 0, 0)), sealed=True),
    Wrong(0xE1, (), LENGTH, _batch(1, struct.pack("<BBBBBBI", 4, 3, 24, 0, 0, 65, 0)), sealed=True),
    Wrong(0xE1, (), UNKNOWN, _batch(1, b"\x09"), sealed=True),
    Wrong(0xE1, (), UNKNOWN, _batch(1, b"\0"), sealed=True),
    Wrong(0xE1, (), TOO_MUCH, _batch(17, *[SFDP] * 17), sealed=True),
]  # fmt: skip


def refused(stub: StubClient, wrong: Wrong) -> int:
    ask = stub.sealed if wrong.sealed else stub.plain
    return ask(wrong.op, *wrong.words, data=wrong.data).status


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            kind, id=f"{kind[0]}-{kind[2]}",
            marks=() if kind[2] == "model" else (pytest.mark.emulator,),
        )
        for kind in KINDS
        if kind[2] != "unicorn"
    ],
)  # fmt: skip
def stub(request: pytest.FixtureRequest) -> StubClient:
    """A stub of each kind, over flash that is not blank."""
    client = start(*request.param)
    client.board.nor.cells.load(b"\x5a" * 0x4000)
    return client


def test_wrong_requests_get_their_status_and_change_nothing(stub: StubClient) -> None:
    before = bytes(stub.board.nor.read(0, 4 * MB))
    differ = [
        (wrong, hex(status)) for wrong in WRONG if (status := refused(stub, wrong)) != wrong.status
    ]
    assert differ == []
    assert bytes(stub.board.nor.read(0, 4 * MB)) == before


def test_a_broken_seal_is_refused_by_every_extension(stub: StubClient) -> None:
    for op, least in SEALED_WORDS.items():
        if op == 0xEA:
            continue  # an acknowledgement that is damaged is not answered: the next one counts
        answer = stub.sealed(op, *(0,) * least, spoil=1)
        assert (op, answer.status, answer.value) == (op, CHECKSUM, 0xFFFFFFFF)


def test_more_or_less_than_was_announced_to_ram_is_refused(stub: StubClient) -> None:
    stub.plain(0x05, 4, 1, 4, 0)
    assert stub.data(0x07, bytes(8)).status == TOO_MUCH
    assert stub.plain(0x06, 1, 0).status == TOO_LITTLE
    stub.plain(0x05, 0, 0, 0, 0)
    assert stub.plain(0x06, 1, 0).status == 0


def test_the_flash_ends_where_the_host_says_or_where_it_ends(stub: StubClient) -> None:
    ranges = [(0x13, 0x200000), (0xD1, 0x200000), (0xD2, 0x200000), (0x02, 0x200000)]
    for told in (2 * MB, 8 * MB, 4 * MB):
        assert stub.plain(0x0B, 0, told, 0x10000, 0x1000, 0x100, 0xFFFF).status == 0
        end = min(told, 4 * MB)
        for op, _ in ranges:
            assert refused(stub, Wrong(op, _plain_range(op, end, 0x1000), FLASH)) == FLASH
        assert stub.plain(0x13, end - 0x1000, 0x1000).status == 0
