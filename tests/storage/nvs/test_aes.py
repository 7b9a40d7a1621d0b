# SPDX-License-Identifier: Apache-2.0
"""XTS-AES-256 in Python alone: published vectors, and the library that is used elsewhere."""

from __future__ import annotations

from random import Random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from esptool.storage.nvs.aes import Aes256, Xts

#: FIPS 197, appendix C.3.
KEY, PLAIN = bytes(range(32)), bytes.fromhex("00112233445566778899aabbccddeeff")
SECRET = bytes.fromhex("8ea2b7ca516745bfeafc49904b496089")


def test_a_block_is_as_the_standard_has_it() -> None:
    assert Aes256(KEY).encrypt(PLAIN) == SECRET
    assert Aes256(KEY).decrypt(SECRET) == PLAIN


@pytest.mark.parametrize("size", [16, 32, 64])
def test_units_are_those_of_the_library(size: int) -> None:
    random = Random(size)
    for _ in range(50):
        key, tweak, data = random.randbytes(64), random.randbytes(16), random.randbytes(size)
        secret = Cipher(algorithms.AES(key), modes.XTS(tweak)).encryptor().update(data)
        assert Xts(key).encrypt(tweak, data) == secret
        assert Xts(key).decrypt(tweak, secret) == data
