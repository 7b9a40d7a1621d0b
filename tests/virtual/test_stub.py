# SPDX-License-Identifier: Apache-2.0
"""What a stub answers, command by command: the imitation, and the machine code where it can run.

Both kinds go through the same table, so a difference between them fails here.
"""

from __future__ import annotations

import hashlib
import random
import struct
import zlib

import pytest

from esptool import chips
from esptool.chips.spec import Arch
from esptool.virtual.emulator import engines
from esptool.virtual.emulator.program import ENGINE_VARIABLE
from tests.virtual.stub_client import StubClient

WRITE, ERASE_FIRST, DEFLATED = 0, 2, 1
#: Revisions that get another stub than the newest.
REVISIONS = {"esp32p4-rev1": "&rev=1.0", "esp32p4": "&rev=3.1"}
#: (stub, chip, "model" or the engine that executes it).
KINDS = [
    (name, spec.key, how)
    for spec in map(chips.get, chips.KEYS)
    if spec.stub.available
    for name in spec.stub.layouts
    for how in ("model", "icicle", "unicorn")
    if how != "unicorn" or spec.arch is Arch.RISCV
]


def start(name: str, chip: str, how: str, extra: str = "") -> StubClient:
    """A stub that has greeted: the model, or the machine code on an engine."""
    if how != "model" and how not in engines():
        pytest.skip(f"the engine {how} is not installed")
    with pytest.MonkeyPatch.context() as patch:
        if how != "model":
            patch.setenv(ENGINE_VARIABLE, how)
        client = StubClient(
            chip,
            "model" if how == "model" else "emulated",
            REVISIONS.get(name, "") + extra,
            name=name,
        )
    if how != "model":
        assert not client.board.soc.notes, "the stub in the package is not the one executed"
    return client


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            kind,
            id=f"{kind[0]}-{kind[2]}",
            marks=() if kind[2] == "model" else (pytest.mark.emulator,),
        )
        for kind in KINDS
    ],
)
def running(request: pytest.FixtureRequest) -> StubClient:
    """A running stub of each kind, started once for all tests of this file."""
    return start(*request.param)


@pytest.fixture
def stub(running: StubClient) -> StubClient:
    """The same with a blank flash and no write under way."""
    running.listen(0)
    running.plain(0x04, 1)
    running.board.nor.cells.load(b"")
    return running


def test_it_greets_and_answers_sync_with_value_0(stub: StubClient) -> None:
    assert stub.greeting == b"OHAI"
    answers = stub.sync()
    assert answers
    assert all(a[:2] == b"\x01\x08" and a[4:8] == bytes(4) for a in answers)


def test_registers_with_masks(stub: StubClient) -> None:
    register = stub.board.silicon.spi.w0 + 4
    assert stub.plain(0x09, register, 0x11223344, 0xFFFFFFFF, 0).status == 0
    assert stub.plain(0x09, register, 0xAAAAAAAA, 0x0000FF00, 0).status == 0
    assert stub.plain(0x0A, register).value == 0x1122AA44


def test_plain_and_deflated_writes_and_md5(stub: StubClient) -> None:
    data = random.randbytes(5000) + bytes(3000) + b"\xff" * 4000
    stub.board.nor.program(0, bytes(0x20000))
    assert stub.plain(0x02, len(data), 1, 0x4000, 0x1000, 0).status == 0
    assert stub.data(0x03, data).status == 0
    assert stub.plain(0x13, 0x1000, len(data), 0, 0).fields == hashlib.md5(data).digest()
    packed = zlib.compress(data, 9)
    assert stub.plain(0x10, len(data), 1, 0x4000, 0x10000, 0).status == 0
    assert stub.data(0x11, packed).status == 0
    assert stub.plain(0x12, 1).status == 0
    assert stub.board.nor.read(0x10000, len(data)) == data
    assert stub.board.nor.read(0, 0x1000) == bytes(0x1000)


def test_erases_by_region_and_whole(stub: StubClient) -> None:
    stub.board.nor.program(0, bytes(0x40000))
    assert stub.plain(0xD1, 0x8000, 0x18000).status == 0
    want = bytes(0x8000) + b"\xff" * 0x18000 + bytes(0x20000)
    assert stub.board.nor.read(0, 0x40000) == want
    assert stub.plain(0xD1, 0x8001, 0x1000).status != 0
    assert stub.plain(0xD0).status == 0
    assert stub.board.nor.cells.used() == 0


def test_reading_sends_frames_as_they_are_acknowledged_and_then_their_md5(
    stub: StubClient,
) -> None:
    data = random.randbytes(0x2800)
    stub.board.nor.program(0x3000, data)
    got, total = b"", 0
    for body in stub.send(0xD2, struct.pack("<4I", 0x3000, len(data), 0x1000, 1))[1:]:
        got += body
    while len(got) < len(data):
        total = len(got)
        (body,) = stub.raw(struct.pack("<I", total))
        got += body
    assert got == data
    assert stub.raw(struct.pack("<I", len(data))) == [hashlib.md5(data).digest()]


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("unknown", 0xC3),
        ("no begin", 0xC6),
        ("bad checksum", 0xC1),
        ("bad length", 0xC0),
        ("block too large", 0xC2),
        ("bad stream", 0xC7),
        ("too early an end", 0xC8),
        ("too much", 0xC9),
        ("waited in vain", 0xC4),
        ("no such operation", 0xFF),
        ("more than an answer holds", 0xC9),
        ("a seal, but too few fields", 0xC0),
    ],
)
def test_every_error_has_its_code(stub: StubClient, case: str, status: int) -> None:
    if case == "unknown":
        answer = stub.plain(0x7E)
    elif case == "no begin":
        answer = stub.data(0x03, b"abcd")
    elif case == "block too large":
        answer = stub.plain(0x02, 0x1000, 1, 0x100000, 0, 0)
    elif case == "waited in vain":
        register = stub.board.silicon.spi.w0
        stub.plain(0x09, register, 0, 0xFFFFFFFF, 0)
        body = struct.pack("<HHBIIII", 0, 1, 5, register, 1, 1, 100)
        answer = stub.sealed(0xE1, data=body)
        assert (answer.value, answer.words()) == (0, (0,))
    elif case == "no such operation":
        answer = stub.sealed(0xE1, data=struct.pack("<HHB", 0, 1, 9))
    elif case == "more than an answer holds":
        sfdp = struct.pack("<BBBBBBI", 4, 0x5A, 24, 8, 0, 64, 0)
        answer = stub.sealed(0xE1, data=struct.pack("<HH", 0, 17) + sfdp * 17)
        assert answer.value == 16
    elif case == "a seal, but too few fields":
        answer = stub.sealed(0xE7, 0)
    elif case in ("bad checksum", "bad length"):
        stub.plain(0x02, 0x1000, 4, 0x400, 0, 0)
        if case == "bad checksum":
            answer = stub.data(0x03, b"abcd", spoil=1)
        else:
            answer = stub.plain(0x03, 5, 0, 0, 0, data=b"abcd", check=0xEF ^ 4)
    else:
        stub.plain(0x10, 0x1000, 2, 0x400, 0, 0)
        stream = {
            "bad stream": b"\x78\xda" + b"\xff" * 60,
            "too early an end": zlib.compress(b"short"),
            "too much": zlib.compress(random.randbytes(0x1800)),
        }[case]
        stub.data(0x11, stream)
        answer = stub.plain(0x12, 1)
    assert answer.status == status


def test_information_says_what_fits(stub: StubClient) -> None:
    answer = stub.plain(0xE0)
    assert answer.status == 0
    assert answer.value == 0x31545845
    version, capabilities = struct.unpack_from("<HH", answer.fields)
    assert version == 1
    assert capabilities & 1
    block, window, read_frame, read_window, units, batch = struct.unpack_from(
        "<6I", answer.fields, 4
    )
    assert block >= 0x400
    assert min(window, read_window, units) >= 1
    assert read_frame >= 0x400
    assert batch >= 0x100


def test_a_broken_seal_does_nothing(stub: StubClient) -> None:
    answer = stub.sealed(0xE7, 0, 0x4000, spoil=1)
    assert answer.status == 0xC1
    assert answer.value == 0xFFFFFFFF


def test_a_batch_is_done_once_by_its_number(stub: StubClient) -> None:
    register = stub.board.silicon.spi.w0 + 8
    operations = (
        struct.pack("<BIII", 2, register, 5, 0xFFFFFFFF)
        + struct.pack("<BI", 1, register)
        + struct.pack("<BBBBBBI", 4, 0x9F, 0, 0, 0, 3, 0)
        + struct.pack("<BIIII", 5, register, 0, 0, 100)
    )
    body = struct.pack("<HH", 7, 4) + operations
    first = stub.sealed(0xE1, data=body)
    assert (first.value, first.status) == (4, 0)
    assert struct.unpack_from("<I", first.fields)[0] == 5
    assert first.fields[4:7] == stub.board.nor.part.jedec
    stub.plain(0x09, register, 9, 0xFFFFFFFF, 0)
    again = stub.sealed(0xE1, data=body)
    assert (again.value, again.fields) == (first.value, first.fields)


def test_blocks_are_written_once_in_order_however_often_they_come(stub: StubClient) -> None:
    block = struct.unpack_from("<I", stub.plain(0xE0).fields, 4)[0]
    data = random.randbytes(block * 3 - 100)
    stub.board.nor.program(0x10000, bytes(0x10000))
    blocks = [data[at : at + block] for at in range(0, len(data), block)]
    begin = (77, 0x10000, len(data), len(data), block, ERASE_FIRST)
    assert stub.sealed(0xE2, *begin).value == 0
    assert stub.sealed(0xE3, 77, 0, data=blocks[0]).value == 1
    assert stub.sealed(0xE3, 77, 0, data=blocks[0]).value == 1
    late = stub.sealed(0xE3, 77, 2, data=blocks[2])
    assert (late.value, late.words()[2] & 1) == (1, 1)
    assert stub.sealed(0xE2, *begin).value == 1
    assert stub.sealed(0xE3, 78, 1, data=blocks[1]).status == 0xC6
    assert stub.sealed(0xE5, 77).status == 0xC8
    assert stub.sealed(0xE3, 77, 1, data=blocks[1]).value == 2
    assert stub.sealed(0xE3, 77, 2, data=blocks[2]).value == 3
    end = stub.sealed(0xE5, 77)
    assert (end.value, end.status, end.words()[1]) == (3, 0, len(data))
    assert stub.board.nor.read(0x10000, len(data)) == data


def test_a_deflated_window_write_and_a_damaged_stream(stub: StubClient) -> None:
    data = b"windowed" * 1000
    packed = zlib.compress(data)
    stub.sealed(0xE2, 5, 0x20000, len(data), len(packed), 0x400, ERASE_FIRST | DEFLATED)
    stub.sealed(0xE3, 5, 0, data=packed)
    assert stub.sealed(0xE5, 5).status == 0
    assert stub.board.nor.read(0x20000, len(data)) == data
    bad = b"\x78\xda" + b"\xff" * 100
    stub.sealed(0xE2, 6, 0x20000, len(data), len(bad), 0x400, DEFLATED)
    stub.sealed(0xE3, 6, 0, data=bad)
    assert stub.sealed(0xE5, 6).status == 0xC7


def crc_and_sum(unit: bytes) -> bytes:
    """A CRC-32 and the sum of the sums of the first one, two, three... words."""
    running = total = 0
    for (value,) in struct.iter_unpack("<I", unit):
        running += value
        total += running
    return struct.pack("<II", zlib.crc32(unit), total & 0xFFFFFFFF)


def test_hashes_and_blank_map(stub: StubClient) -> None:
    data = random.randbytes(0x3000)
    stub.board.nor.program(0x1000, data)
    flash = b"\xff" * 0x1000 + data + b"\xff" * 0x1000
    crcs = stub.sealed(0xE6, 0, 0x5000, 0x1000, 0)
    assert crcs.value == 5
    assert crcs.words() == tuple(
        zlib.crc32(flash[at : at + 0x1000]) for at in range(0, 0x5000, 0x1000)
    )
    md5 = stub.sealed(0xE6, 0, 0x1000, 0x1000, 1)
    assert md5.fields == hashlib.md5(flash[:0x1000]).digest()[:8]
    both = stub.sealed(0xE6, 0x1000, 0x3000, 0x1000, 2)
    units = [flash[at : at + 0x1000] for at in range(0x1000, 0x4000, 0x1000)]
    assert both.fields == b"".join(crc_and_sum(unit) for unit in units)
    assert stub.sealed(0xE6, 0x1000, 0x3000, 0x1000, 3).status == 0xC2
    blank = stub.sealed(0xE7, 0, 0x5000)
    assert (blank.value, blank.fields) == (5, b"\x11")


@pytest.mark.parametrize("compress", [0, 1])
def test_frames_can_be_read_in_a_window_and_asked_again(stub: StubClient, compress: int) -> None:
    maker = random.Random(1)
    data = (
        maker.randbytes(0x1000) + bytes(0x1000) + b"text and text " * 292 + maker.randbytes(0x408)
    )
    stub.board.nor.program(0x8000, data)
    count = (len(data) + 0x3FF) // 0x400
    answers = stub.all_sealed(0xE8, struct.pack("<6I", 9, 0x8000, len(data), 0x400, 4, compress))
    assert answers[0].value == count
    pieces: dict[int, bytes] = {}
    upto, lost = 0, [5]
    while upto < count:
        for answer in answers:
            if answer.op == 0xE9:
                assert answer.value < upto + 4
                pieces[answer.value] = _unpack(answer.fields)
        upto = next(n for n in range(count + 1) if n not in pieces)
        again = [n for n in lost if n in pieces]
        lost = [n for n in lost if n not in again]
        for number in again:  # as if it had not come: everything from it on is still wanted
            upto = min(upto, number)
        fields = struct.pack(f"<{3 + len(again)}I", 9, upto, len(again), *again)
        answers = stub.all_sealed(0xEA, fields, keep=True) if upto < count else []
        if again:
            assert next(a.value for a in answers if a.op == 0xE9) == again[0]
    assert b"".join(pieces[n] for n in range(count)) == data
    done = stub.sealed(0xEA, 9, count, 0)
    assert (done.op, done.value) == (0xEA, count)


def _unpack(fields: bytes) -> bytes:
    session, method, length = struct.unpack_from("<3I", fields)
    assert session == 9
    body = fields[12:]
    if method == 1:
        body = zlib.decompress(body, -15)
    elif method == 2:
        body = body[:1] * length
    assert len(body) == length
    return body


def test_erasing_leaves_out_what_is_blank(stub: StubClient) -> None:
    stub.board.nor.program(0x11000, b"\0")
    stub.board.nor.program(0x20000, bytes(0x10000))
    before = stub.board.nor.log["erase"]
    answer = stub.sealed(0xEB, 0x10000, 0x30000, 1)
    assert (answer.value, answer.status, answer.words()[0]) == (0x30000, 0, 1)
    assert stub.board.nor.cells.read(0x10000, 0x30000).count(0xFF) == 0x30000
    assert stub.board.nor.log["erase"] - before <= 4


@pytest.mark.parametrize(("name", "chip", "how"), KINDS, ids=[f"{k[0]}-{k[2]}" for k in KINDS])
def test_flash_that_stays_protected_is_said_to_be(name: str, chip: str, how: str) -> None:
    stub = start(name, chip, how, "&fault=protect")
    assert stub.plain(0xD1, 0, 0x1000).status == 0xC5
    assert stub.sealed(0xEB, 0, 0x1000, 0).status == 0xC5
