# SPDX-License-Identifier: Apache-2.0
"""Files that hold the content of a flash: dumps, merged images, state files of the virtual chip."""

from __future__ import annotations

import json

#: A state file begins with a page of JSON that names this format; the flash follows it.
STATE_FORMAT = "esptool virtual board 1"
STATE_HEADER = 0x1000


def state_header(data: bytes) -> dict[str, object] | None:
    """The first page of a state file of the virtual chip; None for any other file."""
    if data[:1] != b"{" or STATE_FORMAT.encode() not in data[:STATE_HEADER]:
        return None
    try:
        head = json.loads(data[:STATE_HEADER])
    except (ValueError, RecursionError):
        return None
    if not isinstance(head, dict) or head.get("format") != STATE_FORMAT:
        return None
    return head
