# SPDX-License-Identifier: Apache-2.0
"""Regions that a chip encrypts as they are written, and the proof that they are right in flash.

The hash that the chip makes is that of the encrypted data. Where the key is at hand the host knows
what they must be. Where it is not (a board came again, and its key is sealed for its owner), they
are right if an earlier attempt proved the same ones, or if they come out alike twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from esptool import ops
from esptool.errors import VerifyError
from esptool.image.regions import Region

if TYPE_CHECKING:
    from esptool.device import Session

#: Makes of an address in flash and data what the chip stores there, with the key of the board.
Cipher = Callable[[int, bytes], bytes]
#: All chips encrypt in blocks that this is a multiple of.
BLOCK = 32


def padded(region: Region) -> Region:
    """A region that ends with a block of the cipher."""
    data = bytes(region.data)
    return replace(region, data=data + b"\xff" * (-len(data) % BLOCK))


def proof_name(region: Region) -> str:
    """How the records call the hash of what became of a region, which tells the plain data."""
    plain = hashlib.sha256(bytes(region.data)).hexdigest()
    return f"encrypted {region.address:#x} {plain[:16]}"


def sha256(stored: Region) -> str:
    """The hash that is recorded."""
    return hashlib.sha256(bytes(stored.data)).hexdigest()


def bring(
    session: Session, region: Region, cipher: Cipher | None, proven_before: Collection[str]
) -> Region:
    """Have a region encrypted into flash, where it is not there already.

    Args:
        region: plain, `padded`, and marked as encrypted.
        cipher: of the board, None where its key is not at hand.
        proven_before: hashes (`sha256`) that earlier attempts recorded for the same region.

    Returns:
        What stands in flash, proven.

    Raises:
        VerifyError: it is not what it must be.
        FatalError: the chip does not encrypt any more, or was lost.
    """
    if cipher is not None:
        stored = replace(region, data=cipher(region.address, bytes(region.data)), encrypted=False)
        if not _stands(session, stored):
            ops.write_flash(session, [region])
            ops.verify_flash(session, [stored])
        return stored
    if proven_before:
        found = _read(session, region)
        if sha256(found) in proven_before:
            return found
    ops.write_flash(session, [region])
    once = _read(session, region)
    ops.write_flash(session, [region])
    if not _stands(session, once):
        raise VerifyError(
            f"{region.title} was encrypted twice, and came out differently.",
            remedy="Is the flash worn out? Put the board aside.",
        )
    return once


def _stands(session: Session, stored: Region) -> bool:
    try:
        ops.verify_flash(session, [stored])
    except VerifyError:
        return False
    return True


def _read(session: Session, region: Region) -> Region:
    data = ops.read_flash(session, region.address, len(region.data))
    assert data is not None
    return replace(region, data=data, encrypted=False)
