# SPDX-License-Identifier: Apache-2.0
"""The host side of our stub's extensions (see docs/serial-protocol.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esptool.device.session import Session


@dataclass(frozen=True, slots=True)
class ExtInfo:
    """What our stub says it can do."""

    version: int


def probe(session: Session) -> ExtInfo | None:
    """Ask the running stub for its extensions; None where it has none."""
    del session
    return None
