# SPDX-License-Identifier: Apache-2.0
"""The first stages of our stubs, each with its stub in packed form.

The ROM loads the first stage in one block; it takes the stub in at a better rate and starts it
(docs/serial-protocol.md).
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from esptool import stubs
from esptool.errors import FatalError
from esptool.textfile import read_text

FOLDER = "first"


@dataclass(frozen=True, slots=True)
class Image:
    """A stub as the first stage takes it in.

    Attributes:
        unpacker: code that goes to `unpacker_at` and is called at `unpacker_entry`.
        packed: the stream, to be sent to `packed_at`.
        plain_at: where it is unpacked, to `size` bytes with the CRC-32 `crc`.
        pieces: where these go: (address, bytes), one behind the other.
        entry: where the first stage enters it.
    """

    unpacker: bytes
    unpacker_at: int
    unpacker_entry: int
    packed: bytes
    packed_at: int
    plain_at: int
    size: int
    crc: int
    pieces: tuple[tuple[int, int], ...]
    entry: int


@dataclass(frozen=True, slots=True)
class OtgLink:
    """The ROM's variable that tells its link.

    Attributes:
        places: (first revision, address), rising.
        value: what it is while the host is on USB-OTG.
    """

    places: tuple[tuple[int, int], ...]
    value: int

    def address(self, revision: int) -> int:
        """Where it stands in the ROM of that revision."""
        return [address for since, address in self.places if since <= revision][-1]


@dataclass(frozen=True, slots=True)
class FirstStage:
    """What the ROM loads.

    Attributes:
        plain: where it goes on behind what readies register windows; else the entry.
        ram: its variables and its stack.
        otg: how the ROM tells that the host is on USB-OTG; None where there is none.
    """

    entry: int
    plain: int
    text: bytes
    text_start: int
    ram: range
    image: Image
    otg: OtgLink | None


def first_stage(stub: stubs.Stub) -> FirstStage | None:
    """The first stage that loads `stub`; None where it goes by the ROM alone."""
    if not isinstance(stub, stubs.Stub) or not stub.ours:
        return None
    path = stubs.DATA / FOLDER / f"{stub.name}.json"
    first = _load(path, stub.name) if path.is_file() else None
    if first is None or stub.segments or zlib.crc32(stub.text + stub.data) != first.image.crc:
        # With a plug-in it is not the one that was packed.
        return None
    return first


@cache
def _load(path: Path, name: str) -> FirstStage:
    try:
        raw: dict[str, Any] = json.loads(read_text(path, "stub file"))
        return _parse(raw, stubs.load_file(stubs.DATA / f"{name}.json"))
    except (ValueError, KeyError, TypeError) as e:
        raise FatalError(f"The stub file '{path}' is damaged: {e}.") from e


def _parse(raw: dict[str, Any], stub: stubs.Stub) -> FirstStage:
    plain = stub.text + stub.data
    image = Image(
        unpacker=base64.b64decode(raw["unpacker"]),
        unpacker_at=raw["unpacker_at"],
        unpacker_entry=raw["unpacker_entry"],
        packed=base64.b64decode(raw["packed"]),
        packed_at=raw["packed_at"],
        plain_at=raw["plain_at"],
        size=len(plain),
        crc=zlib.crc32(plain),
        pieces=((stub.text_start, len(stub.text)), (stub.data_start, len(stub.data))),
        entry=raw["stub_entry"],
    )
    return FirstStage(
        entry=raw["entry"],
        plain=raw["plain"],
        text=base64.b64decode(raw["text"]),
        text_start=raw["text_start"],
        ram=range(raw["ram_start"], raw["ram_end"]),
        image=image,
        otg=None if raw.get("otg") is None else _otg(raw["otg"]),
    )


def _otg(raw: dict[str, Any]) -> OtgLink:
    return OtgLink(tuple((since, address) for since, address in raw["places"]), raw["value"])
