# SPDX-License-Identifier: Apache-2.0
"""Finds the file of a chip's ROM, and sees that it fits the chip and its revision."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from esptool.errors import UsageError
from esptool.virtual import silicon
from esptool.virtual.clock import Timing
from esptool.virtual.genuine import romfile
from esptool.virtual.genuine.romfile import RomFile

if TYPE_CHECKING:
    from esptool.virtual.silicon.spec import Silicon
    from esptool.virtual.soc import Soc

#: A folder with the files of ROMs.
VARIABLE = "ESPTOOL_ROM_DIR"
#: Length of a date as compilers write it.
_DATE = 11
_NAME = re.compile(r"esp[0-9a-z]+_(?:rev|eco)\d+_rom\.elf|esp8266_(?:boot)?rom\.(?:bin|elf)")


def find(soc: Soc) -> RomFile:
    """The ROM that the board was asked to run.

    Raises:
        UsageError: there is none, it is of another chip or revision, or it cannot be run.
    """
    key, options = soc.silicon.key, soc.options
    shape = soc.silicon.shape
    if shape is None:
        raise UsageError(
            f"The virtual {soc.silicon.name} cannot run its own ROM.",
            remedy="Leave out 'rom': a model of it is used then.",
        )
    if options.timing is not Timing.FAST:
        raise UsageError("A chip that runs its own ROM knows no timing but 'fast'.")
    base = min(start for start, _ in shape.rom)
    if options.rom == "auto":
        return _best(soc, base)
    rom = romfile.read(Path(str(options.rom)), base)
    since = _since(soc.silicon, rom)
    if since is None:
        for other in silicon.names():
            if other != key and _since(silicon.of(other), rom) is not None:
                raise UsageError(f"{rom.path.name} is a ROM of {other}, not of {key}.")
        soc.notes.append(f"{rom.path.name} is a ROM that is not known here")
    elif since != soc.rom.since:
        raise UsageError(
            f"{rom.path.name} is the ROM of {soc.silicon.name} from v{since // 100}.{since % 100} "
            f"on, and no longer that of v{soc.revision // 100}.{soc.revision % 100}."
            if since < soc.revision
            else f"{rom.path.name} is the ROM of {soc.silicon.name} from v{since // 100}."
            f"{since % 100} on, not of v{soc.revision // 100}.{soc.revision % 100}.",
            remedy=f"Add rev=v{since // 100}.{since % 100}, or give another file.",
        )
    return rom


def _since(chip: Silicon, rom: RomFile) -> int | None:
    """From which revision on it is the chip's ROM, by the text that it prints; None if unknown."""
    for known in chip.roms:
        text = known.boot.tag or known.boot.build[:_DATE]
        if text and rom.has(text.encode()):
            return known.since
    return None


def _best(soc: Soc, base: int) -> RomFile:
    revision = f"v{soc.revision // 100}.{soc.revision % 100}"
    places = list(folders())
    for folder in places:
        for path in sorted(folder.glob(f"{soc.silicon.key}_*")):
            if _NAME.fullmatch(path.name) is None:
                continue
            rom = romfile.read(path, base)
            if _since(soc.silicon, rom) == soc.rom.since:
                return rom
    raise UsageError(
        f"No ROM of {soc.silicon.name} {revision} was found"
        + (f" in {', '.join(str(p) for p in places)}." if places else "."),
        remedy=f"Install ESP-IDF's tool esp-rom-elfs, or name its folder in {VARIABLE}.",
    )


def folders() -> Iterator[Path]:
    """Where files of ROMs may lie, the best place first."""
    if named := os.environ.get(VARIABLE):
        if not (path := Path(named)).is_dir():
            raise UsageError(f"{VARIABLE} names {named}, which is not a folder.")
        yield path
        return
    home = os.environ.get("IDF_TOOLS_PATH")
    tools = Path(home) if home else Path.home() / ".espressif"
    versions = tools / "tools" / "esp-rom-elfs"
    if versions.is_dir():
        yield from sorted((p for p in versions.iterdir() if p.is_dir()), reverse=True)
