# SPDX-License-Identifier: Apache-2.0
"""Databases of a station: SQLite files and PostgreSQL by URL, opened so that nothing that was
committed is lost, and brought to the present schema step by step."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from esptool.errors import FatalError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

#: How long a writer of SQLite waits for another one.
BUSY_S = 60
#: What a user may write in a job; drivers that are not there are told with their package.
SCHEMES = ("sqlite", "postgresql+psycopg", "postgresql")
_INSTALL = 'Install it: pip install "esptool[station]"'
#: A step of a schema: what it does to a database of the version before.
Migration = Callable[["Connection"], None]


def file_url(path: str) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{os.path.abspath(path)}"


def open_database(url: str, what: str) -> Engine:
    """Connect to a database; a SQLite file is made where there is none.

    Args:
        url: `sqlite:///FILE` or `postgresql+psycopg://USER@HOST/NAME`.
        what: what it is for, for errors, such as "records".

    Raises:
        UsageError: it is no such URL, or a package is missing.
        FatalError: it cannot be opened; the text holds no password.
    """
    try:
        import sqlalchemy
        from sqlalchemy import event
        from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    except ImportError as e:
        raise UsageError("esp_station needs the package SQLAlchemy.", remedy=_INSTALL) from e
    try:
        parsed = sqlalchemy.make_url(url)
    except ArgumentError:
        raise UsageError(f"The {what} are in no database: {_example()}") from None
    if parsed.drivername not in SCHEMES:
        raise UsageError(f"The {what} cannot be in '{parsed.drivername}': {_example()}")
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    sqlite = parsed.drivername == "sqlite"
    options: dict[str, Any] = {"pool_size": 20, "max_overflow": 80}
    if sqlite:
        if not parsed.database or parsed.database == ":memory:":
            raise UsageError(f"The {what} need a file: sqlite:///FILE.")
        options["connect_args"] = {"timeout": BUSY_S}
    else:
        options |= {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
    try:
        engine = sqlalchemy.create_engine(parsed, **options)
    except ImportError as e:
        raise UsageError(f"The {what} need the package psycopg.", remedy=_INSTALL) from e
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.connect():
            pass
    except SQLAlchemyError as e:
        engine.dispose()
        raise failure(what, engine, e) from e
    return engine


def _example() -> str:
    return "write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME."


def failure(what: str, engine: Engine, error: Exception) -> FatalError:
    """What a database could not do, for a person."""
    reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    where = engine.url.render_as_string(hide_password=True)
    return FatalError(
        f"The {what} in {where} cannot be used: {reason}.",
        remedy="Is the database there, and may this user write to it?",
    )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Transactions are begun by `_begin_sqlite`, not by the driver in its own time.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # A row that is on a board must not be free again after the supply failed.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A reader that becomes a writer would be refused at once where another one was faster.
    writes = connection.get_execution_options().get("esp_station_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def writing(engine: Engine, what: str) -> Iterator[Connection]:
    """A transaction that writes; committed at the end, rolled back by an exception.

    Raises:
        FatalError: the database failed; nothing was changed.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with (
            engine.connect().execution_options(esp_station_writes=True) as connection,
            connection.begin(),
        ):
            yield connection
    except SQLAlchemyError as e:
        raise failure(what, engine, e) from e


@contextmanager
def reading(engine: Engine, what: str) -> Iterator[Connection]:
    """A transaction that only reads.

    Raises:
        FatalError: the database failed.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as e:
        raise failure(what, engine, e) from e


def migrate(engine: Engine, name: str, steps: Sequence[Migration], what: str) -> None:
    """Bring a schema to the version that has all `steps`, each in the order and once.

    Args:
        engine: the database.
        name: the schema's; a database may hold several.
        steps: what leads from each version to the next; an empty database has version 0.
        what: for errors.

    Raises:
        FatalError: the database is of a later version of this program, or a step failed; then
            nothing was changed.
    """
    from sqlalchemy import text

    with writing(engine, what) as connection:
        if engine.dialect.name == "postgresql":
            # Several stations may start at the same moment.
            connection.execute(text("SELECT pg_advisory_xact_lock(5107441)"))
        connection.execute(
            text(
                "CREATE TABLE IF NOT EXISTS esp_station_schema "
                "(name VARCHAR(40) PRIMARY KEY, version INTEGER NOT NULL)"
            )
        )
        found = connection.execute(
            text("SELECT version FROM esp_station_schema WHERE name = :name"), {"name": name}
        ).scalar()
        version = found or 0
        if version > len(steps):
            raise FatalError(
                f"The {what} have schema version {version}; this program knows up to {len(steps)}.",
                remedy="Update esptool on this station to the version that the others have.",
            )
        for step in steps[version:]:
            step(connection)
        if found is None:
            order = "INSERT INTO esp_station_schema (name, version) VALUES (:name, :version)"
        else:
            order = "UPDATE esp_station_schema SET version = :version WHERE name = :name"
        connection.execute(text(order), {"name": name, "version": len(steps)})


class StationLock:
    """One process at a time is a station of a given name in one database.

    The lock goes with the process, however that ends.
    """

    def __init__(self, engine: Engine, station: str, wait_s: float = 0.0) -> None:
        """
        Args:
            engine: the database of the records.
            station: the name.
            wait_s: how long to wait for another process: one that only looks into the records
                holds the lock of a dead station for a moment.

        Raises:
            FatalError: another process is that station.
        """
        self._engine, self._station = engine, station
        self._release: Callable[[], None]
        self._answers: Callable[[], object] = bool
        end = time.monotonic() + wait_s
        while True:
            try:
                if engine.dialect.name == "postgresql":
                    self._lock_postgresql(engine, station)
                else:
                    self._lock_file(engine, station)
            except StationTakenError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return

    def _lock_postgresql(self, engine: Engine, station: str) -> None:
        from sqlalchemy import text

        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        taken = connection.execute(
            text("SELECT pg_try_advisory_lock(hashtextextended(:name, 5107441))"),
            {"name": station},
        ).scalar()
        if not taken:
            connection.close()
            raise _taken(station)

        def release() -> None:
            # A connection that goes back to the pool would keep the lock.
            with contextlib.suppress(Exception):
                connection.invalidate()
            connection.close()

        self._release = release
        self._answers = lambda: connection.execute(text("SELECT 1"))

    def _lock_file(self, engine: Engine, station: str) -> None:
        from esptool.locking import FileLock, InUseError

        safe = "".join(c if c.isalnum() or c in "-_" else f"%{ord(c):x}" for c in station)
        try:
            lock = FileLock(f"{engine.url.database}.station-{safe}", "records' lock")
        except InUseError:
            raise _taken(station) from None
        self._release = lock.release

    def keep(self) -> None:
        """Take the lock again where the network has ended the connection that held it.

        Whoever looks into the records meanwhile takes the boards in work for interrupted, so this
        is to be called every few seconds, always from one thread.

        Raises:
            StationTakenError: another process has become the station.
        """
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self._answers()
        except SQLAlchemyError:
            self._release()
            # A server that is not back yet is asked again the next time.
            with contextlib.suppress(SQLAlchemyError):
                self._lock_postgresql(self._engine, self._station)

    def release(self) -> None:
        """Let another process be the station."""
        self._release()


class StationTakenError(FatalError):
    """Another process is the station of that name."""


def _taken(station: str) -> StationTakenError:
    return StationTakenError(
        f"Station '{station}' is running already, with the same records.",
        remedy="End it first, or give this one a name of its own: --station NAME.",
    )
