# SPDX-License-Identifier: Apache-2.0
"""Who is told what the documented functions have to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from esptool.render import to_log

if TYPE_CHECKING:
    from esptool.events import Listener
    from esptool.loader import ESPLoader


def listener_of(esp: ESPLoader, listener: Listener | None) -> Listener:
    """Who is told: the listener that was given, else the one that the chip was connected with.

    Tests of programs bring objects that have the methods of a loader object and no session.
    """
    if listener is not None:
        return listener
    try:
        return esp.session.listener
    except AttributeError:
        return to_log


@contextmanager
def speaking_to(esp: ESPLoader, listener: Listener | None) -> Iterator[None]:
    """What the loader object's own methods tell goes to `listener` meanwhile."""
    session = None if listener is None else esp.__dict__.get("session")
    if listener is None or session is None:
        yield
        return
    before, session.listener = session.listener, listener
    try:
        yield
    finally:
        session.listener = before
