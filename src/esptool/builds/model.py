# SPDX-License-Identifier: Apache-2.0
"""What a build leaves behind, as values: images with their places in flash. No chip, no files."""

from __future__ import annotations

from enum import Enum

from esptool.image.content import Data
from esptool.records import dataclass, replace

KEEP = "keep"


class Role(Enum):
    """What an image is for."""

    BOOTLOADER = "bootloader"
    TABLE = "partition-table"
    APP = "app"
    OTADATA = "otadata"
    DATA = "data"
    #: Several images with their gaps, from one address on.
    MERGED = "merged"


#: Roles of which a build usually has one, so that another file takes the place of the former one.
SINGLE = (Role.BOOTLOADER, Role.TABLE, Role.APP, Role.OTADATA)


def stem(path: str) -> str:
    """A file's name without folders and ending."""
    return path.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Part:
    """One image.

    Attributes:
        role: what it is for.
        data: its bytes; those of an ELF file where `elf` is set.
        name: how messages call it: the file's path as the build names it.
        offset: bytes from the start of flash; None where the partition table has to tell.
        encrypted: the build says that it is to be encrypted where flash encryption is on; None
            where the build says nothing.
        elf: the data are an ELF file, of which an image is still to be made.
    """

    role: Role
    data: Data
    name: str
    offset: int | None = None
    encrypted: bool | None = None
    elf: bool = False

    @property
    def end(self) -> int:
        """The first offset behind it, where it has a place."""
        assert self.offset is not None
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class FlashWords:
    """Flash parameters for the boot loader's header, each a word of the command line or "keep"."""

    mode: str = KEEP
    freq: str = KEEP
    size: str = KEEP

    def over(self, other: FlashWords) -> FlashWords:
        """These words, and those of `other` where these keep what is there."""
        pairs = ((self.mode, other.mode), (self.freq, other.freq), (self.size, other.size))
        return FlashWords(*(theirs if mine == KEEP else mine for mine, theirs in pairs))


@dataclass(frozen=True, slots=True)
class Build:
    """What was found to be flashed.

    Attributes:
        kind: what made it, e.g. "ESP-IDF build".
        source: the folder or file that was given.
        evidence: by what it was recognised, e.g. "flasher_args.json".
        chip: key of the chip that it is for, None where nothing says so.
        parts: the images.
        words: flash parameters that the build's own upload uses.
        elf: path of the program with its symbols, None where there is none.
        encrypt: the build's own upload has the chip encrypt all of it.
        notes: what is worth knowing, in sentences.
        left_out: why there is no boot loader, and how to write it anyway; "" where there is
            one, or nothing is known.
        before, after: how the build's own upload resets the chip, None where it does not say.
        stub: the build's own upload uses the flasher stub.
        project, version: names that the build itself gives, "" where it does not.
    """

    kind: str
    source: str
    evidence: str
    chip: str | None
    parts: tuple[Part, ...]
    words: FlashWords = FlashWords()
    elf: str | None = None
    encrypt: bool = False
    notes: tuple[str, ...] = ()
    left_out: str = ""
    before: str | None = None
    after: str | None = None
    stub: bool = True
    project: str = ""
    version: str = ""

    def part(self, role: Role) -> Part | None:
        """The image of that role, the first of several; None where there is none."""
        return next((part for part in self.parts if part.role is role), None)

    @property
    def applications(self) -> tuple[Part, ...]:
        """All applications: a file of flash contents may have one for each slot."""
        return tuple(part for part in self.parts if part.role is Role.APP)

    @property
    def application(self) -> Part | None:
        """The application that is the build's own: the only one, or that of its ELF file.

        None where there is none, and where nothing tells which of several it is.
        """
        found = self.applications
        if len(found) > 1:
            own = None if self.elf is None else stem(self.elf)
            found = tuple(p for p in found if p.elf or stem(p.name) == own)
        return found[0] if len(found) == 1 else None

    @property
    def for_encryption(self) -> bool:
        """The build was configured for flash encryption."""
        return self.encrypt or any(part.encrypted for part in self.parts)

    def with_part(self, new: Part, old: Part | None = None) -> Build:
        """With an image in place of `old`, or else of the first one of its role."""
        old = self.part(new.role) if old is None else old
        kept = tuple(part for part in self.parts if part is not old)
        return replace(self, parts=(*kept, new))

    def noting(self, *notes: str) -> Build:
        """With more notes."""
        return replace(self, notes=(*self.notes, *notes))
