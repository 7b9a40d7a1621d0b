# SPDX-License-Identifier: Apache-2.0
"""Damage is named with its place and the rest is read; any bytes give values or one error."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esptool.errors import FatalError, UsageError
from esptool.storage.nvs import Kind, Nvs, NvsKeys
from esptool.storage.nvs.layout import Header, PageState


def sample() -> bytearray:
    """Page 0 is full of a blob, which ends on page 1; behind it stand five values."""
    nvs = Nvs(b"\xff" * 0x4000)
    nvs.set("app", "blob", bytes(range(250)) * 20, Kind.BLOB)
    for i in range(3):
        nvs.set("app", f"key{i}", i, Kind.U32)
    nvs.set("app", "text", "some text of more than one entry", Kind.STRING)
    nvs.set("other", "small", b"abc", Kind.BLOB)
    return bytearray(nvs.to_bytes())


ALL = {"blob", "key0", "key1", "key2", "text", "small"}


def entry_of(key: bytes) -> int:
    """Where the entry of a key lies, on page 1."""
    return sample().index(key + b"\0", 0x1000) - 8


def flip(image: bytearray, at: int, mask: int = 0xFF) -> None:
    image[at] ^= mask


def header(image: bytearray, page: int, state: int, version: int = 0xFE) -> None:
    image[page * 0x1000 : page * 0x1000 + 32] = Header.build(state, page, version)


def unmark(image: bytearray, at: int, state: int) -> None:
    entry = (at - 0x1000 - 64) // 32
    shift = 2 * (entry % 4)
    byte = 0x1000 + 32 + entry // 4
    image[byte] = image[byte] & ~(3 << shift) | state << shift


CASES = {
    "header": (lambda i: flip(i, 0x1004), "Page 1: the checksum of its header is wrong", set()),
    "no header": (
        lambda i: i.__setitem__(slice(0x1000, 0x1020), b"\xff" * 32),
        "Page 1: it has no header but holds data",
        set(),
    ),
    "state": (
        lambda i: header(i, 1, 0xFFFF0000),
        "Page 1: its state 0xffff0000 does not exist",
        set(),
    ),
    "corrupt": (lambda i: header(i, 1, 0xFFFFFFF0), "Page 1: it is marked as corrupt", set()),
    "newer": (lambda i: header(i, 1, PageState.ACTIVE, 0xFD), "Page 1: its version 3", set()),
    "freeing": (
        lambda i: header(i, 1, PageState.FREEING),
        "Page 1: its values were being moved",
        ALL,
    ),
    "number": (
        lambda i: flip(i, entry_of(b"key1") + 24),
        "it cannot be read: its checksum is wrong",
        ALL - {"key1"},
    ),
    "text": (
        lambda i: flip(i, entry_of(b"text") + 40),
        "the data of 'text' are damaged",
        ALL - {"text"},
    ),
    "chunk of a large blob": (
        lambda i: flip(i, 0x300),
        "Page 0, entry 1: the data of 'blob' are damaged",
        ALL - {"blob"},
    ),
    "page of a blob": (lambda i: flip(i, 4), "the blob 'blob' is not whole", ALL - {"blob"}),
    "unfinished": (
        lambda i: unmark(i, entry_of(b"text") + 32, 0),
        "'text' was begun and not finished",
        {"blob", "key0", "key1", "key2", "small"},
    ),
    "illegal state": (
        lambda i: unmark(i, entry_of(b"key2"), 1),
        "its state is none that exists",
        ALL - {"key2"},
    ),
    "lost namespace": (
        lambda i: flip(i, entry_of(b"other") + 24, 4),
        "Namespace #2 has no name: 2 of its entries",
        ALL,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_damage_is_named_and_the_rest_is_read(name: str) -> None:
    damage, said, left = CASES[name]
    image = sample()
    damage(image)
    nvs = Nvs(bytes(image))
    assert any(said in str(problem) for problem in nvs.problems if problem.damage), nvs.problems
    assert {e.key for e in nvs.entries() if e.value is not None} == left
    assert nvs.to_bytes() == image


def test_a_damaged_value_is_not_given_out() -> None:
    image = sample()
    flip(image, entry_of(b"text") + 40)
    nvs = Nvs(bytes(image))
    with pytest.raises(FatalError, match="'text' in 'app' is damaged"):
        nvs.get("app", "text")
    nvs.set("app", "text", "new", Kind.STRING)
    assert nvs.get("app", "text") == "new"
    assert nvs.problems == ()


def test_a_key_that_stands_twice_is_named_and_the_newer_counts() -> None:
    nvs = Nvs(b"\xff" * 0x4000)
    nvs.set("app", "key", 1, Kind.U8)
    mark = nvs.to_bytes()[32:64]
    nvs.set("app", "key", 2, Kind.U8)
    image = bytearray(nvs.to_bytes())
    image[32] = mark[0] & ~(1 << 4)  # the former entry is not marked as erased, as on a power cut
    found = Nvs(bytes(image))
    assert found.get("app", "key") == 2
    assert "'key' stands on page 0 as well" in str(found.problems[0])


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, bytes(0x3000), b"\x55" * 0x3000])
def test_what_is_no_nvs_is_said(data: bytes) -> None:
    with pytest.raises(UsageError, match="pages"):
        Nvs(data)


def test_a_partition_of_a_newer_version_is_not_changed() -> None:
    image = sample()
    header(image, 1, PageState.ACTIVE, 0xFD)
    nvs = Nvs(bytes(image))
    with pytest.raises(FatalError, match="newer than all that are known"):
        nvs.set("app", "key0", 9, Kind.U8)


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.integers(0, 0x3FFF),
                st.integers(0x1000, 0x1200),
                st.integers(0, 0x60),
            ),
            st.binary(min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
    st.booleans(),
)
def test_any_damage_gives_values_or_one_error(
    pokes: list[tuple[int, bytes]], clear_only: bool, encrypted: bool
) -> None:
    image = sample()
    for at, data in pokes:
        for i, byte in enumerate(data):
            if at + i < len(image):
                image[at + i] = image[at + i] & byte if clear_only else byte
    use(bytes(image), NvsKeys(bytes(range(64))) if encrypted else None)


@settings(max_examples=60)
@given(st.binary(max_size=300), st.integers(0, 3), st.integers(0, 2))
def test_any_bytes_behind_a_good_header_give_values_or_one_error(
    data: bytes, page: int, state: int
) -> None:
    image = bytearray(b"\xff" * 0x4000)
    header(image, page, (PageState.ACTIVE, PageState.FULL, PageState.FREEING)[state])
    at = page * 0x1000 + 32
    image[at : at + len(data)] = data
    use(bytes(image), None)


def use(image: bytes, keys: NvsKeys | None) -> None:
    """Everything that one can do with an NVS: nothing but a `FatalError` may come of it."""
    try:
        nvs = Nvs(image, keys)
    except FatalError:
        return
    for entry in nvs.entries():
        assert entry.value is None or entry.raw is not None
    assert all(str(problem) for problem in nvs.problems)
    try:
        nvs.set("app", "key0", 12345, Kind.U32)
        nvs.set("app", "blob", bytes(3000), Kind.BLOB)
        assert nvs.get("app", "key0") == 12345
        assert nvs.get("app", "blob") == bytes(3000)
        nvs.delete("app")
    except FatalError:
        return
