# SPDX-License-Identifier: Apache-2.0
"""`set` and `delete` change one value alone; an interruption leaves the old or the new one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esptool.errors import FatalError, UsageError
from esptool.storage.changes import Program, apply
from esptool.storage.nvs import Erase, Kind, Nvs, NvsFullError, NvsKeys
from esptool.storage.nvs.values import Value
from tests.storage.nvs.scenarios import Dice

KEYS = NvsKeys(bytes(range(64)))
BLANK = b"\xff" * 0x4000
SAMPLES: dict[Kind, Value] = {
    Kind.U8: 200,
    Kind.I8: -100,
    Kind.U16: 60000,
    Kind.I16: -30000,
    Kind.U32: 4000000000,
    Kind.I32: -2000000000,
    Kind.U64: 2**64 - 1,
    Kind.I64: -(2**63),
    Kind.FLOAT: 1.5,
    Kind.DOUBLE: -0.1,
    Kind.STRING: "grüße",
    Kind.BLOB: bytes(range(256)) * 36,
}


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_every_kind_is_kept_and_read_back(keys: NvsKeys | None) -> None:
    nvs = Nvs(BLANK, keys)
    for kind, value in SAMPLES.items():
        assert nvs.set("app", kind.value, value, kind)
    for source in (nvs, Nvs(nvs.to_bytes(), keys)):
        assert {e.kind: e.value for e in source.entries()} == SAMPLES
        assert source.problems == ()
    image = nvs.to_bytes()
    for kind, value in SAMPLES.items():
        assert not nvs.set("app", kind.value, value, kind)
    assert nvs.to_bytes() == image


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_a_set_appends_one_entry_and_marks_the_former_one(keys: NvsKeys | None) -> None:
    nvs = Nvs(BLANK, keys)
    for i in range(5):
        nvs.set("app", f"key{i}", i, Kind.U16)
    before, done = nvs.to_bytes(), len(nvs.changes)
    assert nvs.set("app", "key2", 77)
    changed = [i for i, (a, b) in enumerate(zip(before, nvs.to_bytes(), strict=True)) if a != b]
    # The map of states, and the seventh entry: the name of the namespace and five keys precede it.
    assert {at // 32 for at in changed} == {1, 2 + 6}
    entry, written, erased = nvs.changes[done:]
    assert isinstance(entry, Program)
    assert entry.offset == 64 + 6 * 32
    assert [c.offset for c in (written, erased)] == [32, 32]
    assert nvs.get("app", "key2") == 77


def test_a_value_keeps_its_type_unless_another_is_asked_for() -> None:
    nvs = Nvs(BLANK)
    nvs.set("app", "n", 5, Kind.I16)
    nvs.set("app", "n", 6)
    assert nvs.entry("app", "n").kind is Kind.I16
    with pytest.raises(UsageError, match="out of the range of i16"):
        nvs.set("app", "n", 40000)
    nvs.set("app", "n", "six", Kind.STRING)
    assert [(e.key, e.value) for e in nvs.entries()] == [("n", "six")]
    nvs.set("app", "text", "new")
    nvs.set("app", "blob", b"new")
    assert [nvs.entry("app", k).kind for k in ("text", "blob")] == [Kind.STRING, Kind.BLOB]
    with pytest.raises(UsageError, match="which type"):
        nvs.set("app", "number", 1)


def test_pages_are_collected_and_nothing_is_lost() -> None:
    nvs = Nvs(b"\xff" * 0x3000, KEYS)
    nvs.set("app", "kept", "for ever", Kind.STRING)
    nvs.set("app", "blob", bytes(3000), Kind.BLOB)
    for i in range(600):
        nvs.set("app", f"key{i % 7}", i, Kind.U32)
    assert sum(isinstance(c, Erase) for c in nvs.changes) >= 2
    again = Nvs(nvs.to_bytes(), KEYS)
    assert again.get("app", "kept") == "for ever"
    assert again.get("app", "blob") == bytes(3000)
    assert [again.get("app", f"key{i % 7}") for i in range(593, 600)] == list(range(593, 600))
    assert again.problems == ()


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Kind.BLOB, bytes(7000)), (Kind.BLOB, bytes(9000)), (Kind.STRING, "x" * 3999)],
)
def test_a_full_nvs_is_said_and_nothing_is_changed(kind: Kind, value: Value) -> None:
    nvs = Nvs(b"\xff" * 0x3000)
    nvs.set("app", "large", bytes(5000), Kind.BLOB)
    image, changes = nvs.to_bytes(), nvs.changes
    with pytest.raises(NvsFullError, match="Nothing was changed"):
        nvs.set("new", "key", value, kind)
    assert nvs.to_bytes() == image
    assert nvs.changes == changes
    assert nvs.namespaces == ("app",)
    nvs.set("app", "small", 1, Kind.U8)


def test_all_namespaces_can_be_used_and_no_more() -> None:
    nvs = Nvs(b"\xff" * 0x8000)
    for i in range(254):
        nvs.set(f"space{i}", "k", i, Kind.U8)
    assert len(nvs.namespaces) == 254
    with pytest.raises(NvsFullError, match="254 namespaces"):
        nvs.set("one more", "k", 1, Kind.U8)
    assert nvs.get("space253", "k") == 253


def test_deletes_a_key_or_all_of_a_namespace() -> None:
    nvs = Nvs(BLANK)
    for name in ("a", "b"):
        nvs.set(name, "n", 1, Kind.U8)
        nvs.set(name, "blob", bytes(9000 if name == "a" else 10), Kind.BLOB)
    assert nvs.delete("a", "blob") == 1
    assert nvs.delete("b") == 2
    assert nvs.delete("b") == 0
    assert [(e.namespace, e.key) for e in nvs.entries()] == [("a", "n")]
    assert nvs.namespaces == ("a", "b")
    assert nvs.problems == ()
    for where in (("a", "blob"), ("c", "n"), ("c", None)):
        with pytest.raises(UsageError, match="has no"):
            nvs.delete(*where)


@pytest.mark.parametrize(
    ("namespace", "key", "value", "kind"),
    [
        ("", "k", 1, Kind.U8),
        ("n", "", 1, Kind.U8),
        ("n", "k" * 16, 1, Kind.U8),
        ("n" * 16, "k", 1, Kind.U8),
        ("n", "a\0b", 1, Kind.U8),
        ("n", "k", 256, Kind.U8),
        ("n", "k", -1, Kind.U64),
        ("n", "k", True, Kind.U8),
        ("n", "k", 1.5, Kind.U8),
        ("n", "k", "1", Kind.U8),
        ("n", "k", 1, Kind.STRING),
        ("n", "k", "text", Kind.BLOB),
        ("n", "k", "a\0b", Kind.STRING),
        ("n", "k", "x" * 4000, Kind.STRING),
        ("n", "k", float("nan"), Kind.DOUBLE),
        ("n", "k", 1e300, Kind.FLOAT),
    ],
)
def test_refuses_names_and_values_that_nvs_does_not_take(
    namespace: str, key: str, value: Value, kind: Kind
) -> None:
    nvs = Nvs(BLANK)
    with pytest.raises(UsageError):
        nvs.set(namespace, key, value, kind)
    assert nvs.to_bytes() == BLANK


def test_names_the_nearest_key_and_namespace() -> None:
    nvs = Nvs(BLANK)
    nvs.set("wifi", "channel", 1, Kind.U8)
    nvs.set("app", "mode", 1, Kind.U8)
    for namespace, key, said in (
        ("wfi", "channel", "Did you mean 'wifi'"),
        ("wifi", "chanel", "Did you mean 'channel'"),
        ("wifi", "mode", "'app' has one"),
    ):
        with pytest.raises(UsageError, match=said):
            nvs.get(namespace, key)


def test_a_partition_without_a_free_page_is_read_and_not_changed() -> None:
    full = Nvs(b"\xff" * 0x3000)
    full.set("app", "a", bytes(5000), Kind.BLOB)
    two = Nvs(full.to_bytes()[:0x2000])
    assert len(two.get("app", "a")) == 5000  # type: ignore[arg-type]
    with pytest.raises(FatalError, match="no page of the NVS is free"):
        two.set("app", "b", 1, Kind.U8)


# --- interruptions -------------------------------------------------------------------------------


def filled(seed: int) -> tuple[Nvs, dict[str, Value]]:
    """An NVS of three pages, most of it used, and what it holds."""
    dice = Dice(seed)
    nvs = Nvs(b"\xff" * 0x3000)
    held: dict[str, Value] = {}
    for _ in range(40 + dice.below(160)):
        number = dice.below(8)
        kinds: tuple[Value, ...] = (
            dice.below(1 << 32),
            "s" * dice.below(120),
            dice.bytes(1 + dice.below(700)),
        )
        value = kinds[number % 3]
        nvs.set("app", f"key{number}", value, (Kind.U32, Kind.STRING, Kind.BLOB)[number % 3])
        held[f"key{number}"] = value
    return nvs, held


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("key", ["key0", "key1", "key2", "new"])
def test_an_interruption_anywhere_leaves_the_old_or_the_new_value(seed: int, key: str) -> None:
    nvs, held = filled(seed)
    image, done = bytearray(nvs.to_bytes()), len(nvs.changes)
    values: dict[str, Value] = {"key0": 7, "key1": "changed " * 9, "new": 1}
    value = values.get(key, bytes(1500))
    old = held.pop(key, None)
    nvs.set("app", key, value, Kind.U8 if key == "new" else None)
    for number, change in enumerate(nvs.changes[done:]):
        stages = [bytes(image)]
        if isinstance(change, Program) and len(change.data) > 4:
            torn = bytearray(image)
            half = len(change.data) // 2 + number % 7
            apply(torn, Program(change.offset, change.data[:half]))
            stages.append(bytes(torn))
        for stage in stages:
            found = Nvs(stage)
            assert found.find("app", key) is None or found.get("app", key) in (old, value)
            assert old is None or found.find("app", key) is not None
            assert {k: found.get("app", k) for k in held} == held
        # The same command again makes it good.
        found.set("app", key, value, Kind.U8 if key == "new" else None)
        assert found.get("app", key) == value
        assert {k: found.get("app", k) for k in held} == held
        apply(image, change)
    assert bytes(image) == nvs.to_bytes()


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
@pytest.mark.parametrize("size", [0, 1, 32, 33, 500, 1024])
def test_a_chunk_is_whole_no_sooner_than_its_index(size: int, keys: NvsKeys | None) -> None:
    """The chip's library (of 2026) would take the former value for a leftover of the new one."""
    nvs = Nvs(BLANK, keys)
    nvs.set("app", "blob", b"old" * 40, Kind.BLOB)
    image, done = bytearray(nvs.to_bytes()), len(nvs.changes)
    nvs.set("app", "blob", b"\x01" * size)
    seen = set()
    for change in nvs.changes[done:]:
        found = Nvs(bytes(image), keys)
        orphan = any("belongs to no blob" in problem.text for problem in found.problems)
        value = found.get("app", "blob")
        assert not (orphan and value == b"old" * 40)
        seen.add(value)
        apply(image, change)
    assert seen == {b"old" * 40, b"\x01" * size}


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9),
            st.sampled_from([Kind.U8, Kind.STRING, Kind.BLOB]),
            st.integers(0, 2500),
        ),
        max_size=60,
    ),
    st.sampled_from([None, KEYS]),
)
def test_holds_what_a_dictionary_would_hold(
    steps: list[tuple[int, Kind, int]], keys: NvsKeys | None
) -> None:
    nvs = Nvs(b"\xff" * 0x3000, keys)
    held: dict[str, Value] = {}
    for number, kind, size in steps:
        key = f"key{number}"
        if size % 5 == 0 and key in held:
            nvs.delete("app", key)
            del held[key]
            continue
        values: dict[Kind, Value] = {
            Kind.U8: size % 256,
            Kind.STRING: "s" * size,
            Kind.BLOB: bytes((number,)) * size,
        }
        try:
            nvs.set("app", key, values[kind], kind)
        except NvsFullError:
            continue
        held[key] = values[kind]
    found = Nvs(nvs.to_bytes(), keys)
    assert {e.key: e.value for e in found.entries()} == held
    assert found.problems == ()
