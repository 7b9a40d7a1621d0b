# SPDX-License-Identifier: Apache-2.0
"""Partition tables: what ESP-IDF's generator makes, bit for bit, and what it refuses."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esptool.errors import StorageError
from esptool.storage import partition as kinds
from esptool.storage.names import parse_address, parse_name, resolve
from esptool.storage.partition import Partition
from esptool.storage.partition_rules import check_table, signature_of
from esptool.storage.partitions import PartitionTable, find_table

#: The tables that ESP-IDF and Arduino bring along, and what else a table may have.
TABLES = {
    "single app": "nvs,data,nvs,0x9000,0x6000\nphy_init,data,phy,0xf000,0x1000\n"
    "factory,app,factory,0x10000,1M",
    "two ota": "nvs,data,nvs,,0x4000\notadata,data,ota,,0x2000\nphy_init,data,phy,,0x1000\n"
    "factory,app,factory,,1M\nota_0,app,ota_0,,1M\nota_1,app,ota_1,,1M",
    "arduino": "nvs,data,nvs,0x9000,0x5000,\notadata,data,ota,0xe000,0x2000,\n"
    "app0,app,ota_0,0x10000,0x140000,\napp1,app,ota_1,0x150000,0x140000,\n"
    "spiffs,data,spiffs,0x290000,0x160000,\ncoredump,data,coredump,0x3F0000,0x10000,",
    "comments and blanks": "# a comment\n\n  nvs , data , nvs , , 24k ,  \n#x\nmine,0x40,0x7f,,4K",
    "flags": "a,data,fat,,64K,encrypted\nb,data,fat,,64K,readonly\nc,data,0x99,,4K,"
    "encrypted:readonly",
    "ends": "nvs,data,nvs,,24K\nrest,data,littlefs,,-4M",
    "empty subtype": "x,data,,,4K\ny,0x55,,,4K",
    "all data subtypes": "\n".join(
        f"p{i},data,{name},,{'8K' if 'ota' in name else '12K'}"
        for i, name in enumerate(kinds.SUBTYPES[kinds.DATA])
    ),
    "all app subtypes": "\n".join(
        f"p{i},app,{name},,64K" for i, name in enumerate(kinds.SUBTYPES[kinds.APP])
    ),
    "capitals": "a,DATA,NVS,,24K\nb,App,Ota_0,,1m",
    "long name": "abcdefghijklmnopqrs,data,nvs,,24K",
    "boot loader": "bootloader,bootloader,primary,,,\npt,partition_table,primary,,,\n"
    "ota_b,bootloader,ota,,,\nota_t,partition_table,ota,,,\nrec,bootloader,recovery,,,\n"
    "nvs,data,nvs,,24K",
}


def oracle() -> Any:
    return pytest.importorskip("esp_idf_defs.partitions")


@pytest.mark.parametrize("offset", [0x8000, 0x10000])
@pytest.mark.parametrize("name", TABLES)
def test_csv_becomes_the_same_bytes_as_by_the_generator(name: str, offset: int) -> None:
    text = TABLES[name]
    if offset != 0x8000:
        text = re.sub(r"^(\w+,\w+,\w+),0x\w+,", r"\1,,", text, flags=re.MULTILINE)
    theirs = oracle().PartitionTable.from_csv(text, offset, 0x1000, 0x800000)
    ours = PartitionTable.from_csv(
        text, table_offset=offset, bootloader_offset=0x1000, recovery_offset=0x800000
    )
    assert ours.to_bytes() == theirs.to_binary()
    assert ours.to_bytes(md5=False) == theirs.to_binary(md5sum=False)
    back = PartitionTable.from_bytes(ours.to_bytes())
    assert back.to_csv() == oracle().PartitionTable.from_binary(theirs.to_binary()).to_csv()
    assert back.to_bytes() == ours.to_bytes()


#: Published with ESP-IDF's own tests of the generator.
VECTOR = (
    bytes.fromhex(
        "aa500000 00000100 00001000 666163746f7279000000000000000000 00000000"
        "aa500120 00001100 00020000 64617461000000000000000000000000 00000000"
        "aa501000 00001500 00100000 7365636f6e6400000000000000000000 00000000"
        "ebebffff ffffffff ffffffff ffffffff f9bd061b45686f86571a2cd52a1da65b"
    )
    + b"\xff" * 32
)


def test_a_published_table_is_read_and_made_again() -> None:
    table = PartitionTable.from_bytes(VECTOR)
    assert table.partitions == (
        Partition("factory", 0, 0, 0x10000, 0x100000),
        Partition("data", 1, 0x20, 0x110000, 0x200),
        Partition("second", 0x10, 0, 0x150000, 0x1000),
    )
    assert table.to_bytes() == VECTOR.ljust(0xC00, b"\xff")


names = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=16)
entries = st.tuples(
    st.sampled_from(["app", "data", "0x40", "0xfe"]), st.integers(0, 0xFF), st.integers(1, 64)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(entries, max_size=40), st.data())
def test_any_table_is_the_generators_and_comes_back(
    rows: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    labels = data.draw(st.lists(names, min_size=len(rows), max_size=len(rows), unique=True))
    flags = [data.draw(st.sampled_from(["", "encrypted", "readonly"])) for _ in rows]
    text = "\n".join(
        f"{label},{kind},{subtype:#x},,{size * 4}K,{flag}"
        for label, (kind, subtype, size), flag in zip(labels, rows, flags, strict=True)
    )
    ours = PartitionTable.from_csv(text)
    binary = ours.to_bytes()
    assert binary == oracle().PartitionTable.from_csv(text).to_binary()
    assert PartitionTable.from_bytes(binary) == ours
    assert PartitionTable.from_csv(ours.to_csv()) == ours


def test_as_many_partitions_as_there_is_room_for() -> None:
    rows = [Partition(f"p{i}", 1, 6, 0x9000 + i * 0x1000, 0x1000) for i in range(95)]
    assert len(PartitionTable.from_bytes(PartitionTable(rows[:94]).to_bytes())) == 94
    with pytest.raises(StorageError, match=r"95 partitions are too many: .* hold 94"):
        PartitionTable(rows).to_bytes()


WRONG_LINES = [
    ("nvs", "type must not be left out"),
    ("nvs,,nvs,,4K", "type must not be left out"),
    ("nvs,data,nvs,,", "size must not be left out"),
    ("nvs,dta,nvs,,4K", "no type 'dta'"),
    ("nvs,data,nvss,,4K", "no subtype 'nvss'"),
    ("f,app,,,64K", "must have a subtype"),
    ("nvs,data,nvs,0x9000,24Q", "'24Q' is not a valid size"),
    ("nvs,data,nvs,9000h,24K", "'9000h' is not a valid offset"),
    ("nvs,data,nvs,0x8000,24K", "overlaps what is before: the partition table"),
    ("a,data,nvs,,24K\nb,data,phy,0xa000,4K", "the partition before ends at 0xf000"),
    ("nvs,data,nvs,,24K,secret", "no flag 'secret'"),
    ("a,0x100,0,,4K", "not within 0 to 255"),
    ("a,data,-1,,4K", "not within 0 to 255"),
    ("a,data,nvs,,-0x8000", "would end before it begins"),
    ("a,data,nvs,0xfffff000,8K", "beyond 32-bit"),
    ("$NO_SUCH,data,nvs,,4K", "variable 'NO_SUCH' is not set"),
    ("b,bootloader,primary,,", "needs the boot loader's offset"),
]


@pytest.mark.parametrize(("text", "words"), WRONG_LINES)
def test_a_wrong_line_is_named(text: str, words: str) -> None:
    with pytest.raises(StorageError, match=f"^Line .*{words}"):
        PartitionTable.from_csv(text)


def test_variables_and_own_subtypes_have_values() -> None:
    table = PartitionTable.from_csv(
        "$WHO,data,mine,,${SIZE}K",
        variables={"WHO": "me", "SIZE": "8"},
        extra_subtypes={(1, "mine"): 0x44},
    )
    assert table.partitions == (Partition("me", 1, 0x44, 0x9000, 0x2000),)


#: Tables with one fault each: what they break, and whether the generator refuses them, too.
FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("a,app,ota_0,0x11000,64K", {}, "its offset 0x11000 is not a multiple of 0x10000"),
    ("a,data,fat,0x9004,4K", {}, "its offset 0x9004 is not a multiple of 0x1000"),
    ("a,app,factory,,0x10800", {}, "its size 0x10800 is not a multiple of 0x1000"),
    ("a,app,factory,,0x11000", {"secure": "v1"}, "its size 0x11000 is not a multiple of 0x10000"),
    ("a,app,factory,,0x10800", {"secure": "v2"}, "its size 0x10800 is not a multiple of 0x1000"),
    ("a,data,nvs,,24K\na,data,fat,,64K", {}, "2 partitions have the name 'a'"),
    ("a,data,nvs,,8K", {}, "must be flagged readonly"),
    ("a,data,ota,,4K", {}, "that of OTA data must be 0x2000"),
    ("a,data,ota,,8K,readonly", {}, "so it cannot be readonly"),
    ("a,data,coredump,,64K,readonly", {}, "so it cannot be readonly"),
    ("a,data,ota,,8K\nb,data,ota,,8K", {}, "several partitions with OTA data"),
    ("a,data,tee_ota,,8K\nb,data,tee_ota,,8K", {}, "several partitions with OTA data of a TEE"),
    ("a,data,tee_ota,,4K", {}, "that of OTA data must be 0x2000"),
]


@pytest.mark.parametrize(("text", "options", "words"), FAULTS)
def test_what_the_generator_refuses_is_a_fatal_problem(
    text: str, options: dict[str, Any], words: str
) -> None:
    theirs = oracle()
    with pytest.raises(theirs.InputError):
        theirs.PartitionTable.from_csv(text).verify(0x8000, **options)
    found = check_table(PartitionTable.from_csv(text), table_offset=0x8000, **options)
    assert [words in p.text for p in found if p.fatal] == [True], found


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_wrong_where_the_generator_says_so(name: str) -> None:
    table = PartitionTable.from_csv(
        TABLES[name], bootloader_offset=0x1000, recovery_offset=0x800000
    )
    theirs = oracle().PartitionTable.from_binary(table.to_bytes())
    ours = [p.text for p in check_table(table, table_offset=0x8000) if p.fatal]
    refused = []
    try:
        theirs.verify(0x8000)
    except oracle().InputError as e:
        refused.append(e)
    assert bool(ours) == bool(refused), (ours, refused)


def overlapping() -> PartitionTable:
    return PartitionTable([Partition("a", 1, 6, 0x9000, 0x2000), Partition("b", 1, 6, 0xA000, 1)])


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (overlapping(), {}, "'b' at 0xa000 overlaps 'a' (0x9000 to 0xafff)"),
        (PartitionTable([Partition("a", 1, 6, 0x7000, 1)]), {"table_offset": 0x8000}, "before the"),
        (PartitionTable([Partition("a", 1, 6, 0x0, 0x5000)]), {"flash_size": 0x4000}, "ends at"),
    ],
)
def test_places_are_judged(table: PartitionTable, options: dict[str, Any], words: str) -> None:
    assert [words in p.text for p in check_table(table, **options) if p.fatal] == [True]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,app,factory,,64K\nb,app,factory,,64K", "Of several factory apps"),
        ("a,app,test,,64K\nb,app,test,,64K", "Of several test apps"),
        ("o,data,ota,,8K\na,app,ota_0,,64K\nb,app,ota_2,,64K", "not numbered from 0 on"),
        ("a,app,ota_0,,64K", "no partition with OTA data"),
        ("a,data,nvs,,24K", "no app partition"),
        ("app,data,nvs,,24K", "its name is a type"),
        ("ota_0,data,nvs,,24K", "its name is a subtype"),
        ("abcdefghijklmnopqrs,app,factory,,64K", "is cut to 'abcdefghijklmnop'"),
    ],
)
def test_what_is_odd_is_a_remark(text: str, words: str) -> None:
    found = check_table(PartitionTable.from_csv(text), table_offset=0x8000)
    assert [p for p in found if p.fatal] == []
    assert any(words in p.text for p in found), found


def test_a_table_without_md5_is_read_and_remarked() -> None:
    data = PartitionTable.from_csv(TABLES["single app"]).to_bytes(md5=False)
    table = PartitionTable.from_bytes(data)
    assert not table.has_md5
    assert table.to_bytes() == data
    assert any("no MD5" in p.text for p in check_table(table))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "does not begin with AA 50"),
        (b"\xff" * 0xC00, "does not begin with AA 50"),
        (VECTOR[:-32], "cut off"),
        (VECTOR[:33], "cut off"),
        (VECTOR[:10], "cut off"),
        (VECTOR[:40] + b"\x7f" + VECTOR[41:], "MD5"),
        (VECTOR[:32] + b"\xaa\x51" + VECTOR[34:], "entry 1 begins with aa51"),
        (VECTOR[:12] + b"\xff\xfe" + VECTOR[14:], "entry 0 is not UTF-8"),
        (VECTOR[:12] + b"\x1b[" + VECTOR[14:], "entry 0 is not UTF-8"),
    ],
)
def test_damage_is_one_error(data: bytes, words: str) -> None:
    with pytest.raises(StorageError, match=words):
        PartitionTable.from_bytes(data)


def test_any_bytes_give_a_table_or_one_error() -> None:
    rng = random.Random(7)
    good = PartitionTable.from_csv(TABLES["two ota"]).to_bytes()
    for _ in range(1500):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(256)] = rng.randrange(256)
        data = data[: rng.randrange(len(data))] if rng.random() < 0.3 else data
        try:
            table = PartitionTable.from_bytes(bytes(data))
        except StorageError:
            continue
        check_table(table, table_offset=0x8000, flash_size=1 << 22)
        assert PartitionTable.from_bytes(table.to_bytes()) == table


def test_any_text_gives_a_table_or_one_error() -> None:
    rng = random.Random(8)
    text = "\n".join(TABLES.values())
    for _ in range(600):
        words = list(text)
        for _ in range(rng.randrange(1, 8)):
            words[rng.randrange(len(words))] = rng.choice(",:#\n$-xkM0é \0")
        start = rng.randrange(len(words))
        try:
            table = PartitionTable.from_csv("".join(words[start : start + 300]))
            check_table(table)
            table.to_bytes()
        except StorageError:
            continue


def test_a_table_with_md5_is_found_before_one_without() -> None:
    flash = bytearray(b"\xff" * 0x30000)
    plain = PartitionTable.from_csv("a,data,nvs,,24K").to_bytes(md5=False)
    good = PartitionTable.from_csv("b,data,nvs,,24K", table_offset=0xC000)
    flash[0x9000 : 0x9000 + 0xC00] = plain
    assert find_table(bytes(flash)) == (0x9000, PartitionTable.from_bytes(plain))
    flash[0xC000 : 0xC000 + 0xC00] = good.to_bytes()
    assert find_table(bytes(flash)) == (0xC000, good)
    assert find_table(bytes(0x30000)) is None


def test_what_follows_the_table_is_told() -> None:
    table = PartitionTable.from_csv("a,data,nvs,,24K").to_bytes()
    assert signature_of(table.ljust(0x1000, b"\xff")) is None
    assert signature_of((table + b"\xe7\x02" + bytes(1214)).ljust(0x1000, b"\xff")) == "v2"
    assert signature_of((table + bytes(4) + b"\x55" * 64).ljust(0x1000, b"\xff")) == "v1"
    assert signature_of((table + b"text").ljust(0x1000, b"\xff")) == "unknown"


TABLE = PartitionTable.from_csv(TABLES["two ota"])


@pytest.mark.parametrize(
    ("text", "offset", "size"),
    [
        ("nvs", 0x9000, 0x4000),
        ("nvs[:]", 0x9000, 0x4000),
        ("nvs[0x1000:]", 0xA000, 0x3000),
        ("nvs[-4K:]", 0xC000, 0x1000),
        ("nvs[:-4096]", 0x9000, 0x3000),
        ("nvs[1:2]", 0x9001, 1),
        ("bootloader", 0x1000, 0x7000),
        ("partition-table", 0x8000, 0x1000),
        ("partition_table", 0x8000, 0x1000),
    ],
)
def test_names_and_slices_are_ranges(text: str, offset: int, size: int) -> None:
    span = resolve(parse_name(text), TABLE, 0x8000, 0x1000)
    assert (span.offset, span.size) == (offset, size)
    assert parse_name(str(parse_name(text))) == parse_name(text)


def test_entries_of_the_table_come_before_the_built_in_names() -> None:
    table = PartitionTable([Partition("bootloader", 2, 0, 0, 0x8000)])
    assert resolve(parse_name("bootloader"), table, 0x8000, 0x1000).offset == 0


@pytest.mark.parametrize("text", ["12x", "+1x", "", "a[1]", "a[", "[1:2]", "a[b:]", "a[:1]b", "\0"])
def test_words_that_are_neither_number_nor_name(text: str) -> None:
    with pytest.raises(Exception, match=r"neither|not a name|not a valid number"):
        parse_address(text)
