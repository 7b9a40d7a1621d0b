# SPDX-License-Identifier: Apache-2.0
"""The first stages of our stubs, each with its stub in packed form.

The ROM loads the first stage in one block; it takes the stub in at a better rate and starts it
(docs/serial-protocol.md).
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from esptool import stubs
from esptool.errors import FatalError
from esptool.textfile import read_text

FOLDER = "first"
_WORD = 4


@dataclass(frozen=True, slots=True)
class Image:
    """A part of a stub, packed.

    Attributes:
        unpacker: code that goes to `unpacker_at` and is called at `unpacker_entry`.
        packed: the stream, to be sent to `packed_at`.
        plain_at: where it is unpacked, to `size` bytes with the CRC-32 `crc`.
        pieces: where these go: (address, bytes), one behind the other.
        entry: where the first stage enters it; 0 where nothing is entered.
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

    def order(self) -> bytes:
        """What the unpacker is called with, by a first stage or by the stub."""
        fields = [self.unpacker_entry, self.entry]
        fields += [self.packed_at, len(self.packed), self.plain_at, self.size, self.crc]
        fields += [word for piece in self.pieces for word in piece]
        return struct.pack(f"<{len(fields)}I", *fields)

    @property
    def parts(self) -> tuple[tuple[int, bytes], ...]:
        """What has to be in RAM before: (address, whole words)."""
        packed = stubs.whole_words(self.packed)
        return (self.unpacker_at, self.unpacker), (self.packed_at, packed)


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
        build: what tells this build of the stub from others: the CRC-32 of its text and data.
        image: the stub without its late part.
        late: the late part, for the stub that runs.
        late_missing_at: the word in which the stub notes that it is missing.
        plain: where it goes on behind what readies register windows; else the entry.
        ram: its variables and its stack.
        otg: how the ROM tells that the host is on USB-OTG; None where there is none.
    """

    entry: int
    plain: int
    text: bytes
    text_start: int
    ram: range
    build: int
    image: Image
    late: Image
    late_missing_at: int
    otg: OtgLink | None


def first_stage(stub: stubs.Stub) -> FirstStage | None:
    """The first stage that loads `stub`; None where it goes by the ROM alone."""
    if not isinstance(stub, stubs.Stub) or not stub.ours:
        return None
    path = stubs.DATA / FOLDER / f"{stub.name}.json"
    first = _load(path, stub.name) if path.is_file() else None
    if first is None or stub.segments or zlib.crc32(stub.text + stub.data) != first.build:
        # With a plug-in it is not the one that was packed.
        return None
    return first


@cache
def _load(path: Path, name: str) -> FirstStage:
    try:
        raw: dict[str, Any] = json.loads(read_text(path, "stub file"))
        return _parse(raw, stubs.load_file(stubs.DATA / f"{name}.json"))
    except (ValueError, KeyError, TypeError) as e:
        raise FatalError(f"The stub file '{path}' is damaged: {stubs.damage(e)}.") from e


def _parse(raw: dict[str, Any], stub: stubs.Stub) -> FirstStage:
    build = zlib.crc32(stub.text + stub.data)
    missing_at, cut = raw["late_missing_at"], raw["late_at"] - stub.text_start
    noted = missing_at - stub.data_start
    data = stub.data[:noted] + build.to_bytes(_WORD, "little") + stub.data[noted + _WORD :]
    early, late = stub.text[:cut] + data, stub.text[cut:] + bytes(_WORD)
    return FirstStage(
        entry=raw["entry"],
        plain=raw["plain"],
        text=base64.b64decode(raw["text"]),
        text_start=raw["text_start"],
        build=build,
        image=_image(
            raw,
            "",
            early,
            ((stub.text_start, cut), (stub.data_start, len(data))),
            raw["stub_entry"],
        ),
        late=_image(
            raw, "late_", late, ((raw["late_at"], len(late) - _WORD), (missing_at, _WORD)), 0
        ),
        late_missing_at=missing_at,
        ram=range(raw["ram_start"], raw["ram_end"]),
        otg=None if raw.get("otg") is None else _otg(raw["otg"]),
    )


def _image(
    raw: dict[str, Any],
    prefix: str,
    plain: bytes,
    pieces: tuple[tuple[int, int], ...],
    entry: int,
) -> Image:
    return Image(
        unpacker=base64.b64decode(raw["unpacker"]),
        unpacker_at=raw["unpacker_at"],
        unpacker_entry=raw["unpacker_entry"],
        packed=base64.b64decode(raw[f"{prefix}packed"]),
        packed_at=raw[f"{prefix}packed_at"],
        plain_at=raw[f"{prefix}plain_at"],
        size=len(plain),
        crc=zlib.crc32(plain),
        pieces=pieces,
        entry=entry,
    )


def _otg(raw: dict[str, Any]) -> OtgLink:
    return OtgLink(tuple((since, address) for since, address in raw["places"]), raw["value"])
