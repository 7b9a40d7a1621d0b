# SPDX-License-Identifier: Apache-2.0
"""Lines that go wrong, in small; `python -m bench.line_soak` runs the same at length."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bench import line_soak
from sqlalchemy import text

from esp_station.database import open_database, writing
from esp_station.records import PASS, Query
from esptool.errors import FatalError

from . import postgres
from .support import HEAD, Line, app_bytes, slots_of, write_job, write_rows, wrong_in_flash


def fill(url: str, folder: Path, count: int) -> None:
    """The rows of the CSV file as a table."""
    engine = open_database(url, "rows")
    with open(write_rows(folder, count)) as file, writing(engine, "rows") as connection:
        connection.execute(text("CREATE TABLE boards (serial TEXT, token TEXT, batch TEXT)"))
        for row in csv.DictReader(file):
            connection.execute(text("INSERT INTO boards VALUES (:serial, :token, :batch)"), row)
    engine.dispose()


def test_no_board_with_a_fault_is_recorded_better_than_it_is(tmp_path: Path) -> None:
    results, wrong = line_soak.faults(tmp_path, 32)
    assert wrong == []
    assert results.total() == 32


def test_a_station_that_is_killed_at_any_moment_goes_on_where_it_was(tmp_path: Path) -> None:
    _results, wrong = line_soak.kills(tmp_path, 2, boards_each=1)
    assert wrong == []


@pytest.mark.skipif(
    postgres.tools() is None, reason="needs PostgreSQL's server (Debian: postgresql)"
)
@pytest.mark.parametrize("source", ["boards.csv", "database"])
def test_stations_that_share_a_database_never_share_a_row(tmp_path: Path, source: str) -> None:
    with postgres.served() as url:
        head = HEAD.replace("boards.csv", source if source == "boards.csv" else url)
        path = write_job(tmp_path, head=f'records = "{url}"\n{head}', rows=12)
        if source == "database":
            fill(url, tmp_path, 12)
        lines = [Line(path, slots_of(range(n, 12, 4), "pg"), f"s{n}") for n in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(Line.run, lines))
        # Boards that come again, at other stations.
        again = [Line(path, slots_of(range(n, 12, 4), "pg"), f"s{3 - n}") for n in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(Line.run, again))
        done = list(lines[0].book.find(Query()))
        rows = lines[0].job.rows
        assert rows is not None
        with pytest.raises(FatalError, match="No row is left"):
            rows.claim("02:00:00:00:ff:ff")
        for line in (*lines, *again):
            line.close()
    assert [a.result for a in done] == [PASS] * 24
    assert line_soak.wrong_in_records(done) == []
    assert len({a.row_key for a in done}) == 12
    for attempt in done:
        assert wrong_in_flash(f"pg-{attempt.slot}", attempt, app_bytes()) == ""
