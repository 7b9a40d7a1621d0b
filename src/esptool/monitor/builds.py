# SPDX-License-Identifier: Apache-2.0
"""ELF files that are found by what the program on the chip says of itself.

ESP-IDF prints the beginning of the SHA-256 of its ELF file when it starts and when it crashes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from esptool.errors import ImageError
from esptool.monitor.elfdata import ElfData
from esptool.monitor.symbols import Program

#: Folders are searched so deep, and so many files looked at: a home folder is no build folder.
_DEEPEST = 6
_MOST_FILES = 2000
_LARGEST = 512 << 20
_NEVER = frozenset({".git", "node_modules", "__pycache__", "CMakeFiles"})


class Builds:
    """Files and folders that a user has named.

    Attributes:
        programs: those of the files.
    """

    def __init__(self, paths: list[str]) -> None:
        self.programs: list[Program] = []
        self._folders: list[Path] = []
        for path in map(Path, paths):
            if path.is_dir():
                self._folders.append(path)
            else:
                self.programs.append(Program(ElfData.load(path)))

    @property
    def searches(self) -> bool:
        """There are folders to search."""
        return bool(self._folders)

    def find(self, digest: str) -> Program | None:
        """The program whose ELF file has a SHA-256 that begins so, None where none does."""
        for program in self.programs:
            if program.elf.sha256.startswith(digest):
                return program
        for path in self._candidates():
            try:
                elf = ElfData.load(path)
            except ImageError:
                continue
            if elf.sha256.startswith(digest):
                return Program(elf)
        return None

    def _candidates(self) -> Iterator[Path]:
        count = 0
        for top in self._folders:
            for folder, names, files in os.walk(top):
                depth = len(Path(folder).relative_to(top).parts)
                names[:] = sorted(n for n in names if n not in _NEVER and depth < _DEEPEST)
                for name in sorted(files):
                    if not name.endswith((".elf", ".axf")) and "." in name:
                        continue
                    path = Path(folder, name)
                    if not _may_be_elf(path):
                        continue
                    count += 1
                    if count > _MOST_FILES:
                        return
                    yield path


def _may_be_elf(path: Path) -> bool:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return False
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False
