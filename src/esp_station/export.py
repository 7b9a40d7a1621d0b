# SPDX-License-Identifier: Apache-2.0
"""Records as CSV and JSON lines, for spreadsheets and other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator

from esp_station.records import Attempt

#: In this order; values that a job measured and recorded columns of rows follow as JSON.
COLUMNS = (
    *("id", "result", "mac", "row_key", "chip", "revision", "flash_id", "flash_size"),
    *("station", "slot", "port", "started", "ended", "seconds", "product", "job", "job_hash"),
    *("tool", "failed_step", "error_code", "reason", "remedy"),
    *("row_data", "measured", "fuses", "images", "digests", "steps"),
)


def csv_lines(attempts: Iterable[Attempt]) -> Iterator[str]:
    """A header, and a line for each attempt."""
    yield _line(COLUMNS)
    for attempt in attempts:
        yield _line([_cell(getattr(attempt, name)) for name in COLUMNS])


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        # A spreadsheet would take such a text for a formula, and a board can say anything.
        return f"'{value}" if value[:1] in ("=", "+", "-", "@") else value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def json_lines(attempts: Iterable[Attempt]) -> Iterator[str]:
    """An object for each attempt, with its log."""
    for attempt in attempts:
        yield json.dumps(attempt.to_json(), ensure_ascii=False) + "\n"
