# SPDX-License-Identifier: Apache-2.0
"""Bundles: one file with all that is flashed, where it goes, and what proves that it is whole.

A zip archive that begins with `bundle.json` (see docs/guide/flash-builds.md). The same build gives
the same bytes: fixed order, fixed dates, nothing compressed unless asked for. Nothing is ever
unpacked to files: names in the archive are names alone.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any, NoReturn

from esptool import chips
from esptool.builds.images import image_info
from esptool.builds.model import Build, FlashWords, Part, Role
from esptool.errors import UsageError
from esptool.image.content import HASHED_AT_ONCE, Data, chunks
from esptool.image.sources import open_source

FORMAT, VERSION = "esptool-bundle", 1
MANIFEST = "bundle.json"
#: More than the largest flash, and than programs with symbols have.
LARGEST = 512 << 20
_LARGEST_MANIFEST = 1 << 20
_MOST_FILES = 256
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SPACE = 1 << 32
#: How the kind of what comes out of a bundle begins.
KIND = "bundle of "
_REMEDY = "Make or fetch the bundle again."


def sha256(data: Data) -> str:
    """SHA-256 in hex digits."""
    digest = hashlib.sha256()
    for chunk in chunks(data, HASHED_AT_ONCE):
        digest.update(chunk)
    return digest.hexdigest()


def build_id(build: Build) -> str | None:
    """SHA-256 of the ELF file that the application was made of, as the application says it."""
    app = build.application
    info = None if app is None or app.elf else image_info(app.data)
    if info is None or info.app is None or not any(info.app.elf_sha256):
        return None
    return info.app.elf_sha256.hex()


# --- writing -------------------------------------------------------------------------------------


def write(build: Build, out: IO[bytes], *, compress: bool = False, elf: bool = True) -> None:
    """Write the bundle of a build whose parts all have their places.

    Args:
        build: what goes in.
        out: an open file.
        compress: deflate the files: smaller, but not the same bytes with every version of zlib.
        elf: with the program and its symbols, where the build has one.

    Raises:
        ImageError: a file cannot be read.
    """
    files: dict[str, Data] = {}
    images = [_image_entry(part, files) for part in build.parts]
    program = _elf_entry(build, files) if elf else None
    manifest = _manifest(build, images, program)
    text = json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=False) + "\n"
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in {MANIFEST: text.encode(), **files}.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            info.compress_type = method
            with archive.open(info, "w") as file:
                for chunk in chunks(data):
                    file.write(chunk)


def _image_entry(part: Part, files: dict[str, Data]) -> dict[str, Any]:
    assert part.offset is not None
    base = PurePosixPath(part.name.replace("\\", "/")).name
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in base)
    name = f"images/{part.offset:#010x}-{safe}"
    files[name] = part.data
    return {
        "role": part.role.value,
        "name": base,
        "file": name,
        "offset": part.offset,
        "size": len(part.data),
        "sha256": sha256(part.data),
        "encrypted": part.encrypted,
    }


def _elf_entry(build: Build, files: dict[str, Data]) -> dict[str, Any] | None:
    """The program of a build, or of the bundle that it came out of."""
    if build.elf:
        data, _ = open_source(build.elf)
        found: tuple[str, Data] | None = (Path(build.elf).name, data)
    else:
        found = _bundled_elf(Path(build.source)) if build.evidence == MANIFEST else None
    if found is None:
        return None
    base, data = found
    name = f"elf/{base}"
    files[name] = data
    return {"name": base, "file": name, "size": len(data), "sha256": sha256(data)}


def _manifest(
    build: Build, images: list[dict[str, Any]], elf: dict[str, Any] | None
) -> dict[str, Any]:
    app = build.application
    info = None if app is None else image_info(app.data)
    said = None if info is None else info.app
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": _plain_kind(build.kind),
        "chip": build.chip,
        "project": build.project or (said.project_name if said else ""),
        "app_version": build.version or (said.version if said else ""),
        "build_id": build_id(build),
        "flash": {
            "mode": build.words.mode,
            "freq": build.words.freq,
            "size": build.words.size,
        },
        "encrypt": build.encrypt,
        "before": build.before,
        "after": build.after,
        "stub": build.stub,
        "notes": list(build.notes),
        "images": images,
        "elf": elf,
    }


def _plain_kind(kind: str) -> str:
    """That of the build itself, also where it came out of a bundle."""
    return kind.removeprefix(KIND).partition(" ")[2] if kind.startswith(KIND) else kind


# --- reading -------------------------------------------------------------------------------------


def looks_like(path: Path) -> bool:
    """A file is a zip archive."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def read(path: Path) -> Build:
    """The build in a bundle, all of it checked. The program with symbols is left where it is.

    Raises:
        UsageError: it is not a bundle, is damaged, or was made by a later version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Reader(path, archive).build()
    except (
        *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, struct.error),
        # Methods of compression and encryption that are not known here.
        *(NotImplementedError, RuntimeError, OSError, ValueError, OverflowError),
    ) as e:
        if isinstance(e, UsageError):
            raise
        raise UsageError(f"'{path}' is damaged: {e}.", remedy=_REMEDY) from None


class _Reader:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self.archive = archive
        names = archive.namelist()
        if len(names) > _MOST_FILES:
            self._refuse(f"it holds {len(names)} files")
        if len(set(names)) != len(names):
            self._refuse("it holds two files of one name")
        if MANIFEST not in names:
            inside = any(name.endswith("flasher_args.json") for name in names)
            raise UsageError(
                f"'{path}' is a zip archive without {MANIFEST}: no bundle.",
                remedy="Unpack it and flash the folder: it holds an ESP-IDF build."
                if inside
                else "Bundles are made by 'esptool bundle'.",
            )
        self.left = LARGEST

    def build(self) -> Build:
        """Read and check all of it."""
        said = self._manifest()
        images = self._need(said, "images", list)
        if not images:
            self._refuse("it holds no images")
        parts = tuple(self._part(entry) for entry in images)
        chip = self._optional(said, "chip", str)
        if chip is not None and chip not in chips.KEYS:
            self._refuse(f"it is for '{chip}', which is not a known chip")
        flash = self._need(said, "flash", dict)
        words = {key: self._need(flash, key, str) for key in ("mode", "freq", "size")}
        notes = self._optional(said, "notes", list) or []
        elf = self._optional(said, "elf", dict)
        if elf is not None:
            self._data(elf)
        kind = str(self._need(said, "kind", str))
        return Build(
            kind=f"{KIND}{'an' if kind[:1] in 'AEIOUaeiou' else 'a'} {kind}",
            source=str(self.path),
            evidence=MANIFEST,
            chip=chip,
            parts=tuple(sorted(parts, key=lambda part: part.offset or 0)),
            words=FlashWords(**words),
            encrypt=self._optional(said, "encrypt", bool) or False,
            notes=tuple(map(str, notes)),
            before=self._optional(said, "before", str),
            after=self._optional(said, "after", str),
            stub=self._optional(said, "stub", bool) is not False,
            project=self._optional(said, "project", str) or "",
            version=self._optional(said, "app_version", str) or "",
        )

    def _manifest(self) -> dict[str, Any]:
        info = self.archive.getinfo(MANIFEST)
        if info.file_size > _LARGEST_MANIFEST:
            self._refuse(f"its {MANIFEST} has {info.file_size} bytes")
        try:
            said = json.loads(self._bytes(MANIFEST, _LARGEST_MANIFEST))
        except (ValueError, RecursionError) as e:
            self._refuse(f"its {MANIFEST} is not JSON ({e})")
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            self._refuse(f"its {MANIFEST} is not of the format '{FORMAT}'")
        version = said.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            self._refuse(f"its version is {version!r}")
        if version > VERSION:
            raise UsageError(
                f"'{self.path}' is a bundle of version {version}; this esptool knows {VERSION}.",
                remedy="Use a newer esptool.",
            )
        return said

    def _part(self, entry: object) -> Part:
        if not isinstance(entry, dict):
            self._refuse("an image is not a JSON object")
        offset = self._need(entry, "offset", int)
        if not 0 <= offset < _SPACE:
            self._refuse(f"an image is at {offset:#x}")
        role = self._need(entry, "role", str)
        if role not in {known.value for known in Role}:
            self._refuse(f"an image is a '{role}'")
        name = self._need(entry, "name", str)
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
        encrypted = self._optional(entry, "encrypted", bool)
        return Part(Role(role), self._data(entry), shown, offset, encrypted)

    def _data(self, entry: dict[str, Any]) -> bytes:
        """The file of an entry, whose size and hash are those that it says."""
        name, size = self._need(entry, "file", str), self._need(entry, "size", int)
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name:
            self._refuse(f"'{name}' leads out of it")
        if name not in self.archive.namelist():
            self._refuse(f"'{name}' is missing")
        if not 0 < size <= self.left or self.archive.getinfo(name).file_size != size:
            self._refuse(f"'{name}' has another size than its {MANIFEST} says")
        self.left -= size
        data = self._bytes(name, size)
        if len(data) != size or sha256(data) != self._need(entry, "sha256", str).lower():
            self._refuse(f"'{name}' is not what was bundled (its SHA-256 differs)")
        return data

    def _bytes(self, name: str, most: int) -> bytes:
        """No more than so many bytes, whatever the archive claims."""
        with self.archive.open(name) as file:
            data = file.read(most + 1)
        if len(data) > most:
            self._refuse(f"'{name}' has more bytes than it says")
        return data

    def _need(self, said: dict[str, Any], key: str, kind: type) -> Any:
        value = self._optional(said, key, kind)
        if value is None:
            self._refuse(f"its {MANIFEST} lacks '{key}'")
        return value

    def _optional(self, said: dict[str, Any], key: str, kind: type) -> Any:
        value = said.get(key)
        wrong = isinstance(value, bool) and kind is not bool
        if value is not None and (wrong or not isinstance(value, kind)):
            self._refuse(f"its {MANIFEST} has {value!r} for '{key}'")
        return value

    def _refuse(self, why: str) -> NoReturn:
        raise UsageError(f"'{self.path}' is not a valid bundle: {why}.", remedy=_REMEDY)


def elf_in(path: Path) -> bytes | None:
    """The program with its symbols that a bundle holds; None where there is none.

    Raises:
        UsageError: the bundle is damaged.
    """
    found = _bundled_elf(path)
    return None if found is None else found[1]


def _bundled_elf(path: Path) -> tuple[str, bytes] | None:
    with zipfile.ZipFile(path) as archive:
        reader = _Reader(path, archive)
        entry = reader._optional(reader._manifest(), "elf", dict)
        if entry is None:
            return None
        data = reader._data(entry)  # refuses a file name that leads out of the archive
        return PurePosixPath(str(entry["file"])).name, data
