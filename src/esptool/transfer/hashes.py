# SPDX-License-Identifier: Apache-2.0
"""MD5 of flash, made on the chip, over a line that may damage question or answer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from esptool.errors import FatalError
from esptool.transfer.recovery import FAILURES, Recovery

if TYPE_CHECKING:
    from esptool.device import Session

_BLANK = b"\xff" * 0x10000


def md5_of_blank(size: int) -> str:
    """MD5 of so many erased bytes, in hex digits."""
    digest = hashlib.md5()
    for at in range(0, size, len(_BLANK)):
        digest.update(_BLANK[: size - at])
    return digest.hexdigest()


def flash_md5(
    session: Session, offset: int, size: int, recovery: Recovery, wanted: str | None = None
) -> str:
    """MD5 of a range as 32 hex digits. An answer other than `wanted` is asked for twice.

    Raises:
        FatalError: no good answer came; names the range.
    """
    last = None
    while True:
        try:
            found = session.flash.md5(offset, size, attempts=1)
        except FAILURES as e:
            try:
                recovery.after(e, "while verifying", harmless=True)
            except FatalError as lost:
                if last is not None:
                    return last
                raise FatalError(
                    f"Flash from {offset:#010x} to {offset + size:#010x} could not be verified: "
                    f"{lost.message}"
                ) from lost
            continue
        if wanted is None or found in (wanted, last):
            return found
        if last is not None and not recovery.spend():
            return found
        last = found
