# SPDX-License-Identifier: Apache-2.0
"""Keyword options of the documented functions: a mistyped one must not go unnoticed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from esptool.errors import UsageError
from esptool.events import Level, Message
from esptool.render import to_log

if TYPE_CHECKING:
    from esptool.events import Listener
    from esptool.loader import ESPLoader


def checked(
    function: str,
    given: Mapping[str, Any],
    known: Collection[str],
    listener: Listener,
    without_effect: Collection[str] = (),
) -> dict[str, Any]:
    """The options that have an effect; of those `without_effect` a note is made.

    Raises:
        UsageError: there is no such option; the nearest name is told.
    """
    for name in given:
        if name in without_effect:
            listener(Message(f"Option '{name}' of {function}() has no effect.", Level.NOTE))
        elif name not in known:
            raise UsageError(f"{function}() has no option '{name}'.{_nearest(name, known)}")
    return {name: value for name, value in given.items() if name in known}


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


def _nearest(name: str, known: Collection[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else f" It has: {', '.join(sorted(known))}."
