# SPDX-License-Identifier: Apache-2.0
"""What the engine gives a page, as plain values, and a session as the eFuse engine wants it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from esptool import device, ops
from esptool.events import Connecting, Event, Message, Progress, Stage
from esptool.ops.identity import format_mac


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


#: What only a command line has: its options and arguments, and what is installed beside it.
_ELSEWHERE = re.compile(r"--|pip install|\bargument\b")


def without_options(text: str | None) -> str:
    """A text less the sentences that name what only a command line has: they help nobody here."""
    lines = []
    for line in (text or "").splitlines():
        kept = [part for part in re.split(r"(?<=[.!?]) ", line) if not _ELSEWHERE.search(part)]
        if kept:
            lines.append(" ".join(kept))
    return "\n".join(lines)


def page_words(text: str, folder: str | None) -> str:
    """A message as a visitor reads it: files by their own names, and nothing of a command line.

    Args:
        folder: where the visitor's files are kept.
    """
    if folder is not None:
        text = text.replace(f"{folder}{os.sep}", "").replace(folder, "the files")
    return without_options(text) or text


def chip_facts(session: device.Session) -> dict[str, Any]:
    """What is known of the chip."""
    found: dict[str, Any] = {
        "chip": session.spec.key,
        "name": session.spec.name,
        "secure_download": session.secure_download,
        "baud": session.link.baud if session.rate_matters else None,
        "stub": session.is_stub,
    }
    if session.secure_download:
        return found
    known = session.facts
    flash = ops.flash_info(session)
    return found | {
        "description": known.description,
        "features": list(known.features),
        "crystal_mhz": known.crystal_mhz,
        "mac": format_mac(known.macs.base),
        "usb_mode": known.usb_mode,
        "flash_size": flash.size,
        "flash_id": f"{flash.manufacturer:02x} {flash.device:04x}",
        "secure_boot": bool(known.secure_boot_enabled),
        "flash_encryption": bool(known.flash_encryption_enabled),
    }


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
