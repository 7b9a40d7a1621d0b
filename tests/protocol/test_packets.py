# SPDX-License-Identifier: Apache-2.0
"""Requests, responses and security info against their published layout."""

from __future__ import annotations

import functools
import operator
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esptool.protocol import packets, security, status
from esptool.protocol.opcodes import Cmd, name_of


@given(st.binary(max_size=300), st.integers(0, 255))
def test_the_checksum_is_the_xor_of_all_bytes(data: bytes, seed: int) -> None:
    assert packets.checksum(data, seed) == functools.reduce(operator.xor, data, seed)


def test_a_register_read_looks_as_the_manual_shows_it() -> None:
    frame = packets.request(Cmd.READ_REG, packets.words(0x3FF00014))
    assert frame == bytes.fromhex("000a0400000000001400f03f")


def test_a_data_block_carries_length_number_and_checksum() -> None:
    body, check = packets.data_block(b"\x01\x02\x04", 7)
    assert body == struct.pack("<IIII", 3, 7, 0, 0) + b"\x01\x02\x04"
    assert check == 0xEF ^ 7


@given(st.binary(max_size=40))
def test_any_frame_is_a_response_or_none(frame: bytes) -> None:
    response = packets.parse_response(frame)
    if response is None:
        assert len(frame) < 8 or frame[0] != 1
    else:
        assert response.opcode == frame[1]
        assert response.data == frame[8:]


def test_security_info_with_and_without_chip_id() -> None:
    short = struct.pack("<IB7B", 0b101, 3, 0, 1, 2, 3, 4, 5, 6)
    info = security.parse(short)
    assert info is not None
    assert info.has(security.SecurityFlag.SECURE_DOWNLOAD_ENABLE)
    assert not info.flash_encryption
    assert info.chip_id is None
    full = security.parse(short + struct.pack("<II", 9, 1))
    assert full is not None
    assert (full.chip_id, full.api_version, full.key_purposes[6]) == (9, 1, 6)


@pytest.mark.parametrize("length", [0, 11, 13, 19, 21])
def test_security_info_of_another_length_is_none(length: int) -> None:
    assert security.parse(bytes(length)) is None


def test_codes_and_opcodes_have_words() -> None:
    assert "not known" in status.describe(0x0105)
    assert status.describe(0xABCD) == "unknown error code"
    assert name_of(0x13) == "SPI_FLASH_MD5"
    assert name_of(0x77) == "0x77"
