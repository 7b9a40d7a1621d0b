# SPDX-License-Identifier: Apache-2.0
"""OTA data: chosen as the boot loader chooses, switched as ESP-IDF's tool switches."""

from __future__ import annotations

import binascii
import random
import struct
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esptool.errors import StorageError
from esptool.storage.otadata import SIZE, OtaData, OtaState, boot_order
from esptool.storage.partitions import PartitionTable

BLANK = b"\xff" * 32
#: Entries as they stand on boards: sequence number and its CRC.
KNOWN = {1: 0x4743989A, 2: 0x55F63774, 3: 0xED4AA911, 4: 0x709D68A8}


def entry(sequence: int, state: int = 0xFFFFFFFF, crc: int | None = None) -> bytes:
    number = struct.pack("<I", sequence)
    crc = binascii.crc32(number, 0xFFFFFFFF) if crc is None else crc
    return number + b"\xff" * 20 + struct.pack("<II", state, crc)


def sectors(first: bytes = BLANK, second: bytes = BLANK) -> bytes:
    return first.ljust(0x1000, b"\xff") + second.ljust(0x1000, b"\xff")


def by_the_tool(data: bytes, slot: int, count: int) -> bytes:
    """The sectors as `otatool.py switch_ota_partition` leaves them: it looks at no states."""
    found = []
    for at in (0, 0x1000):
        sequence, crc = (
            struct.unpack_from("<I", data, at)[0],
            struct.unpack_from("<I", data, at + 28)[0],
        )
        good = sequence != 0xFFFFFFFF and crc == binascii.crc32(data[at : at + 4], 0xFFFFFFFF)
        found.append(sequence if good else None)
    base = None
    if found[0] is not None and (found[1] is None or found[0] >= found[1]):
        base = 0
    elif found[1] is not None:
        base = 1
    following = slot + 1
    if base is not None:
        following %= count
        former = found[base]
        assert former is not None
        while following < former:
            following += count
    at = 0x1000 if base == 0 else 0
    made = bytearray(data)
    made[at : at + 4] = struct.pack("<I", following)
    made[at + 28 : at + 32] = struct.pack("<I", binascii.crc32(made[at : at + 4], 0xFFFFFFFF))
    return bytes(made)


def by_the_boot_loader(data: bytes, count: int) -> int | None:
    """The slot that a boot loader takes, None where it goes by the table."""
    best = None
    for at in (0, 0x1000):
        sequence, state, crc = struct.unpack("<I20xII", data[at : at + 32])
        rejected = sequence == 0xFFFFFFFF or state in (3, 4)
        if rejected or crc != binascii.crc32(data[at : at + 4], 0xFFFFFFFF):
            continue
        if best is None or sequence > best:
            best = sequence
    return None if best is None else (best - 1) % (1 << 32) % count


@pytest.mark.parametrize("sequence", [1, 2])
def test_known_entries_are_valid(sequence: int) -> None:
    data = OtaData.from_bytes(sectors(entry(sequence, crc=KNOWN[sequence])))
    assert data.entries[0].usable
    assert data.active == 0
    assert data.selected(2) == sequence - 1


#: Any order of switches from any of these beginnings gives what the tool gives.
STARTS = {
    "blank": sectors(),
    "first": sectors(entry(1)),
    "second": sectors(BLANK, entry(2)),
    "both": sectors(entry(5), entry(6)),
    "older behind": sectors(entry(7), entry(6)),
    "equal": sectors(entry(3), entry(3)),
    "damaged": sectors(entry(9, crc=1), entry(4)),
    "both damaged": sectors(entry(9, crc=1), entry(4, crc=2)),
    "kept as valid": sectors(entry(5, OtaState.VALID), entry(4, OtaState.VALID)),
    "fresh": sectors(entry(5, OtaState.NEW)),
    "labelled": sectors(entry(5)[:4] + b"label of 20 bytes..." + entry(5)[24:]),
    "all zero": bytes(SIZE),
    "with more in the sector": sectors(entry(1) + b"more", BLANK + b"data"),
}


@pytest.mark.parametrize("count", [1, 2, 3, 16])
@pytest.mark.parametrize("start", STARTS)
def test_a_switch_is_bit_for_bit_that_of_the_tool(start: str, count: int) -> None:
    rng = random.Random(count)
    for _ in range(4):
        ours = theirs = STARTS[start]
        for _ in range(6):
            slot = rng.randrange(count)
            ours = OtaData.from_bytes(ours).switched(slot, count).to_bytes()
            theirs = by_the_tool(theirs, slot, count)
            assert ours == theirs
            assert OtaData.from_bytes(ours).selected(count) == slot
            assert by_the_boot_loader(ours, count) == slot


states = st.sampled_from([*OtaState, 7])
some = st.one_of(
    st.just(BLANK),
    st.binary(min_size=32, max_size=32),
    st.builds(entry, st.integers(0, 40), states),
    st.builds(entry, st.integers(1, 0xFFFFFFF0), states),
    st.builds(entry, st.integers(1, 40), states, st.integers(0, 5)),
)


@settings(max_examples=200, deadline=None)
@given(some, some, st.integers(1, 16), st.data())
def test_from_anything_the_boot_loader_starts_the_chosen_slot(
    first: bytes, second: bytes, count: int, data: st.DataObject
) -> None:
    before = OtaData.from_bytes(sectors(first, second))
    slot = data.draw(st.integers(0, count - 1))
    assert before.selected(count) == by_the_boot_loader(before.to_bytes(), count)
    after = before.switched(slot, count)
    assert by_the_boot_loader(after.to_bytes(), count) == slot
    changed = [i for i in (0, 1) if after.entries[i] != before.entries[i]]
    assert len(changed) <= 1
    # While that sector is erased and written, what counted before still counts.
    for index in changed:
        half = bytearray(before.to_bytes())
        half[index * 0x1000 : (index + 1) * 0x1000] = b"\xff" * 0x1000
        assert by_the_boot_loader(bytes(half), count) == before.selected(count)


@pytest.mark.parametrize("state", [OtaState.INVALID, OtaState.ABORTED, OtaState.PENDING_VERIFY])
def test_a_state_that_would_have_the_new_entry_passed_over_does_not_stay(state: OtaState) -> None:
    after = OtaData.from_bytes(sectors(entry(5), entry(4, state))).switched(1, 2)
    assert after.entries[1].state == OtaState.UNDEFINED
    assert after.selected(2) == 1


def test_a_rejected_entry_is_the_one_that_is_replaced() -> None:
    before = OtaData.from_bytes(sectors(entry(6, OtaState.ABORTED), entry(5)))
    assert before.active == 1
    after = before.switched(1, 2)
    assert after.entries[1] == before.entries[1]
    assert (after.entries[0].sequence, after.selected(2)) == (6, 1)


@pytest.mark.parametrize("slot", [-1, 2])
def test_a_slot_that_is_not_there_is_refused(slot: int) -> None:
    with pytest.raises(StorageError, match=f"no slot {slot}: the table has 2"):
        OtaData.blank().switched(slot, 2)


def test_sequence_numbers_that_are_used_up_are_refused() -> None:
    data = OtaData.from_bytes(sectors(entry(0xFFFFFFFE)))
    with pytest.raises(StorageError, match="used up"):
        data.switched(0, 2)
    with pytest.raises(StorageError, match="8192 bytes, these are 100"):
        OtaData.from_bytes(bytes(100))


def oracle_entry(data: bytes) -> Any:
    defs = pytest.importorskip("esp_idf_defs.otadata")
    return defs.OtaDataSelectEntry.from_bytes(data)


@pytest.mark.parametrize("sequence", [*range(1, 20), 0xFFFF, 0xFFFFFFFE])
def test_another_reader_reads_the_same(sequence: int) -> None:
    made = entry(sequence, OtaState.VALID)
    theirs = oracle_entry(made)
    [ours, _] = OtaData.from_bytes(sectors(made)).entries
    assert (theirs.seq, int(theirs.ota_state)) == (ours.sequence, ours.state)
    assert theirs.ota_slot(3) == ours.slot(3)
    assert theirs.to_bytes() == made


CSV = "otadata,data,ota,,8K\n{}ota_0,app,ota_0,,64K\nota_1,app,ota_1,,64K\n{}"


@pytest.mark.parametrize(
    ("factory", "selected", "order"),
    [
        (True, None, "factory ota_0 ota_1 test"),
        (True, 0, "ota_0 factory ota_1 test"),
        (True, 1, "ota_1 ota_0 factory test"),
        (False, None, "ota_0 ota_1 test"),
        (False, 0, "ota_0 ota_1 test"),
        (False, 1, "ota_1 ota_0 test"),
    ],
)
def test_applications_are_tried_downwards_and_then_upwards(
    factory: bool, selected: int | None, order: str
) -> None:
    first = "factory,app,factory,,64K\n" if factory else ""
    table = PartitionTable.from_csv(CSV.format(first, "test,app,test,,64K"))
    data = OtaData.blank() if selected is None else OtaData.blank().switched(selected, 2)
    assert [p.name for p in boot_order(table, data)] == order.split()
    assert boot_order(table, None)[0].name == ("factory" if factory else "ota_0")


def test_any_two_sectors_are_read() -> None:
    rng = random.Random(3)
    for first, second in product(range(20), repeat=2):
        data = OtaData.from_bytes(rng.randbytes(SIZE) if first else sectors(entry(second)))
        assert data.selected(2) in (None, 0, 1)
