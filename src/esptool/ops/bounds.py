# SPDX-License-Identifier: Apache-2.0
"""How far an operation may reach: the one place where addresses and sizes are judged.

Beyond its end a flash chip begins again at 0, so an access past the end would change or read the
boot loader. Every operation asks here before it sends anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esptool.device.requests import StubKind
from esptool.errors import UsageError
from esptool.image.content import Data, cut
from esptool.ops.flash_info import flash_info, size_in_bytes, size_word
from esptool.ops.model import LARGE_FLASH
from esptool.transfer.report import Report
from esptool.transfer.segments import padded

if TYPE_CHECKING:
    from esptool.device import Session

ADDRESS_SPACE = 1 << 32


@dataclass(frozen=True, slots=True)
class Limit:
    """The end of what may be addressed in flash.

    Attributes:
        size: bytes from the start of flash, None where neither chip nor user says how many.
        detected: the size was read from the flash; otherwise the user gave it.
    """

    size: int | None
    detected: bool = False

    @property
    def word(self) -> str:
        """The size as messages show it."""
        return "unknown" if self.size is None else size_word(self.size)


def flash_limit(session: Session, stated: str | None = None) -> Limit:
    """The smaller of the size that the flash says it has and the one that the user gives.

    Args:
        stated: a size word of the user's; "keep", "detect" and None say nothing.
    """
    word = None if session.secure_download else flash_info(session).size
    detected = None if word is None else size_in_bytes(word)
    given = None if stated in (None, "keep", "detect") else size_in_bytes(str(stated))
    if detected is None:
        return Limit(given)
    if given is None or given >= detected:
        return Limit(detected, True)
    return Limit(given)


def require_inside(session: Session, address: int, size: int, limit: Limit) -> None:
    """Refuse a range that is not wholly inside the flash.

    Raises:
        UsageError: names the range, the end of flash and how far the range goes past it.
    """
    require_32_bits(address, size)
    end = address + size
    asked = f"set size {size:#x} from address {address:#010x} goes past"
    if end > LARGE_FLASH and not _reaches_far(session):
        raise UsageError(
            f"Can't access flash regions larger than 16MB ({asked} 16MB "
            f"by {end - LARGE_FLASH:#x} bytes)."
        )
    if limit.size is not None and end > limit.size:
        kind = "detected" if limit.detected else "stated"
        raise UsageError(
            f"Can't access flash regions larger than {kind} flash size ({asked} "
            f"{limit.word} by {end - limit.size:#x} bytes)."
        )


def padded_inside(address: int, data: Data, multiple: int, limit: Limit) -> Data:
    """`data` filled up with 0xFF to whole multiples, but not past the end of flash."""
    whole = padded(data, multiple)
    room = len(whole) if limit.size is None else limit.size - address
    return whole if len(whole) <= room else cut(whole, 0, room)


def to_the_end(address: int, limit: Limit) -> int:
    """The bytes from `address` up to the end of flash, for a size of ALL.

    Raises:
        UsageError: there are none.
    """
    assert limit.size is not None
    require_32_bits(address, 0)
    if address >= limit.size:
        raise UsageError(
            f"There is no flash at {address:#010x}: it ends at {limit.size:#010x} ({limit.word})."
        )
    return limit.size - address


def require_before(end: int, address: int, size: int, what: str) -> None:
    """Refuse a range that goes past a known end.

    Raises:
        UsageError: names the range.
    """
    require_32_bits(address, size, what)
    if address + size > end:
        raise UsageError(
            f"{size:#x} bytes of {what} from address {address:#010x} go past its end ({end:#x})."
        )


def require_32_bits(address: int, size: int, what: str = "flash") -> None:
    """Refuse what a request cannot express: negative numbers, and ends beyond 32 bits.

    Raises:
        UsageError: names the range.
    """
    if address < 0 or size < 0:
        raise UsageError(
            f"Address {address:#x} and size {size:#x} of a range of {what} must not be negative."
        )
    if address + size > ADDRESS_SPACE:
        raise UsageError(
            f"{size:#x} bytes of {what} from address {address:#x} reach beyond 32-bit addresses."
        )


def remark_unknown(report: Report, limit: Limit, session: Session) -> None:
    """Say so where the end of flash is not known, so that nothing can be checked against it."""
    if limit.size is not None:
        return
    why = (
        "it cannot be read in secure download mode"
        if session.secure_download
        else f"its id {session.flash.id():#08x} is not known"
    )
    report.note(
        f"The size of the flash is unknown ({why}): "
        "addresses are not checked against the end of flash."
    )


def _reaches_far(session: Session) -> bool:
    """Whether the other side can address flash behind the first 16 MB."""
    if session.stub_kind is StubKind.OURS:
        return True
    return session.is_stub and session.spec.flash.addr32
