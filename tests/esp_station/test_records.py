# SPDX-License-Identifier: Apache-2.0
"""Records tell what became of every board, also after a station has died."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from esp_station import schema
from esp_station.database import StationLock, file_url, migrate, open_database, reading
from esp_station.export import csv_lines
from esp_station.records import (
    FAIL,
    INTERRUPTED,
    PASS,
    RUNNING,
    Attempt,
    Query,
    Records,
    summarize,
)
from esptool.errors import FatalError

from .support import mac_of


@pytest.fixture
def book(tmp_path: Path) -> Records:
    return Records(file_url(str(tmp_path / "station.db")))


def attempt(book: Records, number: int, result: str, station: str = "a", **more: object) -> Attempt:
    made = Attempt(station=station, slot="1", port="x", mac=mac_of(number), **more)  # type: ignore[arg-type]
    book.begin(made)
    if result != RUNNING:
        made.result = result
        made.ended = made.started
        made.seconds = 1.0
        book.update(made)
    return made


def test_what_a_dead_station_left_is_interrupted_and_what_runs_is_not(book: Records) -> None:
    attempt(book, 1, RUNNING, "alive")
    attempt(book, 2, RUNNING, "dead")
    attempt(book, 3, PASS, "dead")
    lock = StationLock(book.engine, "alive")
    assert book.settle() == 1
    found = {a.mac: a for a in book.find(Query())}
    assert found[mac_of(1)].result == RUNNING
    assert found[mac_of(2)].result == INTERRUPTED
    assert found[mac_of(2)].remedy
    assert found[mac_of(3)].result == PASS
    lock.release()
    assert book.settle() == 1


def test_one_process_is_a_station(book: Records) -> None:
    lock = StationLock(book.engine, "a/b c")
    with pytest.raises(FatalError, match="is running already"):
        StationLock(book.engine, "a/b c")
    StationLock(book.engine, "other").release()
    lock.release()
    StationLock(book.engine, "a/b c").release()


def test_a_result_is_never_changed(book: Records) -> None:
    made = attempt(book, 1, INTERRUPTED)
    made.result = PASS
    with pytest.raises(FatalError, match="was closed in the records"):
        book.update(made)
    assert [a.result for a in book.find(Query())] == [INTERRUPTED]


def test_searching_by_part_of_mac_or_row(book: Records) -> None:
    attempt(book, 1, PASS, row_key="A_1")
    attempt(book, 2, PASS, row_key="AB1")
    attempt(book, 3, FAIL, row_key="a%2")
    for words, count in (
        ("00:01", 1),
        ("02-00-00", 3),
        ("020000000002", 1),
        ("a_1", 1),
        ("%", 1),
        ("ab", 1),
        ("none", 0),
    ):
        assert len(list(book.find(Query(text=words)))) == count, words
    assert [a.mac for a in book.find(Query(result=FAIL))] == [mac_of(3)]
    assert [a.mac for a in book.find(Query(limit=1))] == [mac_of(3)]


def test_the_summary_counts_boards_by_their_last_attempt(book: Records) -> None:
    attempt(book, 1, FAIL, failed_step="boot", reason="no answer")
    attempt(book, 1, PASS)
    attempt(book, 2, PASS)
    attempt(book, 3, PASS)
    attempt(book, 3, FAIL, failed_step="boot", reason="no answer")
    found = summarize(book.find(Query(latest_first=False)))
    assert (found.boards, found.good, found.first_time) == (3, 2, 2)
    assert found.yield_ == pytest.approx(2 / 3)
    assert found.failures == [("boot: no answer", 2)]
    assert found.attempts == {PASS: 3, FAIL: 2}


def test_boards_that_end_at_once_are_counted_by_the_time_that_they_took() -> None:
    def passed(number: int, start: str, end: str) -> Attempt:
        made = Attempt(station="a", slot="1", port="x", mac=mac_of(number), result=PASS)
        made.started, made.ended = f"2026-11-29T08:{start}.000Z", f"2026-11-29T08:{end}.000Z"
        return made

    side_by_side = [passed(1, "00:00", "00:20"), passed(2, "00:00", "00:20")]
    assert summarize(iter(side_by_side)).boards_an_hour == pytest.approx(360)
    assert summarize(iter(side_by_side[:1])).boards_an_hour is None


def test_the_export_can_be_read_by_a_spreadsheet_without_harm(book: Records) -> None:
    attempt(book, 1, FAIL, reason='=HYPERLINK("x"), "quoted"\nline', measured={"v": "1"})
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines(book.find(Query()))))))
    [row] = rows
    assert row["mac"] == mac_of(1)
    assert row["reason"].startswith("'=HYPERLINK")
    assert row["measured"] == '{"v": "1"}'


def test_a_schema_goes_from_version_to_version_and_a_later_one_is_refused(
    book: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt(book, 1, PASS)

    def add(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE esp_station_attempts ADD COLUMN operator VARCHAR(40)"))

    def fail(connection: Connection) -> None:
        connection.execute(text("DROP TABLE esp_station_runs"))
        connection.execute(text("this is no SQL"))

    with pytest.raises(FatalError, match="cannot be used"):
        migrate(book.engine, "records", (*schema.RECORDS, add, fail), "records")
    migrate(book.engine, "records", (*schema.RECORDS, add), "records")
    migrate(book.engine, "records", (*schema.RECORDS, add), "records")
    with reading(book.engine, "records") as connection:
        connection.execute(text("SELECT operator FROM esp_station_attempts"))
        connection.execute(text("SELECT count(*) FROM esp_station_runs"))
    assert book.engine.url.database is not None
    with pytest.raises(FatalError, match="schema version 2; this program knows up to 1"):
        Records(file_url(book.engine.url.database))


def test_a_database_that_cannot_be_used_is_told_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, but a text that is long enough" * 9)
    with pytest.raises(FatalError, match="not a database"):
        Records(file_url(str(tmp_path / "text.db")))
    with pytest.raises(FatalError) as caught:
        open_database("postgresql+psycopg://me:secret@127.0.0.1:1/x", "records")
    assert "secret" not in str(caught.value)
    for url in ("mysql://x/y", "sqlite://", "nonsense"):
        with pytest.raises(FatalError):
            open_database(url, "records")
