# SPDX-License-Identifier: Apache-2.0
"""What a page shows before a board is connected. It imports little, so that it is there soon."""

from __future__ import annotations

from typing import Any

from esptool import chips
from esptool._version import __version__
from esptool.web import manifest as manifests

#: Wishes that need nothing but this module.
WISHES = ("version", "virtual_chips", "manifest")


def version() -> str:
    """Version of the tool."""
    return __version__


def virtual_chips() -> list[tuple[str, str]]:
    """Chips that a virtual board can have: key and name."""
    return [(key, chips.get(key).name) for key in chips.KEYS]


def manifest(text: str | bytes) -> dict[str, Any]:
    """A manifest of ESP Web Tools as plain values.

    Raises:
        ImageError: it is none.
    """
    found = manifests.parse(text)
    return {
        "name": found.name,
        "version": found.version,
        "ask_erase": found.ask_erase,
        "improv_wait_s": found.improv_wait_s,
        "remarks": list(found.remarks),
        "families": [build.family for build in found.builds],
        "chips": [build.chip for build in found.builds],
        "improv": [build.chip for build in found.builds if build.improv],
    }
