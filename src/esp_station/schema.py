# SPDX-License-Identifier: Apache-2.0
"""The tables of records and of claimed rows, the same in SQLite and PostgreSQL.

A new version is a new step at the end of a list; steps that were published do not change.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

#: What a row of a table of data is claimed by: lies beside the rows.
claims_schema = MetaData()
claims = Table(
    "esp_station_claims",
    claims_schema,
    Column("pool", String(200), primary_key=True),
    Column("row_key", String(400), primary_key=True),
    Column("mac", String(23), nullable=False),
    Column("station", String(200), nullable=False),
    Column("claimed", String(24), nullable=False),
    UniqueConstraint("pool", "mac", name="esp_station_claims_mac"),
)

#: Runs of a station and attempts on boards. Times are UTC, as 2026-11-29T08:15:00.000Z.
records_schema = MetaData()
runs = Table(
    "esp_station_runs",
    records_schema,
    Column("id", Integer, primary_key=True),
    Column("station", String(200), nullable=False),
    Column("host", String(200), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("tool", String(40), nullable=False),
    Column("product", String(200), nullable=False),
    Column("job", Text, nullable=False),
    Column("job_hash", String(64), nullable=False),
    Column("started", String(24), nullable=False),
    Column("ended", String(24)),
)
attempts = Table(
    "esp_station_attempts",
    records_schema,
    Column("id", Integer, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("station", String(200), nullable=False),
    Column("slot", String(200), nullable=False),
    Column("port", Text, nullable=False),
    Column("started", String(24), nullable=False),
    Column("ended", String(24)),
    Column("seconds", Float),
    # The board.
    Column("mac", String(23)),
    Column("chip", String(40)),
    Column("revision", String(20)),
    Column("flash_id", String(20)),
    Column("flash_size", String(20)),
    # What was asked for.
    Column("product", String(200), nullable=False),
    Column("job", Text, nullable=False),
    Column("job_hash", String(64), nullable=False),
    Column("tool", String(40), nullable=False),
    Column("images", JSON, nullable=False),
    # What it got.
    Column("row_pool", String(200)),
    Column("row_key", String(400)),
    Column("row_data", JSON, nullable=False),
    Column("digests", JSON, nullable=False),
    Column("fuses", JSON, nullable=False),
    Column("measured", JSON, nullable=False),
    Column("steps", JSON, nullable=False),
    # How it ended.
    Column("result", String(20), nullable=False),
    Column("failed_step", String(200)),
    Column("error_code", String(60)),
    Column("reason", Text),
    Column("remedy", Text),
    Column("log", Text, nullable=False),
    Index("esp_station_attempts_mac", "mac"),
    Index("esp_station_attempts_row", "row_key"),
    Index("esp_station_attempts_result", "result"),
    Index("esp_station_attempts_ended", "ended"),
)


def _make_claims(connection: Connection) -> None:
    claims_schema.create_all(connection)


def _make_records(connection: Connection) -> None:
    records_schema.create_all(connection)


CLAIMS = (_make_claims,)
RECORDS = (_make_records,)
