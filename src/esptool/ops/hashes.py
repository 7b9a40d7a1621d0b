# SPDX-License-Identifier: Apache-2.0
"""MD5 of flash, made on the chip, over a line that may damage question or answer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from esptool.device.recover import LOSSES, regain
from esptool.errors import FatalError

if TYPE_CHECKING:
    from esptool.device import Session

ATTEMPTS = 4
_BLANK = b"\xff" * 0x10000


def md5_of_blank(size: int) -> str:
    """MD5 of so many erased bytes, in hex digits."""
    digest = hashlib.md5()
    for at in range(0, size, len(_BLANK)):
        digest.update(_BLANK[: size - at])
    return digest.hexdigest()


def flash_md5(session: Session, offset: int, size: int, wanted: str | None = None) -> str:
    """MD5 of a range as 32 hex digits. An answer other than `wanted` is asked for twice.

    Raises:
        FatalError: no good answer came; names the range.
    """
    failure: FatalError | None = None
    last = None
    for _ in range(ATTEMPTS):
        try:
            found = session.flash_md5(offset, size)
        except LOSSES as e:
            failure = e
            try:
                regain(session, e)
            except FatalError as silent:
                failure = silent
                break
            continue
        if wanted is None or found in (wanted, last):
            return found
        last = found
    if last is not None:
        return last
    raise FatalError(
        f"Flash from {offset:#010x} to {offset + size:#010x} could not be verified: "
        f"{failure.message if failure else 'no answer.'}"
    ) from failure
