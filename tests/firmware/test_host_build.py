# SPDX-License-Identifier: Apache-2.0
"""The stub's C code, built for this machine with sanitizers, on a socket.

A sanitizer's complaint ends the process, so every exchange here is a check of memory as well.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.firmware.hand import Hand, words

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
MB = 1 << 20

pytestmark = pytest.mark.skipif(
    not (shutil.which("clang") and shutil.which("make")), reason="needs clang and make"
)

FLASH_BEGIN, FLASH_DATA, FLASH_END, MEM_BEGIN, MEM_DATA, SYNC = 2, 3, 4, 5, 7, 8
DEFL_BEGIN, DEFL_DATA, DEFL_END, MD5 = 0x10, 0x11, 0x12, 0x13
ERASE_FLASH, ERASE_REGION, READ_FLASH = 0xD0, 0xD1, 0xD2
INFO, BATCH, W_BEGIN, W_DATA, W_STATUS, W_END = 0xE0, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5
HASHES, BLANK, R_BEGIN, R_FRAME, R_ACK, ERASE = 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xEB


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host build, made in a copy so that parallel runs do not meet."""
    folder = tmp_path_factory.mktemp("firmware")
    shutil.copytree(FIRMWARE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build"))
    subprocess.run(["make", "-s", "host"], cwd=folder, check=True, capture_output=True)
    return folder / "build" / "stub-host"


@pytest.fixture
def hand(program: Path) -> Iterator[Hand]:
    """A running stub that has greeted."""
    process = subprocess.Popen([program, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    client = Hand(int(process.stdout.readline()))
    assert client.frame() == b"OHAI"
    try:
        yield client
    finally:
        client.close()
        process.wait(100)
        assert process.stderr is not None
        complaints = process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        assert complaints == b""


def image(size: int = 60_000, seed: int = 1) -> bytes:
    """Data with runs, text, noise and blank runs."""
    rng = random.Random(seed)
    out = bytearray()
    while len(out) < size:
        kind = rng.randrange(4)
        count = rng.randrange(1, 3000)
        if kind == 0:
            out += rng.randbytes(count)
        elif kind == 1:
            out += b"\xff" * count
        elif kind == 2:
            out += bytes(rng.choices(b"firmware \n", k=count))
        else:
            out += bytes([rng.randrange(256)]) * count
    return bytes(out[:size])


def md5_of(hand: Hand, offset: int, size: int) -> bytes:
    return hand.command(MD5, words(offset, size, 0, 0)).data


def write_public(
    hand: Hand, offset: int, data: bytes, *, deflated: bool, block: int = 0x4000
) -> list[int]:
    """Write as the public tool does; the statuses of all answers."""
    padded = data.ljust(-(-len(data) // block) * block, b"\xff")
    stream = zlib.compress(data, 9) if deflated else padded
    blocks = [stream[i : i + block] for i in range(0, len(stream), block)]
    begin, more, end = (DEFL_BEGIN, DEFL_DATA, DEFL_END) if deflated else (2, 3, 4)
    statuses = [hand.command(begin, words(len(data), len(blocks), block, offset, 0)).status]
    statuses += [hand.block(more, i, b).status for i, b in enumerate(blocks)]
    return [*statuses, hand.command(end, words(1)).status]


def test_sync_is_answered_eight_times_with_value_0(hand: Hand) -> None:
    hand.request(SYNC, b"\x07\x07\x12\x20" + b"\x55" * 32)
    assert [hand.answer(SYNC).value for _ in range(8)] == [0] * 8


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("offset", [0x10000, 0x10100])
def test_public_write_is_in_flash(hand: Hand, deflated: bool, offset: int) -> None:
    data = image()
    assert set(write_public(hand, offset, data, deflated=deflated)) == {0}
    assert md5_of(hand, offset, len(data)) == hashlib.md5(data).digest()


def test_padding_of_the_last_block_does_not_erase_the_neighbour(hand: Hand) -> None:
    neighbour = image(4096, 2)
    write_public(hand, 0x2000, neighbour, deflated=False, block=0x1000)
    assert set(write_public(hand, 0x1000, image(1000, 3), deflated=False)) == {0}
    assert md5_of(hand, 0x2000, 4096) == hashlib.md5(neighbour).digest()


def test_a_block_that_comes_twice_is_written_once(hand: Hand) -> None:
    data = image(40_000)
    stream = zlib.compress(data)
    blocks = [stream[i : i + 4096] for i in range(0, len(stream), 4096)]
    hand.command(DEFL_BEGIN, words(len(data), len(blocks), 4096, 0, 0))
    for seq, block in enumerate(blocks):
        for _ in range(1 + seq % 2):
            assert hand.block(DEFL_DATA, seq, block).status == 0
    assert hand.command(DEFL_END, words(1)).status == 0
    assert md5_of(hand, 0, len(data)) == hashlib.md5(data).digest()


def test_public_read_in_a_window(hand: Hand) -> None:
    data = image(30_000)
    write_public(hand, 0, data, deflated=True)
    assert hand.command(READ_FLASH, words(0, len(data), 0x400, 4)).status == 0
    got = b""
    while len(got) < len(data):
        got += hand.frame()
        hand.send(words(len(got)))
    assert got == data
    assert hand.frame() == hashlib.md5(data).digest()


def test_a_request_in_the_middle_of_a_read_ends_it(hand: Hand) -> None:
    assert hand.command(READ_FLASH, words(0, 0x10000, 0x400, 1)).status == 0
    hand.frame()
    assert hand.command(ERASE_REGION, words(0, 0x1000)).status == 0


@pytest.mark.parametrize(
    ("opcode", "data", "checksum", "status"),
    [
        (0x55, b"", 0, 0xC3),
        (FLASH_BEGIN, b"\0" * 8, 0, 0xC0),
        (FLASH_BEGIN, words(0x8000, 1, 0x8000, 0), 0, 0xC2),
        (FLASH_DATA, words(4, 0, 0, 0) + b"abcd", 0xEF ^ 0x61 ^ 0x62 ^ 0x63 ^ 0x64, 0xC6),
        (FLASH_END, words(1), 0, 0xC6),
        (MEM_DATA, words(4, 0, 0, 0) + b"abcd", 0, 0xC1),
        (MEM_DATA, words(5, 0, 0, 0) + b"abcd", 0, 0xC0),
        (MEM_DATA, words(4, 0, 0, 0) + b"abcd", 0xEF ^ 0x61 ^ 0x62 ^ 0x63 ^ 0x64, 0xC9),
        (ERASE_REGION, words(0x100, 0x1000), 0, 0xC2),
        (READ_FLASH, words(0, 0x1000, 0, 1), 0, 0xC2),
    ],
)
def test_error_codes(hand: Hand, opcode: int, data: bytes, checksum: int, status: int) -> None:
    assert hand.command(opcode, data, checksum).status == status


def test_too_little_and_too_much_data(hand: Hand) -> None:
    hand.command(FLASH_BEGIN, words(8192, 2, 4096, 0, 0))
    hand.block(FLASH_DATA, 0, bytes(4096))
    assert hand.command(FLASH_END, words(1)).status == 0xC8
    hand.command(DEFL_BEGIN, words(100, 1, 4096, 0, 0))
    hand.block(DEFL_DATA, 0, zlib.compress(bytes(101)))
    assert hand.command(DEFL_END, words(1)).status == 0xC9


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_stream_gives_an_error_and_stays_in_its_range(hand: Hand, seed: int) -> None:
    rng = random.Random(seed)
    data = image(20_000, seed)
    stream = bytearray(zlib.compress(data))
    stream[rng.randrange(2, len(stream))] ^= 1 << rng.randrange(8)
    hand.command(DEFL_BEGIN, words(len(data), 1, 0x4000, 0x10000, 0))
    for seq, at in enumerate(range(0, len(stream), 0x4000)):
        hand.block(DEFL_DATA, seq, bytes(stream[at : at + 0x4000]))
    assert hand.command(DEFL_END, words(1)).status in (0xC7, 0xC8, 0xC9)
    for outside in (0, 0x15000):
        assert md5_of(hand, outside, 0x10000) == hashlib.md5(b"\xff" * 0x10000).digest()


# --- extensions --------------------------------------------------------------------------------


def test_info(hand: Hand) -> None:
    answer = hand.command(INFO)
    version, capabilities, block, window = struct.unpack_from("<HHII", answer.data)
    assert (answer.value, answer.status, version) == (0x31545845, 0, 1)
    assert capabilities == 0x1FF
    assert block == 4096
    assert window >= 4


def write_window(hand: Hand, offset: int, data: bytes, *, deflated: bool, loss: float) -> int:
    """Write by numbered blocks over a line that loses, flips and repeats; the last status."""
    rng = random.Random(7)
    stream = zlib.compress(data) if deflated else data
    session = rng.getrandbits(32)
    blocks = [stream[i : i + 4096] for i in range(0, len(stream), 4096)]
    fields = words(session, offset, len(data), len(stream), 4096, deflated | 2)
    state = hand.ask(W_BEGIN, fields)
    sent = state.value
    while state.value < len(blocks) and not state.status:
        limit = min(state.words[0], len(blocks))
        for seq in range(sent, limit):
            payload = bytearray(hand.sealed(W_DATA, words(session, seq) + blocks[seq]))
            fate = rng.random()
            if fate < loss:
                continue
            if fate < 2 * loss:
                payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
            for _ in range(2 if 2 * loss < fate < 3 * loss else 1):
                hand.send(bytes(payload))
        # Without a clock: ask where it stands, and go on from there.
        state = hand.ask(W_STATUS, words(session))
        sent = state.value
    return hand.ask(W_END, words(session)).status


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_write_in_a_window_heals_itself(hand: Hand, deflated: bool, loss: float) -> None:
    data = image(100_000)
    write_public(hand, 0x20000, image(50_000, 9), deflated=True)
    assert write_window(hand, 0x20000, data, deflated=deflated, loss=loss) == 0
    assert md5_of(hand, 0x20000, len(data)) == hashlib.md5(data).digest()


def test_blocks_of_another_session_or_out_of_turn_do_nothing(hand: Hand) -> None:
    hand.ask(W_BEGIN, words(5, 0, 8192, 8192, 4096, 2))
    assert hand.ask(W_DATA, words(6, 0) + bytes(4096)).status == 0xC6
    state = hand.ask(W_DATA, words(5, 1) + bytes(4096))
    assert (state.value, state.words[2]) == (0, 1)
    assert hand.ask(W_END, words(5)).status == 0xC8
    assert md5_of(hand, 0, 8192) == hashlib.md5(b"\xff" * 8192).digest()


def test_a_stream_error_shows_in_the_state(hand: Hand) -> None:
    hand.ask(W_BEGIN, words(5, 0, 8192, 100, 4096, 3))
    hand.send(hand.sealed(W_DATA, words(5, 0) + bytes(100)))
    assert hand.ask(W_END, words(5)).status == 0xC7


def test_an_unsealed_request_does_nothing(hand: Hand) -> None:
    payload = bytearray(hand.sealed(ERASE, words(0, 0x1000, 0)))
    payload[9] ^= 1
    hand.send(bytes(payload))
    answer = hand.sealed_answer()
    assert (answer.opcode, answer.value, answer.status) == (ERASE, 0xFFFFFFFF, 0xC1)


def crc_and_sum(unit: bytes) -> bytes:
    """A CRC-32 and the sum of the sums of the first one, two, three... words."""
    count = len(unit) // 4
    values = struct.unpack(f"<{count}I", unit)
    weighted = sum((count - i) * value for i, value in enumerate(values))
    return words(zlib.crc32(unit), weighted & 0xFFFFFFFF)


def test_hashes_and_blank_map(hand: Hand) -> None:
    data = image(0x6000)
    write_public(hand, 0x3000, data, deflated=True)
    all_of_it = (b"\xff" * 0x3000 + data).ljust(0x10000, b"\xff")
    units = [all_of_it[i : i + 0x1000] for i in range(0, 0x10000, 0x1000)]
    answer = hand.ask(HASHES, words(0, 0x10000, 0x1000, 0))
    assert answer.words == tuple(zlib.crc32(u) for u in units)
    answer = hand.ask(HASHES, words(0, 0x10000, 0x1000, 1))
    assert answer.data == b"".join(hashlib.md5(u).digest()[:8] for u in units)
    answer = hand.ask(HASHES, words(0, 0x10000, 0x1000, 2))
    assert answer.data == b"".join(crc_and_sum(u) for u in units)
    answer = hand.ask(BLANK, words(0, 0x10000))
    assert answer.value == 16
    bits = int.from_bytes(answer.data, "little")
    assert [bits >> i & 1 for i in range(16)] == [u == b"\xff" * 0x1000 for u in units]


@pytest.mark.parametrize("compress", [0, 1])
def test_read_in_a_window_with_frames_asked_for_again(hand: Hand, compress: int) -> None:
    data = image(40_000)
    write_public(hand, 0x1000, data, deflated=True)
    count = hand.ask(R_BEGIN, words(3, 0x1000, len(data), 4096, 4, compress)).value
    rng = random.Random(1)
    got: dict[int, bytes] = {}
    while len(got) < count:
        answer = hand.sealed_answer()
        assert answer.opcode == R_FRAME
        session, method, length = struct.unpack_from("<3I", answer.data)
        body = answer.data[12:]
        assert session == 3
        if method == 1:
            body = zlib.decompress(body, -15)
        elif method == 2:
            body *= length
        assert len(body) == length
        if rng.random() < 0.3 and answer.value not in got:
            hand.send(hand.sealed(R_ACK, words(3, 0, 1, answer.value)))
            continue
        got[answer.value] = body
        following = next(i for i in range(count + 1) if i not in got)
        hand.send(hand.sealed(R_ACK, words(3, following, 0)))
    while (answer := hand.sealed_answer()).opcode != R_ACK:
        pass
    assert answer.value == count
    assert b"".join(got[i] for i in range(count)) == data
    again = hand.ask(R_ACK, words(3, count, 0))
    assert again.value == count


def test_erase_leaves_out_nothing_that_is_not_blank(hand: Hand) -> None:
    write_public(hand, 0x8000, image(0x20000), deflated=True)
    answer = hand.ask(ERASE, words(0, 0x40000, 1))
    while not answer.words[0]:
        answer = hand.sealed_answer()
    assert (answer.value, answer.status) == (0x40000, 0)
    assert md5_of(hand, 0, 0x40000) == hashlib.md5(b"\xff" * 0x40000).digest()
    assert hand.ask(ERASE, words(1, 0x1000, 0)).status == 0xC2


def test_batch_is_done_once(hand: Hand) -> None:
    ram = 0x3FC80000
    jedec = struct.pack("<6BI", 4, 0x9F, 0, 0, 0, 3, 0)
    read, add = struct.pack("<BI", 1, ram), struct.pack("<BIII", 2, ram, 0x12345678, 0xFFFF)
    fields = struct.pack("<HH", 9, 3) + read + add + jedec
    first = hand.ask(BATCH, fields)
    assert (first.value, first.status) == (3, 0)
    assert first.data == words(0) + b"\xef\x40\x16"
    assert hand.ask(BATCH, fields) == first
    poll = struct.pack("<BIIII", 5, ram, 0xFFFF, 0x5678, 100)
    assert hand.ask(BATCH, struct.pack("<HH", 0, 1) + poll).words == (0x5678,)
    never = struct.pack("<BIIII", 5, ram, 0xFFFF, 1, 100)
    assert hand.ask(BATCH, struct.pack("<HH", 0, 2) + read + never).status == 0xC4


def test_noise_between_frames_is_ignored(hand: Hand) -> None:
    rng = random.Random(2)
    for _ in range(50):
        hand.raw(rng.randbytes(rng.randrange(1, 200)).replace(b"\xc0", b""))
        hand.raw(b"\xc0\xc0")
    hand.request(SYNC, b"\x07\x07\x12\x20" + b"\x55" * 32)
    assert hand.answer(SYNC).status == 0
