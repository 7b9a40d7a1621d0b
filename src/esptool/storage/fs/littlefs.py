# SPDX-License-Identifier: Apache-2.0
"""LittleFS, by the `littlefs-python` library: parameters from the superblock, errors as ours.

Facts of the disk format from the public specification (`SPEC.md` of littlefs). The library calls
back for every access; what it may not do with damaged images (read without end) is stopped there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from esptool.errors import FatalError, UsageError
from esptool.records import dataclass
from esptool.storage.fs.blocks import Image, Step
from esptool.storage.fs.littlefs_check import (
    check_metadata,
    newest_superblock,
    superblock_in,
)
from esptool.storage.fs.model import (
    MAX_DEPTH,
    DamagedError,
    Entry,
    FileSystem,
    FullError,
    OtherKindError,
    Usage,
    clean,
    no_such_file,
    parents,
)

if TYPE_CHECKING:
    from littlefs import LittleFS

_NAME = b"littlefs"
_SUPERBLOCK = struct.Struct("<6I")
_FILE, _DIRECTORY = 1, 2
_FULL, _NAME_TOO_LONG, _TOO_LARGE = -28, -36, -27
#: Files up to this size can be kept within a folder's block by everything that reads them.
_SMALL_INLINE = 64


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of a LittleFS. Sizes are in bytes.

    Attributes:
        block_size: what is erased at once.
        block_count: blocks of the file system.
        version: of the disk format: 0x20000 or 0x20001.
        name_max: longest name of a file or folder.
        prog_size: what is written at once, as the chip's code has it.
        cache_size: of the chip's code; files of that size or less may be kept in a folder's block.
        lookahead: of the chip's code.
    """

    block_size: int = 4096
    block_count: int = 0
    version: int = 0x20001
    name_max: int = 255
    prog_size: int = 128
    cache_size: int = 512
    lookahead: int = 128

    def details(self) -> Mapping[str, int | str | bool]:
        """What is told of a file system with them."""
        return {
            "version": f"{self.version >> 16}.{self.version & 0xFFFF}",
            "block_size": self.block_size,
            "block_count": self.block_count,
            "name_max": self.name_max,
        }


def find_superblock(image: Image) -> Parameters:
    """What the superblock says; it is in one of the first two blocks, or in both.

    Raises:
        DamagedError: there is none, or it is of another size or version.
    """
    for at in (0, 4096, 8192, 512, 1024, 2048, 16384, 32768, 65536, 128, 256):
        if at >= len(image) or _NAME not in image[at : at + 64]:
            continue
        for size in (4096, 65536):  # as much as the block may have, but no more than is needed
            found = superblock_in(image[at : at + size])
            if found is not None:
                parameters = _parameters(found, len(image))
                newest = newest_superblock(image, parameters.block_size, parameters.block_count)
                return _parameters(newest, len(image))
    raise OtherKindError("This is not a LittleFS file system: it has no superblock.")


def _parameters(data: bytes, size: int) -> Parameters:
    version, block, count, name_max, _, _ = _SUPERBLOCK.unpack(data)
    if version >> 16 != 2 or version & 0xFFFF > 1:
        raise DamagedError(f"LittleFS of version {version >> 16}.{version & 0xFFFF} is not known.")
    if block < 128 or block % 128 or count < 2 or block * count > size or name_max > 1022:
        raise DamagedError(
            f"The LittleFS superblock tells of {count} blocks of {block} bytes; "
            f"{size:#x} bytes are there.",
            remedy="Give the whole partition, with the size that the table says.",
        )
    return Parameters(block, count, version, name_max or 255)


def has_library() -> bool:
    """Whether the library is there; without it a LittleFS is read by `littlefs_reading`."""
    from importlib.util import find_spec

    try:
        return find_spec("littlefs") is not None
    except ValueError:
        return False


def library() -> Any:
    """The library that changes a LittleFS.

    Raises:
        FatalError: it is not installed.
    """
    try:
        import littlefs
    except ImportError:
        raise FatalError(
            "To change or make a LittleFS, the littlefs-python package is needed.",
            remedy='Install it with: pip install "esptool[fs]"',
        ) from None
    return littlefs


def _context(image: Image, block_size: int) -> Any:
    base: Any = library().UserContext

    class Blocks(base):  # type: ignore[misc]
        """The library's way to the image. An error must not leave a callback, so it waits here."""

        def __init__(self) -> None:
            super().__init__(buffsize=0)
            self.error: FatalError | None = None
            #: Many times what a sound file system of this size needs; whoever reads more turns
            #: in circles, and finds nothing but blank flash from then on.
            self.budget = 64 * len(image) + (64 << 20)
            self.left = self.budget

        def read(self, cfg: Any, block: int, off: int, size: int) -> bytes:
            self.left -= size + 64
            at = block * block_size + off
            if self.left < 0 or self.error is not None or at + size > len(image):
                return b"\xff" * size
            try:
                return image.peek(at, size)
            except FatalError as e:
                self.error = e
                return b"\xff" * size

        def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
            return self._change(block * block_size + off, bytes(data))

        def erase(self, cfg: Any, block: int) -> int:
            return self._change(block * block_size, b"\xff" * block_size)

        def _change(self, at: int, data: bytes) -> int:
            if at + len(data) > len(image):
                return -5
            try:
                image[at : at + len(data)] = data
            except FatalError as e:
                self.error = e
                return -5
            return 0

        def sync(self, cfg: Any) -> int:
            return 0

    return Blocks()


class Littlefs(FileSystem):
    """A LittleFS image.

    Args:
        data: the image; of an `Image` no more is read than is needed.
        like: prog and cache size of the chip's code; the other parameters are found.

    Raises:
        DamagedError: the image is not a LittleFS.
        FatalError: the library is not installed.
    """

    kind = "littlefs"

    def __init__(self, data: bytes | Image, like: Parameters | None = None) -> None:
        self._image = data if isinstance(data, Image) else Image.of(data)
        self.parameters = find_superblock(self._image)
        check_metadata(self._image, self.parameters.block_size, self.parameters.block_count)
        self._open(like, mount=True)

    @classmethod
    def format(cls, size: int, like: Parameters) -> Littlefs:
        """An empty file system.

        Raises:
            UsageError: the size or a parameter is none that LittleFS can have.
        """
        block = like.block_size
        if block < 128 or block % 128 or size % block or size < 2 * block:
            raise UsageError(
                f"{size:#x} bytes are not a valid size for LittleFS with blocks of {block} bytes: "
                "it needs two whole blocks or more."
            )
        if not 1 <= like.name_max <= 1022 or like.version not in (0x20000, 0x20001):
            raise UsageError("A LittleFS name has 1 to 1022 bytes; its version is 2.0 or 2.1.")
        fs = cls.__new__(cls)
        fs._image = Image.of(b"\xff" * size)
        fs.parameters = Parameters(
            *(block, size // block, like.version, like.name_max),
            *(like.prog_size, like.cache_size, like.lookahead),
        )
        fs._open(like, mount=False)
        return fs

    def _open(self, like: Parameters | None, *, mount: bool) -> None:
        lfs, found = library(), self.parameters
        small = like is None
        like = like or Parameters()
        # Large enough for every file that some chip keeps inline.
        cache = min(1024, found.block_size) if mount else min(like.cache_size, found.block_size)
        inline = min(_SMALL_INLINE if small else like.cache_size, found.block_size // 8, 1022)
        prog = min(like.prog_size, cache)
        self._context = _context(self._image, found.block_size)
        try:
            self._fs: LittleFS = lfs.LittleFS(
                self._context,
                mount=False,
                block_size=found.block_size,
                block_count=found.block_count,
                read_size=16 if cache % 16 == 0 else prog,
                prog_size=prog,
                cache_size=cache,
                lookahead_size=like.lookahead,
                name_max=found.name_max,
                inline_max=inline,
                disk_version=found.version,
            )
            if not mount:
                self._fs.format()
            self._fs.mount()
        except lfs.LittleFSError as e:
            raise self._error(e) from None
        self._settle()

    # --- reading ------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        return sorted(self._walk(""), key=lambda entry: entry.path)

    def read(self, path: str) -> bytes:
        entry = self._stat(clean(path))
        if entry.is_dir:
            raise UsageError(f"'{entry.path}' is a folder.")
        if entry.size > len(self._image):
            raise DamagedError(f"'{entry.path}' is damaged: {entry.size:,} bytes is impossible.")
        with self._errors(entry.path), self._fs.open(f"/{entry.path}", "rb") as file:
            content = bytes(file.read())
        if len(content) != entry.size:
            raise DamagedError(f"'{entry.path}' is damaged: only {len(content)} bytes are there.")
        return content

    def usage(self) -> Usage:
        with self._errors("/"):
            used = int(self._fs.used_block_count)
        size = self.parameters.block_size
        return Usage(self.parameters.block_count * size, used * size)

    def details(self) -> Mapping[str, int | str | bool]:
        return self.parameters.details()

    def image(self) -> bytes:
        return self._image[:]

    def steps(self) -> list[Step]:
        return self._image.steps()

    def _walk(self, top: str) -> Iterator[Entry]:
        """All entries below a folder. No name may come twice: a folder that goes in circles."""
        waiting = [top]
        most = len(self._image) // 16
        while waiting:
            folder = waiting.pop()
            seen = set()
            for name, size, is_dir in self._listed(folder):
                path = f"{folder}/{name}" if folder else name
                most -= 1
                if name in seen or most < 0 or path.count("/") > MAX_DEPTH:
                    raise DamagedError(
                        f"The LittleFS file system is damaged: its folder '/{folder}' never ends."
                    )
                seen.add(name)
                yield Entry(path, 0 if is_dir else size, is_dir)
                if is_dir:
                    waiting.append(path)

    def _listed(self, folder: str) -> Iterator[tuple[str, int, bool]]:
        with self._errors(f"/{folder}"):
            for found in self._fs.scandir(f"/{folder}"):
                name = str(found.name)
                yield name, int(found.size), self._is_folder(found.type, f"{folder}/{name}")

    def _stat(self, path: str) -> Entry:
        lfs = library()
        try:
            found = self._fs.stat(f"/{path}")
        except lfs.LittleFSError as e:
            if e.code not in (-2, -20):
                raise self._error(e, path) from None
            self._settle()
            raise no_such_file(path, [entry.path for entry in self.entries()]) from None
        self._settle()
        return Entry(path, int(found.size), self._is_folder(found.type, path))

    @staticmethod
    def _is_folder(kind: int, path: str) -> bool:
        if kind not in (_FILE, _DIRECTORY):
            raise DamagedError(f"'{path}' is damaged: it is neither file nor folder.")
        return kind == _DIRECTORY

    # --- writing ------------------------------------------------------------------------------

    def write(self, path: str, data: bytes) -> None:
        path = clean(path)
        for folder in parents(path):
            self.make_folder(folder)
        with self._errors(path), self._fs.open(f"/{path}", "wb") as file:
            file.write(data)

    def make_folder(self, path: str) -> None:
        path = clean(path)
        with self._errors(path):
            self._fs.makedirs(f"/{path}", exist_ok=True)
        if not self._stat(path).is_dir:
            raise UsageError(f"'{path}' is a file, so nothing can lie in it.")

    def remove(self, path: str, *, recursive: bool = False) -> None:
        entry = self._stat(clean(path))
        inside = list(self._walk(entry.path)) if entry.is_dir else []
        if inside and not recursive:
            raise UsageError(
                f"The folder '{entry.path}' is not empty.", remedy="Say --recursive to remove all."
            )
        for path in [*(inner.path for inner in reversed(inside)), entry.path]:
            with self._errors(path):
                self._fs.remove(f"/{path}")

    # --- errors -------------------------------------------------------------------------------

    def _errors(self, path: str) -> _Errors:
        return _Errors(self, path)

    def _settle(self) -> None:
        """Raise what waited in a callback."""
        waiting, self._context.error = self._context.error, None
        if waiting is not None:
            raise waiting
        if self._context.left < 0:
            raise DamagedError("The LittleFS file system is damaged: it goes round in circles.")
        self._context.left = self._context.budget

    def _error(self, cause: Any, path: str = "") -> FatalError:
        self._settle()
        code = int(cause.code)
        if code == _FULL:
            usage = self.usage()
            return FullError(
                f"'{path}' does not fit: the LittleFS file system has {usage.free:,} bytes left, "
                f"in blocks of {self.parameters.block_size}."
            )
        if code == _NAME_TOO_LONG:
            return UsageError(
                f"'{path}' has a name of more than {self.parameters.name_max} bytes, the most "
                "that this file system takes."
            )
        if code == _TOO_LARGE:
            return FullError(f"'{path}' is too large for LittleFS.")
        if code == -21:
            return UsageError(f"'{path}' is a folder.")
        if code == -20:
            return UsageError(f"'{path}' is inside something that is not a folder.")
        if code in (-84, -5, -22):
            where = f": see '{path}'" if path else ""
            return DamagedError(f"The LittleFS file system is damaged{where}.")
        return DamagedError(f"LittleFS failed with code {code} at '{path}'.")


class _Errors:
    """Turns the library's errors within a `with` block into ours."""

    def __init__(self, fs: Littlefs, path: str) -> None:
        self._fs, self._path = fs, path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, cause: BaseException | None, trace: object) -> None:
        if cause is None or isinstance(cause, GeneratorExit):
            self._fs._settle()
            return
        if isinstance(cause, UnicodeDecodeError):
            raise DamagedError(f"A name in '{self._path}' is not UTF-8.") from None
        if isinstance(cause, IsADirectoryError):
            raise UsageError(f"'{self._path}' is a folder.") from None
        if isinstance(cause, FileExistsError | FileNotFoundError):
            raise UsageError(f"'{self._path}' is inside something that is not a folder.") from None
        if hasattr(cause, "code") and not isinstance(cause, FatalError):
            raise self._fs._error(cause, self._path) from None
