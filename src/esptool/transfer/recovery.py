# SPDX-License-Identifier: Apache-2.0
"""What is done after a failure: try again, get the chip back first, or give up.

One `Recovery` serves a whole job, so that there is one budget of tries, whatever fails in it: also
requests that are sent again, uploads and recoveries in `esptool.device` take from it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from esptool.device.recover import regain
from esptool.device.requests import TRY, Tries
from esptool.errors import (
    ChipResponseError,
    ConnectError,
    DamagedRequestError,
    FatalError,
    LineLossError,
    NoAnswerError,
    UnsupportedCommandError,
    VerifyError,
)
from esptool.protocol.status import DOUBTFUL, TRANSFER_BROKEN, Status
from esptool.protocol.windows.write import SMALL_BLOCK
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session

T = TypeVar("T")

#: A try in which blocks were taken before the chip said that one arrived damaged costs less than
#: others, as the chip is there and the next try may well get further.
DAMAGED_TRY = 1
#: How often the same request is repeated whose refusal may have come of damage.
DOUBTS = 2

#: Said when contact was lost, and before a chip that stopped answering is connected to again.
CONTACT_LOST = "Lost contact {where} ({cause}) Trying again..."
CHIP_LOST = "The chip is lost: connecting to it again..."


class Decision(Enum):
    """What to do after a failure."""

    #: The chip answered: send the request once more.
    REPEAT = "repeat"
    #: Get in step with the chip, by a reset where it does not answer, then go on.
    REGAIN = "regain"
    GIVE_UP = "give up"


def decide(failure: FatalError, left: bool, doubts: int, *, harmless: bool = False) -> Decision:
    """What to do after `failure`.

    Args:
        left: the budget has another try.
        doubts: how often in a row the chip has refused before.
        harmless: the work changes nothing, so that any refusal may be asked for again.
    """
    if isinstance(failure, LineLossError | VerifyError) or _broken(failure):
        return Decision.REGAIN if left else Decision.GIVE_UP
    doubtful = (
        harmless
        or isinstance(failure, UnsupportedCommandError)
        or (isinstance(failure, ChipResponseError) and failure.code in DOUBTFUL)
    )
    return Decision.REPEAT if doubtful and left and doubts < DOUBTS else Decision.GIVE_UP


@contextlib.contextmanager
def saying(what: str) -> Iterator[None]:
    """Let an error of a lost line or chip say what it means: "Reading did not begin"."""
    try:
        yield
    except (LineLossError, ConnectError) as e:
        raise e.saying(what) from e


def _broken(failure: FatalError) -> bool:
    return isinstance(failure, ChipResponseError) and failure.code in TRANSFER_BROKEN


class Recovery:
    """The budget of one job.

    Attributes:
        retries: how often in a row it may fail without getting any further.
        losses: how often it has failed in all.
    """

    def __init__(self, session: Session, report: Report, retries: int | None = None) -> None:
        """`retries` are those of the settings where None."""
        self.retries = session.settings.retries if retries is None else retries
        self._session = session
        self._report = report
        self._tries = session.tries = Tries(self.retries)
        self._doubts = 0
        self.losses = 0

    def advanced(self) -> None:
        """The work got further."""
        self._tries.renew()
        self._doubts = 0

    def done(self) -> None:
        """A part of the job is done and proved: the budget is whole for the next."""
        self._tries.restore()
        self._doubts = 0

    def answered(self) -> None:
        """The chip has done since what it refused, so that it was not meant."""
        self._doubts = 0

    def spend(self, cost: int = TRY) -> bool:
        """Take a try from what is left; False where there is none."""
        return self._tries.spend(cost)

    def begin_again(self) -> bool:
        """Take a try to do work once more that got to its end, and was in vain; False where none.

        Getting further in it does not give this try back: only that it is proved does (`done`).
        """
        return self._tries.sink()

    def after(
        self,
        failure: FatalError,
        where: str,
        *,
        harmless: bool = False,
        took_some: bool = False,
    ) -> None:
        """Get ready for another try.

        Args:
            where: what was lost, for a remark: "at 0x00010000", "while erasing".
            harmless: see `decide`.
            took_some: blocks were taken before, though not enough to count as getting further.

        Raises:
            FatalError: `failure` itself where another try would not help or none is left; else
                that the chip could not be brought back.
        """
        self.losses += 1
        damaged = took_some and isinstance(failure, DamagedRequestError)
        left = self.spend(DAMAGED_TRY if damaged else TRY)
        decision = decide(failure, left, self._doubts, harmless=harmless)
        if decision is Decision.GIVE_UP:
            # The job is over, and so is its budget.
            self._session.tries = Tries(self._session.settings.retries, job=False)
            raise failure
        if decision is Decision.REPEAT:
            self._doubts += 1
            self._report.debug(f"Refused {where} ({failure.message}) Asking once more...")
            self._session.link.discard_input()
            if isinstance(failure, ChipResponseError) and failure.code == Status.SPI_FAILED:
                # A lost answer shows at the next try, which has its own budget for it.
                with contextlib.suppress(LineLossError):
                    self._session.flash.tell_size_again()
            return
        self._doubts = 0
        self._report.note(CONTACT_LOST.format(where=where, cause=failure.message))
        reset: list[bool] = []

        def lost() -> None:
            reset.append(True)
            self._report.note(CHIP_LOST)

        regain(self._session, failure, lost)
        if not reset and isinstance(failure, NoAnswerError | DamagedRequestError):
            # The chip was there all the time: the line is at fault.
            self._session.go_slower()

    def smaller_blocks(self) -> None:
        """Blocks are small from now on: a line that damages bytes damages fewer of them."""
        flash = self._session.flash
        flash.block_limit = min(flash.block_limit, SMALL_BLOCK)

    def complete_stub(self, what: str) -> None:
        """Have all of our stub in the chip, so that its coming takes no time of the work's.

        Args:
            what: the work that needs it, for an error: "Reading at 0x00001000".

        Raises:
            FatalError: the line does not let it through, or the chip is lost.
        """
        self.prepare(what, self._session.complete_stub)

    def prepare(self, what: str, work: Callable[[], T]) -> T:
        """Result of `work`, which finds out or sets up what a job needs, and changes no flash.

        Args:
            what: the job in words, for an error: "Reading at 0x00001000".

        Raises:
            FatalError: what `work` raised; where the line or the chip was lost, it names the job.
        """
        with saying(f"{what} did not begin"):
            return self.persist("preparing", work)

    def persist(self, doing: str, work: Callable[[], T]) -> T:
        """Result of `work`, which does no harm when it is begun again after the line was lost.

        `doing` is the work in words, for a remark: "erasing". Whether the job got further by it,
        its caller must say (`advanced`).

        Raises:
            FatalError: what `work` raised last, or that the chip could not be brought back.
        """
        # A job inside this one has had a budget of its own.
        self._session.tries = self._tries
        while True:
            try:
                return work()
            except LineLossError as e:
                self.after(e, f"while {doing}")
