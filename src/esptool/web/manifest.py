# SPDX-License-Identifier: Apache-2.0
"""Manifests of ESP Web Tools: which files belong on which chip. Text in, values out.

The format is described at https://esphome.github.io/esp-web-tools/ ("Creating your manifest").
"""

from __future__ import annotations

import json
from typing import Any

from esptool import chips
from esptool.errors import ImageError
from esptool.records import dataclass

#: Seconds to wait for Improv after an installation where the manifest says nothing.
IMPROV_WAIT_S = 10
_LARGEST_OFFSET = 1 << 32
_EXAMPLE = (
    '"builds": [{"chipFamily": "ESP32", "parts": [{"path": "firmware.bin", "offset": 65536}]}].'
)


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a build: `path` relative to the manifest, `offset` in flash."""

    path: str
    offset: int


@dataclass(frozen=True, slots=True)
class Build:
    """What belongs on one chip: `family` as the manifest says it, `chip` as our key for it."""

    family: str
    chip: str
    parts: tuple[Part, ...]
    improv: bool = True


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest.

    Attributes:
        name: of the firmware.
        version: of the firmware, "" where none is given.
        builds: one a chip family.
        ask_erase: ask whether all of the flash is to be erased; otherwise a new installation
            erases it.
        improv_wait_s: how long to wait for the firmware to speak Improv, 0 for not at all.
        remarks: what was passed over, for whoever writes the manifest.
    """

    name: str
    version: str
    builds: tuple[Build, ...]
    ask_erase: bool = False
    improv_wait_s: float = IMPROV_WAIT_S
    remarks: tuple[str, ...] = ()

    def build_for(self, chip: str) -> Build:
        """The build for a chip, by our key for it.

        Raises:
            ImageError: there is none; says for which chips there are.
        """
        for build in self.builds:
            if build.chip == chip:
                return build
        families = ", ".join(build.family for build in self.builds)
        raise ImageError(
            f"{self.name} has no firmware for {chips.get(chip).name}: it is made for {families}.",
            remedy="Connect another board, or ask who makes this firmware.",
        )


def parse(text: str | bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ImageError: it is none; says which key is at fault.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise ImageError(f"The manifest is not JSON: {e}.") from None
    if not isinstance(found, dict):
        raise ImageError("The manifest is not a JSON object.")
    remarks: list[str] = []
    builds = _list(found.get("builds"), "builds")
    if not builds:
        raise ImageError("The manifest has no builds.", remedy=f"Give it one: {_EXAMPLE}")
    known: list[Build] = []
    for i, build in enumerate(builds):
        made = _build(build, f"builds[{i}]", remarks)
        if made is None:
            continue
        if any(made.chip == other.chip for other in known):
            remarks.append(f"builds[{i}]: there is a build for {made.family} already.")
            continue
        known.append(made)
    if not known:
        families = ", ".join(dict.fromkeys(str(build["chipFamily"]) for build in builds))
        raise ImageError(
            f"The manifest has no build for a chip that is known, but for {families}.",
            remedy=f"Chips that are known: {', '.join(chips.get(k).name for k in chips.KEYS)}.",
        )
    wait = found.get("new_install_improv_wait_time", IMPROV_WAIT_S)
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait <= 600:
        raise ImageError("new_install_improv_wait_time is a number of seconds.")
    return Manifest(
        _text(found.get("name", "Firmware"), "name"),
        _text(found.get("version", ""), "version"),
        tuple(known),
        bool(found.get("new_install_prompt_erase", False)),
        float(wait),
        tuple(remarks),
    )


def _build(found: Any, where: str, remarks: list[str]) -> Build | None:
    if not isinstance(found, dict):
        raise ImageError(f"{where} is not an object.")
    family = _text(found.get("chipFamily"), f"{where}.chipFamily")
    chip = chips.normalize(family)
    if chip not in chips.KEYS:
        remarks.append(f"{where}: {family} is not a chip that is known here.")
        return None
    parts = tuple(
        _part(part, f"{where}.parts[{i}]")
        for i, part in enumerate(_list(found.get("parts"), f"{where}.parts"))
    )
    if not parts:
        raise ImageError(f"{where} has no parts.", remedy=f"List its files: {_EXAMPLE}")
    return Build(family, chip, parts, bool(found.get("improv", True)))


def _part(found: Any, where: str) -> Part:
    if not isinstance(found, dict):
        raise ImageError(f"{where} is not an object.")
    offset = found.get("offset", 0)
    if isinstance(offset, str):
        try:
            offset = int(offset, 0)
        except ValueError:
            raise ImageError(f"{where}.offset is not a number: {offset!r}.") from None
    if isinstance(offset, bool) or not isinstance(offset, int):
        raise ImageError(f"{where}.offset is not a number: {offset!r}.")
    if not 0 <= offset < _LARGEST_OFFSET:
        raise ImageError(f"{where}.offset is beyond any flash: {offset:#x}.")
    return Part(_text(found.get("path"), f"{where}.path"), offset)


def _list(found: Any, where: str) -> list[Any]:
    if not isinstance(found, list):
        raise ImageError(f"{where} of the manifest is not a list.")
    return found


def _text(found: Any, where: str) -> str:
    if not isinstance(found, str):
        raise ImageError(f"{where} of the manifest is not text.")
    return found
