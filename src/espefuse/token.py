# SPDX-License-Identifier: Apache-2.0
"""eFuse tokens: one line of text that holds all blocks of a chip, or what is staged for them.

`EFSR:esp32c3:004:<block 0>:...:<block N>:<error registers>:<crc>`; each is URL-safe base64
without padding, little-endian words, empty for all zeros; the CRC-32 covers all before it.
"""

from __future__ import annotations

import base64
import binascii
import zlib

from espefuse.state import EfuseState
from esptool.chips import normalize
from esptool.errors import FatalError
from esptool.records import dataclass

READ = "EFSR"
WRITE = "EFSW"
BOTH = "EFSRW"
KINDS = (READ, WRITE, BOTH)


@dataclass(frozen=True, slots=True)
class Token:
    """The content of a token. `blocks` and `errors` are bytes, empty for all zeros."""

    kind: str
    chip: str
    revision: int
    blocks: tuple[bytes, ...]
    errors: bytes


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode() if any(data) else ""


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def make(token: Token) -> str:
    """The text of a token."""
    parts = [token.kind, token.chip, f"{token.revision:03d}", *map(_encode, token.blocks)]
    text = ":".join([*parts, _encode(token.errors)]) + ":"
    crc = zlib.crc32(text.encode()).to_bytes(4, "little")
    return text + base64.urlsafe_b64encode(crc).rstrip(b"=").decode()


def parse(text: str) -> Token:
    """Read a token.

    Raises:
        FatalError: another form, a changed character (CRC), or unreadable base64.
    """
    text = text.strip()
    parts = text.split(":")
    if parts[0] not in KINDS or len(parts) < 6:
        raise FatalError(
            "This is not an eFuse token: it must look like EFSR:esp32c3:004:...:CRC.",
            remedy="Copy the whole line that the chip or 'dump --format token' printed.",
        )
    body, _, crc_text = text.rpartition(":")
    try:
        crc = _decode(crc_text)
        decoded = [_decode(part) for part in parts[3:-1]]
    except (binascii.Error, ValueError) as e:
        raise FatalError(f"The eFuse token is damaged: {e}.") from e
    expected = zlib.crc32((body + ":").encode()).to_bytes(4, "little")
    if crc != expected or crc_text != base64.urlsafe_b64encode(expected).rstrip(b"=").decode():
        raise FatalError(
            "The CRC of the eFuse token is wrong: it was changed or not copied whole.",
            remedy="Copy the token again.",
        )
    if not parts[2].isdigit():
        raise FatalError(f"The chip revision '{parts[2]}' of the eFuse token is not a number.")
    return Token(parts[0], normalize(parts[1]), int(parts[2]), tuple(decoded[:-1]), decoded[-1])


def current(efuses: EfuseState) -> str:
    """An EFSR token of the blocks as read."""
    errors = b"".join(value.to_bytes(4, "little") for value in efuses.status.values())
    blocks = tuple(b.data.to_bytes(b.bits // 8, "little") for b in efuses.blocks)
    return make(_token(efuses, READ, blocks, errors))


def staged(efuses: EfuseState) -> str:
    """An EFSW token of what is going to be burned."""
    blocks = tuple(b.pending.to_bytes(b.bits // 8, "little") for b in efuses.blocks)
    return make(_token(efuses, WRITE, blocks, b""))


def _token(efuses: EfuseState, kind: str, blocks: tuple[bytes, ...], errors: bytes) -> Token:
    return Token(kind, efuses.table.key, efuses.get_chip_version(), blocks, errors)
