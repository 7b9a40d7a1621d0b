# SPDX-License-Identifier: Apache-2.0
"""Check bits are those that the silicon expects, and damage within their reach is repaired."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from espefuse import coding
from esptool.virtual import efuse_coding

BLOCKS = st.binary(min_size=32, max_size=32)


def test_reed_solomon_words_are_those_of_a_known_key() -> None:
    key = bytes(range(0xA0, 0xC0))[::-1]
    words = coding.REED_SOLOMON.encode(int.from_bytes(key, "little"), 8)
    assert words[8:] == [0x89A234A2, 0xCA4851B2, 0x325AF440]


def test_a_3_4_chunk_has_its_xor_and_weight() -> None:
    assert coding.chunk_3_4(bytes.fromhex("0102030405ff")) == bytes.fromhex("0102030405fffe47")


@given(BLOCKS, st.sets(st.integers(0, 31), max_size=6), st.integers(1, 255))
@settings(max_examples=30, deadline=None)
def test_up_to_six_damaged_bytes_read_right_and_are_counted(
    data: bytes, places: set[int], flip: int
) -> None:
    check = coding.rs_parity(data)
    damaged = bytearray(data)
    for place in places:
        damaged[place] ^= flip
    plain, count, fail = efuse_coding.decode_rs(bytes(damaged), check)
    assert (plain, count, fail) == (data, len(places), False)


@given(st.binary(min_size=24, max_size=24))
@settings(max_examples=30, deadline=None)
def test_3_4_coding_comes_back(data: bytes) -> None:
    words = coding.THREE_QUARTERS.encode(int.from_bytes(data, "little"), 8)
    coded = b"".join(w.to_bytes(4, "little") for w in words)
    assert efuse_coding.decode_3_4(coded) == (data, False)
