# SPDX-License-Identifier: Apache-2.0
"""What a station needs beside its boards: a printer in the network, a database that goes away."""

from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from esp_station.database import StationLock, StationTakenError, open_database
from esp_station.records import FAIL, PASS, Query
from esptool.errors import FatalError
from tests.esp_station.support import HEAD, STEPS, Line, run_line, slots_of, write_job

from . import postgres

LABEL = '\n[[step]]\ndo = "label"\ntext = "^XA{{row.serial}}^XZ"\nprinter = "socket://{}:{}"\n'
#: Ends all connections of others, as a router does that was started anew.
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"


def _received(server: socket.socket) -> bytes:
    connection, _ = server.accept()
    with connection:
        pieces = []
        while piece := connection.recv(4096):
            pieces.append(piece)
    return b"".join(pieces)


def test_a_label_goes_to_a_printer_in_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        printed = pool.submit(_received, server)
        job = write_job(tmp_path, STEPS + LABEL.format(*server.getsockname()))
        [attempt] = run_line(job, slots_of([1], "printer")).values()
        assert attempt.result == PASS, attempt.log
        assert printed.result() == f"^XA{attempt.row_key}^XZ".encode()


def test_a_board_whose_label_was_not_printed_has_not_passed(tmp_path: Path) -> None:
    # A port that is taken and does not listen stays closed.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        job = write_job(tmp_path, STEPS + LABEL.format(*closed.getsockname()))
        [attempt] = run_line(job, slots_of([1], "no-printer")).values()
    assert (attempt.result, attempt.failed_step) == (FAIL, "label")
    assert "took no label: Connection refused" in (attempt.reason or "")


@pytest.mark.skipif(
    postgres.tools() is None, reason="needs PostgreSQL's server (Debian: postgresql)"
)
def test_a_database_that_drops_its_connections_costs_no_board_and_no_row(tmp_path: Path) -> None:
    with postgres.served() as url:
        program = (
            "import sys, psycopg\n"
            f"with psycopg.connect({url.replace('+psycopg', '')!r}) as c: c.execute({CUT!r})"
        )
        command = json.dumps([sys.executable, "-c", program])
        cut = f'\n[[step]]\ndo = "hook"\ncommand = {command}\n'
        path = write_job(tmp_path, STEPS + cut, head=f'records = "{url}"\n{HEAD}', rows=3)
        # One board: a transaction that is cut in its midst ends the station, as it should.
        line = Line(path, slots_of([1], "cut"))
        try:
            done = line.run()
            # The board that comes again gets its own row again.
            line_again = Line(path, slots_of([1], "cut"))
            again = line_again.run()
            line_again.close()
            assert [a.result for a in line.book.find(Query())] == [PASS, PASS]
        finally:
            line.close()
    assert again["1"].row_key == done["1"].row_key


@pytest.mark.skipif(
    postgres.tools() is None, reason="needs PostgreSQL's server (Debian: postgresql)"
)
def test_a_station_whose_connection_was_cut_is_the_station_again(tmp_path: Path) -> None:
    from sqlalchemy import text

    with postgres.served() as url:
        engine, other = (open_database(url, "records") for _ in range(2))
        lock = StationLock(engine, "here")
        with other.connect() as connection:
            connection.execute(text(CUT))
        lock.keep()
        with pytest.raises(StationTakenError):
            StationLock(other, "here")
        # Somebody was faster.
        with other.connect() as connection:
            connection.execute(text(CUT))
        taken = StationLock(other, "here")
        with pytest.raises(FatalError, match="running already"):
            lock.keep()
        taken.release()
        lock.release()
        other.dispose()
        engine.dispose()
