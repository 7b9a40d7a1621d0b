# SPDX-License-Identifier: Apache-2.0
"""Attributes of the loader object that tell what its session knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Live:
    """An attribute with one value on the class and another on a live object.

    It can be set on an object, as programs and tests do.
    """

    def __init__(self, fallback: Any, live: Callable[[Any], Any]) -> None:
        self._fallback = fallback
        self._live = live
        self._key = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = f"_set_{name}"

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self._fallback
        if self._key in obj.__dict__:
            return obj.__dict__[self._key]
        return self._live(obj) if "session" in obj.__dict__ else self._fallback

    def __set__(self, obj: Any, value: Any) -> None:
        obj.__dict__[self._key] = value


class WriteSize(Live):
    """`FLASH_WRITE_SIZE`: bytes of a data block.

    Programs set it on a class or an object to send smaller blocks, for USB bridges that lose long
    ones; see `chosen_write_size`.
    """

    def __init__(self, fallback: int) -> None:
        super().__init__(fallback, lambda esp: esp.session.flash.write_size)


def chosen_write_size(esp: Any) -> int | None:
    """The block size that a program has set for this object or its class; None where it has not."""
    own = esp.__dict__.get("_set_FLASH_WRITE_SIZE")
    if own is not None:
        return int(own)
    for cls in type(esp).__mro__:
        found = cls.__dict__.get("FLASH_WRITE_SIZE")
        if found is not None:
            return None if isinstance(found, Live) else int(found)
    return None
