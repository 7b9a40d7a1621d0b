# SPDX-License-Identifier: Apache-2.0
"""The time of day as records have it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

FORM = "%Y-%m-%dT%H:%M:%S.%f"


def stamp(moment: datetime | None = None) -> str:
    """A moment in UTC, by default now: '2026-11-29T08:15:00.000Z', which sorts as text."""
    moment = moment or datetime.now(timezone.utc)
    return f"{moment.astimezone(timezone.utc).strftime(FORM)[:-3]}Z"


def moment_of(text: str) -> datetime:
    """The moment that a stamp stands for."""
    return datetime.strptime(text[:-1], FORM).replace(tzinfo=timezone.utc)


def stamp_before(seconds: float) -> str:
    """The moment so many seconds ago."""
    return stamp(datetime.now(timezone.utc) - timedelta(seconds=seconds))
