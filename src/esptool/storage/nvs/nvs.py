# SPDX-License-Identifier: Apache-2.0
"""`Nvs`: the key-value storage of ESP-IDF, as an object."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from esptool.errors import StorageError, UsageError
from esptool.storage.changes import Change
from esptool.storage.nvs.check import PageInfo, Problem, Report, inspect
from esptool.storage.nvs.keys import NvsKeys
from esptool.storage.nvs.layout import ENTRIES, ItemType, PageState
from esptool.storage.nvs.medium import Medium
from esptool.storage.nvs.store import NvsFullError, Place, Store
from esptool.storage.nvs.values import (
    Entry,
    Kind,
    Value,
    encode,
    kind_of,
    name_bytes,
    shown_name,
)


class NvsKeyError(UsageError):
    """The NVS is encrypted with other keys, or nothing of it can be read."""


class Nvs:
    """A partition of key-value pairs, as the chip's library (`nvs_flash`) reads and changes it.

    What an interruption has left (a value that appears twice, a page that was being moved,
    an entry half written) is read as that library would read it when it starts. A change first
    puts such things right and then writes, in the same order, as that library does.
    """

    def __init__(self, data: bytes, keys: NvsKeys | None = None) -> None:
        """
        Args:
            data: the whole partition.
            keys: those of an encrypted one.

        Raises:
            NvsKeyError: none of its entries can be read.
            UsageError: `data` are no whole pages, or none of them is one of an NVS.
        """
        self.keys = keys
        self._former = bytes(data)
        #: The library repairs what it takes in; before the first change that is not to count.
        self._changed = False
        self._found: Report | None = None
        report = self._report
        if report.unreadable and not report.readable:
            raise _unreadable(report, keys)
        states = {page.state for page in report.pages}
        if states <= {"unused", "corrupt"} and "corrupt" in states:
            raise UsageError(
                f"None of its pages can be read as one of an NVS: {report.problems[0]}."
            )
        self._medium = Medium(self._former, keys)
        self._store = Store(self._medium)

    # --- reading ---------------------------------------------------------------------------------

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The names of the namespaces, in the order in which they were made."""
        return tuple(shown_name(name) for name in self._store.namespaces)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with it."""
        return tuple(self._report.problems)

    @property
    def pages(self) -> tuple[PageInfo, ...]:
        """Its pages, in the order of flash."""
        return tuple(self._report.pages)

    @property
    def free_entries(self) -> int:
        """How many more entries there is room for; one page is kept free.

        A number takes one entry; a string one and one more for each 32 bytes.
        """
        pages = self._store.pages
        used = sum(p.used for p in pages if p.state not in (PageState.UNUSED, PageState.CORRUPT))
        return max(0, (len(pages) - 1) * ENTRIES - used)

    @property
    def used_entries(self) -> int:
        """How many entries are written."""
        return sum(page.written for page in self._report.pages)

    def entries(self) -> list[Entry]:
        """All values, in the order of flash."""
        names = {index: name for name, index in reversed(self._store.namespaces.items())}
        return [self._entry(place, names) for place in self._store.values()]

    def find(self, namespace: str, key: str) -> Entry | None:
        """The value of a key, or None where there is none."""
        wanted = name_bytes(namespace, "namespace")
        index = self._store.namespaces.get(wanted)
        name = name_bytes(key, "key").ljust(16, b"\0")
        place = None if index is None else self._store.find(index, None, name)
        if place is None or index is None:
            return None
        return self._entry(place, {index: wanted})

    def get(self, namespace: str, key: str) -> Value:
        """The value of a key.

        Raises:
            UsageError: there is no such namespace or key; the nearest one is named.
            StorageError: the value is damaged.
        """
        return _whole(self.entry(namespace, key))

    def entry(self, namespace: str, key: str) -> Entry:
        """The value of a key with all that is known of it.

        Raises:
            UsageError: there is no such namespace or key; the nearest one is named.
        """
        found = self.find(namespace, key)
        if found is None:
            raise self._missing(namespace, key)
        return found

    def to_bytes(self) -> bytes:
        """The partition as it is now."""
        return bytes(self._medium.image) if self._changed else self._former

    @property
    def former(self) -> bytes:
        """The partition as it was taken in, which `changes` count from."""
        return self._former

    @property
    def changes(self) -> tuple[Change, ...]:
        """What `set` and `delete` did to flash, in the order in which it is to be done.

        An interruption between any two of them leaves the former or the new value.
        """
        return tuple(self._medium.changes) if self._changed else ()

    # --- changing --------------------------------------------------------------------------------

    def set(self, namespace: str, key: str, value: Value, kind: Kind | None = None) -> bool:
        """Give a key a value; the namespace is made where it does not exist.

        Args:
            kind: its type. Without it a value keeps the type that it has; a new one of text is a
                string, one of bytes a blob.

        Returns:
            False where it had that value and type before: nothing was changed.

        Raises:
            UsageError: no such type of value, or a wrong name.
            NvsFullError: there is no room; nothing was changed.
        """
        space, name = name_bytes(namespace, "namespace"), name_bytes(key, "key")
        former = self.find(namespace, key)
        kind = kind or _kind_for(value, former)
        data = encode(kind, value)
        if former is not None and former.kind is kind and former.raw is not None:
            same = former.raw + b"\0" if kind is Kind.STRING else former.raw
            if same == data:
                return False

        def write(store: Store) -> None:
            store.set(store.namespace(space), kind.item_type, name.ljust(16, b"\0"), data)

        self._change(write, f"Cannot set '{key}' in '{namespace}'")
        return True

    def delete(self, namespace: str, key: str | None = None) -> int:
        """Delete a value, or all values of a namespace (whose name stays, as on the chip).

        Returns:
            How many values were deleted.

        Raises:
            UsageError: there is no such namespace or key.
        """
        index = self._store.namespaces.get(name_bytes(namespace, "namespace"))
        if index is None:
            raise self._missing(namespace, key)
        if key is None:
            if not any(e.namespace == namespace for e in self.entries()):
                return 0
            counts: list[int] = []
            self._change(
                lambda store: counts.append(store.delete_namespace(index)),
                f"Cannot delete '{namespace}'",
            )
            return counts[0]
        if self.find(namespace, key) is None:
            raise self._missing(namespace, key)
        name = name_bytes(key, "key").ljust(16, b"\0")
        self._change(lambda store: store.delete(index, name), f"Cannot delete '{key}'")
        return 1

    def _change(self, change: Callable[[Store], object], what: str) -> None:
        self.require_changeable(what)
        image, done = bytes(self._medium.image), len(self._medium.changes)
        try:
            change(self._store)
        except BaseException as e:
            changes = self._medium.changes[:done]
            self._medium = Medium(image, self.keys)
            self._store = Store(self._medium)
            self._medium.changes[:0] = changes
            if not isinstance(e, NvsFullError):
                raise
            raise NvsFullError(
                f"{what}: {_lower(e.message)} The NVS has room for {self.free_entries} more "
                "entries on all its pages together. Nothing was changed.",
                remedy="Delete values that are not needed, or give the partition more pages.",
            ) from e
        self._changed = True
        self._found = None

    def require_changeable(self, what: str) -> None:
        """Refuse a partition that the chip's library would not take.

        Raises:
            StorageError: a page of a newer version, or no free page.
        """
        if any(page.newer for page in self._store.pages):
            raise StorageError(
                f"{what}: a page has a version that is newer than all that are known."
            )
        if not self._store.changeable:
            raise StorageError(
                f"{what}: no page of the NVS is free, so the chip's library cannot change it.",
                remedy="A partition that is written to has three pages (0x3000) or more.",
            )

    @property
    def _report(self) -> Report:
        if self._found is None:
            self._found = inspect(
                Medium(self.to_bytes() if self._changed else self._former, self.keys)
            )
        return self._found

    # --- details ---------------------------------------------------------------------------------

    def _entry(self, place: Place, names: dict[int, bytes]) -> Entry:
        item = place.item
        kind = kind_of(item.type)
        data = self._store.read(place)
        size = item.whole_size if item.type == ItemType.BLOB_INDEX else item.size
        if kind is Kind.STRING and data is not None:
            data = data.partition(b"\0")[0]
        if kind not in (Kind.STRING, Kind.BLOB) and data is not None:
            size = len(data)
        name = names.get(item.namespace)
        return Entry(
            f"#{item.namespace}" if name is None else shown_name(name),
            shown_name(item.key),
            kind,
            data,
            place.page.number,
            place.at,
            size,
            item.type == ItemType.BLOB,
        )

    def _missing(self, namespace: str, key: str | None) -> UsageError:
        from difflib import get_close_matches

        if namespace not in self.namespaces or key is None:
            near = get_close_matches(namespace, self.namespaces, 1)
            known = ", ".join(self.namespaces[:20]) or "none"
            return UsageError(
                f"The NVS has no namespace '{namespace}'.",
                remedy=f"Did you mean '{near[0]}'?" if near else f"It has: {known}.",
            )
        keys = [entry.key for entry in self.entries() if entry.namespace == namespace]
        near = get_close_matches(key, keys, 1)
        elsewhere = [e.namespace for e in self.entries() if e.key == key]
        remedy = None
        if near:
            remedy = f"Did you mean '{near[0]}'?"
        elif elsewhere:
            remedy = f"The namespace '{elsewhere[0]}' has one."
        return UsageError(f"The namespace '{namespace}' has no key '{key}'.", remedy=remedy)


def _whole(entry: Entry) -> Value:
    value = entry.value
    if value is None:
        raise StorageError(
            f"The value of '{entry.key}' in '{entry.namespace}' is damaged: a checksum of its "
            f"{entry.size} bytes is wrong (page {entry.page}, entry {entry.index})."
        )
    return value


def _kind_for(value: Value, former: Entry | None) -> Kind:
    if former is not None:
        with suppress(UsageError):
            encode(former.kind, value)
            return former.kind
        if isinstance(value, (int, float)):
            return former.kind  # whose range says what is wrong
    if isinstance(value, str):
        return Kind.STRING
    if isinstance(value, bytes):
        return Kind.BLOB
    raise UsageError("Say which type the number is to have: u8 to i64, float or double.")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _unreadable(report: Report, keys: NvsKeys | None) -> NvsKeyError:
    count = report.unreadable
    if keys is None:
        return NvsKeyError(
            f"None of the {count} entries can be read: the NVS is encrypted, or something else "
            "lies there.",
            remedy="Give the keys with --keys or --hmac-key.",
        )
    return NvsKeyError(
        f"None of the {count} entries can be read with these keys: they are not those of this NVS.",
        remedy="Each device has keys of its own, unless they were made for several.",
    )
