# SPDX-License-Identifier: Apache-2.0
"""One attempt: all steps of a job on one board, written down as they happen."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from esp_station import events, records
from esp_station.board import Board, InterruptedWorkError
from esp_station.clock import stamp
from esp_station.job import Job
from esp_station.records import Attempt, Query, Records
from esptool.errors import FatalError
from esptool.transport.settings import Settings

#: What helps where nobody knows better.
TRY_AGAIN = "Plug the board in once more; put it aside if it fails there again."
#: A bar that moves by less is not worth telling.
_LEAST_PERCENT = 2


class BoardsInWork:
    """MAC addresses of the boards that are in work: two slots cannot have the same one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[str, str] = {}

    def enter(self, mac: str, slot: str) -> None:
        """
        Raises:
            FatalError: another slot has a board of that address.
        """
        with self._lock:
            other = self._slots.setdefault(mac, slot)
        if other != slot:
            raise FatalError(
                f"Slot '{other}' has a board with the same MAC address {mac} in work.",
                remedy="Do two slots name the same place? Then remove one of them from the job.",
            )

    def leave(self, slot: str) -> None:
        """The board of a slot is done."""
        with self._lock:
            self._slots = {mac: name for mac, name in self._slots.items() if name != slot}


@contextlib.contextmanager
def _as_it_is(port: str) -> Iterator[str]:
    yield port


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt is made.

    Attributes:
        run: the number of the station's run.
        station: its name.
        slot: the slot's name.
        port: the port that the board is on.
        opened: what gives its URL for the length of a `with`, where that takes more than the name.
        refuse_lost: raises `FatalError` where the port was taken away meanwhile.
    """

    run: int
    station: str
    slot: str
    port: str
    opened: Callable[[str], AbstractContextManager[str]] = _as_it_is
    refuse_lost: Callable[[], None] = lambda: None


def run_attempt(
    job: Job,
    place: Place,
    book: Records,
    in_work: BoardsInWork,
    *,
    listener: events.Listener,
    stop: threading.Event,
    settings: Settings | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Attempt:
    """Do a job on the board at a port. Whatever becomes of it stands in the records.

    Args:
        job: what to do.
        place: where the board is.
        book: the records.
        in_work: the boards of the other slots.
        listener: told what goes on.
        stop: set when the work is to be given up.
        settings: of the connection.
        now: a clock for the times of steps.

    Returns:
        The attempt with its result.

    Raises:
        FatalError: the records cannot be written; the board is not touched any more then.
    """
    attempt = Attempt(
        run=place.run,
        station=place.station,
        slot=place.slot,
        port=place.port,
        product=job.identity.product,
        job=job.path,
        job_hash=job.hash,
        images=dict(job.images.digests),
    )
    book.begin(attempt)
    listener(events.AttemptStarted(place.slot, attempt.id, place.port))
    start = now()
    board = Board(place.port, job.identity, job.images, attempt, settings=settings, stop=stop)
    work = _Work(job, board, book, listener, now)
    try:
        with place.opened(place.port) as board.port, contextlib.closing(board):
            work.do(in_work)
            place.refuse_lost()
        attempt.result = records.PASS
    except InterruptedWorkError as e:
        work.failed(records.INTERRUPTED, e.message, e.remedy, e.error_code)
    except FatalError as e:
        work.failed(records.FAIL, e.message, e.remedy, e.error_code)
    except Exception as e:
        # One board must not take the whole line down, whatever it made the program do.
        work.failed(
            records.FAIL,
            f"Unexpected {type(e).__name__}: {e}",
            "This is a fault of the program: please report it with the log of this board.",
            "internal",
        )
    finally:
        in_work.leave(place.slot)
    attempt.seconds = round(now() - start, 3)
    attempt.ended = stamp()
    attempt.log = board.log
    book.update(attempt)
    listener(
        events.AttemptEnded(
            slot=place.slot,
            attempt=attempt.id,
            result=attempt.result,
            mac=attempt.mac,
            row=attempt.row_key,
            step=attempt.failed_step,
            code=attempt.error_code,
            reason=attempt.reason,
            remedy=attempt.remedy,
            seconds=attempt.seconds,
            measured=dict(attempt.measured),
        )
    )
    return attempt


class _Work:
    """The steps of a job on one board."""

    def __init__(
        self,
        job: Job,
        board: Board,
        book: Records,
        listener: events.Listener,
        now: Callable[[], float],
    ) -> None:
        self._job = job
        self._board = board
        self._book = book
        self._listener = listener
        self._now = now
        self._step = "connect"
        self._told = 0
        self._since = now()
        board.progress = self._progress
        board.save = self._save
        board.earlier = lambda: list(book.find(Query(text=board.attempt.mac)))

    def do(self, in_work: BoardsInWork) -> None:
        """All of it.

        Raises:
            FatalError: the board is not good.
        """
        board, attempt, job = self._board, self._board.attempt, self._job
        total = len(job.steps) + 1
        self._begin("connect", 1, total)
        mac = board.identify()
        in_work.enter(mac, attempt.slot)
        if job.rows is not None and job.source is not None:
            row = job.rows.claim(mac)
            board.use_row(row, job.rows.pool, job.source.record, job.source.digest)
        self._end(None)
        self._listener(
            events.BoardKnown(attempt.slot, attempt.id, mac, attempt.chip or "", attempt.row_key)
        )
        for number, step in enumerate(job.steps, 2):
            self._begin(step.name, number, total)
            detail = step.run(board)
            self._end(detail)
        board.refuse_unproven()
        board.start_program()

    def _begin(self, name: str, number: int, total: int) -> None:
        board = self._board
        board.check_stop()
        self._step, self._told, self._since = name, 0, self._now()
        board.say(f"--- {name}")
        attempt = board.attempt
        self._listener(events.StepStarted(attempt.slot, attempt.id, name, number, total))

    def _end(self, detail: str | None, result: str = "ok") -> None:
        attempt = self._board.attempt
        entry: dict[str, object] = {
            "step": self._step,
            "seconds": round(self._now() - self._since, 3),
            "result": result,
        }
        if detail:
            entry["detail"] = self._board.without_secrets(detail)
        attempt.steps.append(entry)
        attempt.log = self._board.log
        if result == "ok":
            self._book.update(attempt)

    def _save(self) -> None:
        self._board.attempt.log = self._board.log
        self._book.update(self._board.attempt)

    def failed(self, result: str, message: str, remedy: str | None, code: str) -> None:
        """Note why it ended before its time."""
        board = self._board
        board.say(message)
        attempt = board.attempt
        attempt.result = result
        attempt.failed_step = self._step
        attempt.error_code = code
        attempt.reason = board.without_secrets(message)
        attempt.remedy = board.without_secrets(remedy or TRY_AGAIN)
        self._end(None, "failed" if result == records.FAIL else "interrupted")

    def _progress(self, percent: int) -> None:
        if abs(percent - self._told) < _LEAST_PERCENT:
            return
        self._told = percent
        attempt = self._board.attempt
        self._listener(events.StepProgress(attempt.slot, attempt.id, self._step, percent))
