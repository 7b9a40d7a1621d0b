# SPDX-License-Identifier: Apache-2.0
"""FAT file systems (FAT12, FAT16; FAT32 where one exists), with and without wear levelling.

Own code: names beyond one code page, free space, images that lie about themselves, and any number
of volumes at once are needed here. A folder is read once, when it is opened; every chain of
clusters is followed at most as far as the volume has clusters.
"""

from __future__ import annotations

from collections.abc import Mapping

from esptool.errors import UsageError
from esptool.storage.fs import fat_layout as fat
from esptool.storage.fs.blocks import Image, Step
from esptool.storage.fs.model import (
    MAX_DEPTH,
    DamagedError,
    Entry,
    FileSystem,
    FullError,
    Usage,
    clean,
    no_such_file,
)
from esptool.storage.fs.wear import Disk, Wear, find_wear, finish_write

_MAX_FOLDER = 65536 * fat.ENTRY  # bytes, by the specification
_FREE = 0


class _Node:
    """A file or a folder and the offsets of its entries, the short one last."""

    def __init__(self, path: str, slots: list[int], is_dir: bool, cluster: int, size: int) -> None:
        self.path = path
        self.slots = slots
        self.is_dir = is_dir
        self.cluster = cluster
        self.size = size
        #: Of a folder: what lies in it, by folded name.
        self.children: dict[str, _Node] = {}


def _fold(name: str) -> str:
    """A name as FAT compares it, without regard to case."""
    return "".join(s.upper() if len(s.upper()) == 1 else s for s in name)


class Fat(FileSystem):
    """A FAT volume, raw or below ESP-IDF's wear levelling: which of them is found by itself.

    Raises:
        DamagedError: the image is no FAT volume, or one that breaks the rules.
    """

    kind = "fat"

    def __init__(self, data: bytes | Image) -> None:
        self._image = data if isinstance(data, Image) else Image.of(data)
        self.wear: Wear | None = find_wear(self._image)
        self._data: Image | Disk = Disk(self._image, self.wear) if self.wear else self._image
        self.volume = fat.find_volume(self._data)
        if self.wear:
            finish_write(self._data, self.volume.sectors * self.volume.sector_size)
        self._table = fat.read_table(self._data, self.volume)
        self._hint = 2
        self._sound = False
        self._root = _Node("", [], True, self.volume.root_cluster, 0)
        self._owners: dict[int, str] = {}
        self._read_folder(self._root, 0)

    @classmethod
    def format(cls, volume: fat.Volume, size: int, serial: int = 0) -> bytes:
        """The bytes of an empty volume, as ESP-IDF's generator makes them."""
        blank = b"\0" * (volume.data_start * volume.sector_size)
        data = Image.of(blank.ljust(size, b"\xff")[:size])
        boot = volume.boot_sector(serial)
        data[: len(boot)] = boot
        fat.write_entry(data, volume, 0, 0xFFFFF8)
        fat.write_entry(data, volume, 1, 0xFFFFFF)
        return data[:]

    # --- reading ------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        found: list[Entry] = []
        waiting = list(self._root.children.values())
        while waiting:
            node = waiting.pop()
            found.append(Entry(node.path, 0 if node.is_dir else node.size, node.is_dir))
            waiting += node.children.values()
        return sorted(found, key=lambda entry: entry.path)

    def read(self, path: str) -> bytes:
        node = self._find(clean(path))
        if node.is_dir:
            raise UsageError(f"'{node.path}' is a folder.")
        size = self.volume.cluster_size
        body = bytearray()
        for cluster in self._content(node):
            at = self.volume.cluster_at(cluster)
            body += self._data[at : at + size]
        return bytes(body[: node.size])

    def usage(self) -> Usage:
        used = sum(entry != _FREE for entry in self._table[2:])
        return Usage(
            self.volume.clusters * self.volume.cluster_size, used * self.volume.cluster_size
        )

    def details(self) -> Mapping[str, int | str | bool]:
        volume = self.volume
        return {
            "fat": volume.bits,
            "sector_size": volume.sector_size,
            "cluster_size": volume.cluster_size,
            "fats": volume.fats,
            "root_entries": volume.root_entries,
            "wear_levelling": self.wear is not None,
        }

    def image(self) -> bytes:
        return self._image[:]

    def steps(self) -> list[Step]:
        return self._image.steps()

    def _chain(self, first: int, name: str) -> list[int]:
        """The clusters of a chain, in order."""
        chain: list[int] = []
        seen: set[int] = set()
        cluster = first
        while True:
            if not 2 <= cluster < len(self._table) or cluster in seen:
                raise DamagedError(
                    f"'{name}' is damaged: the chain of its clusters "
                    + ("is a circle." if cluster in seen else "leads nowhere.")
                )
            chain.append(cluster)
            seen.add(cluster)
            cluster = self._table[cluster]
            if cluster >= (1 << min(28, self.volume.bits)) - 8:
                return chain

    def _content(self, node: _Node) -> list[int]:
        """The clusters of a file, as many as its size needs."""
        if node.size == 0:
            return []
        wanted = -(-node.size // self.volume.cluster_size)
        chain = self._chain(node.cluster, node.path)
        if len(chain) < wanted:
            raise DamagedError(
                f"'{node.path}' is damaged: {node.size:,} bytes, and only {len(chain)} clusters."
            )
        return chain[:wanted]

    def _slots(self, folder: _Node) -> list[int]:
        """Offsets of all entries of a folder, used or not."""
        if folder is self._root and self.volume.bits != 32:
            areas = [(self.volume.root_at, self.volume.root_entries * fat.ENTRY)]
        else:
            chain = self._chain(folder.cluster, folder.path or "/")
            size = self.volume.cluster_size
            if len(chain) * size > _MAX_FOLDER:
                raise DamagedError(f"'{folder.path}' is damaged: no folder is so large.")
            areas = [(self.volume.cluster_at(cluster), size) for cluster in chain]
        return [n for at, size in areas for n in range(at, at + size, fat.ENTRY)]

    def _read_folder(self, folder: _Node, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise DamagedError("The FAT file system is damaged: folders without end.")
        if folder.cluster:
            if folder.cluster in self._owners:
                raise DamagedError(
                    f"The FAT file system is damaged: '{folder.path}' lies where "
                    f"'{self._owners[folder.cluster] or '/'}' lies."
                )
            self._owners[folder.cluster] = folder.path
        parts: list[tuple[int, bytes]] = []
        for at in self._slots(folder):
            entry = self._data[at : at + fat.ENTRY]
            attributes = entry[11]
            if entry[0] == fat.END:
                break
            if entry[0] == fat.DELETED:
                parts = []
            elif attributes & 0x3F == fat.LONG_NAME:
                parts = [*parts[-30:], (at, bytes(entry))]
            elif not attributes & fat.VOLUME_LABEL and entry[:1] != b".":
                self._add_node(folder, at, bytes(entry), parts, depth)
                parts = []
            else:
                parts = []

    def _add_node(
        self, folder: _Node, at: int, entry: bytes, parts: list[tuple[int, bytes]], depth: int
    ) -> None:
        name = self._long_name(entry, parts)
        slots = [slot for slot, _ in parts] if name else []
        name = name or fat.shown_name(entry)
        if not name or "/" in name or name in (".", ".."):
            raise DamagedError("The FAT file system is damaged: a file has an impossible name.")
        cluster = int.from_bytes(entry[26:28], "little")
        if self.volume.bits == 32:
            cluster |= int.from_bytes(entry[20:22], "little") << 16
        path = f"{folder.path}/{name}" if folder.path else name
        is_dir = bool(entry[11] & fat.FOLDER)
        size = int.from_bytes(entry[28:32], "little")
        node = _Node(path, [*slots, at], is_dir, cluster, size)
        if folder.children.setdefault(_fold(name), node) is not node:
            raise DamagedError(f"The FAT file system is damaged: there are two of '{path}'.")
        if is_dir:
            self._read_folder(node, depth + 1)

    @staticmethod
    def _long_name(entry: bytes, parts: list[tuple[int, bytes]]) -> str | None:
        """The long name before a short entry; None where the parts do not belong to it."""
        while parts and not parts[0][1][0] & 0x40:
            parts.pop(0)
        wanted = fat.checksum(entry[:11])
        numbers = [part[0] & 0x3F for _, part in parts]
        if not parts or numbers != list(range(len(parts), 0, -1)):
            return None
        if any(part[13] != wanted for _, part in parts):
            return None
        return fat.long_name([fat.long_part(part) for _, part in reversed(parts)])

    def _lookup(self, path: str) -> _Node | None:
        node = self._root
        for name in path.split("/"):
            child = node.children.get(_fold(name))
            if child is None:
                return None
            node = child
        return node

    def _find(self, path: str) -> _Node:
        node = self._lookup(path)
        if node is None:
            raise no_such_file(path, [entry.path for entry in self.entries()])
        return node

    # --- writing ------------------------------------------------------------------------------

    def write(self, path: str, data: bytes) -> None:
        path = clean(path)
        self._refuse_damage()
        old = self._lookup(path)
        if old is not None and old.is_dir:
            raise UsageError(f"'{path}' is a folder.")
        if len(data) > 0xFFFFFFFF:
            raise FullError(f"'{path}' does not fit: a FAT file has less than 4 GiB.")
        if old is None:
            old = self._new_node(path, fat.ARCHIVE, 0)
        # The old content is given up after the new one is there, where both fit.
        before = self._chain(old.cluster, path) if old.cluster else []
        wanted = -(-len(data) // self.volume.cluster_size)
        if wanted > self._free():
            self._release(before)
            before = []
        chain = self._allocate(wanted, path)
        for number, cluster in enumerate(chain):
            at, size = self.volume.cluster_at(cluster), self.volume.cluster_size
            body = data[number * size : (number + 1) * size]
            self._put(at, body.ljust(size, b"\0"))
        self._release(before)
        old.cluster, old.size = (chain[0] if chain else 0), len(data)
        self._write_head(old)

    def make_folder(self, path: str) -> None:
        path = clean(path)
        self._refuse_damage()
        self._folder(path)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        self._refuse_damage()
        self._remove(self._find(clean(path)), recursive)

    def _remove(self, node: _Node, recursive: bool) -> None:
        if node.children and not recursive:
            raise UsageError(
                f"The folder '{node.path}' is not empty.", remedy="Say --recursive to remove all."
            )
        for child in list(node.children.values()):
            self._remove(child, recursive)
        for slot in node.slots:
            self._put(slot, bytes([fat.DELETED]))
        if node.cluster:
            self._release(self._chain(node.cluster, node.path))
            self._owners.pop(node.cluster, None)
        del self._parent(node.path).children[_fold(node.path.rpartition("/")[2])]

    def _parent(self, path: str) -> _Node:
        above = path.rpartition("/")[0]
        return self._find(above) if above else self._root

    def _refuse_damage(self) -> None:
        """Nothing is changed where two files share a cluster or a chain is broken."""
        if self._sound:
            return
        owners: dict[int, str] = {}
        waiting = list(self._root.children.values())
        while waiting:
            node = waiting.pop()
            waiting += node.children.values()
            self._content(node)
            for cluster in self._chain(node.cluster, node.path) if node.cluster else []:
                if owners.setdefault(cluster, node.path) is not node.path:
                    raise DamagedError(
                        f"The FAT file system is damaged, so it is not changed: '{node.path}' and "
                        f"'{owners[cluster]}' share a cluster.",
                        remedy="Get what can be read with `esptool fs extract`, and build it anew.",
                    )
        self._sound = True

    def _put(self, at: int, data: bytes) -> None:
        self._data[at : at + len(data)] = data

    def _set(self, cluster: int, value: int) -> None:
        self._table[cluster] = value
        fat.write_entry(self._data, self.volume, cluster, value)

    def _free(self) -> int:
        return self._table[2:].count(_FREE)

    def _allocate(self, count: int, path: str) -> list[int]:
        """A chain of free clusters, the lowest first."""
        chain: list[int] = []
        for cluster in range(self._hint, len(self._table)):
            if len(chain) == count:
                break
            if self._table[cluster] == _FREE:
                chain.append(cluster)
        if len(chain) < count:
            raise FullError(
                f"'{path}' does not fit: it needs {count * self.volume.cluster_size:,} bytes, and "
                f"the FAT file system has {self._free() * self.volume.cluster_size:,} left."
            )
        if chain:
            self._hint = chain[-1] + 1
        mask = (1 << min(28, self.volume.bits)) - 1
        for cluster, following in zip(chain, [*chain, mask][1:], strict=True):
            self._set(cluster, following)
        return chain

    def _release(self, chain: list[int]) -> None:
        for cluster in chain:
            self._set(cluster, _FREE)
            self._hint = min(self._hint, cluster)

    def _folder(self, path: str) -> _Node:
        """The folder of that path, made where it is missing."""
        node = self._root
        done = ""
        for name in path.split("/"):
            done = f"{done}/{name}" if done else name
            child = node.children.get(_fold(name))
            if child is None:
                fat.check_name(name)
                cluster = self._allocate(1, done)[0]
                child = self._new_node(done, fat.FOLDER, cluster)
                self._owners[cluster] = done
                size = self.volume.cluster_size
                dots = fat.short_entry(b".          ", 0, fat.FOLDER, cluster, 0)
                dots += fat.short_entry(b"..         ", 0, fat.FOLDER, node.cluster, 0)
                self._put(self.volume.cluster_at(cluster), dots.ljust(size, b"\0"))
            elif not child.is_dir:
                raise UsageError(f"'{child.path}' is a file, so nothing can lie in it.")
            node = child
        return node

    def _new_node(self, path: str, attributes: int, cluster: int) -> _Node:
        """Make the entries of a new file or folder."""
        above, _, name = path.rpartition("/")
        fat.check_name(name)
        folder = self._folder(above) if above else self._root
        plain = fat.short_name(name)
        if plain is not None:
            alias, flags = plain
            entries: list[bytes] = []
        else:
            alias, flags = fat.alias_of(name, self._aliases(folder)), 0
            entries = fat.long_entries(name, alias)
        if plain is not None and alias in self._aliases(folder):
            # The alias of a long name looks like this name.
            alias, flags = fat.alias_of(name, self._aliases(folder)), 0
            entries = fat.long_entries(name, alias)
        entries.append(fat.short_entry(alias, flags, attributes, cluster, 0))
        slots = self._room(folder, len(entries), path)
        for slot, entry in zip(slots, entries, strict=True):
            self._put(slot, entry)
        node = _Node(path, slots, attributes == fat.FOLDER, cluster, 0)
        folder.children[_fold(name)] = node
        return node

    def _aliases(self, folder: _Node) -> set[bytes]:
        return {
            bytes(self._data[slot : slot + 11])
            for slot in (child.slots[-1] for child in folder.children.values())
        }

    def _room(self, folder: _Node, count: int, path: str) -> list[int]:
        """Offsets of so many entries in a row that are free; the folder grows if it must."""
        while True:
            slots = self._slots(folder)
            run: list[int] = []
            ended = False
            for slot in slots:
                ended = ended or self._data[slot] == fat.END
                run = [*run, slot] if ended or self._data[slot] == fat.DELETED else []
                if len(run) == count:
                    self._mark_end(slots, slot, ended)
                    return run
            if folder is self._root and self.volume.bits != 32:
                raise FullError(
                    f"'{path}' does not fit: the root folder has no more than "
                    f"{self.volume.root_entries} entries, of which a long name takes several.",
                    remedy="Put files into a folder.",
                )
            if (len(slots) + count) * fat.ENTRY > _MAX_FOLDER:
                raise FullError(f"'{path}' does not fit: its folder is full.")
            last = self._chain(folder.cluster, folder.path)[-1]
            cluster = self._allocate(1, path)[0]
            self._put(self.volume.cluster_at(cluster), b"\0" * self.volume.cluster_size)
            self._set(last, cluster)

    def _mark_end(self, slots: list[int], slot: int, ended: bool) -> None:
        """Entries behind the end mark need not be blank: make the next one the new end."""
        place = slots.index(slot) + 1
        if ended and place < len(slots) and self._data[slots[place]] != fat.END:
            self._put(slots[place], b"\0" * fat.ENTRY)

    def _write_head(self, node: _Node) -> None:
        at = node.slots[-1]
        entry = bytearray(self._data[at : at + fat.ENTRY])
        entry[20:22] = (node.cluster >> 16).to_bytes(2, "little")
        entry[26:28] = (node.cluster & 0xFFFF).to_bytes(2, "little")
        entry[28:32] = node.size.to_bytes(4, "little")
        self._put(at, bytes(entry))
