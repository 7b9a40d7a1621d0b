# SPDX-License-Identifier: Apache-2.0
"""Flash ends up as with the chip's own library, byte for byte.

The digests were recorded with the genuine `nvs_flash` of ESP-IDF (commit 102122904ade, July 2026),
built for a computer over a partition in memory: the same steps with `nvs_set_*`, `nvs_erase_key`
and `nvs_erase_all` (first table), and `nvs_flash_init` on what an interruption left (second one).
"""

from __future__ import annotations

import hashlib

import pytest

from esptool.storage.changes import apply
from esptool.storage.nvs import Kind, Row, build
from esptool.storage.nvs.medium import Medium
from esptool.storage.nvs.store import Store
from esptool.storage.nvs.values import Value
from tests.storage.nvs.scenarios import Dice, play, steps


def blank(pages: int) -> bytes:
    return b"\xff" * 4096 * pages


def digest(image: bytes | bytearray) -> str:
    return hashlib.sha256(image).hexdigest()[:32]


@pytest.mark.parametrize(
    ("seed", "pages", "count", "keys", "longest", "wanted"),
    [
        (1, 3, 40, 8, 90, "e011bc6c12219856e03430980141b2af"),
        (2, 3, 120, 12, 700, "76da7d78fb5fe3fcd57e84209b2a73ee"),
        (3, 3, 400, 20, 90, "a5f47cd793cd3a6a5f8f55a3fc36b9e7"),
        (4, 4, 150, 15, 6000, "657153abc053ce802232642aa196d002"),
        (5, 6, 250, 40, 4000, "892cb4a5e79b2af781805ae5e969f6e9"),
        (6, 6, 200, 10, 6000, "380e672e10f3dc5aaff9186bd25d1a60"),
        (7, 3, 300, 6, 1984, "d19c9ab4a09ca4b69be5946fc2b86185"),
        (8, 8, 300, 80, 3900, "52b0843e4f766c96ab29fbc775cfc21a"),
    ],
)
def test_changes_give_the_flash_that_the_library_gives(
    seed: int, pages: int, count: int, keys: int, longest: int, wanted: str
) -> None:
    medium = Medium(blank(pages), None)
    play(medium, steps(seed, count, keys, longest))
    assert digest(medium.image) == wanted


@pytest.mark.parametrize(
    ("seed", "pages", "count", "keys", "longest", "cuts"),
    [
        (
            11,
            3,
            160,
            12,
            700,
            {
                179: "c0a9c121ba48d1d2c4466e5772137c8e",
                268: "aa80597c0f5519908cb1dfd8df2be362",
                429: "16c44bfd3fc37c3005df5c44b55e0169",
                448: "7d195b33136d04c9e33a5490fce0e63f",
                485: "5e8a0be8583f835c303936617b07fa7b",
                488: "5e8a0be8583f835c303936617b07fa7b",
                489: "516e7d43f48331f48ffdc1b21ee88c40",
                536: "9447c25bb35d96ba93ea568ec3a05389",
            },
        ),
        (
            12,
            4,
            200,
            16,
            1984,
            {
                218: "59e91d2696f58c85554af00becab290f",
                255: "7e33a0a7b66478edd763c3c6f3098649",
                258: "7e33a0a7b66478edd763c3c6f3098649",
                259: "f4a0564022749a4e875a25702f26c850",
                320: "c28bd6f44bb9f113549e5b951e342dd9",
                321: "c28bd6f44bb9f113549e5b951e342dd9",
                357: "c28bd6f44bb9f113549e5b951e342dd9",
                360: "c28bd6f44bb9f113549e5b951e342dd9",
                361: "1e25e3bf7977158668d03c5ccd7d33eb",
                482: "ebc76b603200118a894859bf51acc186",
                772: "22ca972284b47e3f6ba8f52ff049e0be",
                964: "f788916ba6550fabf6cbb4e6f0656f2f",
            },
        ),
        (
            13,
            3,
            300,
            10,
            90,
            {
                366: "9967a85107b3f77517afbec0b3381233",
                549: "802bd91279165948d11c3751a6ae18a7",
                594: "5b045cda2ed312a8ccf5ff1df93c2522",
                631: "eda3c2390433ee5b64c1c36118a318b6",
                634: "eda3c2390433ee5b64c1c36118a318b6",
                635: "1810a3f3b8a503f0cf643ed53da2df98",
                878: "3186e5e439b26c79136d4430c630b793",
                881: "e3f94228bfde0409b034366aa0f3b539",
                918: "73fee624c613173543ff008dd313a2f7",
                921: "e554cce5d0926bc5f9d9f46b9b1d41f6",
                922: "e554cce5d0926bc5f9d9f46b9b1d41f6",
                1097: "414475e51150868e21bf9082c49ab900",
            },
        ),
    ],
)
def test_what_an_interruption_left_is_put_right_as_by_the_library(
    seed: int, pages: int, count: int, keys: int, longest: int, cuts: dict[int, str]
) -> None:
    medium = Medium(blank(pages), None)
    play(medium, steps(seed, count, keys, longest))
    image = bytearray(blank(pages))
    for number, change in enumerate(medium.changes):
        if number in cuts:
            found = Medium(bytes(image), None)
            Store(found)
            assert digest(found.image) == cuts[number], number
        apply(image, change)


def first_version() -> bytes:
    """An NVS of version 1, whose blobs have no index."""
    dice = Dice("v1")
    values: dict[Kind, Value] = {
        Kind.U8: 1,
        Kind.I32: -2,
        Kind.STRING: "three",
        Kind.BLOB: dice.bytes(300),
        Kind.U64: 5,
    }
    rows = [
        Row("app", f"key{5 * i + number}", kind, value)
        for i in range(2)
        for number, (kind, value) in enumerate(values.items())
    ]
    return build(rows, 0x4000, version=1)


def test_an_nvs_of_version_1_is_changed_as_by_the_library() -> None:
    medium = Medium(first_version(), None)
    play(medium, steps(21, 120, 10, 700))
    assert digest(medium.image) == "ffb23592da30d39228421f68d5b82486"
