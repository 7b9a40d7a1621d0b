# SPDX-License-Identifier: Apache-2.0
"""NVS partitions that ESP-IDF publishes are read: old blobs, encrypted ones, HMAC keys."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from esptool.storage.nvs import Nvs, NvsKeyError, NvsKeys

FOLDER = Path(__file__).parent / "published"


def published(name: str) -> bytes:
    return gzip.decompress((FOLDER / f"{name}.bin.gz").read_bytes())


NUMBERS = {
    "u8_key": 255,
    "i8_key": -128,
    "u16_key": 65535,
    "u32_key": 4294967295,
    "i32_key": -2147483648,
}
DUMMY = {
    "dummyU8Key": 127,
    "dummyI8Key": -128,
    "dummyU16Key": 32768,
    "dummyU32Key": 4294967295,
    "dummyI32Key": -2147483648,
    "dummyStringKey": "0A:0B:0C:0D:0E:0F",
    "dummyHex2BinKey": bytes.fromhex("010203abcdef"),
    "dummyBase64Key": b"123abc",
}


def keys(name: str | None) -> NvsKeys | None:
    if name is None:
        return None
    data = published(name)
    return NvsKeys.from_hmac(data) if len(data) == 32 else NvsKeys.from_partition(data)


@pytest.mark.parametrize(
    ("name", "key_file", "namespace", "wanted", "count"),
    [
        ("old_blob_format", None, "dummyNamespace", DUMMY, 12),
        ("encrypted", "encrypted_keys", "storage", NUMBERS, 6),
        ("encrypted_hmac", "hmac_key", "storage", NUMBERS, 6),
        ("multipage_hmac", "multipage_hmac_key", "dummyNamespace", DUMMY, 12),
    ],
)
def test_reads_published_partitions(
    name: str, key_file: str | None, namespace: str, wanted: dict[str, object], count: int
) -> None:
    nvs = Nvs(published(name), keys(key_file))
    found = {entry.key: entry.value for entry in nvs.entries()}
    assert found.items() >= wanted.items()
    assert len(found) == count
    assert {entry.namespace for entry in nvs.entries()} == {namespace}
    assert not [problem for problem in nvs.problems if problem.damage]
    if name == "multipage_hmac":
        blob = nvs.get(namespace, "binFileKey")
        assert isinstance(blob, bytes)
        assert (len(blob), blob[:5]) == (5120, b"start")


@pytest.mark.parametrize("key_file", [None, "hmac_key"])
def test_says_that_keys_are_missing_or_wrong(key_file: str | None) -> None:
    with pytest.raises(NvsKeyError, match="encrypted" if key_file is None else "not those"):
        Nvs(published("encrypted"), keys(key_file))


def test_a_key_partition_is_written_as_it_is_published() -> None:
    data = published("encrypted_keys")
    assert NvsKeys.from_partition(data).to_partition() == data
