# SPDX-License-Identifier: Apache-2.0
"""Rows of data, one for each board: from CSV, SQLite or PostgreSQL, and claimed by MAC address.

A claim is committed before anything of the row goes to a board, and never taken back: whatever
crashes, no row is used for two boards, and a board that comes again gets its own. Claims of a
database lie beside its rows, so that all stations that use it share them; those of a CSV file lie
in the records.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esp_station.clock import stamp
from esp_station.database import file_url, migrate, open_database, reading, writing
from esptool.errors import FatalError, UsageError
from esptool.textfile import read_text

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

_WHAT = "rows"
#: A CSV file is held in memory.
LARGEST_CSV = 256 << 20


class NoRowError(FatalError):
    """Every row belongs to a board, or that of this board is gone."""


class TableError(UsageError):
    """There is no such table in the database, or it lacks a column."""


@dataclass(frozen=True, slots=True)
class Row:
    """The data of one board.

    Attributes:
        key: what tells it from all others, such as a serial number.
        values: column to text; columns without a value are left out.
        where: where it comes from, for errors.
    """

    key: str
    values: Mapping[str, str]
    where: str = ""


@dataclass(frozen=True, slots=True)
class Stock:
    """How many rows there are, and how many of them belong to a board."""

    total: int
    used: int


class Claims:
    """Which row belongs to which board, in one pool: keys are unique within it."""

    def __init__(self, engine: Engine, pool: str, station: str) -> None:
        """Makes the table where there is none.

        Raises:
            FatalError: it cannot be made.
        """
        from esp_station import schema

        self.engine = engine
        self.pool = pool
        self._station = station
        self._table = schema.claims
        migrate(engine, "claims", schema.CLAIMS, _WHAT)

    def of_board(self, connection: Connection, mac: str) -> str | None:
        """The key of the row that a board has."""
        from sqlalchemy import select

        c = self._table.c
        found = connection.execute(
            select(c.row_key).where(c.pool == self.pool, c.mac == mac)
        ).scalar()
        return None if found is None else str(found)

    def take(self, connection: Connection, key: str, mac: str) -> bool:
        """Claim a row; False where it, or another row for this board, is claimed already."""
        values = {
            "pool": self.pool,
            "row_key": key,
            "mac": mac,
            "station": self._station,
            "claimed": stamp(),
        }
        order = _insert(connection, self._table).values(values).on_conflict_do_nothing()
        # How many rows an INSERT made is not told by every driver; what it made is.
        made = connection.execute(order.returning(self._table.c.row_key))
        return made.scalar() is not None

    def keys(self, connection: Connection) -> set[str]:
        """All keys that are claimed."""
        from sqlalchemy import select

        c = self._table.c
        return {str(key) for key in connection.scalars(select(c.row_key).filter_by(pool=self.pool))}

    @property
    def table(self) -> Table:
        """Where they are kept."""
        return self._table


class Rows:
    """Rows for boards.

    Attributes:
        columns: their names, in order.
        pool: the name of the set of keys that no two boards share.
    """

    columns: tuple[str, ...]
    pool: str
    _bound: Claims | None = None

    def bind(self, records: Engine, station: str) -> None:
        """Open the claims, before the first one. Until then nothing is written anywhere.

        Args:
            records: the database of the records, for rows that have none of their own.
            station: who claims.

        Raises:
            FatalError: they cannot be written.
        """
        self._bound = Claims(records, self.pool, station)

    @property
    def _claims(self) -> Claims:
        assert self._bound is not None, "rows are bound before one is claimed"
        return self._bound

    def close(self) -> None:
        """Let go of a database of their own."""

    def claim(self, mac: str) -> Row:
        """The row of a board: its own, else the next that is free, which is its own from now on.

        Raises:
            NoRowError: there is none.
            FatalError: the database failed.
        """
        raise NotImplementedError

    def known(self, mac: str) -> Row | None:
        """The row that a board has; None where it has none. Claims nothing."""
        raise NotImplementedError

    def stock(self) -> Stock:
        """How many there are."""
        raise NotImplementedError

    def samples(self) -> Iterator[Row]:
        """Rows to try a job with: all of a file, the first of a database."""
        raise NotImplementedError


class CsvRows(Rows):
    """The rows of a CSV file, whose first line names the columns."""

    def __init__(self, path: str, key: str, pool: str) -> None:
        """
        Raises:
            UsageError: names the line that is wrong.
        """
        self.pool = pool
        self._path = path
        self.columns, self._rows = read_csv(path, key)

    def claim(self, mac: str) -> Row:
        with writing(self._claims.engine, _WHAT) as connection:
            mine = self._claims.of_board(connection, mac)
            if mine is None:
                mine = self._next(connection, mac)
        return self._row(mine, mac)

    def _next(self, connection: Connection, mac: str) -> str:
        # Another station may have taken some meanwhile, and a transaction may have come to nothing.
        taken = self._claims.keys(connection)
        for key in self._rows:
            if key not in taken and self._claims.take(connection, key, mac):
                return key
        raise no_row_left(f"'{self._path}'")

    def known(self, mac: str) -> Row | None:
        with reading(self._claims.engine, _WHAT) as connection:
            mine = self._claims.of_board(connection, mac)
        return None if mine is None else self._row(mine, mac)

    def _row(self, key: str, mac: str) -> Row:
        found = self._rows.get(key)
        if found is None:
            raise lost_row(f"'{self._path}'", key, mac)
        return found

    def stock(self) -> Stock:
        with reading(self._claims.engine, _WHAT) as connection:
            used = self._claims.keys(connection)
        return Stock(len(self._rows), len(used & self._rows.keys()))

    def samples(self) -> Iterator[Row]:
        yield from self._rows.values()


def read_csv(path: str, key: str) -> tuple[tuple[str, ...], dict[str, Row]]:
    """The columns and rows of a CSV file.

    Raises:
        UsageError: names the line that is wrong.
    """
    text = read_text(path, "table of rows", largest=LARGEST_CSV)
    reader = csv.reader(io.StringIO(text), strict=True)
    rows: dict[str, Row] = {}
    columns: tuple[str, ...] = ()
    try:
        for fields in reader:
            where = f"'{path}', line {reader.line_num}"
            if not fields or not any(field.strip() for field in fields):
                continue
            if not columns:
                columns = _columns(fields, key, where)
                continue
            if len(fields) != len(columns):
                raise UsageError(
                    f"{where}: {len(fields)} fields stand under {len(columns)} columns."
                )
            values = {c: v for c, v in zip(columns, fields, strict=True) if v}
            name = values.get(key, "").strip()
            if not name:
                raise UsageError(f"{where}: the row has no '{key}'.")
            if name in rows:
                raise UsageError(f"{where}: '{name}' is already in {rows[name].where}.")
            rows[name] = Row(name, values, where)
    except csv.Error as e:
        raise UsageError(f"'{path}', line {reader.line_num}: {e}.") from None
    if not rows:
        raise UsageError(f"'{path}' holds no rows.", remedy="The first line names the columns.")
    return columns, rows


def _columns(fields: list[str], key: str, where: str) -> tuple[str, ...]:
    names = tuple(field.strip() for field in fields)
    double = next((n for n in names if names.count(n) > 1 or not n), None)
    if double is not None:
        raise UsageError(f"{where}: each column needs a name of its own, not '{double}'.")
    if key not in names:
        raise UsageError(f"{where}: there is no column '{key}'. There are: {', '.join(names)}.")
    return names


class SqlRows(Rows):
    """The rows of a table in SQLite or PostgreSQL, in the order of their keys."""

    def __init__(self, url: str, table: str, key: str, pool: str) -> None:
        """
        Raises:
            FatalError: the database cannot be used.
            TableError: there is no such table or column.
        """
        from sqlalchemy import MetaData, inspect
        from sqlalchemy import Table as SqlTable
        from sqlalchemy.exc import NoSuchTableError

        self.pool = pool
        self._engine = open_database(url, _WHAT)
        self._what = f"table '{table}'"
        schema, _, name = table.rpartition(".")
        with reading(self._engine, _WHAT) as connection:
            try:
                self._table = SqlTable(
                    name, MetaData(), schema=schema or None, autoload_with=connection
                )
            except NoSuchTableError:
                names = ", ".join(sorted(inspect(connection).get_table_names()))
                raise TableError(f"There is no table '{table}'. There are: {names}.") from None
        self.columns = tuple(c.name for c in self._table.columns)
        if key not in self.columns:
            raise TableError(
                f"{self._what} has no column '{key}'. There are: {', '.join(self.columns)}."
            )
        self._key = key

    def bind(self, records: Engine, station: str) -> None:
        super().bind(self._engine, station)

    def close(self) -> None:
        self._engine.dispose()

    def claim(self, mac: str) -> Row:
        from sqlalchemy import String, cast, exists, select

        c, key = self._claims.table.c, self._table.c[self._key]
        taken = exists().where(c.pool == self.pool, c.row_key == cast(key, String))
        following = select(self._table).where(~taken, key.is_not(None)).order_by(key).limit(1)
        with writing(self._engine, _WHAT) as connection:
            while True:
                mine = self._claims.of_board(connection, mac)
                if mine is not None:
                    return self._own(connection, mine, mac)
                found = connection.execute(following).mappings().first()
                if found is None:
                    raise no_row_left(self._what)
                row = self._row(dict(found))
                # Another station may be faster with this row; then the next one is looked for.
                if self._claims.take(connection, row.key, mac):
                    return row

    def known(self, mac: str) -> Row | None:
        with reading(self._engine, _WHAT) as connection:
            mine = self._claims.of_board(connection, mac)
            return None if mine is None else self._own(connection, mine, mac)

    def _own(self, connection: Connection, key: str, mac: str) -> Row:
        from sqlalchemy import String, cast, select

        column = self._table.c[self._key]
        order = select(self._table).where(cast(column, String) == key)
        found = connection.execute(order).mappings().first()
        if found is None:
            raise lost_row(self._what, key, mac)
        return self._row(dict(found))

    def _row(self, found: Mapping[str, Any]) -> Row:
        values = {name: _text(found[name]) for name in self.columns if found[name] is not None}
        return Row(values[self._key], values, f"{self._what}, '{values[self._key]}'")

    def stock(self) -> Stock:
        from sqlalchemy import String, cast, func, select

        c, key = self._claims.table.c, self._table.c[self._key]
        with reading(self._engine, _WHAT) as connection:
            total = connection.scalar(select(func.count(key))) or 0
            used = connection.scalar(
                select(func.count())
                .select_from(self._table)
                .join(self._claims.table, cast(key, String) == c.row_key)
                .where(c.pool == self.pool)
            )
        return Stock(total, used or 0)

    def samples(self) -> Iterator[Row]:
        from sqlalchemy import select

        with reading(self._engine, _WHAT) as connection:
            found = connection.execute(select(self._table).limit(1)).mappings().first()
        if found is not None and found[self._key] is not None:
            yield self._row(dict(found))


def _text(value: Any) -> str:
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)


def _insert(connection: Connection, table: Table) -> Any:
    """An INSERT that leaves what is there: both databases know such a one, plain SQL does not."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def no_row_left(source: str) -> NoRowError:
    """Every row belongs to a board."""
    return NoRowError(
        f"No row is left in {source}: each belongs to a board.",
        remedy="Add rows, and plug the board in again.",
    )


def lost_row(source: str, key: str, mac: str) -> NoRowError:
    """The row of a board is not there any more."""
    return NoRowError(
        f"The row '{key}', which belongs to the board {mac}, is not in {source} any more.",
        remedy="Put it back: the board keeps its row.",
    )


def open_rows(source: str, table: str, key: str, pool: str) -> Rows:
    """Rows from wherever they are; they are bound to claims before the first is taken.

    Args:
        source: a CSV or SQLite file, or the URL of a database.
        table: the table of a database.
        key: the column that tells rows apart.
        pool: the set of keys that no two boards share.

    Raises:
        FatalError: they cannot be used.
    """
    if "://" in source:
        return SqlRows(source, table, key, pool)
    if _is_sqlite(source):
        return SqlRows(file_url(source), table, key, pool)
    return CsvRows(source, key, pool)


def _is_sqlite(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError as e:
        raise UsageError(f"Cannot read the rows in '{path}': {e.strerror}.") from e
