# SPDX-License-Identifier: Apache-2.0
"""Flash encryption: against published vectors, the public tool, and its own inverse."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espsecure import flash_encryption
from espsecure.flash_encryption import xts
from tests.espsecure.conftest import Oracle, Run

SEQUENCE = bytes(range(256)) * 2

# IEEE 1619-2007, annex B: the vectors that fill at least a unit of 128 bytes, of which the first
# 128 bytes are compared, and vector 1, of 32 bytes.
KEY_128 = "2718281828459045235360287471352631415926535897932384626433832795"
KEY_256 = (
    "2718281828459045235360287471352662497757247093699959574966967627"
    "3141592653589793238462643383279502884197169399375105820974944592"
)
IEEE_1619 = {
    "vector 1": (
        "00" * 32,
        0,
        bytes(32),
        "917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e",
    ),
    "vector 4": (
        KEY_128,
        0,
        SEQUENCE[:128],
        "27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c"
        "c78cf7f5e543445f8333d8fa7f56000005279fa5d8b5e4ad40e736ddb4d35412"
        "328063fd2aab53e5ea1e0a9f332500a5df9487d07a5c92cc512c8866c7e860ce"
        "93fdf166a24912b422976146ae20ce846bb7dc9ba94a767aaef20c0d61ad0265",
    ),
    "vector 10": (
        KEY_256,
        0xFF,
        SEQUENCE[:128],
        "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b"
        "5d31e276f8fe4a8d66b317f9ac683f44680a86ac35adfc3345befecb4bb188fd"
        "5776926c49a3095eb108fd1098baec70aaa66999a72a82f27d848b21d4a741b0"
        "c5cd4d5fff9dac89aeba122961d03a757123e9870f8acf1000020887891429ca",
    ),
}


def encrypted(key: bytes, data: bytes, address: int, *, conf: int = 15, aes_xts: bool) -> bytes:
    out = io.BytesIO()
    hardware_key = flash_encryption.load_key(key, aes_xts=aes_xts)
    flash_encryption.encrypt(
        hardware_key, io.BytesIO(data), out, address, aes_xts=aes_xts, crypt_conf=conf
    )
    return out.getvalue()


def decrypted(key: bytes, data: bytes, address: int, *, conf: int = 15, aes_xts: bool) -> bytes:
    out = io.BytesIO()
    hardware_key = flash_encryption.load_key(key, aes_xts=aes_xts)
    flash_encryption.decrypt(
        hardware_key, io.BytesIO(data), out, address, aes_xts=aes_xts, crypt_conf=conf
    )
    return out.getvalue()


@pytest.mark.parametrize("name", IEEE_1619)
def test_xts_gives_the_vectors_of_ieee_1619_in_the_byte_order_of_the_chip(name: str) -> None:
    key, unit_number, plain, cipher = IEEE_1619[name]
    # The chip reverses a unit on its way in and out, and the offset is the number of the unit. The
    # standard's numbers are no multiples of 128, so they are given to the layer below the check.
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    raw = bytes.fromhex(key)
    half = len(raw) // 2
    data = Cipher(algorithms.AES(raw[:half]), modes.ECB()).encryptor()
    tweak = Cipher(algorithms.AES(raw[half:]), modes.ECB()).encryptor()
    unit = plain.ljust(128, b"\0")[::-1]
    result = xts._units(data.update, tweak.update, unit, unit_number)[::-1]
    assert result[: len(plain)].hex() == cipher


def test_xts_is_the_library_s_xts_unit_by_unit() -> None:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key, data, address = random.randbytes(64), random.randbytes(300 * 128), 0x7F_FF80
    expected = b""
    for offset in range(0, len(data), 128):
        tweak = (address + offset).to_bytes(16, "little")
        context = Cipher(algorithms.AES(key), modes.XTS(tweak)).encryptor()
        expected += context.update(data[offset : offset + 128][::-1])[::-1]
    assert encrypted(key, data, address, aes_xts=True) == expected


CONFS = (0xF, 0x0, 0x1, 0x3, 0x9, 0xC, 0xF1)
LENGTHS = (16, 48, 112, 128, 144, 4096, 16400, 140_000 // 16 * 16, (1 << 20) + 32)
ADDRESSES = (0, 16, 0x1000, 0x1070, 0xFFFF0, 0x10000, 0xDF_FFE0)


@pytest.mark.oracle
@pytest.mark.parametrize("scheme", ["xts-16", "xts-32", "xts-64", "esp32-24", "esp32-32"])
def test_both_programs_give_the_same_bytes(
    scheme: str, oracle: Oracle, ok: Run, tmp_path: Path
) -> None:
    kind, size = scheme.split("-")
    random = Random(scheme)
    key = tmp_path / "key"
    key.write_bytes(random.randbytes(int(size)))
    plain, theirs, ours, back = (tmp_path / n for n in ("plain", "theirs", "ours", "back"))
    for number, length in enumerate(LENGTHS):
        plain.write_bytes(random.randbytes(length))
        address = ADDRESSES[number % len(ADDRESSES)]
        conf = CONFS[number % len(CONFS)]
        options = ["-x"] if kind == "xts" else ["--flash-crypt-conf", hex(conf)]
        for command, other in (("encrypt", "decrypt"), ("decrypt", "encrypt")):
            line = ["-k", key, "-a", hex(address), *options]
            oracle.ok(f"{command}-flash-data", *line, "-o", theirs, plain)
            ok(f"{command}-flash-data", *line, "-o", ours, plain)
            assert ours.read_bytes() == theirs.read_bytes(), (length, address, conf, command)
            ok(f"{other}-flash-data", *line, "-o", back, ours)
            assert back.read_bytes() == plain.read_bytes()


@settings(max_examples=60, deadline=None)
@given(
    blocks=st.integers(1, 70),
    start=st.integers(0, 1 << 16),
    cut=st.integers(0, 70),
    aes_xts=st.booleans(),
    conf=st.integers(0, 15),
)
def test_data_encrypts_the_same_in_one_piece_and_in_two(
    blocks: int, start: int, cut: int, aes_xts: bool, conf: int
) -> None:
    key, data, address = bytes(range(32)), random.randbytes(blocks * 16), start * 16
    cut = min(cut, blocks) * 16
    whole = encrypted(key, data, address, conf=conf, aes_xts=aes_xts)
    parts = [
        encrypted(key, part, address + offset, conf=conf, aes_xts=aes_xts)
        for part, offset in ((data[:cut], 0), (data[cut:], cut))
        if part
    ]
    assert b"".join(parts) == whole
    assert decrypted(key, whole, address, conf=conf, aes_xts=aes_xts) == data


@pytest.mark.parametrize("length", [1, 15, 17, 33, 4095, (1 << 20) + 5])
def test_esp32_data_that_ends_within_a_block_is_padded(length: int) -> None:
    key, data = random.randbytes(32), random.randbytes(length)
    result = encrypted(key, data, 0x20000, aes_xts=False)
    assert len(result) == (length + 15) // 16 * 16
    assert decrypted(key, result, 0x20000, aes_xts=False)[:length] == data
    if length % 16 < 8:  # at least 8 random bytes: a repetition would not be random
        assert encrypted(key, data, 0x20000, aes_xts=False) != result


def test_the_tweak_of_esp32_is_that_of_the_reference_manual() -> None:
    from espsecure.flash_encryption import esp32

    sources = esp32.key_bit_sources()
    assert len(sources) == 256
    assert sources[:20] == (*range(23, 4, -1), 23)
    assert [sources[end - 1] for end in (67, 132, 195, 256)] == [5] * 4
    for conf, bits in ((0, 0), (1, 67), (2, 65), (4, 63), (8, 61), (15, 256)):
        assert esp32.tweak_range(conf).bit_count() == bits


BAD = {
    "address": (32, 4096, 0x1008, False, "must be a multiple of 16"),
    "xts address": (32, 4096, 0x1008, True, "must be a multiple of 16"),
    "negative address": (32, 4096, -16, True, "32 bit"),
    "address space": (32, 4096, 0xFFFF_F010, True, "32 bit"),
    "xts length": (32, 100, 0x1000, True, "must be a multiple of 16"),
    "xts nothing": (32, 0, 0x1000, True, "longer than 0"),
    "xts key": (24, 4096, 0x1000, True, "192 bits"),
    "esp32 key 128": (16, 4096, 0x1000, False, "128 bits"),
    "esp32 key 512": (64, 4096, 0x1000, False, "512 bits"),
    "odd key": (33, 4096, 0x1000, True, "wrong length (33 bytes)"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_encrypted_is_refused_and_nothing_is_written(
    case: str, refused: Run, tmp_path: Path
) -> None:
    key_size, length, address, aes_xts, text = BAD[case]
    key, data, out = tmp_path / "key", tmp_path / "data", tmp_path / "out"
    key.write_bytes(bytes(key_size))
    data.write_bytes(bytes(length))
    line = ["-k", key, "-a", address, "-o", out, data, *(["-x"] if aes_xts else [])]
    assert text in refused("encrypt-flash-data", *line).err
    assert not out.exists()
    out.write_bytes(b"before")
    refused("encrypt-flash-data", *line)
    assert out.read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "key", "out"]


def test_encrypted_data_in_broken_blocks_is_not_decrypted(refused: Run, tmp_path: Path) -> None:
    key, data, out = tmp_path / "key", tmp_path / "data", tmp_path / "out"
    key.write_bytes(bytes(32))
    data.write_bytes(bytes(4095))
    line = ["decrypt-flash-data", "-k", key, "-a", "0", "-o", out, data]
    assert "not a multiple of 16" in refused(*line).err
    assert "must be a multiple of 16" in refused(*line, "-x").err
    assert not out.exists()


def test_the_input_is_never_the_output(refused: Run, tmp_path: Path) -> None:
    key, data = tmp_path / "key", tmp_path / "data"
    key.write_bytes(bytes(32))
    data.write_bytes(bytes(4096))
    link = tmp_path / "link"
    link.symlink_to(data)
    for target in (data, link, key):
        line = ["-k", key, "-a", 0, "-o", target, data]
        assert "should not be the same" in refused("encrypt-flash-data", *line).err
    assert data.read_bytes() == bytes(4096)
    assert key.read_bytes() == bytes(32)


@pytest.mark.parametrize("aes_xts", [True, False])
def test_a_long_stream_takes_little_memory(aes_xts: bool, tmp_path: Path) -> None:
    size = (32 if aes_xts else 4) << 20
    source, target = tmp_path / "in", tmp_path / "out"
    with open(source, "wb") as f:
        f.truncate(size)
    key = flash_encryption.load_key(bytes(32), aes_xts=aes_xts)
    tracemalloc.start()
    with open(source, "rb") as data, open(target, "wb") as out:
        flash_encryption.encrypt(key, data, out, 0, aes_xts=aes_xts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert target.stat().st_size == size
    # A chunk of 1 MiB is held a few times over; ESP32's scheme keeps it as units of 32 bytes.
    assert peak < (6 << 20 if aes_xts else 12 << 20)


def test_data_goes_through_pipes_and_text_stays_out_of_it(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(bytes(32))
    data = random.randbytes(5000 // 16 * 16)
    line = [sys.executable, "-m", "espsecure", "encrypt-flash-data", "-x", "-k", str(key)]
    done = subprocess.run(
        [*line, "-a", "0x1000", "-o", "-", "-"],
        input=data,
        capture_output=True,
        timeout=110,
        check=True,
    )
    assert done.stdout == encrypted(bytes(32), data, 0x1000, aes_xts=True)
    assert b"Using 256-bit key." in done.stderr
