# SPDX-License-Identifier: Apache-2.0
"""Where each eFuse controller keeps its registers and blocks, as data. Offsets from its base.

Source: the eFuse chapters of the technical reference manuals and the public `efuse_reg.h`.
"""

from __future__ import annotations

from dataclasses import dataclass

#: (block, word, bit position, length)
Place = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Block:
    """One block. `write` is its own program window, None where all share the one at offset 0."""

    index: int
    read: int
    words: int
    write: int | None = None
    write_disable_bit: int | None = None
    read_disable_bits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EfuseMap:
    """A controller: command and configuration registers, blocks, and fields the ROM looks at."""

    base: int
    command: int
    config: int
    blocks: tuple[Block, ...]
    read_disable: Place
    secure_download: Place | None = None
    download_off: Place | None = None
    crypt_count: Place | None = None
    secure_boot: Place | None = None
    aggressive_revoke: Place | None = None
    key_revoke: tuple[Place, ...] = ()
    xts_256: Place | None = None


def _modern(
    base: int,
    command: int,
    *,
    block0_words: int = 6,
    keys: int = 6,
    fields: dict[str, tuple[int, int, int]],
    last_hidden: bool = True,
) -> EfuseMap:
    """Blocks one behind the other from 0x2C, one program window, a read-disable bit a key."""
    at = 0x2C
    blocks = []
    for index in range(4 + keys + 1):
        words = block0_words if index == 0 else 6 if index == 1 else 8
        hidden = (index - 4,) if index >= 4 and (index < 4 + keys or last_hidden) else ()
        lock = 19 + index if index else None
        blocks.append(Block(index, at, words, None, lock, hidden))
        at += 4 * words
    places = {name: (0, *place) for name, place in fields.items()}
    revoke = places.pop("revoke")
    return EfuseMap(
        base,
        command,
        0x1CC,
        tuple(blocks),
        (0, 1, 0, 7),
        key_revoke=tuple((0, revoke[1], revoke[2] + i, 1) for i in range(3)),
        **places,
    )


def _fields(
    sdm: tuple[int, int],
    off: tuple[int, int],
    count: tuple[int, int] | None,
    boot: tuple[int, int],
    aggressive: tuple[int, int],
    revoke: tuple[int, int],
) -> dict[str, tuple[int, int, int]]:
    """(word, position) of each field of block 0."""
    out = {
        "secure_download": (*sdm, 1),
        "download_off": (*off, 1),
        "secure_boot": (*boot, 1),
        "aggressive_revoke": (*aggressive, 1),
        "revoke": (*revoke, 1),
    }
    if count is not None:
        out["crypt_count"] = (*count, 3)
    return out


_USUAL = _fields((4, 5), (4, 0), (2, 18), (3, 20), (3, 21), (2, 21))

MAPS: dict[str, EfuseMap] = {
    "esp32": EfuseMap(
        0x3FF5A000,
        0x104,
        0x0FC,
        (
            Block(0, 0x000, 7, 0x01C),
            Block(1, 0x038, 8, 0x098, 7, (0,)),
            Block(2, 0x058, 8, 0x0B8, 8, (1,)),
            Block(3, 0x078, 8, 0x0D8, 9, (2,)),
        ),
        (0, 0, 16, 4),
        download_off=(0, 0, 27, 1),
        crypt_count=(0, 0, 20, 7),
        secure_boot=(0, 6, 4, 1),
    ),
    "esp32s2": _modern(0x3F41A000, 0x1D4, fields=_USUAL),
    "esp32s3": _modern(0x60007000, 0x1D4, fields=_USUAL),
    "esp32c3": _modern(0x60008800, 0x1D4, fields=_USUAL),
    "esp32c2": EfuseMap(
        0x60008800,
        0x094,
        0x08C,
        (
            Block(0, 0x02C, 2),
            Block(1, 0x034, 3, None, 5),
            Block(2, 0x040, 8, None, 6),
            Block(3, 0x060, 8, None, 7, (0, 1)),
        ),
        (0, 1, 0, 2),
        secure_download=(0, 1, 16, 1),
        download_off=(0, 1, 14, 1),
        crypt_count=(0, 1, 7, 3),
        secure_boot=(0, 1, 21, 1),
        xts_256=(0, 1, 10, 1),
    ),
    "esp32c6": _modern(0x600B0800, 0x1D4, fields=_USUAL),
    "esp32c61": _modern(
        0x600B4800, 0x1D4, fields=_fields((3, 4), (3, 0), (1, 23), (2, 26), (2, 27), (1, 26))
    ),
    "esp32c5": _modern(
        0x600B4800, 0x1D8, fields=_fields((4, 5), (4, 0), (2, 16), (3, 25), (3, 26), (2, 19))
    ),
    "esp32e22": _modern(
        0xC4008000, 0x1D4, fields=_fields((4, 4), (3, 31), None, (3, 20), (3, 21), (2, 21))
    ),
    "esp32h2": _modern(0x600B0800, 0x1D4, fields=_USUAL),
    "esp32h21": _modern(0x600B4000, 0x1D4, fields=_USUAL, last_hidden=False),
    "esp32p4": _modern(0x5012D000, 0x1D4, fields=_USUAL),
    "esp32h4": _modern(
        0x600B1800, 0x1D8, fields=_fields((4, 3), (3, 31), (1, 23), (3, 5), (3, 6), (1, 26))
    ),
    "esp32s31": _modern(
        0x20715000,
        0x1D8,
        block0_words=9,
        keys=5,
        fields=_fields((4, 21), (4, 16), (2, 21), (4, 2), (4, 3), (2, 24)),
    ),
}
