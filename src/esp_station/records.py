# SPDX-License-Identifier: Apache-2.0
"""What became of every board: runs and attempts, written down as they happen.

An attempt is in the records before its board is touched. Its result is "running" until all is done;
what is still "running" while no process is that station was interrupted.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from esp_station import database
from esp_station.clock import moment_of, stamp
from esptool._version import __version__
from esptool.errors import FatalError

if TYPE_CHECKING:
    from sqlalchemy import CursorResult, Engine, Row, Select

_WHAT = "records"
RUNNING, PASS, FAIL, INTERRUPTED = "running", "PASS", "FAIL", "INTERRUPTED"
RESULTS = (PASS, FAIL, INTERRUPTED)
#: A log longer than this is cut in its middle.
LARGEST_LOG = 64 << 10


@dataclass(slots=True)
class Attempt:
    """One board in one slot, from plugging in to the result; what is kept of it.

    Attributes:
        id: its number in the records.
        images: name of an image to its SHA-256.
        row_data: columns of the row that the job wants recorded.
        digests: name of a secret to the SHA-256 of it.
        fuses: eFuses that were burned.
        measured: values that were taken out of what the board said.
        steps: of each step `{"step", "seconds", "result"}`, and `"detail"` where there is any.
        log: lines, without secrets.
    """

    id: int = 0
    run: int = 0
    station: str = ""
    slot: str = ""
    port: str = ""
    started: str = ""
    ended: str | None = None
    seconds: float | None = None
    mac: str | None = None
    chip: str | None = None
    revision: str | None = None
    flash_id: str | None = None
    flash_size: str | None = None
    product: str = ""
    job: str = ""
    job_hash: str = ""
    tool: str = __version__
    images: dict[str, str] = field(default_factory=dict)
    row_pool: str | None = None
    row_key: str | None = None
    row_data: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    fuses: list[str] = field(default_factory=list)
    measured: dict[str, str] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    result: str = RUNNING
    failed_step: str | None = None
    error_code: str | None = None
    reason: str | None = None
    remedy: str | None = None
    log: str = ""

    def to_json(self, *, log: bool = True) -> dict[str, Any]:
        """All of it as plain values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if not log:
            del values["log"]
        return values


@dataclass(frozen=True, slots=True)
class Query:
    """Which attempts are meant; what is None does not matter.

    Attributes:
        text: part of a MAC address, or of the key of a row.
        since: a stamp.
    """

    text: str | None = None
    result: str | None = None
    station: str | None = None
    since: str | None = None
    run: int | None = None
    number: int | None = None
    latest_first: bool = True
    limit: int | None = None


class Records:
    """The records in a database."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            FatalError: they cannot be used.
        """
        self.engine: Engine = database.open_database(url, _WHAT)
        from esp_station import schema

        database.migrate(self.engine, "records", schema.RECORDS, _WHAT)
        self._attempts = schema.attempts
        self._runs = schema.runs

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    # --- writing ---------------------------------------------------------------------------------

    def begin_run(self, station: str, product: str, job: str, job_hash: str) -> int:
        """Note that a station starts; the number of the run."""
        values = {
            "station": station,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "tool": __version__,
            "product": product,
            "job": job,
            "job_hash": job_hash,
            "started": stamp(),
        }
        with database.writing(self.engine, _WHAT) as connection:
            done = connection.execute(self._runs.insert().values(values))
            return _number(done)

    def end_run(self, run: int) -> None:
        """Note that a station has ended."""
        with database.writing(self.engine, _WHAT) as connection:
            order = self._runs.update().where(self._runs.c.id == run)
            connection.execute(order.values(ended=stamp()))

    def begin(self, attempt: Attempt) -> None:
        """Write down that work on a board begins, and give the attempt its number."""
        attempt.started = stamp()
        values = attempt.to_json()
        del values["id"]
        with database.writing(self.engine, _WHAT) as connection:
            done = connection.execute(self._attempts.insert().values(values))
            attempt.id = _number(done)

    def update(self, attempt: Attempt) -> None:
        """Write down how far it is.

        Raises:
            FatalError: it has a result, which it keeps: somebody took this station for dead.
        """
        values = attempt.to_json()
        number = values.pop("id")
        values["log"] = _cut(attempt.log)
        c = self._attempts.c
        with database.writing(self.engine, _WHAT) as connection:
            order = self._attempts.update().where(c.id == number, c.result == RUNNING)
            done = connection.execute(order.values(values))
            if not done.rowcount:
                raise FatalError(
                    f"Attempt {number} was closed in the records while its board was in work.",
                    remedy="Was the database out of reach for a while? Do the board once more.",
                )

    def settle(self, station: str | None = None) -> int:
        """Mark what was interrupted: attempts that run on no station that is there.

        Args:
            station: the one that the caller is and holds the lock of; None looks at all.

        Returns:
            How many there were.
        """
        from sqlalchemy import select

        c = self._attempts.c
        with database.reading(self.engine, _WHAT) as connection:
            open_ones = {
                str(name)
                for name in connection.scalars(
                    select(c.station).where(c.result == RUNNING).distinct()
                )
            }
        count = 0
        for name in open_ones if station is None else open_ones & {station}:
            lock = None
            if station is None:
                try:
                    lock = database.StationLock(self.engine, name)
                except database.StationTakenError:
                    continue
            try:
                count += self._interrupt(name)
            finally:
                if lock is not None:
                    lock.release()
        return count

    def _interrupt(self, station: str) -> int:
        c = self._attempts.c
        order = self._attempts.update().where(c.station == station, c.result == RUNNING)
        with database.writing(self.engine, _WHAT) as connection:
            done = connection.execute(
                order.values(
                    result=INTERRUPTED,
                    ended=stamp(),
                    reason="The station ended while the board was in work.",
                    remedy="Plug the board in again: it gets the same row.",
                )
            )
            return int(done.rowcount)

    # --- reading ---------------------------------------------------------------------------------

    def find(self, query: Query) -> Iterator[Attempt]:
        """Attempts that a query means."""
        with database.reading(self.engine, _WHAT) as connection:
            for found in connection.execute(self._select(query)):
                yield _attempt(found)

    def count(self, query: Query) -> dict[str, int]:
        """How many attempts a query means, by result."""
        from sqlalchemy import func, select

        chosen = self._select(query).subquery()
        order = select(chosen.c.result, func.count()).group_by(chosen.c.result)
        with database.reading(self.engine, _WHAT) as connection:
            return {str(result): int(number) for result, number in connection.execute(order)}

    def _select(self, query: Query) -> Select[Any]:
        from sqlalchemy import or_, select

        c = self._attempts.c
        order = select(self._attempts)
        if query.text:
            word = query.text.strip()
            order = order.where(
                or_(
                    c.mac.contains(_as_mac(word), autoescape=True),
                    c.row_key.icontains(word, autoescape=True),
                )
            )
        for column, value in ((c.result, query.result), (c.station, query.station)):
            if value is not None:
                order = order.where(column == value)
        for number, wanted in ((c.run, query.run), (c.id, query.number)):
            if wanted is not None:
                order = order.where(number == wanted)
        if query.since is not None:
            order = order.where(or_(c.ended >= query.since, c.started >= query.since))
        order = order.order_by(c.id.desc() if query.latest_first else c.id)
        return order if query.limit is None else order.limit(query.limit)


def _number(done: CursorResult[Any]) -> int:
    """The number that the database gave to a row."""
    key = done.inserted_primary_key
    assert key is not None, "a single row was inserted"
    return int(key[0])


def _as_mac(word: str) -> str:
    """Part of a MAC address as records have it; labels and scanners may leave the colons away."""
    word = word.lower().replace("-", ":")
    if re.fullmatch(r"[0-9a-f]{12}", word):
        word = ":".join(word[at : at + 2] for at in range(0, 12, 2))
    return word


def _attempt(found: Row[Any]) -> Attempt:
    return Attempt(**found._mapping)


def _cut(log: str) -> str:
    if len(log) <= LARGEST_LOG:
        return log
    half = LARGEST_LOG // 2
    return f"{log[:half]}\n... {len(log) - 2 * half} signs are left out ...\n{log[-half:]}"


@dataclass(frozen=True, slots=True)
class Summary:
    """What many attempts come to.

    Attributes:
        boards: boards that had at least one attempt.
        good: of these, boards whose last attempt is PASS.
        attempts: by result.
        first_time: boards that passed at their first attempt.
        boards_an_hour: PASS since the first of them began; None for fewer than two.
        seconds: the middle of the times of a PASS; None without any.
        failures: reasons, the most frequent first.
        step_seconds: the middle of the times of each step.
    """

    boards: int
    good: int
    attempts: Mapping[str, int]
    first_time: int
    boards_an_hour: float | None
    seconds: float | None
    failures: Sequence[tuple[str, int]]
    step_seconds: Mapping[str, float]

    @property
    def yield_(self) -> float | None:
        """The share of boards that are good, None without any board."""
        return self.good / self.boards if self.boards else None

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "boards": self.boards,
            "good": self.good,
            "yield": self.yield_,
            "first_time": self.first_time,
            "attempts": dict(self.attempts),
            "boards_an_hour": self.boards_an_hour,
            "seconds": self.seconds,
            "failures": [{"reason": r, "count": n} for r, n in self.failures],
            "step_seconds": dict(self.step_seconds),
        }


def summarize(attempts: Iterator[Attempt]) -> Summary:
    """What attempts, in the order in which they began, come to."""
    from collections import Counter
    from statistics import median

    first: dict[str, str] = {}
    last: dict[str, str] = {}
    results: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    times: list[float] = []
    begun: list[str] = []
    ends: list[str] = []
    steps: dict[str, list[float]] = {}
    for attempt in attempts:
        results[attempt.result] += 1
        if attempt.mac is not None and attempt.result != RUNNING:
            first.setdefault(attempt.mac, attempt.result)
            last[attempt.mac] = attempt.result
        if attempt.result == PASS:
            times.append(attempt.seconds or 0.0)
            begun.append(attempt.started)
            ends.append(attempt.ended or attempt.started)
            for step in attempt.steps:
                steps.setdefault(step["step"], []).append(step["seconds"])
        elif attempt.result == FAIL:
            where = f"{attempt.failed_step}: " if attempt.failed_step else ""
            reasons[f"{where}{attempt.reason}"] += 1
    span = (moment_of(max(ends)) - moment_of(min(begun))).total_seconds() if len(ends) > 1 else 0.0
    return Summary(
        boards=len(last),
        good=sum(r == PASS for r in last.values()),
        attempts=dict(results),
        first_time=sum(r == PASS for r in first.values()),
        boards_an_hour=len(ends) / span * 3600 if span > 0 else None,
        seconds=median(times) if times else None,
        failures=reasons.most_common(10),
        step_seconds={name: median(values) for name, values in steps.items()},
    )
