# SPDX-License-Identifier: Apache-2.0
"""Doing again what does no harm when done twice, after the line or the chip was lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from esptool.device.recover import regain
from esptool.errors import FatalError, LineLossError
from esptool.ops.report import Report

if TYPE_CHECKING:
    from esptool.device import Session

T = TypeVar("T")

#: Said before a chip that stopped answering is connected to again.
LOST = "The chip is lost: connecting to it again..."


def persist(session: Session, report: Report, what: str, work: Callable[[], T]) -> T:
    """Result of `work`, which may be begun again as often as the settings' `retries` say.

    `what` is the work in words, for a remark: "erasing".

    Raises:
        FatalError: what `work` raised last, or that the chip could not be taken up again.
    """
    for left in reversed(range(session.settings.retries + 1)):
        try:
            return work()
        except LineLossError as e:
            if not left:
                raise
            report.note(f"Lost contact while {what} ({e.message}) Trying again...")
            take_up(session, e, report)
    raise AssertionError("unreachable")


def take_up(session: Session, cause: FatalError, report: Report) -> None:
    """Get back to a loader that answers; see `esptool.device.recover.regain`."""
    regain(session, cause, lambda: report.note(LOST))
