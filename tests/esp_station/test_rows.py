# SPDX-License-Identifier: Apache-2.0
"""Each row belongs to one board, and each board to one row, whoever asks at the same time."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from esp_station.database import file_url, open_database
from esp_station.rows import NoRowError, Rows, open_rows
from esptool.errors import UsageError

from .support import mac_of, write_rows

Opener = Callable[[str], Rows]


def _csv(folder: Path, count: int) -> str:
    return str(write_rows(folder, count))


def _sqlite(folder: Path, count: int) -> str:
    path = folder / "rows.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE boards (serial INTEGER PRIMARY KEY, token TEXT, cert BLOB)")
        rows = [(1000 + n, f"t{n}", bytes([n % 256])) for n in range(count)]
        database.executemany("INSERT INTO boards VALUES (?, ?, ?)", rows)
    return str(path)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(file_url(str(tmp_path / "station.db")), "records")
    yield engine
    engine.dispose()


@pytest.fixture(params=[_csv, _sqlite], ids=["csv", "sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path, records: Engine) -> Iterator[Opener]:
    source = request.param(tmp_path, 40)
    opened: list[Rows] = []

    def open_again(station: str) -> Rows:
        rows = open_rows(
            source,
            "boards",
            "serial",
            "lamp",
        )
        rows.bind(records, station)
        opened.append(rows)
        return rows

    yield open_again
    for rows in opened:
        rows.close()


def test_two_stations_that_ask_at_once_never_get_the_same_row(opener: Opener) -> None:
    stations = [opener("a"), opener("b"), opener("c")]
    rng = random.Random(7)
    # Each board is asked for three times, by stations in any order.
    asks = [(rng.choice(stations), n) for n in range(40) for _ in range(3)]
    rng.shuffle(asks)
    with ThreadPoolExecutor(12) as pool:
        keys = list(pool.map(lambda ask: (ask[1], ask[0].claim(mac_of(ask[1])).key), asks))
    by_board = {n: {key for m, key in keys if m == n} for n in range(40)}
    assert all(len(found) == 1 for found in by_board.values())
    assert len({min(found) for found in by_board.values()}) == 40
    stock = stations[0].stock()
    assert (stock.total, stock.used) == (40, 40)
    with pytest.raises(NoRowError, match="No row is left"):
        stations[1].claim(mac_of(99))


def test_rows_are_taken_in_order_and_known_without_claiming(opener: Opener) -> None:
    rows = opener("a")
    assert rows.known(mac_of(1)) is None
    first, second = rows.claim(mac_of(1)), rows.claim(mac_of(2))
    assert first.key < second.key
    assert rows.known(mac_of(1)) == first
    assert rows.stock().used == 2


def test_a_pool_is_what_rows_are_unique_in_whatever_the_file_is_called(
    tmp_path: Path, records: Engine
) -> None:
    path = write_rows(tmp_path, 3)
    rows = open_rows(str(path), "", "serial", "lamp")
    rows.bind(records, "a")
    taken = rows.claim(mac_of(1)).key
    moved = path.rename(tmp_path / "more.csv")
    with open(moved, "a") as file:
        file.write("A-0100,t,b\n")
    again = open_rows(str(moved), "", "serial", "lamp")
    again.bind(records, "a")
    assert again.claim(mac_of(1)).key == taken
    assert {again.claim(mac_of(n)).key for n in (2, 3, 4)} == {"A-0001", "A-0002", "A-0100"}


def test_the_row_of_a_board_that_was_removed_is_told(tmp_path: Path, records: Engine) -> None:
    path = write_rows(tmp_path, 3)
    rows = open_rows(str(path), "", "serial", "lamp")
    rows.bind(records, "a")
    rows.claim(mac_of(1))
    path.write_text("serial,token\nB-1,x\n")
    again = open_rows(str(path), "", "serial", "lamp")
    again.bind(records, "a")
    with pytest.raises(NoRowError, match="'A-0000', which belongs to the board 02:00:00:00:00:01"):
        again.claim(mac_of(1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("serial,token\n", "holds no rows"),
        ("", "holds no rows"),
        ("serial,token\nA,1\nA,2\n", "line 3: 'A' is already in .*line 2"),
        ("serial,token\nA\n", "line 2: 1 fields stand under 2 columns"),
        ("serial,token\n,1\n", "line 2: the row has no 'serial'"),
        ("serial,serial\nA,1\n", "line 1: each column needs a name of its own"),
        ("name,token\nA,1\n", "line 1: there is no column 'serial'"),
        ('serial,token\nA,"x\n', "line"),
    ],
)
def test_a_wrong_table_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "boards.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        open_rows(str(path), "", "serial", "lamp")


def test_binary_and_missing_values_of_a_database(tmp_path: Path, records: Engine) -> None:
    source = _sqlite(tmp_path, 2)
    with sqlite3.connect(source) as database:
        database.execute("UPDATE boards SET token = NULL WHERE serial = 1000")
    rows = open_rows(source, "boards", "serial", "lamp")
    rows.bind(records, "a")
    assert dict(rows.claim(mac_of(1)).values) == {"serial": "1000", "cert": "00"}
    rows.close()
    with pytest.raises(UsageError, match="There is no table 'bords'"):
        open_rows(source, "bords", "serial", "lamp")
