# SPDX-License-Identifier: Apache-2.0
"""LittleFS to be read alone, in Python: where the library is not there, as in a browser.

Facts from the public specification of the disk format (`SPEC.md` of littlefs). A folder is a chain
of pairs of metadata blocks; in each, commits of tags make a list of entries. The content of a file
stands in its entry, or in blocks of which each points to the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from esptool.errors import UsageError
from esptool.storage.fs.blocks import Image, Step
from esptool.storage.fs.littlefs import find_superblock, library
from esptool.storage.fs.littlefs_check import Pair, Tag, check_metadata, metadata_of, pair_in
from esptool.storage.fs.model import (
    MAX_DEPTH,
    DamagedError,
    Entry,
    FileSystem,
    Usage,
    clean,
    no_such_file,
)

_FILE, _FOLDER_NAME, _SUPERBLOCK_NAME = 0x001, 0x002, 0x0FF
_FOLDER, _INLINE, _LIST = 0x200, 0x201, 0x202
_CREATE, _DELETE = 0x401, 0x4FF
_SOFT_TAIL, _HARD_TAIL = 0x600, 0x601
_MOVE = 0x7FF
_NOWHERE = b"\xff" * 8
_POINTER = 4


@dataclass(slots=True)
class _Node:
    """An entry of a folder as its tags say it."""

    kind: int = 0
    name: bytes = b""
    struct: int = 0
    data: bytes = b""


class ReadLittlefs(FileSystem):
    """A LittleFS image that is only read.

    Args:
        image: no more of it is read than is needed.

    Raises:
        DamagedError: the image is not a LittleFS.
    """

    kind = "littlefs"

    def __init__(self, image: Image) -> None:
        self._image = image
        self.parameters = find_superblock(image)
        self._size, self._count = self.parameters.block_size, self.parameters.block_count
        check_metadata(image, self._size, self._count)
        self._move = self._pending_move()

    # --- metadata -----------------------------------------------------------------------------

    def _tags(self, pair: Pair) -> list[Tag]:
        return metadata_of(self._image, pair, self._size, self._count)

    def _pending_move(self) -> tuple[int, frozenset[int]] | None:
        """The entry that a move, broken off by a power cut, has left where it was."""
        state = 0
        pair: Pair | None = (0, 1)
        while pair is not None:  # `check_metadata` has found that this ends
            following: Pair | None = None
            own = 0
            for kind, _number, data in self._tags(pair):
                if kind == _MOVE:
                    own = int.from_bytes(data, "little")
                elif kind in (_SOFT_TAIL, _HARD_TAIL):
                    following = None if data == _NOWHERE else pair_in(data)
            state ^= own
            pair = following
        tag, first, second = (state >> shift & 0xFFFFFFFF for shift in (0, 32, 64))
        if tag >> 20 & 0x7FF != _DELETE:
            return None
        return tag >> 10 & 0x3FF, frozenset((first, second))

    def _nodes(self, start: Pair) -> Iterator[_Node]:
        """The entries of a folder, over all pairs of its chain."""
        pair: Pair | None = start
        seen = set()
        while pair is not None:
            if pair in seen:
                raise _damaged("a folder goes in circles")
            seen.add(pair)
            tags = self._tags(pair)
            nodes = _listed(tags)
            if self._move is not None and frozenset(pair) == self._move[1]:
                del nodes[self._move[0] : self._move[0] + 1]
            yield from (node for node in nodes if node.kind in (_FILE, _FOLDER_NAME))
            tails = [(k, data) for k, _number, data in tags if k in (_SOFT_TAIL, _HARD_TAIL)]
            hard = bool(tails) and tails[-1][0] == _HARD_TAIL and tails[-1][1] != _NOWHERE
            pair = pair_in(tails[-1][1]) if hard else None

    def _walk(self) -> Iterator[tuple[str, _Node]]:
        """All entries with their paths."""
        waiting: list[tuple[str, Pair]] = [("", (0, 1))]
        seen = set()
        while waiting:
            folder, pair = waiting.pop()
            if frozenset(pair) in seen or folder.count("/") > MAX_DEPTH:
                raise _damaged(f"its folder '/{folder}' never ends")
            seen.add(frozenset(pair))
            for node in self._nodes(pair):
                try:
                    name = node.name.decode()
                except UnicodeDecodeError:
                    raise DamagedError(f"A name in '/{folder}' is not UTF-8.") from None
                path = f"{folder}/{name}" if folder else name
                yield path, node
                if node.kind == _FOLDER_NAME:
                    if node.struct != _FOLDER or len(node.data) != 8:
                        raise DamagedError(f"'{path}' is damaged: it is not a folder.")
                    waiting.append((path, pair_in(node.data)))

    # --- reading ------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        found = [
            Entry(path, 0 if node.kind == _FOLDER_NAME else _size(node), node.kind == _FOLDER_NAME)
            for path, node in self._walk()
        ]
        return sorted(found, key=lambda entry: entry.path)

    def read(self, path: str) -> bytes:
        wanted = clean(path)
        nodes = dict(self._walk())
        if wanted not in nodes:
            raise no_such_file(wanted, list(nodes))
        node = nodes[wanted]
        if node.kind == _FOLDER_NAME:
            raise UsageError(f"'{wanted}' is a folder.")
        if node.struct == _INLINE:
            return node.data
        if node.struct != _LIST:
            raise DamagedError(f"'{wanted}' is damaged: it has no content.")
        head, size = pair_in(node.data)
        content = b"".join(self._blocks(wanted, head, size))
        return content[:size]

    def _blocks(self, path: str, head: int, size: int) -> Iterator[bytes]:
        """What the blocks of a file hold, first to last."""
        if size > len(self._image):
            raise DamagedError(f"'{path}' is damaged: {size:,} bytes is impossible.")
        numbers = []
        block = head
        for index in reversed(range(self._blocks_of(size))):
            if block >= self._count:
                raise DamagedError(f"'{path}' is damaged: its content lies outside.")
            numbers.append((block, index))
            at = block * self._size
            block = int.from_bytes(self._image[at : at + _POINTER], "little")
        for block, index in reversed(numbers):
            at = block * self._size
            yield self._image[at + _pointers(index) : at + self._size]

    def _blocks_of(self, size: int) -> int:
        """How many blocks a file of this size has."""
        count = 0
        while size > 0:
            size -= self._size - _pointers(count)
            count += 1
        return count

    def usage(self) -> Usage:
        blocks: set[int] = set()
        waiting: list[Pair] = [(0, 1)]
        lists = 0
        while waiting:
            pair = waiting.pop()
            if blocks.issuperset(pair):
                continue
            blocks.update(pair)
            for kind, _number, data in self._tags(pair):
                if kind in (_SOFT_TAIL, _HARD_TAIL) and data != _NOWHERE:
                    waiting.append(pair_in(data))
        for _path, node in self._walk():
            if node.struct == _LIST:
                lists += self._blocks_of(_size(node))
        return Usage(self._count * self._size, (len(blocks) + lists) * self._size)

    def details(self) -> Mapping[str, int | str | bool]:
        return self.parameters.details()

    def image(self) -> bytes:
        return self._image[:]

    def steps(self) -> list[Step]:
        return []

    # --- what only the library can ------------------------------------------------------------

    def write(self, path: str, data: bytes) -> None:
        library()

    def make_folder(self, path: str) -> None:
        library()

    def remove(self, path: str, *, recursive: bool = False) -> None:
        library()


def _listed(tags: list[Tag]) -> list[_Node]:
    """The entries that the tags of a pair make, in the order of their numbers."""
    nodes: list[_Node] = []
    for kind, number, data in tags:
        if kind == _CREATE:
            nodes.insert(number, _Node())
        elif kind == _DELETE:
            del nodes[number : number + 1]
        elif kind in (_FILE, _FOLDER_NAME, _SUPERBLOCK_NAME, _FOLDER, _INLINE, _LIST):
            while len(nodes) <= number:
                nodes.append(_Node())
            if kind in (_FOLDER, _INLINE, _LIST):
                nodes[number].struct, nodes[number].data = kind, data
            else:
                nodes[number].kind, nodes[number].name = kind, data
    return nodes


def _size(node: _Node) -> int:
    return pair_in(node.data)[1] if node.struct == _LIST else len(node.data)


def _pointers(index: int) -> int:
    """Bytes at the begin of a block that point to blocks before it: as many as the number of the
    block can be halved, and one more; none in the first."""
    return _POINTER * (index & -index).bit_length() if index else 0


def _damaged(why: str) -> DamagedError:
    return DamagedError(f"The LittleFS file system is damaged: {why}.")
