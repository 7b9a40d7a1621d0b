# SPDX-License-Identifier: Apache-2.0
"""SLIP framing: any payload survives, in any pieces, between any noise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from esptool.protocol import slip

SPECIAL = st.lists(st.sampled_from([b"\xc0", b"\xdb", b"\xdc", b"\xdd", b"a"])).map(b"".join)
PAYLOAD = st.one_of(st.binary(min_size=1, max_size=200), SPECIAL.filter(bool))


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


@given(st.lists(PAYLOAD, max_size=5), st.lists(st.integers(1, 7)))
def test_frames_come_back_in_any_pieces(payloads: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(slip.encode(p) for p in payloads)
    decoder = slip.Decoder()
    out = [frame for piece in cut(stream, sizes) for frame in decoder.feed(piece)]
    assert out == payloads
    assert decoder.malformed == 0


@given(st.binary(max_size=400))
def test_any_bytes_give_the_same_frames_whole_or_one_at_a_time(data: bytes) -> None:
    whole, single = slip.Decoder(), slip.Decoder()
    frames = whole.feed(data)
    assert [f for b in data for f in single.feed(bytes([b]))] == frames
    assert whole.malformed == single.malformed


@given(PAYLOAD, st.binary(max_size=50).map(lambda b: b.replace(b"\xc0", b"")))
def test_a_frame_is_found_after_a_boot_log(payload: bytes, noise: bytes) -> None:
    decoder = slip.Decoder()
    assert decoder.feed(noise + slip.encode(payload)) == [payload]
    assert decoder.stray == noise


@given(PAYLOAD, PAYLOAD)
def test_a_lost_delimiter_costs_one_frame_only(first: bytes, second: bytes) -> None:
    decoder = slip.Decoder()
    stream = slip.encode(first)[:-1] + slip.encode(second) + slip.encode(b"third")
    assert decoder.feed(stream)[-1] == b"third"


def test_a_broken_escape_drops_the_frame_and_is_counted() -> None:
    decoder = slip.Decoder()
    assert decoder.feed(b"\xc0ab\xdbx\xc0" + slip.encode(b"next")) == [b"next"]
    assert decoder.malformed == 1
    assert decoder.feed(b"\xc0ab\xdb\xc0") == []
    assert decoder.malformed == 2


def test_the_bytes_of_rfc_1055() -> None:
    assert slip.encode(b"\xc0\xdb\xdc\xdd") == b"\xc0\xdb\xdc\xdb\xdd\xdc\xdd\xc0"


def test_endless_noise_in_a_frame_does_not_fill_the_memory() -> None:
    decoder = slip.Decoder()
    decoder.feed(b"\xc0")
    for _ in range(40):
        decoder.feed(bytes(100_000))
    assert decoder.malformed == 1
    assert len(decoder.stray) <= slip.MAX_STRAY
