# SPDX-License-Identifier: Apache-2.0
"""File systems of partitions: opened from devices and files, changed, built of folders.

Of a LittleFS or FAT on a device no more is read than is needed; a SPIFFS is read as a whole, as
every page of it counts. What is written back is what changed: a sector that the file system did
not use is erased and written, and in a sector in use bits are cleared as the chip does it, where
that is all it takes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING

from esptool.errors import FatalError, FileError, UsageError
from esptool.files import write_atomic
from esptool.ops.places import DeviceFlash, Place
from esptool.storage.fs import (
    Entry,
    FileSystem,
    FullError,
    Image,
    Patch,
    Shape,
    build_image,
    detect,
    open_image,
)
from esptool.storage.fs.model import clean
from esptool.storage.partition import Partition

if TYPE_CHECKING:
    from esptool.events import Listener

#: A partition beyond this is not a partition of flash, whatever a table says.
LARGEST = 256 << 20
_DATA = 1
#: Subtypes of data partitions that say which file system is meant.
_SUBTYPES = {0x81: "fat", 0x83: "littlefs"}
_ANY_SUBTYPES = (0x06, 0x81, 0x82, 0x83)  # undefined, fat, spiffs, littlefs


def open_file_system(
    place: Place, kind: str | None = None, shape: Shape | None = None
) -> FileSystem:
    """The file system in a partition or file.

    Args:
        kind: 'littlefs', 'fat' or 'spiffs'; found out where it is not given.
        shape: see `storage.fs.open_image`.

    Raises:
        FatalError: it cannot be read, or holds none; says where.
    """
    _require_size(place)
    try:
        return open_image(Image(place.size, place.read), kind, shape)
    except FatalError as e:
        raise _at(place, e) from None


def _require_size(place: Place) -> None:
    if not 0 < place.size <= LARGEST:
        raise UsageError(f"{place.label} has {place.size:#x} bytes: no file system has that size.")


def _at(place: Place, error: FatalError) -> FatalError:
    """The same error with the place that it is about."""
    label = place.label[:1].upper() + place.label[1:]
    return type(error)(f"{label}: {error.message}", remedy=error.remedy)


def require_for_files(place: Place) -> None:
    """Refuse to write a file system over something else.

    Raises:
        UsageError: the partition is of a type that is not for files.
    """
    part = place.partition
    if part.type != _DATA or part.subtype not in _ANY_SUBTYPES:
        raise UsageError(
            f"{place.label[:1].upper()}{place.label[1:]} is not one for files: it would be "
            "destroyed.",
            remedy="Name a partition of type data and subtype fat, spiffs or littlefs.",
        )


def write_back(place: Place, fs: FileSystem, *, listener: Listener | None = None) -> int:
    """Bring what was changed in `fs` to the place that it was opened from.

    A file is replaced as a whole. On a device the steps are made in their order, so that an
    interruption harms as little as the format allows.

    Returns:
        How many sectors changed.

    Raises:
        FatalError: it failed; says what is stored.
    """
    steps = fs.steps()
    flash = place.flash
    if not steps:
        return 0
    if not isinstance(flash, DeviceFlash):
        return place.write(0, fs.image())
    from esptool.ops.program import change_flash

    count = 0
    for step in steps:
        if isinstance(step, Patch):
            at = place.offset + step.offset
            flash.forget(at, len(step.former))
            count += change_flash(flash.session, at, step.former, step.programs, listener=listener)
        else:
            count += place.write(step.offset, step.data)
    return count


# --- folders of the host -------------------------------------------------------------------------


def read_folder(folder: str, limit: int) -> dict[str, bytes | None]:
    """All below a folder: path with '/' -> content, or None for a folder.

    Links to files count as files; a link to a folder is refused, as it may lead round in circles.

    Args:
        limit: bytes; when the files have more, nothing more is read.

    Raises:
        FatalError: something cannot be read, or is neither file nor folder.
        FullError: there is more than the limit.
    """
    if not os.path.isdir(folder):
        raise UsageError(f"'{folder}' is not a folder.")
    found: dict[str, bytes | None] = {}
    left = limit
    waiting = [""]
    while waiting:
        above = waiting.pop()
        for name in sorted(_names(os.path.join(folder, above))):
            path = f"{above}/{name}" if above else name
            full = os.path.join(folder, path)
            if os.path.isdir(full):
                if os.path.islink(full):
                    raise UsageError(f"'{full}' is a link to a folder: leave it out.")
                found[path] = None
                waiting.append(path)
                continue
            data = read_file(full, left)
            left -= len(data)
            found[path] = data
    return found


def _names(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError as e:
        raise FileError(f"Cannot read the folder '{folder}': {e.strerror}.") from e
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"In '{folder}' there is a file whose name is not UTF-8: {name!r}."
            ) from None
    return names


def read_file(path: str, limit: int) -> bytes:
    """The content of a file of the host, which has `limit` bytes at most.

    Raises:
        FatalError: it cannot be read, or is not a file.
        FullError: it is larger.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"'{path}' is neither file nor folder.")
        if status.st_size > limit:
            raise FullError(
                f"'{path}' does not fit: it has {status.st_size:,} bytes, and {max(0, limit):,} "
                "are left of the partition."
            )
        with open(path, "rb") as file:
            return file.read(limit + 1)[:limit]
    except OSError as e:
        raise FileError(
            f"Cannot read '{path}': {e.strerror}.",
            remedy="Check its name, and that you may read it.",
        ) from e


def put(fs: FileSystem, source: str, target: str | None) -> list[str]:
    """Put a file, or all that is in a folder, into a file system.

    Args:
        target: the path there; for a file, a folder that exists or ends with '/' takes it under
            its own name. None is the root.

    Returns:
        The paths of the files, those that were there with the same content included.

    Raises:
        FatalError: it cannot be read, or does not fit.
    """
    limit = fs.usage().total
    if os.path.isdir(source):
        files = read_folder(source, limit)
        base = clean(target) + "/" if target and target.strip("/") else ""
    else:
        name = os.path.basename(os.path.abspath(source))
        files = {_target(fs, name, target): read_file(source, limit)}
        base = ""
    written = []
    sizes = {entry.path: entry.size for entry in fs.entries() if not entry.is_dir}
    for path, data in sorted(files.items()):
        if data is not None:
            there = base + path
            # Flash wears: what is there already is not written again.
            if sizes.get(there) != len(data) or fs.read(there) != data:
                fs.write(there, data)
            written.append(there)
        elif fs.kind != "spiffs":
            fs.make_folder(base + path)
    return written


def _target(fs: FileSystem, name: str, target: str | None) -> str:
    if target is None or not target.strip("/"):
        return clean(name)
    path = clean(target)
    inside = target.endswith("/") or any(e.is_dir and e.path == path for e in fs.entries())
    return f"{path}/{name}" if inside else path


def extract(fs: FileSystem, folder: str, inside: str | None = None) -> list[Entry]:
    """Write all files and folders, or those in one folder, to a folder of the host.

    Everything is read and every name judged before the first file is written.

    Returns:
        What was written.

    Raises:
        FatalError: a file is damaged, a name would lead out of the folder, or it cannot be written.
    """
    base = clean(inside) if inside and inside.strip("/") else ""
    entries = fs.entries()
    if base and not any(e.path == base or e.path.startswith(f"{base}/") for e in entries):
        fs.find(base)
    wanted = [e for e in entries if not base or e.path.startswith(f"{base}/")]
    if base and not wanted:
        wanted = [e for e in entries if e.path == base and not e.is_dir]
    strip = len(base) + 1 if base and wanted and wanted[0].path != base else 0
    places = {entry.path: _host_path(folder, entry.path[strip:]) for entry in wanted}
    contents = {entry.path: fs.read(entry.path) for entry in wanted if not entry.is_dir}
    try:
        os.makedirs(folder, exist_ok=True)
        for entry in wanted:
            target = places[entry.path]
            os.makedirs(target if entry.is_dir else os.path.dirname(target), exist_ok=True)
            if not entry.is_dir:
                write_atomic(target, contents[entry.path])
    except OSError as e:
        raise FileError(f"Cannot write to '{folder}': {e.strerror} ({e.filename}).") from e
    return wanted


def _host_path(folder: str, path: str) -> str:
    """Where a file of the image goes on the host.

    Raises:
        UsageError: it would lie outside the folder.
    """
    for part in path.split("/"):
        bad = part in ("", ".", "..") or any(sign in part for sign in "\\\0")
        if bad or any(sign < " " for sign in part) or (os.name == "nt" and ":" in part):
            raise UsageError(
                f"The file system has a name that is not safe to write here: {path!r}.",
                remedy="Read what you need with `esptool fs get`.",
            )
    root = os.path.realpath(folder)
    full = os.path.realpath(os.path.join(root, *path.split("/")))
    if os.path.commonpath([root, full]) != root:
        raise UsageError(f"'{path}' would be written outside '{folder}', by a link in it.")
    return os.path.join(folder, *path.split("/"))


# --- building ------------------------------------------------------------------------------------


def kind_in(place: Place) -> str | None:
    """Which file system is in a place, if any is."""
    _require_size(place)
    return detect(Image(place.size, place.read))


def kind_for(partition: Partition, preset: str | None) -> str:
    """Which file system a partition is for.

    Raises:
        UsageError: neither its type nor the preset says it.
    """
    if partition.type == _DATA and partition.subtype in _SUBTYPES:
        return _SUBTYPES[partition.subtype]
    if preset == "micropython":
        return "littlefs"
    raise UsageError(
        f"It is not clear which file system partition '{partition.name}' is for.",
        remedy="Say --type littlefs, fat or spiffs. Partitions of subtype spiffs are used for "
        "LittleFS, too.",
    )


def build(kind: str, size: int, files: Mapping[str, bytes | None], shape: Shape) -> bytes:
    """A new image; see `storage.fs.build_image`."""
    if not 0 < size <= LARGEST:
        raise UsageError(f"{size:#x} bytes are not a valid size for a file system.")
    return build_image(kind, size, files, shape)
