# SPDX-License-Identifier: Apache-2.0
"""What the engine gives a page, as plain values, and a session as the eFuse engine wants it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from esptool import device, ops
from esptool.events import Connecting, Event, Message, Progress, Stage


def as_data(event: Event) -> dict[str, Any] | None:
    """An event as plain values; `event` names its kind. None of what a page has no use for."""
    if isinstance(event, Message):
        return {"event": "message", "level": event.level.value, "text": event.text}
    if isinstance(event, Stage):
        return {"event": "stage", "title": event.title, "done": event.done}
    if isinstance(event, Progress):
        return {
            "event": "progress",
            "action": event.action,
            "address": event.address,
            "done": event.done,
            "total": event.total,
            "seconds_left": event.seconds_left,
        }
    if isinstance(event, Connecting):
        return {"event": "connecting", "attempt": event.attempt, "done": event.done}
    return None


def without_options(remedy: str | None) -> str:
    """A remedy less the sentences that name options of the command line: they help nobody here."""
    lines = []
    for line in (remedy or "").splitlines():
        kept = [part for part in re.split(r"(?<=[.!?]) ", line) if "--" not in part]
        if kept:
            lines.append(" ".join(kept))
    return "\n".join(lines)


def written(results: Sequence[ops.WriteResult]) -> dict[str, Any]:
    """Results of a write as plain values."""
    return {
        "size": sum(r.size for r in results),
        "sent": sum(r.sent for r in results),
        "seconds": sum(r.seconds for r in results),
        "files": [
            {
                "name": r.name,
                "address": r.address,
                "size": r.size,
                "sent": r.sent,
                "action": r.action,
                "verified": r.verified,
            }
            for r in results
        ],
    }


class Registers:
    """A session by the names that the eFuse engine asks for."""

    secure_download_mode = False

    def __init__(self, session: device.Session) -> None:
        self.session = session
        self.CHIP_NAME = session.spec.name
        self.read_reg = session.read_reg
        self.write_reg = session.write_reg
        self.update_reg = session.update_reg

    def get_chip_revision(self) -> int:
        """major * 100 + minor."""
        return self.session.facts.revision

    def get_crystal_freq(self) -> int:
        """Crystal frequency in MHz."""
        return self.session.facts.crystal_mhz
