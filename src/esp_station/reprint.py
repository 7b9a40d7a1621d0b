# SPDX-License-Identifier: Apache-2.0
"""Labels of boards that are done, made once more."""

from __future__ import annotations

from esp_station.board import Board
from esp_station.job import Job
from esp_station.records import PASS, Query, Records
from esptool.errors import UsageError


def reprint(job: Job, book: Records, board: str) -> list[str]:
    """Make the labels of a board again, without the board.

    Args:
        job: has the labels.
        book: the records.
        board: its MAC address or the key of its row, or a part of one.

    Returns:
        What was made, a line for each label.

    Raises:
        UsageError: no board, or several, are meant, or it has not passed.
        FatalError: a label could not be made.
    """
    found = list(book.find(Query(text=board)))
    macs = sorted({a.mac for a in found if a.mac is not None})
    if len(macs) > 1:
        some = ", ".join(macs[:5])
        raise UsageError(f"'{board}' means {len(macs)} boards: {some}.", remedy="Write more of it.")
    attempt = next((a for a in found if a.result == PASS), None)
    if attempt is None:
        raise UsageError(
            f"No board '{board}' has passed, so it gets no label.",
            remedy="Look with `esp_station show`.",
        )
    again = Board(attempt.port, job.identity, job.images, attempt)
    if job.rows is not None and attempt.row_key is not None and attempt.mac is not None:
        job.rows.bind(book.engine, attempt.station)
        again.row = job.rows.known(attempt.mac)
    done = []
    for step in job.steps:
        if step.redo(again):
            done.append(f"{step.name}: {attempt.mac} {attempt.row_key or ''}".rstrip())
    return done
